#include "core/index/tuning.h"

#include <algorithm>

#include "core/index/best_rows.h"

namespace nearfield {

namespace {

// What is compared in one go: some eight milliseconds' worth, where it is vectors.
constexpr size_t kComponentsAtOnce = 1 << 23;

}  // namespace

std::vector<float> questions_between(Metric metric, MatrixView rows) {
  const size_t count = rows.count() / 2;
  std::vector<float> questions;
  questions.reserve(count * rows.dim());
  for (size_t i = 0; i < count; ++i) {
    const std::span<const float> a = rows.row(i), b = rows.row(i + count);
    // Halfway in direction where only that counts. Halves first: sums may leave a float's range.
    const auto weight = [&](std::span<const float> row) {
      const double norm = vector_norm(row);
      return metric == Metric::kCosine && norm > 0 ? 0.5 / norm : 0.5;
    };
    const double of_a = weight(a), of_b = weight(b);
    for (size_t j = 0; j < rows.dim(); ++j) {
      const double middle = of_a * static_cast<double>(a[j]) + of_b * static_cast<double>(b[j]);
      questions.push_back(static_cast<float>(middle));
    }
  }
  return questions;
}

Tuning::Tuning(Metric metric, MatrixView rows, double recall, size_t most)
    : questions_(questions_between(metric, rows)),
      dim_(rows.dim()),
      count_(rows.count() / 2),
      rows_at_once_(std::max<size_t>(kComponentsAtOnce / dim_, 1)),
      recall_(recall) {
  assert(count_ >= 1 && most >= 1);
  for (size_t effort = 1; effort < most; effort += std::max<size_t>(effort / 4, 1)) efforts_.push_back(effort);
  efforts_.push_back(most);
  high_ = efforts_.size() - 1;
}

std::vector<Scored> Tuning::ask(const VectorIndex& index, size_t question, const RowSet& allowed, size_t effort,
                                size_t& compared) const {
  std::vector<Scored> found;
  index.find({std::span(questions_).subspan(question * dim_, dim_), allowed, allowed.count_common(index.rows()), kLimit,
              kLimit, effort},
             found, compared);
  return found;
}

bool Tuning::advance(const VectorIndex& index, const RowSet& live) {
  size_t compared = 0;
  while (!done() && compared < rows_at_once_) step(index, live, compared);
  return !done();
}

void Tuning::step(const VectorIndex& index, const RowSet& live, size_t& compared) {
  // Also where there is nothing to compare, steps end.
  ++compared;
  if (truths_.size() < count_) return look_at_all(index, live, compared);
  const size_t middle = (low_ + high_) / 2;
  const Truth& truth = truths_[asked_];
  if (truth.count > 0) {
    size_t right = 0;
    for (const Scored& found : ask(index, asked_, live, efforts_[middle], compared)) {
      right += found.score >= truth.floor ? 1 : 0;
    }
    right_ += std::min(right, truth.count);
  }
  if (++asked_ < count_) return;
  // More effort finds what less does.
  const bool enough = static_cast<double>(right_) >= recall_ * static_cast<double>(wanted_);
  (enough ? high_ : low_) = enough ? middle : middle + 1;
  asked_ = right_ = 0;
}

// Compares the next question with some more rows.
void Tuning::look_at_all(const VectorIndex& index, const RowSet& live, size_t& compared) {
  if (compared_ < live.size()) {
    const auto end = static_cast<RowId>(std::min<size_t>(live.size(), compared_ + rows_at_once_));
    RowSet some(live.size());
    for (RowId row = live.next(compared_); row < end; row = live.next(row + 1)) some.insert(row);
    for (const Scored& found : ask(index, truths_.size(), some, kExhaustive, compared)) nearest_.push_back(found);
    heap_sort(nearest_, BestFirst());
    nearest_.resize(std::min(nearest_.size(), kLimit));
    compared_ = end;
    return;
  }
  truths_.push_back({nearest_.empty() ? 0 : nearest_.back().score, nearest_.size()});
  wanted_ += nearest_.size();
  nearest_.clear();
  compared_ = 0;
}

size_t Tuning::effort() const {
  assert(done());
  return efforts_[low_];
}

}  // namespace nearfield
