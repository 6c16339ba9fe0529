// F32 and F16: components as floats of 32 or 16 bits, in the space the metric compares in.
//
// For cosine that is the row's direction, for the others the row itself. F16 divides a row by a power of two that
// brings its largest component into 1..2, so rows of any length keep 11 significant bits, and components that are
// halves already stay as they are.
//
// How wrong, beside what kernels.h says of sums of floats. A component is off by 2^-11 of itself and 2^-25 of the row's
// largest as a half, and by 2^-23 of itself where a direction is rounded to floats. With e the length of all that, at
// most |row| (2^-11 + 2^-25 sqrt(d)) for f16:
//   cosine e / |row|, dot |query| e, euclidean e, manhattan sqrt(d) e
// between() has the errors of both rows.
//
// A sum that is not finite in single precision is computed in double. Scores beyond the largest float are taken for it;
// products and squares below 2^-149 are lost, so rows shorter than 1e-19 are all at the same place for dot and
// euclidean.
#pragma once

#include "core/quant/code.h"
#include "core/quant/decoded.h"

namespace nearfield {

class FloatCode : public VectorCode, private Decoder {
 public:
  // REQUIRES: kind is kF32 or kF16.
  FloatCode(CodeKind kind, Metric metric, size_t dim, uint64_t seed);

  void encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const override;
  void prepare(std::span<const float> query, PreparedQuery& prepared) const override;
  void score(const PreparedQuery& query, std::span<const uint8_t* const> codes, std::span<float> scores) const override;
  void between(const uint8_t* code, std::span<const uint8_t* const> codes, std::span<float> scores) const override;
  bool sound(std::span<const uint8_t> code) const override;
  size_t memory_bytes() const override { return sizeof *this; }

 private:
  void score_floats(std::span<const float> query, std::span<const uint8_t* const> codes, std::span<float> scores) const;
  void decode(const uint8_t* code, size_t begin, std::span<float> to) const override;
};

}  // namespace nearfield
