// Tuning: the least effort at which searches find a wanted share of the nearest rows (recall@10), measured on rows of
// the collection itself.
//
// Rows find their own neighbours too easily, as an index was built by them: on 50,000 text embeddings an ef of 64 finds
// .997 for rows and .976 for questions about them, and partitions that find .972 for rows find .929 for questions. So
// sample questions lie in the middle of rows: of two for a graph (.917), of three for partitions (.918), where two are
// still too easy (.955).
//
// Every row is shown once, and what a question should find are those nearest to it by their vectors. Those are then
// looked for among the candidates of the index, because whichever of them is a candidate is rescored to its place. A
// partitioned index loses rows twice: their codes leave them out of the candidates, and partitions are not looked at.
// So there the number of candidates comes first: as many as leave half of the allowed misses to the partitions.
#pragma once

#include <vector>

#include "core/base/matrix.h"
#include "core/index/vector_index.h"
#include "core/metric/kernels.h"
#include "core/metric/metric.h"

namespace nearfield {

// How many rows a question for such an index is the middle of.
constexpr size_t rows_a_question(IndexKind kind) {
  return kind == IndexKind::kFlat || kind == IndexKind::kHnsw ? 2 : 3;
}

// Each question is the middle of so many of `rows`, at least 1; one behind the other.
std::vector<float> questions_between(Metric metric, MatrixView rows, size_t rows_each);

class Tuning {
 public:
  static constexpr size_t kLimit = 10;
  // So many candidates, and no more, are tried for the best kLimit.
  static constexpr size_t kMostRescored = 1'000;

  // `questions`: of questions_between, at least one; `recall` above 0, at most 1. No more effort than `most` is tried.
  Tuning(Metric metric, size_t dim, std::vector<float> questions, double recall, size_t most);

  // Rows before it were shown.
  RowId next() const { return next_; }
  // So many rows take some 4 ms.
  size_t rows_at_once() const;
  // By ascending row, and no row before next(). Complexity: a comparison with each question.
  void show(RowId row, std::span<const float> vector);

  // Once all rows were shown: some searches, for at most some 8 ms; false once all is done. `live` are the rows that
  // answers may name; what was added to the index or died meanwhile does no harm.
  bool advance(const VectorIndex& index, const RowSet& live);
  // REQUIRES: advance() was false.
  size_t effort() const;
  // Candidates for the best kLimit, at least rescored(code, kLimit).
  size_t rescore() const { return rescore_; }

 private:
  bool done() const { return counted_ && low_ == high_; }
  void step(const VectorIndex& index, const RowSet& live, size_t& compared);
  void count_candidates(const VectorIndex& index, const RowSet& live, size_t& compared);
  void try_effort(const VectorIndex& index, const RowSet& live, size_t& compared);
  std::vector<Scored> ask(const VectorIndex& index, const RowSet& allowed, size_t candidates, size_t effort,
                          size_t& compared) const;
  // Where among `found` those rows stand that the question should find.
  std::vector<size_t> places(const VectorIndex& index, const RowSet& live, const std::vector<Scored>& found);

  Metric metric_;
  std::vector<float> questions_;
  size_t dim_;
  size_t count_;
  double recall_;
  Kernel kernel_;
  std::vector<const float*> question_rows_;
  std::vector<float> sums_;
  RowId next_ = 0;
  // Of each question: its best rows among those shown, best first, and what shares the last one's score.
  std::vector<std::vector<Scored>> nearest_;

  size_t asked_ = 0;   // questions, in this round
  size_t wanted_ = 0;  // rows that they should have found
  size_t right_ = 0;   // and those found
  // First the candidates: how many rows that should be found stand at each place.
  bool counted_ = false;
  size_t rescore_ = 0;
  std::vector<uint32_t> at_place_;
  std::vector<Scored> candidates_;  // of this question, among the rows before...
  RowId compared_ = 0;              // ...this one
  // Then the effort is searched for between two of the list: all questions are asked with the one in the middle.
  std::vector<size_t> efforts_;  // ascending
  size_t low_ = 0;
  size_t high_;
};

}  // namespace nearfield
