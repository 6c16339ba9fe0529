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

  // Some comparisons, for at most some 8 ms; `live` are the rows that answers may name. False once all
  // is done. What was added to the index or died meanwhile does no harm.
  bool advance(const VectorIndex& index, const RowSet& live);
  // REQUIRES: advance() was false.
  size_t effort() const;

 private:
  void step(const VectorIndex& index, const RowSet& live, size_t& compared);
  std::vector<Scored> ask(const VectorIndex& index, const RowSet& allowed, size_t effort, size_t& compared) const;

  std::vector<float> questions_;
  size_t dim_;
  size_t count_;
  size_t rows_at_once_;
  double recall_;
  std::vector<size_t> efforts_;  // ascending
  std::vector<size_t> found_;    // at each effort, by the questions so far...
  size_t wanted_ = 0;            // ...of so many
  size_t question_ = 0;          // the question that is looked at
  std::vector<Scored> truth_;    // its nearest rows before...
  RowId compared_ = 0;           // ...this one
  size_t tried_ = 0;             // efforts, once the truth is known
  size_t best_ = 0;              // what the last of those found
};

}  // namespace nearfield
