// Partitions: a space cut into places, each around its centroid, learned from rows.
//
// Many centroids are learned in two steps: groups of rows first, then the centroids inside each group, as many as its
// share of the rows. That compares a row with about 2 sqrt(n) centroids instead of n, and finding the nearest centroid
// of a row, among those of the nearest groups, with a few more.
//
// Vectors and centroids are compared by their squared distance. For cosine both are directions (spherical k-means):
// lengths would say nothing. For dot they are what they are: a centroid then also tells how long its rows are, and
// partitions are ranked by their dot product. Manhattan distances order places nearly as squared ones do.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/base/section.h"
#include "core/metric/metric.h"
#include "core/quant/kmeans.h"

namespace nearfield {

class Partitions {
 public:
  size_t count() const { return centroids_.count(); }
  size_t dim() const { return centroids_.dim(); }

  // About the nearest partition. `vector` is a direction where the metric is cosine.
  uint32_t nearest(std::span<const float> vector) const;

  struct Ranked {
    float nearness;
    uint32_t partition;
    bool operator<(const Ranked& other) const {
      return nearness != other.nearness ? nearness < other.nearness : partition > other.partition;
    }
  };
  // Puts all partitions into `heap`, the one to look at first in front: std::pop_heap brings the next. The same
  // REQUIRES; `scratch` is kept from call to call.
  void rank(Metric metric, std::span<const float> query, std::vector<Ranked>& heap, std::vector<float>& scratch) const;

  size_t memory_bytes() const { return groups_.memory_bytes() + centroids_.memory_bytes(); }

  // "ivf.groups", "ivf.first", "ivf.centroids". Reading fails with kFormatError on anything but such sections.
  void append_sections(StateSections& sections) const;
  static Result<Partitions> from_sections(const SectionViews& sections, size_t dim);

 private:
  friend class PartitionTraining;

  LanePoints groups_;            // may be none: then all centroids are compared
  std::vector<uint32_t> first_;  // centroid of each group, and the end
  LanePoints centroids_;
};

// Learns in slices.
class PartitionTraining {
 public:
  // At most `count` partitions, no more than there are rows. `rows` are directions where `directions` says so, and stay
  // where they are until the end. REQUIRES: count is at least 1; the rows are not none, and finite.
  PartitionTraining(MatrixView rows, size_t count, bool directions, uint64_t seed);

  // Goes on for about `budget` multiplications; false once all is done.
  bool advance(size_t budget);
  // REQUIRES: advance() was false; once.
  Partitions take();

 private:
  std::unique_ptr<KMeans> kmeans_of(std::span<const uint32_t> rows, size_t count);
  bool begin_group();
  void finish();

  MatrixView rows_;
  size_t count_;
  bool directions_;
  uint64_t seed_;
  std::unique_ptr<KMeans> kmeans_;  // of the groups, then of the centroids in one group
  std::vector<uint32_t> group_of_;  // by row
  std::vector<uint32_t> group_rows_;
  size_t next_group_ = 0;
  size_t grouped_ = 0;  // rows in groups before that
  std::vector<float> centroids_;
  Partitions partitions_;
  bool done_ = false;
};

}  // namespace nearfield
