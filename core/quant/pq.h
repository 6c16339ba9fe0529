// PQ: product quantisation. Vectors are cut into sub-vectors, and of each only the number of the nearest of 256 (pq) or
// 16 (pq4) learned points is kept (Jégou, Douze and Schmid, PAMI 2011).
//
// What is cut is the row's direction; its length is kept beside it. Training finds the points by k-means, for each
// sub-vector on its own. A query makes a table of its products with all of them, in integers of 8 bits (pq) or 6 (pq4),
// so a score is one sum of looked-up integers; pq4 looks up in registers, 32 rows at once (scan_kernels.h). For
// manhattan, whose distances lengths do not help with, the row itself is cut, and the table holds distances.
//
// Let u be the row's direction and u^ what is stored of it, its factor chosen as in rq8.h: <u, u^> = 1, or the nearest
// u^ for euclidean. How wrong, with t half a table's step (the widest range of one sub-vector's products, divided by
// 510 or 126) for each of m sub-vectors:
//   cosine      |estimate - exact| <= |u - u^| + m t |u^|'s factor
//   dot         the same times |query| |row|
//   manhattan   |row - row^| + m t, by manhattan's own measure, for rows in the sample's range
// How far u^ is from u depends on the data. Of text embeddings of 384 components, 96 sub-vectors of 8 bits have the
// true 10 among their best 25 for 99 rows in 100, and so have 192 of 4 bits in as many bytes; 96 of 4 bits need the
// best 80. (Without the factor: 30 and 90. Rotating rows first changes nothing there and costs time; it is left out.)
// The points of two rows say too little about their score: between() is not offered.
#pragma once

#include "core/quant/code.h"
#include "core/quant/estimate.h"
#include "core/quant/kmeans.h"
#include "core/quant/scan_kernels.h"

namespace nearfield {

// A code is the points' numbers, a byte each, padded to 16 bytes; for pq4 half a byte each, the first in the lower
// half, padded to 16 bytes; then its tail.
class Pq : public VectorCode {
 public:
  // About four components each: 96 of 384. As many as fill the bytes that a code has anyway.
  static size_t default_sub_vectors(CodeKind kind, size_t dim);

  // REQUIRES: dim is in range.
  static Result<std::unique_ptr<VectorCode>> from_sections(const SectionViews& sections, CodeKind kind, Metric metric,
                                                           size_t dim, uint64_t seed);

  void encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const override;
  void prepare(std::span<const float> query, PreparedQuery& prepared) const override;
  void score(const PreparedQuery& query, std::span<const uint8_t* const> codes, std::span<float> scores) const override;
  bool compares_rows() const override { return false; }
  void between(const uint8_t* code, std::span<const uint8_t* const> codes, std::span<float> scores) const override;
  bool sound(std::span<const uint8_t> code) const override;
  size_t memory_bytes() const override;
  StateSections sections() const override;

  size_t sub_vectors() const { return books_.size(); }
  // Scores of rows from their tails and the sums of their points' entries in query.tables.
  void score_rows(const PreparedQuery& query, std::span<const uint32_t> sums, const CodeTail* tails,
                  std::span<float> scores) const;

 private:
  friend class PqTraining;
  Pq(CodeKind kind, Metric metric, size_t dim, uint64_t seed, float scale, std::vector<LanePoints> books);

  // What is cut of a vector, in scratch.a. Returns the vector's length; 1 for manhattan.
  double whole(std::span<const float> vector, CodeScratch& scratch) const;

  float scale_;  // of vectors, for manhattan: a power of two that brings the sample's components to -1..1
  std::vector<LanePoints> books_;  // learned points, by sub-vector
};

// Learns in slices.
class PqTraining {
 public:
  // Copies what it needs of `sample`. `sub_vectors`: 0 for the default, at most the dimension. REQUIRES: kind is kPq8
  // or kPq4; as for VectorCode::train; the sample has rows.
  PqTraining(CodeKind kind, Metric metric, MatrixView sample, size_t sub_vectors, uint64_t seed);

  // Goes on for about `budget` multiplications; false once all is done.
  bool advance(size_t budget);
  // REQUIRES: advance() was false; once.
  std::unique_ptr<VectorCode> take();

 private:
  void begin_sub_vector();

  CodeKind kind_;
  Metric metric_;
  size_t dim_;
  size_t sub_vectors_;
  uint64_t seed_;
  float scale_ = 1;
  std::vector<float> rows_;  // what is cut of each row of the sample
  std::vector<LanePoints> books_;
  std::unique_ptr<KMeans> kmeans_;  // of sub-vector books_.size()
};

}  // namespace nearfield
