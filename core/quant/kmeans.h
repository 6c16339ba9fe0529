// KMeans: points that stand for many, so that each of the many is near one of them (Lloyd, 1982).
//
// Every round assigns each row to its nearest point and makes each point the mean of its rows, so the sum of squared
// distances never rises. A point without rows takes the place of some row of the largest cluster, which splits that.
// The same rows and seed give the same points, to the bit, on every platform.
//
// Works in slices, so that whoever waits for something else waits for one of them at most.
#pragma once

#include <span>
#include <vector>

#include "core/base/random.h"
#include "core/quant/lane_points.h"

namespace nearfield {

struct KMeansOptions {
  size_t count = 0;         // of points; no more than there are rows
  size_t rounds = 6;        // at most: it ends when no row changes its point
  bool directions = false;  // points have length 1, and rows, too: spherical k-means
  uint64_t seed = 0;
};

class KMeans {
 public:
  // REQUIRES: rows.size() is a multiple of dim, and not 0; options.count and options.rounds are at least 1.
  KMeans(std::vector<float> rows, size_t dim, KMeansOptions options);

  // Goes on for about `budget` multiplications, or one row; false once all is done.
  bool advance(size_t budget);

  // Sum of the squared distances of all rows to their points, in the last complete round.
  double inertia() const { return inertia_; }
  // The points, row-major. All finite, whatever the rows.
  const std::vector<float>& points() const { return points_; }
  std::vector<float> take() { return std::move(points_); }

 private:
  size_t row_count() const { return rows_.size() / dim_; }
  std::span<const float> row(size_t i) const { return std::span(rows_).subspan(i * dim_, dim_); }
  void finish_round();
  void fill_empty();

  std::vector<float> rows_;
  size_t dim_;
  KMeansOptions options_;
  Random random_;
  double square_sum_ = 0;  // of the rows
  std::vector<float> points_;
  LanePoints lanes_;
  // Of the round that is going on:
  std::vector<uint32_t> assigned_;  // by row
  std::vector<float> sums_;         // by point
  std::vector<uint32_t> counts_;
  double nearness_sum_ = 0;
  size_t next_row_ = 0;
  bool changed_ = false;
  size_t round_ = 0;
  bool done_ = false;
  double inertia_ = 0;
};

}  // namespace nearfield
