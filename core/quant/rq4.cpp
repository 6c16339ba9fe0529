#include "core/quant/rq4.h"

#include <cassert>
#include <cmath>

#include "core/quant/encoding.h"
#include "core/quant/estimate.h"
#include "core/quant/nibble_kernels.h"

namespace nearfield {

namespace {

constexpr size_t kStep = 32;
constexpr float kOutermost[] = {0.6f, 0.7f, 0.8f, 0.9f, 1.f};  // of the largest component

// Levels are the numbers 0..15 less 7.5.
constexpr double kMiddle = 7.5;

// The numbers of four components whose levels lie 1 / factor apart.
I32x4 numbers_of(const float* values, float factor) {
  F32x4 place = load_lanes<F32x4>(values) * factor;
  const F32x4 most = F32x4{} + 7.5f;
  place = place > most ? most : place;
  place = place < -most ? -most : place;
  return rounded(place + most);
}

struct LevelFit {
  float product = 0;  // of the components and their levels
  float square = 0;   // of the levels
};

LevelFit fit_levels(std::span<const float> values, float factor) {
  F32x4 product[2] = {}, square[2] = {};
  for (size_t j = 0; j < values.size(); j += 8) {
    for (size_t chain = 0; chain < 2; ++chain) {
      const float* const part = &values[j + 4 * chain];
      const F32x4 level = __builtin_convertvector(numbers_of(part, factor), F32x4) - 7.5f;
      product[chain] += load_lanes<F32x4>(part) * level;
      square[chain] += level * level;
    }
  }
  return {lane_sum(product[0] + product[1]), lane_sum(square[0] + square[1])};
}

// Writes the numbers and returns their sum.
uint32_t round_to_levels(std::span<const float> values, float factor, uint8_t* to) {
  I32x4 sum = {};
  for (size_t j = 0; j < values.size(); j += 4) {
    const I32x4 numbers = numbers_of(&values[j], factor);
    for (size_t lane = 0; lane < 4; ++lane) to[j + lane] = static_cast<uint8_t>(numbers[lane]);
    sum += numbers;
  }
  return static_cast<uint32_t>(sum[0] + sum[1] + sum[2] + sum[3]);
}

}  // namespace

Rq4::Rq4(Metric metric, size_t dim, uint64_t seed)
    : VectorCode(CodeKind::kRq4, metric, dim, seed, (dim + 63) / 64 * 32 + sizeof(CodeTail)), rotation_(dim, seed) {
  assert(metric != Metric::kManhattan);
}

void Rq4::encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const {
  assert(row.size() == dim() && code.size() == code_bytes());
  const double norm = rotated_unit(rotation_, row, scratch);
  const std::span<const float> unit = scratch.b;
  CodeTail tail;
  tail.norm = held(norm);
  const float largest = magnitudes(unit).largest;
  scratch.bytes.assign(unit.size(), 0);
  if (largest > 0) {
    LevelFit best;
    float best_factor = 0;
    for (const float outermost : kOutermost) {
      const float factor = 7.5f / (largest * outermost);
      const LevelFit fit = fit_levels(unit, factor);
      // The cosine squared of the angle between the direction and its levels.
      if (fit.product * fit.product * best.square > best.product * best.product * fit.square || best_factor == 0) {
        best = fit;
        best_factor = factor;
      }
    }
    tail.sum = round_to_levels(unit, best_factor, scratch.bytes.data());
    tail.scale = static_cast<float>(metric() == Metric::kEuclidean ? static_cast<double>(best.product) / best.square
                                                                   : 1 / static_cast<double>(best.product));
    tail.stored = held(norm * (tail.scale * std::sqrt(static_cast<double>(best.square))));
  }
  pack_nibbles(scratch.bytes, code.data());
  std::memcpy(code.data() + unit.size() / 2, &tail, sizeof tail);
}

void Rq4::prepare(std::span<const float> query, PreparedQuery& prepared) const {
  assert(query.size() == dim());
  prepared.norm = rotated_unit(rotation_, query, prepared.scratch);
  prepare_integers(prepared);
  int64_t sum = 0;
  for (const int16_t component : prepared.integers) sum += component;
  prepared.offset = -kMiddle * static_cast<double>(sum);
}

void Rq4::score(const PreparedQuery& query, std::span<const uint8_t* const> codes, std::span<float> scores) const {
  assert(scores.size() == codes.size());
  const size_t size = rotation_.padded_dim() / 2;
  int32_t sums[kStep];
  for (size_t begin = 0; begin < codes.size(); begin += kStep) {
    const auto step = codes.subspan(begin, std::min(kStep, codes.size() - begin));
    nibble_sums(query.integers, step, {sums, step.size()});
    for (size_t i = 0; i < step.size(); ++i) {
      const CodeTail tail = load_tail(step[i] + size);
      const double cosine = (sums[i] + query.offset) * (query.scale * tail.scale);
      scores[begin + i] = estimate(metric(), cosine, query.norm, query.norm, tail);
    }
  }
}

void Rq4::between(const uint8_t* code, std::span<const uint8_t* const> codes, std::span<float> scores) const {
  assert(scores.size() == codes.size());
  const size_t count = rotation_.padded_dim(), size = count / 2;
  const CodeTail self = load_tail(code + size);
  // The product of (a - 7.5) and (b - 7.5) from the products of a and b.
  const double offset = kMiddle * kMiddle * static_cast<double>(count) - kMiddle * self.sum;
  int32_t sums[kStep];
  for (size_t begin = 0; begin < codes.size(); begin += kStep) {
    const auto step = codes.subspan(begin, std::min(kStep, codes.size() - begin));
    nibble_sums_between(code, count, step, {sums, step.size()});
    for (size_t i = 0; i < step.size(); ++i) {
      const CodeTail tail = load_tail(step[i] + size);
      const double product = sums[i] - kMiddle * tail.sum + offset;
      const double cosine = product * (static_cast<double>(self.scale) * tail.scale);
      scores[begin + i] = estimate(metric(), cosine, self.norm, self.stored, tail);
    }
  }
}

bool Rq4::sound(std::span<const uint8_t> code) const {
  assert(code.size() == code_bytes());
  const CodeTail tail = load_tail(code.data() + rotation_.padded_dim() / 2);
  return sound_tail(tail) && tail.sum <= 15 * rotation_.padded_dim();
}

size_t Rq4::memory_bytes() const { return sizeof *this - sizeof rotation_ + rotation_.memory_bytes(); }

}  // namespace nearfield
