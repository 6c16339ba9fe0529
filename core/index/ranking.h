// The order of answers, shared by every kind of index.
#pragma once

#include <vector>

#include "core/base/row_set.h"
#include "core/base/sort.h"

namespace nearfield {

// Sorts by falling score, then by row, and keeps the best `limit` with every further row that shares the last score.
inline void rank(std::vector<Scored>& found, size_t limit) {
  heap_sort(found, BestFirst());
  if (limit == 0) found.clear();
  if (found.size() <= limit) return;
  size_t end = limit;
  while (end < found.size() && found[end].score == found[limit - 1].score) ++end;
  found.resize(end);
}

}  // namespace nearfield
