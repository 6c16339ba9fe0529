// LanePoints: points laid out so that a vector is compared with sixteen of them at once. The centroids of k-means,
// product quantisers and partitioned indexes.
//
// Sixteen points are a block: component 0 of all sixteen, then component 1, ... So a component of the vector is loaded
// once a block, no register is added up across its lanes, and any dimension will do, down to one. Each sum is that of a
// plain loop over the components in single precision, without fused operations: the same bits on every platform.
//
// Const methods may run concurrently.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/matrix.h"

namespace nearfield {

class LanePoints {
 public:
  static constexpr size_t kLanes = 16;

  LanePoints() = default;
  // Copies the points.
  explicit LanePoints(MatrixView points);

  size_t count() const { return count_; }
  size_t dim() const { return dim_; }
  size_t block_count() const { return half_squares_.size() / kLanes; }
  // REQUIRES: point < count(); component < dim().
  float component(size_t point, size_t component) const {
    assert(point < count_ && component < dim_);
    return blocks_[(point / kLanes * dim_ + component) * kLanes + point % kLanes];
  }
  // |point|^2 / 2.
  float half_square(size_t point) const { return half_squares_[point]; }

  // <vector, point> for every point. REQUIRES: vector.size() == dim(); products.size() == block_count() * kLanes; what
  // stands behind count() means nothing.
  void products(std::span<const float> vector, std::span<float> products) const;
  // <vector, point> - |point|^2 / 2 in the same way: greatest for the nearest point, -infinity behind count().
  void nearness(std::span<const float> vector, std::span<float> nearness) const;

  struct Found {
    uint32_t point = 0;
    float nearness = 0;
  };
  // The nearest point in blocks begin, ..., end - 1; the first of equally near ones. Where nearness is not a number, as
  // it is beyond the range of floats, any point. REQUIRES: vector.size() == dim(); begin < end <= block_count().
  Found nearest(std::span<const float> vector, size_t begin, size_t end) const;
  Found nearest(std::span<const float> vector) const { return nearest(vector, 0, block_count()); }

  size_t memory_bytes() const { return (blocks_.capacity() + half_squares_.capacity()) * sizeof(float); }

 private:
  size_t count_ = 0;
  size_t dim_ = 0;
  std::vector<float> blocks_;
  std::vector<float> half_squares_;
};

}  // namespace nearfield
