#include "core/quant/kmeans.h"

#include <algorithm>
#include <numeric>

#include "core/quant/encoding.h"

namespace nearfield {

namespace {

// Where the components of points end: their squares are floats.
constexpr double kMostComponent = 0x1p60;

float bounded(double value) {
  // Written so that not-a-number becomes a number.
  return static_cast<float>(value > -kMostComponent ? std::min(value, kMostComponent) : -kMostComponent);
}

}  // namespace

KMeans::KMeans(std::vector<float> rows, size_t dim, KMeansOptions options)
    : rows_(std::move(rows)), dim_(dim), options_(options), random_(options.seed) {
  assert(dim > 0 && !rows_.empty() && rows_.size() % dim == 0 && options.count >= 1 && options.rounds >= 1);
  options_.count = std::min(options.count, row_count());
  // Different rows, drawn from all.
  std::vector<uint32_t> order(row_count());
  std::iota(order.begin(), order.end(), 0u);
  points_.reserve(options_.count * dim_);
  for (size_t i = 0; i < options_.count; ++i) {
    std::swap(order[i], order[i + random_.below(order.size() - i)]);
    for (const float component : row(order[i])) points_.push_back(bounded(component));
  }
  lanes_ = LanePoints({points_, dim_});
  assigned_.assign(row_count(), UINT32_MAX);
  sums_.assign(points_.size(), 0.f);
  counts_.assign(options_.count, 0);
}

bool KMeans::advance(size_t budget) {
  while (!done_) {
    const std::span<const float> vector = row(next_row_);
    if (round_ == 0) {
      square_sum_ += chained_sum(dim_, [&](size_t j) { return static_cast<double>(vector[j]) * vector[j]; });
    }
    const LanePoints::Found found = lanes_.nearest(vector);
    changed_ = changed_ || assigned_[next_row_] != found.point;
    assigned_[next_row_] = found.point;
    nearness_sum_ += found.nearness;
    ++counts_[found.point];
    float* const sum = &sums_[found.point * dim_];
    for (size_t j = 0; j < dim_; ++j) sum[j] += vector[j];
    if (++next_row_ == row_count()) finish_round();
    if (budget < points_.size()) break;
    budget -= points_.size();
  }
  return !done_;
}

void KMeans::finish_round() {
  // |x - p|^2 = |x|^2 - 2 (<x, p> - |p|^2 / 2).
  inertia_ = square_sum_ - 2 * nearness_sum_;
  done_ = ++round_ == options_.rounds || !changed_;
  std::vector<float> direction;
  for (size_t i = 0; i < options_.count; ++i) {
    if (counts_[i] == 0) continue;
    std::span<float> sum = std::span(sums_).subspan(i * dim_, dim_);
    double factor = 1.0 / counts_[i];
    if (options_.directions) {
      const double norm = unit_of(sum, direction);
      // Rows that cancel leave the point where it is.
      if (!(norm > 0)) continue;
      sum = direction;
      factor = 1;
    }
    for (size_t j = 0; j < dim_; ++j) points_[i * dim_ + j] = bounded(sum[j] * factor);
  }
  if (!done_) fill_empty();
  lanes_ = LanePoints({points_, dim_});
  std::ranges::fill(sums_, 0.f);
  std::ranges::fill(counts_, 0u);
  nearness_sum_ = 0;
  next_row_ = 0;
  changed_ = false;
}

void KMeans::fill_empty() {
  for (size_t i = 0; i < options_.count; ++i) {
    if (counts_[i] != 0) continue;
    const auto largest = static_cast<uint32_t>(std::ranges::max_element(counts_) - counts_.begin());
    if (counts_[largest] < 2) return;
    // Some row of it, from a random place on.
    size_t at = random_.below(row_count());
    while (assigned_[at] != largest) at = (at + 1) % row_count();
    for (size_t j = 0; j < dim_; ++j) points_[i * dim_ + j] = bounded(row(at)[j]);
    assigned_[at] = static_cast<uint32_t>(i);
    changed_ = true;
    // About half of the rows will follow.
    counts_[i] = 1;
    counts_[largest] /= 2;
  }
}

}  // namespace nearfield
