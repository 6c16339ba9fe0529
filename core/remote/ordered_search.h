// Searches whose equal scores are cut by id, on servers that choose themselves which of them a list ends with.
#pragma once

#include <vector>

#include "core/base/status.h"
#include "core/base/task.h"
#include "core/store/vector_store.h"

namespace nearfield {

using StoreHits = std::vector<std::vector<StoreHit>>;

// What VectorStore::search() promises, by a store's `ask`, which is given queries without an offset and may end a list
// with any of equal scores. Each query is asked with one hit more than it wants; where that is as good as the last one
// wanted, again with eight times as many, up to kMaxK: of more equal scores than that the server chooses.
// `exact_ones_are_cut`: for exact queries `ask` cuts by id itself. The store outlives the task.
Task<Result<StoreHits>> search_in_order(VectorStore& store,
                                        Task<Result<StoreHits>> (*ask)(VectorStore&, const std::vector<StoreQuery>&),
                                        std::vector<StoreQuery> queries, bool exact_ones_are_cut = false);

}  // namespace nearfield
