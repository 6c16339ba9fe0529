#include "core/quant/lane_points.h"

#include <algorithm>
#include <limits>

#include "core/quant/lanes.h"

namespace nearfield {

namespace {

constexpr size_t kLanes = LanePoints::kLanes;
constexpr size_t kParts = kLanes / 4;

// Products with `kBlocks` blocks, `stride` floats apart. Two blocks are eight chains of additions, as many as it takes
// that none waits for the one before, and as fit the registers of an x64 host.
template <size_t kBlocks>
void block_products(std::span<const float> vector, const float* blocks, F32x4* sums) {
  const size_t stride = vector.size() * kLanes;
  F32x4 chains[kBlocks * kParts] = {};
  for (size_t j = 0; j < vector.size(); ++j) {
    const F32x4 component = splat_lanes(vector[j]);
    for (size_t block = 0; block < kBlocks; ++block) {
      for (size_t part = 0; part < kParts; ++part) {
        chains[block * kParts + part] += component * load_lanes<F32x4>(blocks + block * stride + j * kLanes + 4 * part);
      }
    }
  }
  for (size_t i = 0; i < kBlocks * kParts; ++i) sums[i] = chains[i];
}

// Calls visit(block, sums) with the kParts registers of each block.
template <typename Visit>
void each_block(std::span<const float> vector, const float* blocks, size_t begin, size_t end, Visit visit) {
  const size_t stride = vector.size() * kLanes;
  F32x4 sums[2 * kParts];
  size_t block = begin;
  for (; block + 2 <= end; block += 2) {
    block_products<2>(vector, blocks + block * stride, sums);
    visit(block, sums);
    visit(block + 1, sums + kParts);
  }
  if (block == end) return;
  block_products<1>(vector, blocks + block * stride, sums);
  visit(block, sums);
}

}  // namespace

LanePoints::LanePoints(MatrixView points) : count_(points.count()), dim_(points.dim()) {
  const size_t padded = (count_ + kLanes - 1) / kLanes * kLanes;
  blocks_.resize(padded * dim_);
  half_squares_.assign(padded, std::numeric_limits<float>::infinity());
  for (size_t i = 0; i < count_; ++i) {
    const std::span<const float> point = points.row(i);
    float square = 0;
    for (size_t j = 0; j < dim_; ++j) {
      blocks_[(i / kLanes * dim_ + j) * kLanes + i % kLanes] = point[j];
      square += point[j] * point[j];
    }
    half_squares_[i] = square / 2;
  }
}

void LanePoints::products(std::span<const float> vector, std::span<float> products) const {
  assert(vector.size() == dim_ && products.size() == half_squares_.size());
  each_block(vector, blocks_.data(), 0, block_count(), [&](size_t block, const F32x4* sums) {
    for (size_t part = 0; part < kParts; ++part) store_lanes(&products[block * kLanes + 4 * part], sums[part]);
  });
}

void LanePoints::nearness(std::span<const float> vector, std::span<float> nearness) const {
  products(vector, nearness);
  for (size_t i = 0; i < nearness.size(); i += 4) {
    store_lanes(&nearness[i], load_lanes<F32x4>(&nearness[i]) - load_lanes<F32x4>(&half_squares_[i]));
  }
}

LanePoints::Found LanePoints::nearest(std::span<const float> vector, size_t begin, size_t end) const {
  assert(vector.size() == dim_ && begin < end && end <= block_count());
  // Which point it is is looked up once a step: to carry the number of the best along takes longer.
  constexpr size_t kStep = 16;
  float step[kStep * kLanes];
  Found found{static_cast<uint32_t>(begin * kLanes), -std::numeric_limits<float>::infinity()};
  for (size_t first = begin; first < end; first += kStep) {
    const size_t last = std::min(end, first + kStep);
    F32x4 best = splat_lanes(found.nearness);
    each_block(vector, blocks_.data(), first, last, [&](size_t block, const F32x4* sums) {
      for (size_t part = 0; part < kParts; ++part) {
        const F32x4 nearness = sums[part] - load_lanes<F32x4>(&half_squares_[block * kLanes + 4 * part]);
        store_lanes(&step[(block - first) * kLanes + 4 * part], nearness);
        best = nearness > best ? nearness : best;
      }
    });
    const float most = std::max(std::max(best[0], best[1]), std::max(best[2], best[3]));
    if (!(most > found.nearness)) continue;
    size_t point = 0;
    while (!any_lane(load_lanes<F32x4>(&step[point]) == splat_lanes(most))) point += 4;
    while (step[point] != most) ++point;
    found = {static_cast<uint32_t>(first * kLanes + point), most};
  }
  return found;
}

}  // namespace nearfield
