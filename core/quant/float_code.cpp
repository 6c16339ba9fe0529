#include "core/quant/float_code.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "core/metric/kernels.h"
#include "core/quant/encoding.h"
#include "core/quant/half.h"

namespace nearfield {

namespace {

constexpr size_t kStep = 32;
constexpr size_t kHalfTail = 16;  // the row's factor, then zeros
// The largest half below 2, so that no row's largest component times its factor leaves the range of floats.
constexpr uint16_t kMostHalf = 0x3FFF;

size_t padded(size_t bytes) { return (bytes + 15) / 16 * 16; }

size_t bytes_of(CodeKind kind, size_t dim) {
  return kind == CodeKind::kF32 ? padded(dim * sizeof(float)) : padded(dim * sizeof(uint16_t)) + kHalfTail;
}

const float* floats_of(const uint8_t* code) { return reinterpret_cast<const float*>(code); }

float factor_of(const uint8_t* tail) {
  float factor;
  std::memcpy(&factor, tail, sizeof factor);
  return factor;
}

}  // namespace

FloatCode::FloatCode(CodeKind kind, Metric metric, size_t dim, uint64_t seed)
    : VectorCode(kind, metric, dim, seed, bytes_of(kind, dim)) {
  assert(kind == CodeKind::kF32 || kind == CodeKind::kF16);
}

void FloatCode::encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const {
  assert(row.size() == dim() && code.size() == code_bytes());
  if (metric() == Metric::kCosine) {
    unit_of(row, scratch.a);
    row = scratch.a;
  }
  std::ranges::fill(code, uint8_t{0});
  if (kind() == CodeKind::kF32) {
    std::memcpy(code.data(), row.data(), row.size_bytes());
    return;
  }
  float largest = 0;
  for (const float component : row) largest = std::max(largest, std::abs(component));
  if (largest == 0) return;
  int exponent = 0;
  std::frexp(largest, &exponent);
  const float factor = std::ldexp(1.f, exponent - 1);
  for (size_t j = 0; j < row.size(); ++j) {
    uint16_t half = half_of_float(row[j] / factor);
    if ((half & 0x7FFF) > kMostHalf) --half;
    std::memcpy(code.data() + j * sizeof half, &half, sizeof half);
  }
  std::memcpy(code.data() + code.size() - kHalfTail, &factor, sizeof factor);
}

void FloatCode::prepare(std::span<const float> query, PreparedQuery& prepared) const {
  assert(query.size() == dim());
  if (metric() == Metric::kCosine) {
    unit_of(query, prepared.floats);
  } else {
    prepared.floats.assign(query.begin(), query.end());
  }
}

void FloatCode::score(const PreparedQuery& query, std::span<const uint8_t* const> codes,
                      std::span<float> scores) const {
  assert(scores.size() == codes.size());
  if (kind() == CodeKind::kF16) {
    decoded_scores(metric(), *this, dim(), {query.floats, nullptr}, codes, scores);
  } else {
    score_floats(query.floats, codes, scores);
  }
}

void FloatCode::between(const uint8_t* code, std::span<const uint8_t* const> codes, std::span<float> scores) const {
  assert(scores.size() == codes.size());
  if (kind() == CodeKind::kF16) {
    decoded_scores(metric(), *this, dim(), {{}, code}, codes, scores);
  } else {
    score_floats({floats_of(code), dim()}, codes, scores);
  }
}

void FloatCode::score_floats(std::span<const float> query, std::span<const uint8_t* const> codes,
                             std::span<float> scores) const {
  const Metric compared = metric() == Metric::kCosine ? Metric::kDot : metric();
  const float* rows[kStep];
  for (size_t begin = 0; begin < codes.size(); begin += kStep) {
    const size_t count = std::min(kStep, codes.size() - begin);
    const std::span<float> sums = scores.subspan(begin, count);
    for (size_t i = 0; i < count; ++i) rows[i] = floats_of(codes[begin + i]);
    fast_kernel(compared)(query, {rows, count}, sums);
    for (size_t i = 0; i < count; ++i) {
      sums[i] = held(std::isfinite(sums[i]) ? score_of_sum(compared, sums[i])
                                            : exact_score(compared, query, {rows[i], dim()}));
    }
  }
}

void FloatCode::decode(const uint8_t* code, size_t begin, std::span<float> to) const {
  const float factor = factor_of(code + code_bytes() - kHalfTail);
  const auto* halves = reinterpret_cast<const uint16_t*>(code) + begin;
  for (size_t j = 0; j < to.size(); ++j) to[j] = float_of_half(halves[j]) * factor;
}

bool FloatCode::sound(std::span<const uint8_t> code) const {
  assert(code.size() == code_bytes());
  if (kind() == CodeKind::kF32) {
    const Elements<float> components(code);
    for (size_t j = 0; j < components.size(); ++j) {
      if (!std::isfinite(components[j])) return false;
    }
    return true;
  }
  const Elements<uint16_t> halves(code.first(code.size() - kHalfTail));
  for (size_t j = 0; j < halves.size(); ++j) {
    if ((halves[j] & 0x7FFF) > kMostHalf) return false;
  }
  const float factor = factor_of(code.data() + halves.bytes().size());
  return factor >= 0 && factor <= 0x1p127f;
}

}  // namespace nearfield
