// Tuning: the least effort at which an index finds a wanted share of the nearest rows (recall@10), measured on rows of
// the collection itself.
//
// Rows find their own neighbours too easily, as an index was built by them: on text embeddings an ef of 24 finds .99
// for rows and .92 for questions about them. So a sample question lies halfway between two rows, where it is about as
// hard as real ones: .88 at that ef, and the same as theirs from .97 on. What it should find are the ten best of an
// exhaustive comparison of codes: what is measured is what the index leaves out; what codes get wrong is for rescoring.
#pragma once

#include <vector>

#include "core/base/matrix.h"
#include "core/index/vector_index.h"
#include "core/metric/metric.h"

namespace nearfield {

// Questions halfway between each of the first half of `rows` and its fellow of the second half, one behind the other.
std::vector<float> questions_between(Metric metric, MatrixView rows);

class Tuning {
 public:
  static constexpr size_t kLimit = 10;

  // `rows`: some of the collection, in no order, at least two; `recall` above 0, at most 1. No more effort than `most`
  // is tried.
  Tuning(Metric metric, MatrixView rows, double recall, size_t most);

  // Some comparisons, for at most some 8 ms; false once all is done. `live` are the rows that answers may name; what
  // was added to the index or died meanwhile does no harm.
  bool advance(const VectorIndex& index, const RowSet& live);
  // REQUIRES: advance() was false.
  size_t effort() const;

 private:
  // What a question should find: rows of at least that score, so many.
  struct Truth {
    double floor;
    size_t count;
  };

  bool done() const { return truths_.size() == count_ && low_ == high_; }
  void step(const VectorIndex& index, const RowSet& live, size_t& compared);
  void look_at_all(const VectorIndex& index, const RowSet& live, size_t& compared);
  std::vector<Scored> ask(const VectorIndex& index, size_t question, const RowSet& allowed, size_t effort,
                          size_t& compared) const;

  std::vector<float> questions_;
  size_t dim_;
  size_t count_;
  size_t rows_at_once_;
  double recall_;
  std::vector<size_t> efforts_;  // ascending
  // First every question is compared with all rows...
  std::vector<Truth> truths_;
  size_t wanted_ = 0;            // rows, in all truths
  std::vector<Scored> nearest_;  // of the next question, among the rows before...
  RowId compared_ = 0;           // ...this one
  // ...then the effort is searched for between two of the list: all questions are asked with the one in the middle.
  size_t low_ = 0;
  size_t high_;
  size_t asked_ = 0;
  size_t right_ = 0;
};

}  // namespace nearfield
