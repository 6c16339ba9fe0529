// Sorting in little code.
//
// std::sort brings 3 to 7 KB of machine code for every type and order it is used with; a heap sort brings half a
// kilobyte. It takes up to twice the time, which nothing here notices: answers are cut to the best few before they are
// ordered, and the terms of a row are a hundred.
#pragma once

#include <algorithm>
#include <functional>

namespace nearfield {

// Orders `range` by `less`, in place; equal elements end in any order. O(n log n), whatever the input.
template <typename Range, typename Less = std::less<>>
void heap_sort(Range& range, Less less = {}) {
  std::make_heap(range.begin(), range.end(), less);
  std::sort_heap(range.begin(), range.end(), less);
}

}  // namespace nearfield
