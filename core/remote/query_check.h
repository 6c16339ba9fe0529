// What can be wrong with one search or page, whichever the server. Vectors have core/collection/point_check.h.
#pragma once

#include <string_view>

#include "core/base/status.h"
#include "core/store/vector_store.h"

namespace nearfield {

// Whether the query has what its mode needs, of servers that search by words too.
Status check_mode(const StoreQuery& query);
// k, offset and min_score.
Status check_range(const StoreQuery& query);
// kInvalidArgument: `text` was to be searched for in a collection without.
Error no_text_search(std::string_view collection, std::string_view text);

inline constexpr size_t kMaxPage = 10'000;

// How many points a page has.
Status check_page(size_t limit);
// kInvalidArgument: no page begins at `from`.
Error no_such_page(std::string_view from);

}  // namespace nearfield
