#include "core/index/tuning.h"

#include <algorithm>

#include "core/index/make_index.h"
#include "core/index/rescoring.h"

namespace nearfield {

namespace {

// What is compared in one go: some eight milliseconds' worth, where it is vectors.
constexpr size_t kComponentsAtOnce = 1 << 23;
// Codes that one search compares: some eight milliseconds' worth of the slowest.
constexpr size_t kCodesAtOnce = 1 << 17;
// Of each question: rows that share the last one's score are remembered too, as each of them is as good. More of them
// are seldom worth their room.
constexpr size_t kMostNearest = 100;
// The places of 300 rows say well enough how many candidates it takes.
constexpr size_t kQuestionsForCandidates = 30;

}  // namespace

std::vector<float> questions_between(Metric metric, MatrixView rows, size_t rows_each) {
  const size_t count = rows.count() / rows_each;
  std::vector<float> questions;
  questions.reserve(count * rows.dim());
  std::vector<double> middle(rows.dim());
  for (size_t i = 0; i < count; ++i) {
    std::ranges::fill(middle, 0);
    for (size_t from = i; from < count * rows_each; from += count) {
      const std::span<const float> row = rows.row(from);
      // The middle in direction where only that counts. Shares first: sums may leave a float's range.
      const double norm = metric == Metric::kCosine ? vector_norm(row) : 0;
      const double share = 1 / (static_cast<double>(rows_each) * (norm > 0 ? norm : 1));
      for (size_t j = 0; j < rows.dim(); ++j) middle[j] += share * static_cast<double>(row[j]);
    }
    for (const double component : middle) questions.push_back(static_cast<float>(component));
  }
  return questions;
}

Tuning::Tuning(Metric metric, size_t dim, std::vector<float> questions, double recall, size_t most)
    : metric_(metric),
      questions_(std::move(questions)),
      dim_(dim),
      count_(questions_.size() / dim),
      recall_(recall),
      kernel_(fast_kernel(metric)),
      sums_(count_),
      nearest_(count_),
      at_place_(kMostRescored) {
  assert(count_ >= 1 && most >= 1);
  for (size_t i = 0; i < count_; ++i) question_rows_.push_back(questions_.data() + i * dim_);
  for (size_t effort = 1; effort < most; effort += std::max<size_t>(effort / 4, 1)) efforts_.push_back(effort);
  efforts_.push_back(most);
  high_ = efforts_.size() - 1;
}

size_t Tuning::rows_at_once() const { return std::max<size_t>(kComponentsAtOnce / (dim_ * count_), 1); }

void Tuning::show(RowId row, std::span<const float> vector) {
  assert(row >= next_ && vector.size() == dim_);
  next_ = row + 1;
  // Every metric is the same both ways, so the questions are the rows here.
  kernel_(vector, question_rows_, sums_);
  const double norm = metric_ == Metric::kCosine ? vector_norm(vector) : 1;
  const auto scale = static_cast<float>(norm > 0 ? 1 / norm : 0);
  const bool distance = metric_ == Metric::kEuclidean || metric_ == Metric::kManhattan;
  for (size_t i = 0; i < count_; ++i) {
    const float score = distance ? -sums_[i] : sums_[i] * scale;
    std::vector<Scored>& nearest = nearest_[i];
    const bool full = nearest.size() >= kLimit;
    if (full ? !(score >= nearest[kLimit - 1].score) : score != score) continue;
    if (nearest.size() == kMostNearest && score == nearest.back().score) continue;
    auto place = nearest.end();
    while (place != nearest.begin() && std::prev(place)->score < score) --place;
    nearest.insert(place, {row, score});
    size_t end = std::min(nearest.size(), kLimit);
    while (end < nearest.size() && nearest[end].score == nearest[kLimit - 1].score) ++end;
    nearest.resize(end);
  }
}

bool Tuning::advance(const VectorIndex& index, const RowSet& live) {
  size_t compared = 0;
  while (!done() && compared < std::max<size_t>(kComponentsAtOnce / dim_, 1)) step(index, live, compared);
  return !done();
}

void Tuning::step(const VectorIndex& index, const RowSet& live, size_t& compared) {
  // Also where there is nothing to compare, steps end.
  ++compared;
  if (rescore_ == 0) {
    rescore_ = rescored(index.code(), kLimit);
    // A graph's candidates are what it met, and codes that are the vectors have them in their order.
    counted_ = !is_partitioned(index.kind()) || index.code() == CodeKind::kF32;
  }
  counted_ ? try_effort(index, live, compared) : count_candidates(index, live, compared);
}

std::vector<Scored> Tuning::ask(const VectorIndex& index, const RowSet& allowed, size_t candidates, size_t effort,
                                size_t& compared) const {
  std::vector<Scored> found;
  index.find({std::span(questions_).subspan(asked_ * dim_, dim_), allowed, allowed.count_common(index.rows()), kLimit,
              candidates, effort},
             found, compared);
  return found;
}

std::vector<size_t> Tuning::places(const VectorIndex& index, const RowSet& live, const std::vector<Scored>& found) {
  std::vector<RowId> rows;
  for (const Scored& nearest : nearest_[asked_]) {
    if (live.contains(nearest.row) && index.rows().contains(nearest.row)) rows.push_back(nearest.row);
  }
  const size_t wanted = std::min(rows.size(), kLimit);
  wanted_ += wanted;
  std::vector<size_t> places;
  for (size_t place = 0; place < found.size() && places.size() < wanted; ++place) {
    if (std::ranges::find(rows, found[place].row) != rows.end()) places.push_back(place);
  }
  return places;
}

void Tuning::count_candidates(const VectorIndex& index, const RowSet& live, size_t& compared) {
  if (compared_ < live.size()) {
    const auto end = static_cast<RowId>(std::min<size_t>(live.size(), compared_ + kCodesAtOnce));
    RowSet some(live.size());
    for (RowId row = live.next(compared_); row < end; row = live.next(row + 1)) some.insert(row);
    for (const Scored& found : ask(index, some, kMostRescored, kExhaustive, compared)) candidates_.push_back(found);
    compared_ = end;
    return;
  }
  heap_sort(candidates_, BestFirst());
  candidates_.resize(std::min(candidates_.size(), kMostRescored));
  for (const size_t place : places(index, live, candidates_)) ++at_place_[place];
  candidates_.clear();
  compared_ = 0;
  if (++asked_ < std::min(count_, kQuestionsForCandidates)) return;
  const auto wanted = static_cast<double>(wanted_);
  double right = 0;
  size_t place = 0;
  const auto reached = [&](size_t candidates) {
    for (; place < candidates; ++place) right += at_place_[place];
    return right;
  };
  const double enough = (1 + recall_) / 2 * wanted;
  while (reached(rescore_) < enough && rescore_ < kMostRescored) {
    rescore_ = std::min(rescore_ + rescore_ / 4, kMostRescored);
  }
  // What even all partitions do not find with so many is not asked of some of them.
  if (right < enough) recall_ = std::min(recall_, right / wanted - (1 - recall_) / 2);
  counted_ = true;
  asked_ = wanted_ = 0;
}

void Tuning::try_effort(const VectorIndex& index, const RowSet& live, size_t& compared) {
  if (low_ == high_) return;
  const size_t middle = (low_ + high_) / 2;
  right_ += places(index, live, ask(index, live, rescore_, efforts_[middle], compared)).size();
  if (++asked_ < count_) return;
  // More effort finds what less does.
  const bool enough = static_cast<double>(right_) >= recall_ * static_cast<double>(wanted_);
  (enough ? high_ : low_) = enough ? middle : middle + 1;
  asked_ = wanted_ = right_ = 0;
}

size_t Tuning::effort() const {
  assert(done());
  return efforts_[low_];
}

}  // namespace nearfield
