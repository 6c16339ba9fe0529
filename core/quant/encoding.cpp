#include "core/quant/encoding.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/quant/byte_kernels.h"

namespace nearfield {

namespace {

I16x8 rounded_pair(const float* values, float factor) {
  const auto low = reinterpret_cast<I16x8>(rounded(load_lanes<F32x4>(values) * factor));
  const auto high = reinterpret_cast<I16x8>(rounded(load_lanes<F32x4>(values + 4) * factor));
  return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14);
}

}  // namespace

double unit_of(std::span<const float> vector, std::vector<float>& to, size_t padded_dim) {
  to.resize(std::max(vector.size(), padded_dim));
  const double norm =
      std::sqrt(chained_sum(vector.size(), [&](size_t j) { return static_cast<double>(vector[j]) * vector[j]; }));
  const double inverse = norm > 0 ? 1 / norm : 0;
  for (size_t j = 0; j < vector.size(); ++j) to[j] = static_cast<float>(vector[j] * inverse);
  std::fill(to.begin() + static_cast<std::ptrdiff_t>(vector.size()), to.end(), 0.f);
  return norm;
}

double rotated_unit(const Rotation& rotation, std::span<const float> vector, CodeScratch& scratch) {
  const size_t padded = rotation.padded_dim();
  const double norm = unit_of(vector, scratch.a, padded);
  scratch.b.resize(padded);
  scratch.c.resize(padded);
  rotation.apply(scratch.a.data(), scratch.b.data(), scratch.c.data());
  return norm;
}

Magnitudes magnitudes(std::span<const float> values) {
  assert(values.size() % 16 == 0);
  F32x4 largest[2] = {}, sum[2] = {};
  for (size_t j = 0; j < values.size(); j += 8) {
    for (size_t chain = 0; chain < 2; ++chain) {
      const I32x4 bits = load_lanes<I32x4>(&values[j + 4 * chain]) & 0x7FFFFFFF;
      const auto magnitude = reinterpret_cast<F32x4>(bits);
      largest[chain] = magnitude > largest[chain] ? magnitude : largest[chain];
      sum[chain] += magnitude;
    }
  }
  const F32x4 most = largest[0] > largest[1] ? largest[0] : largest[1], total = sum[0] + sum[1];
  return {std::max(std::max(most[0], most[1]), std::max(most[2], most[3])), lane_sum(total)};
}

void round_to_int16(std::span<const float> values, float factor, int16_t* to) {
  assert(values.size() % 16 == 0);
  for (size_t j = 0; j < values.size(); j += 8) store_lanes(to + j, rounded_pair(&values[j], factor));
}

void round_to_int8(std::span<const float> values, float factor, uint8_t* to) {
  assert(values.size() % 16 == 0);
  for (size_t j = 0; j < values.size(); j += 16) {
    const auto low = reinterpret_cast<I8x16>(rounded_pair(&values[j], factor));
    const auto high = reinterpret_cast<I8x16>(rounded_pair(&values[j + 8], factor));
    const I8x16 bytes = __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    store_lanes(to + j, bytes);
  }
}

float dot_int8(std::span<const float> values, const uint8_t* code) {
  assert(values.size() % 16 == 0);
  F32x4 low = {}, high = {};
  for (size_t j = 0; j < values.size(); j += 8) {
    const I16x8 lanes = load_bytes_widened(code + j);
    const I16x4 first = __builtin_shufflevector(lanes, lanes, 0, 1, 2, 3);
    const I16x4 last = __builtin_shufflevector(lanes, lanes, 4, 5, 6, 7);
    low += load_lanes<F32x4>(&values[j]) * __builtin_convertvector(first, F32x4);
    high += load_lanes<F32x4>(&values[j + 4]) * __builtin_convertvector(last, F32x4);
  }
  return lane_sum(low + high);
}

void prepare_integers(PreparedQuery& prepared) {
  const std::span<const float> values = prepared.scratch.b;
  prepared.integers.resize(values.size());
  const Magnitudes found = magnitudes(values);
  if (found.largest == 0) {
    std::fill(prepared.integers.begin(), prepared.integers.end(), int16_t{0});
    prepared.scale = 0;
    return;
  }
  // Rounding adds at most 1/2 to each; the sum of magnitudes may itself be rounded by a 2^-8 part of a half.
  const double most_sum = (kMostQuerySum - static_cast<double>(values.size())) * 0.999;
  const double factor = std::min(32'766.0 / found.largest, most_sum / found.sum);
  const auto used = static_cast<float>(factor);
  round_to_int16(values, used, prepared.integers.data());
  prepared.scale = 1 / static_cast<double>(used);
}

}  // namespace nearfield
