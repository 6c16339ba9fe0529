// Steps that several codes share: lengths and directions, rounding to integers, sums over components.
//
// Each is written in registers of four lanes with a fixed order of additions and no fused operation, and rounds halves
// to even, so that it gives the same bits on every platform. Arrays are multiples of 16 long.
#pragma once

#include <span>

#include "core/quant/code.h"
#include "core/quant/rotation.h"

namespace nearfield {

// Leaves vector / |vector|, rotated, in scratch.b (padded_dim() floats, zeros for a vector of zeros), and returns
// |vector|. Both are computed in double precision, where no finite vector overflows or vanishes.
double rotated_unit(const Rotation& rotation, std::span<const float> vector, CodeScratch& scratch);

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

// The nearest float; the largest or least where that would be infinite. REQUIRES: not NaN.
float held(double value);

}  // namespace nearfield
