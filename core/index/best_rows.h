// BestRows: the rows with the greatest scores among those that were offered.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "core/base/row_set.h"
#include "core/base/sort.h"

namespace nearfield {

class BestRows {
 public:
  // Collects into `rows`, which is emptied first. REQUIRES: limit > 0.
  BestRows(std::vector<Scored>& rows, size_t limit) : rows_(rows), limit_(limit) { rows_.clear(); }

  // No row that scores less is among the best.
  float floor() const { return floor_; }

  void offer(RowId row, float score) {
    if (!(score > floor_) && rows_.size() == limit_) return;
    if (rows_.size() == limit_) {
      std::pop_heap(rows_.begin(), rows_.end(), BestFirst());
      rows_.pop_back();
    }
    rows_.push_back({row, score});
    std::push_heap(rows_.begin(), rows_.end(), BestFirst());
    if (rows_.size() == limit_) floor_ = static_cast<float>(rows_.front().score);
  }

  // Puts what was collected in order, best first.
  void sort() { heap_sort(rows_, BestFirst()); }

 private:
  // A heap, the worst in front.
  std::vector<Scored>& rows_;
  size_t limit_;
  float floor_ = -std::numeric_limits<float>::infinity();
};

}  // namespace nearfield
