// Steps that several codes share: lengths and directions, rounding to integers, sums over components.
//
// Each is written in registers of four lanes with a fixed order of additions and no fused operation, and rounds halves
// to even, so that it gives the same bits on every platform. Lengths are computed in double precision, where no finite
// vector overflows or vanishes. Arrays are multiples of 16 long, but for vectors as they come.
#pragma once

#include <bit>
#include <limits>
#include <span>

#include "core/quant/code.h"
#include "core/quant/lanes.h"
#include "core/quant/rotation.h"

namespace nearfield {

// Makes `to` vector / |vector|, as long as it was or longer with zeros, and returns |vector|. Zeros stay zeros.
double unit_of(std::span<const float> vector, std::vector<float>& to, size_t padded_dim = 0);

// Leaves vector / |vector|, rotated, in scratch.b (padded_dim() floats, zeros for a vector of zeros), and returns
// |vector|.
double rotated_unit(const Rotation& rotation, std::span<const float> vector, CodeScratch& scratch);

// The sum of term(j) over j < count, in four chains over j mod 4 that are added last: one chain would wait for the
// previous addition on every step.
template <typename Term>
double chained_sum(size_t count, Term term) {
  double chains[4] = {};
  size_t j = 0;
  for (; j + 4 <= count; j += 4) {
    for (size_t chain = 0; chain < 4; ++chain) chains[chain] += term(j + chain);
  }
  for (; j < count; ++j) chains[0] += term(j);
  return (chains[0] + chains[1]) + (chains[2] + chains[3]);
}

struct Magnitudes {
  float largest = 0;
  float sum = 0;
};

// Of |values[j]|.
Magnitudes magnitudes(std::span<const float> values);

// Writes values[j] * factor as integers. REQUIRES: they fit.
void round_to_int16(std::span<const float> values, float factor, int16_t* to);
void round_to_int8(std::span<const float> values, float factor, uint8_t* to);

// The sum of values[j] * code[j], code being signed bytes.
float dot_int8(std::span<const float> values, const uint8_t* code);

// Makes prepared.integers the nearest of scratch.b / prepared.scale that byte_sums can take, with the least such scale;
// zeros with scale 0 for a query of zeros.
void prepare_integers(PreparedQuery& prepared);

// Values rounded to the nearest integer. REQUIRES: |value| < 2^22. Adding kRounder leaves no bits behind the point, so
// the addition itself rounds, and what is above it in the sum's bits is the integer.
constexpr float kRounder = 0x1.8p23f;
inline I32x4 rounded(F32x4 values) {
  return reinterpret_cast<I32x4>(values + kRounder) - std::bit_cast<int32_t>(kRounder);
}

// The sum of four lanes.
inline float lane_sum(F32x4 lanes) { return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]); }

// The nearest float; the largest or least where that would be infinite. REQUIRES: not NaN.
inline float held(double value) {
  constexpr double kMost = std::numeric_limits<float>::max();
  const double not_above = value > kMost ? kMost : value;
  return static_cast<float>(not_above < -kMost ? -kMost : not_above);
}

}  // namespace nearfield
