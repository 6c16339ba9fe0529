// RQ4: four bits a component after a random rotation. Half of RQ8's bytes for about ten times its error.
//
// As RQ8 (rq8.h), with sixteen levels around zero, the odd multiples -15..15 of half a step. The outermost level is
// tried at 0.6 to 1 of the largest component, and what fits the direction best is kept: cutting off a rare large
// component costs less than a coarse grid for all others. (Clipping and rescaling a 4-bit rotational code:
// Weaviate's; the factor that makes estimates unbiased: Gao and Long, RaBitQ, SIGMOD 2024.)
//
// How wrong. The angle t between a row's direction and its code's is as large as the encoder leaves it, tan t about .11
// and less than .2 but for rows of few dimensions; the tail keeps the length |u^| = 1 / cos t. For directions a and b
//   cosine      |estimate - exact| <= (tan t + 2^-9) sin(a, b) + 2^-9
//   dot         the same times |query| |row|
//   euclidean   (sin t + 2^-9) |row| + (2^-8 |query| |row|)^(1/2)
// and the root mean square of a cosine's error is about tan t sin(a, b) / sqrt(D), .0055 at 384 dimensions for rows
// that are not close. between() has the errors of both of its rows, and, for cosine and dot, tan t tan t' more.
//
// Lengths beyond the largest float are taken for it, and so are scores.
#pragma once

#include "core/quant/code.h"
#include "core/quant/rotation.h"

namespace nearfield {

// A code is D nibbles (nibble_kernels.h), then its tail.
class Rq4 : public VectorCode {
 public:
  // REQUIRES: metric is not manhattan, whose distances rotation changes.
  Rq4(Metric metric, size_t dim, uint64_t seed);

  void encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const override;
  void prepare(std::span<const float> query, PreparedQuery& prepared) const override;
  void score(const PreparedQuery& query, std::span<const uint8_t* const> codes, std::span<float> scores) const override;
  void between(const uint8_t* code, std::span<const uint8_t* const> codes, std::span<float> scores) const override;
  bool sound(std::span<const uint8_t> code) const override;
  size_t memory_bytes() const override;

 private:
  Rotation rotation_;
};

}  // namespace nearfield
