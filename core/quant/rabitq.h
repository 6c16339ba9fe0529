// RaBitQ: one bit a component, and a bound on the error (Gao and Long, SIGMOD 2024). For scans that choose what is
// looked at again.
//
// Training finds the mean of rows (of directions, for cosine). What a row differs from it by is a length and a
// direction; the direction is rotated (rotation.h) and only the signs of its components are kept. Let o be that
// direction, o^ the signs divided by sqrt(D), a = <o, o^>, about .8. Then <q, o^> / a estimates <q, o> without bias for
// every q, and the tail keeps what makes scores of it. The query is what it differs from the mean by, too, in integers
// of about 6 bits.
//
// How wrong. For all but about one row in 400, with e = 3 (1 / a^2 - 1)^(1/2) / (D - 1)^(1/2), about 2.3 / sqrt(D),
//   cosine, dot   |estimate - exact| <= e |query - mean| |row - mean|
//   euclidean     |estimate^2 - exact^2| <= twice that
// within 2 % and the rounding of a float; this is what most() adds to a score. For cosine a row or query of zeros
// scores 0. The signs of two rows say little about their score: between() is not offered.
//
// Lengths beyond the largest float are taken for it, and so are scores.
#pragma once

#include "core/quant/code.h"
#include "core/quant/rotation.h"
#include "core/quant/scan_kernels.h"

namespace nearfield {

// The last 16 bytes of a code.
struct RaBitQTail {
  float add = 0;     // to the score: <mean, row - mean>; euclidean: |row - mean|, to be squared
  float factor = 0;  // of <query - mean, signs>
  float error = 0;   // of |query - mean|: three deviations of the estimate
  float tag = 1;     // 2 for a row of zeros where the metric is cosine; no code is all zero bytes
};
static_assert(sizeof(RaBitQTail) == 16);

// A code is D bits, component j being bit j mod 8 of byte j / 8, then its tail. D is at least 256: fewer signs say too
// little.
class RaBitQ : public VectorCode {
 public:
  // REQUIRES: as for VectorCode::train; the sample has rows; metric is not manhattan.
  static std::unique_ptr<VectorCode> train(Metric metric, MatrixView sample, uint64_t seed);
  // REQUIRES: dim is in range; metric is not manhattan.
  static Result<std::unique_ptr<VectorCode>> from_sections(const SectionViews& sections, Metric metric, size_t dim,
                                                           uint64_t seed);

  void encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const override;
  void prepare(std::span<const float> query, PreparedQuery& prepared) const override;
  void score(const PreparedQuery& query, std::span<const uint8_t* const> codes, std::span<float> scores) const override;
  bool compares_rows() const override { return false; }
  void between(const uint8_t* code, std::span<const uint8_t* const> codes, std::span<float> scores) const override;
  bool sound(std::span<const uint8_t> code) const override;
  size_t memory_bytes() const override;
  StateSections sections() const override;

  // D.
  size_t bit_count() const { return rotation_.padded_dim(); }
  // Scores of kScanRows rows from their tails and the sums of the query's integers over their set bits, and the most
  // that their exact scores are, for all but about one row in 800.
  void score_rows(const PreparedQuery& query, std::span<const int32_t, kScanRows> sums,
                  std::span<const RaBitQTail, kScanRows> tails, std::span<float, kScanRows> scores,
                  std::span<float, kScanRows> most) const;

 private:
  RaBitQ(Metric metric, size_t dim, uint64_t seed, std::vector<float> mean);

  // Leaves the rotated direction of vector - mean in scratch.b and returns its length.
  double rotated_difference(std::span<const float> vector, CodeScratch& scratch) const;

  std::vector<float> mean_;
  double mean_square_;  // of its length
  Rotation rotation_;
};

}  // namespace nearfield
