// SQ8: one byte a component, each dimension on a grid of its own.
//
// Training finds the least and the largest value of every dimension (of directions, for cosine); a component is stored
// as the nearest of 256 equal steps from one to the other. What lies outside, or beyond 2.5e38, is clamped. There is no
// rotation, so distances of all metrics survive, and a dimension that never changes costs no error. Where rows look
// alike in all directions RQ8 is more exact, and it needs no training.
//
// How wrong. With s_j the step of dimension j, a component inside the trained range is off by s_j / 2, and by 2^-21 of
// the range's ends for their rounding. S = (sum of s_j^2)^(1/2) / 2 is the length that is lost of a row. The query's
// products with the steps are multiples of a unit v, the larger of max |query_j s_j| / 32766 and sum |query_j s_j|
// / 1.6e7.
//   cosine, dot   |query| S + 64 d v
//   euclidean     S + (128 d v)^(1/2) + 2^-11 (|query - c| + |row - c|), c the middle of the ranges, query - c in v
//   manhattan     sum of s_j / 2, and the rounding of a sum of floats (kernels.h)
// The terms in v are for the worst case and hundreds of times smaller for vectors as they come. Outside the range there
// is no bound. between() has the errors of both rows. For cosine a row of zeros scores 0. Scores beyond the largest
// float are taken for it.
#pragma once

#include "core/quant/code.h"
#include "core/quant/decoded.h"

namespace nearfield {

// A code is the components as signed bytes around the middle of their ranges, zeros up to a multiple of 16, and a tail.
class Sq8 : public VectorCode, private Decoder {
 public:
  // REQUIRES: as for VectorCode::train; the sample has rows.
  static std::unique_ptr<VectorCode> train(Metric metric, MatrixView sample, uint64_t seed);
  // REQUIRES: dim is in range.
  static Result<std::unique_ptr<VectorCode>> from_sections(const SectionViews& sections, Metric metric, size_t dim,
                                                           uint64_t seed);

  void encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const override;
  void prepare(std::span<const float> query, PreparedQuery& prepared) const override;
  void score(const PreparedQuery& query, std::span<const uint8_t* const> codes, std::span<float> scores) const override;
  void between(const uint8_t* code, std::span<const uint8_t* const> codes, std::span<float> scores) const override;
  bool sound(std::span<const uint8_t> code) const override;
  size_t memory_bytes() const override;
  StateSections sections() const override;

 private:
  // `middle` and `step` of each dimension: component = middle + step * byte.
  Sq8(Metric metric, size_t dim, uint64_t seed, std::vector<float> middle, std::vector<float> step);

  void decode(const uint8_t* code, size_t begin, std::span<float> to) const override;

  std::vector<float> middle_, step_;
};

}  // namespace nearfield
