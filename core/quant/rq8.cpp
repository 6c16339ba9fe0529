#include "core/quant/rq8.h"

#include <cassert>

#include "core/quant/byte_kernels.h"
#include "core/quant/encoding.h"
#include "core/quant/estimate.h"

namespace nearfield {

namespace {

// Rows a step: their sums stay in the nearest cache.
constexpr size_t kStep = 32;

}  // namespace

Rq8::Rq8(Metric metric, size_t dim, uint64_t seed)
    : VectorCode(CodeKind::kRq8, metric, dim, seed, (dim + 63) / 64 * 64 + sizeof(CodeTail)), rotation_(dim, seed) {
  assert(metric != Metric::kManhattan);
  assert(code_bytes() == rotation_.padded_dim() + sizeof(CodeTail));
}

void Rq8::encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const {
  assert(row.size() == dim() && code.size() == code_bytes());
  const double norm = rotated_unit(rotation_, row, scratch);
  const std::span<const float> unit = scratch.b;
  CodeTail tail;
  tail.norm = held(norm);
  const float largest = magnitudes(unit).largest;
  round_to_int8(unit, largest > 0 ? 127 / largest : 0, code.data());
  if (largest > 0) {
    // Positive: each term is, and the largest component's is 127 times that.
    const double product = dot_int8(unit, code.data());
    const uint8_t* const self = code.data();
    int32_t square = 0;
    byte_sums_between(self, unit.size(), {&self, 1}, {&square, 1});
    tail.scale = static_cast<float>(metric() == Metric::kEuclidean ? product / square : 1 / product);
    tail.stored = held(norm * (tail.scale * std::sqrt(static_cast<double>(square))));
  }
  std::memcpy(code.data() + unit.size(), &tail, sizeof tail);
}

void Rq8::prepare(std::span<const float> query, PreparedQuery& prepared) const {
  assert(query.size() == dim());
  prepared.norm = rotated_unit(rotation_, query, prepared.scratch);
  prepare_integers(prepared);
}

void Rq8::score(const PreparedQuery& query, std::span<const uint8_t* const> codes, std::span<float> scores) const {
  assert(scores.size() == codes.size());
  const size_t size = rotation_.padded_dim();
  int32_t sums[kStep];
  for (size_t begin = 0; begin < codes.size(); begin += kStep) {
    const auto step = codes.subspan(begin, std::min(kStep, codes.size() - begin));
    byte_sums(query.integers, step, {sums, step.size()});
    for (size_t i = 0; i < step.size(); ++i) {
      const CodeTail tail = load_tail(step[i] + size);
      scores[begin + i] = estimate(metric(), sums[i] * (query.scale * tail.scale), query.norm, query.norm, tail);
    }
  }
}

void Rq8::between(const uint8_t* code, std::span<const uint8_t* const> codes, std::span<float> scores) const {
  assert(scores.size() == codes.size());
  const size_t size = rotation_.padded_dim();
  const CodeTail self = load_tail(code + size);
  int32_t sums[kStep];
  for (size_t begin = 0; begin < codes.size(); begin += kStep) {
    const auto step = codes.subspan(begin, std::min(kStep, codes.size() - begin));
    byte_sums_between(code, size, step, {sums, step.size()});
    for (size_t i = 0; i < step.size(); ++i) {
      const CodeTail tail = load_tail(step[i] + size);
      const double cosine = sums[i] * (static_cast<double>(self.scale) * tail.scale);
      scores[begin + i] = estimate(metric(), cosine, self.norm, self.stored, tail);
    }
  }
}

bool Rq8::sound(std::span<const uint8_t> code) const {
  assert(code.size() == code_bytes());
  const CodeTail tail = load_tail(code.data() + rotation_.padded_dim());
  return sound_tail(tail) && tail.sum == 0;
}

size_t Rq8::memory_bytes() const { return sizeof *this - sizeof rotation_ + rotation_.memory_bytes(); }

}  // namespace nearfield
