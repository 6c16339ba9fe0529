// IdWindow: the rows of a collection by ascending id, from anywhere on, for those who read them page by page.
//
// Nothing keeps rows in the order of their ids, and to find the next ones takes a look at all of them. So whoever goes
// on reading gets more of them found than were asked for: the window, up to a 32nd of all rows. Reading everything then
// looks some forty times at each row, whatever the size of a page.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/row_set.h"
#include "core/collection/row_store.h"

namespace nearfield {

// The first `limit` rows of `among` with ids after `after`, by ascending id. O(rows + limit log limit) for ids that
// come in any order but a falling one, which costs O(rows log limit).
std::vector<RowId> first_by_id(const RowStore& rows, const RowSet& among, std::string_view after, size_t limit);

class IdWindow {
 public:
  // Live rows with the next ids after `after`, `limit` of them or more where there are so many; empty: none is left.
  // Rows that died since are still among them. Views hold until the next call. REQUIRES: always the same store; limit >
  // 0.
  std::span<const RowId> next(const RowStore& rows, const RowSet& live, std::string_view after, size_t limit);

 private:
  std::string after_;
  std::vector<RowId> found_;  // the first ones after `after_`; not empty, or the last ones
  bool last_ = true;          // there are none behind them
  size_t row_count_ = 0;      // when they were found: rows that came later are not among them
};

}  // namespace nearfield
