// RQ8: one byte a component after a random rotation. The code to use where nothing speaks for another.
//
// A row becomes its length and its direction; the direction is rotated (rotation.h) and each component stored as the
// nearest multiple, -127..127, of one step a row, 1/127 of the largest component. The query is rotated too and keeps 16
// bits a component, so a score is one sum of integers and a few multiplications. (Rotation before scalar quantisation:
// Gao and Long, RaBitQ, SIGMOD 2024; the signed grid around zero needs no offset terms and is twice as fine as 0..127
// over the same range.)
//
// Let u be the row's direction and u^ what is stored of it. Its factor is chosen so that
//   cosine, dot   <u, u^> = 1: what rounding takes from the length is given back, so estimates have no bias,
//   euclidean     |u - u^| is least.
//
// How wrong. With m the largest rotated component of either direction, r = m / 254 sqrt(D) + 2^-14 bounds |u - u^|
// (besides what the best factor adds, which is less than r again while r <= 1/2), and
//   cosine      |estimate - exact| <= 2 r
//   dot         the same times |query| |row|
//   euclidean   2 r (|row| + sqrt(|query| |row|))
// for r <= 1/2 and lengths of 1e-30 to 1e30. The rounding of the score to a float comes
// on top; it is all there is for a row or query of zeros.
// Rotation makes m about 3 / sqrt(D) for nearly all rows, r about .012, and rounding errors of the components mostly
// cancel: the root mean square of a cosine's error is about 1/145 / sqrt(D), .0004 at 384 dimensions. between() has
// the errors of both of its rows.
//
// Lengths beyond the largest float are taken for it, and so are scores.
#pragma once

#include "core/quant/code.h"
#include "core/quant/rotation.h"

namespace nearfield {

// A code is D signed bytes, then its tail.
class Rq8 : public VectorCode {
 public:
  // REQUIRES: metric is not manhattan, whose distances rotation changes.
  Rq8(Metric metric, size_t dim, uint64_t seed);

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
