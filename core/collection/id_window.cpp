#include "core/collection/id_window.h"

#include <algorithm>

namespace nearfield {

namespace {

constexpr size_t kWindows = 32;

}  // namespace

std::vector<RowId> first_by_id(const RowStore& rows, const RowSet& among, std::string_view after, size_t limit) {
  const auto before = [&](RowId a, RowId b) { return rows.id(a) < rows.id(b); };
  // A heap of the best so far, the last of them on top.
  std::vector<RowId> first;
  if (limit == 0) return first;
  among.for_each([&](RowId row) {
    const std::string_view id = rows.id(row);
    if (id <= after) return;
    if (first.size() == limit) {
      if (id >= rows.id(first.front())) return;
      std::pop_heap(first.begin(), first.end(), before);
      first.pop_back();
    }
    first.push_back(row);
    std::push_heap(first.begin(), first.end(), before);
  });
  std::sort_heap(first.begin(), first.end(), before);
  return first;
}

std::span<const RowId> IdWindow::next(const RowStore& rows, const RowSet& live, std::string_view after, size_t limit) {
  size_t size = limit;
  if (row_count_ == rows.count() && after >= after_) {
    const auto later = [&](std::string_view id, RowId row) { return id < rows.id(row); };
    const auto begin = std::upper_bound(found_.begin(), found_.end(), after, later);
    if (begin != found_.end() || last_) return {begin, found_.end()};
    // Somebody reads on. A page that is the only one costs no more than itself.
    if (after == rows.id(found_.back())) size = std::max(limit, std::min(found_.size() * 2, rows.count() / kWindows));
  }
  found_ = first_by_id(rows, live, after, size);
  last_ = found_.size() < size;
  after_ = after;
  row_count_ = rows.count();
  return found_;
}

}  // namespace nearfield
