// Rotation: a random rotation of the space, cheap at any dimension.
//
// After it the components of any vector look like independent draws from one bell curve, so one uniform quantiser with
// one step a vector suits all of them, and what rounding loses is spread evenly over all directions. Lengths and dot
// products stay as they were.
//
// Vectors are padded with zeros to a multiple of 64. Each of three rounds moves groups of four components to random
// places, changes random signs, and mixes blocks of 256 components (64 where fewer are left) by Walsh-Hadamard
// transforms of length 1. (Hadamard, signs, Hadamard: Ailon and Chazelle, STOC 2006; three rounds: Andoni et al.,
// NeurIPS 2015.)
//
// The seed decides everything; seed, tables and the order of additions are part of the format of codes. Only single
// additions and multiplications are used, never a fused one, so the same vector gives the same bits everywhere.
//
// How wrong: the dot product of two rotated vectors differs from that of the originals by at most
// kRotationError |a| |b|, and components below the smallest normal float may be lost. Const methods may run
// concurrently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nearfield {

// Each of the at most 3 x 8 additions on a component's way rounds by 2^-24 of a part of the length; doubled for two
// vectors, and rounded up.
constexpr float kRotationError = 0x1p-18f;

class Rotation {
 public:
  // REQUIRES: 0 < dim <= 2^20.
  Rotation(size_t dim, uint64_t seed);

  // Components of a rotated vector: the dimension, rounded up to a multiple of 64.
  size_t padded_dim() const { return padded_; }

  // Rotates `from` into `to`. The three are different arrays of padded_dim() floats; `from` holds the vector and then
  // zeros, `spare` holds nothing of use before or after.
  void apply(const float* from, float* to, float* spare) const;
  // The definition: plain loops. The same bits.
  void apply_plain(const float* from, float* to, float* spare) const;

  size_t memory_bytes() const;

 private:
  // A round reads group source[g] (four floats) times signs[4g..] as its group g. Group g of a block of n components
  // is its components g, g + n/4, g + 2n/4 and g + 3n/4. The signs carry the factor that keeps the length: 1/16 for
  // blocks of 256, 1/8 for blocks of 64, so they cost no rounding.
  struct Round {
    std::vector<uint32_t> source;
    std::vector<float> signs;
  };

  size_t padded_;
  Round rounds_[3];
};

}  // namespace nearfield
