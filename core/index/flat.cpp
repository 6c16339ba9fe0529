#include "core/index/flat.h"

#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "core/index/ranking.h"
#include "core/metric/kernels.h"

namespace nearfield {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Rows a step: few enough that their sums and pointers stay in the first cache, many enough that the kernel's loading
// ahead, which ends with the batch, seldom ends.
constexpr size_t kBatch = 256;

// Rows whose norm lies outside are left to exact_score: their products may leave the range of a float, and a tiny norm
// is itself stored with few bits.
constexpr float kSmallestNorm = 0x1p-60f;
constexpr float kLargestNorm = 0x1p60f;

// What a float sum says about a row: its exact score, in the scan's own scale, lies in low..high. The scale differs
// from the metric's only by something that keeps the order: a positive factor or a square root.
struct Interval {
  float low;
  float high;
};
constexpr Interval kUnknown{-kInfinity, kInfinity};

// In four chains, where vector_norm() waits for each addition: who only needs a bound needs no certain order.
double square_sum(std::span<const float> vector) {
  double sums[4] = {};
  size_t j = 0;
#pragma GCC unroll 1
  for (; j + 4 <= vector.size(); j += 4) {
    for (size_t i = 0; i < 4; ++i) sums[i] += static_cast<double>(vector[j + i]) * vector[j + i];
  }
#pragma GCC unroll 1
  for (; j < vector.size(); ++j) sums[0] += static_cast<double>(vector[j]) * vector[j];
  return sums[0] + sums[1] + (sums[2] + sums[3]);
}

// A query made ready for a scan.
class Scan {
 public:
  Scan(Metric metric, std::span<const float> query) : metric_(metric), kernel_(fast_kernel(metric)) {
    query_.assign(query.begin(), query.end());
    const float error = kernel_error(query.size());
    underflow_ = kProductUnderflow * static_cast<float>(query.size());
    switch (metric) {
      case Metric::kCosine: {
        // A query of length 1 cannot overflow. Its rounding is one of the eight that kernel_error has room for.
        const double norm = std::sqrt(square_sum(query));
        const double factor = norm > 0 ? 1 / norm : 0;
        for (float& component : query_) component = static_cast<float>(component * factor);
        slope_ = error;
        break;
      }
      case Metric::kDot: slope_ = narrowed(error * vector_norm(query)); break;
      case Metric::kEuclidean:
      case Metric::kManhattan: slope_ = error; break;
    }
  }

  void sums(std::span<const float* const> rows, std::span<float> sums) const { kernel_(query_, rows, sums); }

  Interval interval(float sum, float norm) const {
    float score = -sum;
    float error = 0;
    switch (metric_) {
      case Metric::kCosine:
        if (norm == 0) return {0, 0};
        if (!(norm >= kSmallestNorm && norm <= kLargestNorm)) return kUnknown;
        score = sum / norm;
        // Underflow adds dim * 2^-149 / kSmallestNorm, far less than the spare half of kernel_error.
        error = slope_;
        break;
      case Metric::kDot:
        if (norm != 0 && !(norm >= kSmallestNorm)) return kUnknown;
        score = sum;
        error = slope_ * norm + underflow_;
        break;
      case Metric::kEuclidean:
      case Metric::kManhattan: error = slope_ * sum + underflow_; break;
    }
    // Overflow and NaN both fail this comparison.
    if (!(std::abs(score) + error <= std::numeric_limits<float>::max())) return kUnknown;
    return {score - error, score + error};
  }

 private:
  Metric metric_;
  Kernel kernel_;
  std::vector<float> query_;
  float slope_ = 0;
  float underflow_ = 0;
};

// The rows that could be among the best `limit`.
//
// Invariant: once `limit` rows were offered, `lows_` is a min-heap of the `limit` greatest lower bounds, so `limit`
// rows score at least its front; a row whose upper bound is below the front is not among the best, nor tied with the
// last.
class Shortlist {
 public:
  explicit Shortlist(size_t limit) : limit_(limit) {}

  void offer(RowId row, Interval interval) {
    if (interval.high < floor_) return;
    candidates_.push_back({row, interval.high});
    if (lows_.size() < limit_) {
      lows_.push_back(interval.low);
      if (lows_.size() < limit_) return;
      std::make_heap(lows_.begin(), lows_.end(), std::greater<>());
    } else if (interval.low > floor_) {
      std::pop_heap(lows_.begin(), lows_.end(), std::greater<>());
      lows_.back() = interval.low;
      std::push_heap(lows_.begin(), lows_.end(), std::greater<>());
    }
    floor_ = lows_.front();
  }

  template <typename Visit>
  void for_each(Visit visit) const {
    for (const Candidate& candidate : candidates_) {
      if (candidate.high >= floor_) visit(candidate.row);
    }
  }

 private:
  struct Candidate {
    RowId row;
    float high;
  };

  size_t limit_;
  float floor_ = -kInfinity;
  std::vector<float> lows_;
  std::vector<Candidate> candidates_;
};

// Not inlined: once is enough for all who scan.
[[gnu::noinline]] void score_exactly(const VectorTable& table, Metric metric, std::span<const float> query,
                                     std::vector<Scored>& found) {
  constexpr size_t kTogether = 16;
  std::array<const float*, kTogether> rows;
  std::array<double, kTogether> scores;
  for (size_t first = 0; first < found.size(); first += kTogether) {
    const size_t count = std::min(kTogether, found.size() - first);
    for (size_t i = 0; i < count; ++i) rows[i] = table.row(found[first + i].row).data();
    exact_scores(metric, query, std::span(rows).first(count), std::span(scores).first(count));
    for (size_t i = 0; i < count; ++i) found[first + i].score = scores[i];
  }
}

}  // namespace

namespace {

// `each(visit)` calls visit(row) for every row to be scored, `count` of them.
template <typename Each>
std::vector<Scored> best_of(const VectorTable& table, Metric metric, std::span<const float> query, size_t count,
                            size_t limit, Each each) {
  assert(query.size() == table.dim());
  std::vector<Scored> found;
  if (limit == 0) return found;
  if (count <= limit) {
    found.reserve(count);
    each([&](RowId row) { found.push_back({row, 0}); });
    score_exactly(table, metric, query, found);
    rank(found, limit);
    return found;
  }

  const Scan scan(metric, query);
  Shortlist shortlist(limit);
  std::array<RowId, kBatch> rows;
  std::array<const float*, kBatch> vectors;
  std::array<float, kBatch> sums;
  size_t waiting = 0;
  const auto score_waiting = [&] {
    scan.sums(std::span(vectors).first(waiting), std::span(sums).first(waiting));
    for (size_t i = 0; i < waiting; ++i) shortlist.offer(rows[i], scan.interval(sums[i], table.norm(rows[i])));
    waiting = 0;
  };
  each([&](RowId row) {
    rows[waiting] = row;
    vectors[waiting] = table.row(row).data();
    if (++waiting == kBatch) score_waiting();
  });
  score_waiting();

  shortlist.for_each([&](RowId row) { found.push_back({row, 0}); });
  score_exactly(table, metric, query, found);
  rank(found, limit);
  return found;
}

}  // namespace

std::vector<Scored> flat_search(const VectorTable& table, Metric metric, std::span<const float> query,
                                const RowSet& allowed, size_t limit) {
  assert(allowed.size() == table.count());
  return best_of(table, metric, query, allowed.count(), limit, [&](auto visit) { allowed.for_each(visit); });
}

std::vector<Scored> rescore(const VectorTable& table, Metric metric, std::span<const float> query,
                            std::span<const Scored> candidates, size_t limit) {
  return best_of(table, metric, query, candidates.size(), limit, [&](auto visit) {
    for (const Scored& candidate : candidates) visit(candidate.row);
  });
}

}  // namespace nearfield
