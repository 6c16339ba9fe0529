#include "core/remote/ordered_search.h"

#include <algorithm>
#include <utility>

#include "core/remote/hits.h"
#include "core/remote/query_check.h"

namespace nearfield {

namespace {

// What the caller wants of a query that is asked otherwise.
struct Wanted {
  size_t query = 0;
  size_t offset = 0, k = 0;
  StoreParts parts;
  bool lean = false;  // the parts of its hits come later

  size_t last() const { return offset + k; }
};

}  // namespace

Task<Result<StoreHits>> search_in_order(VectorStore& store,
                                        Task<Result<StoreHits>> (*ask)(VectorStore&, const std::vector<StoreQuery>&),
                                        std::vector<StoreQuery> queries, bool exact_ones_are_cut) {
  StoreHits out(queries.size());
  std::vector<Wanted> wanted;
  for (StoreQuery& query : queries) {
    CO_RETURN_IF_ERROR(check_range(query));
    const Wanted one{wanted.size(), query.offset, query.k, query.parts, query.offset > 0};
    query.offset = 0;
    query.k = query.exact && exact_ones_are_cut ? one.last() : std::min(one.last() + 1, kMaxK);
    if (one.lean) query.parts = kNoParts;
    wanted.push_back(one);
  }
  while (!queries.empty()) {
    CO_ASSIGN_OR_RETURN(StoreHits found, co_await ask(store, queries));
    std::vector<StoreQuery> again;
    std::vector<Wanted> wanted_again;
    for (size_t i = 0; i < queries.size(); ++i) {
      StoreQuery& query = queries[i];
      const Wanted& one = wanted[i];
      std::vector<StoreHit>& hits = found[i];
      const bool tied = query.k > one.last() && query.k < kMaxK && hits.size() == query.k &&
                        hits[one.last() - 1].score == hits.back().score;
      if (tied) {
        query.k = std::min(8 * query.k, kMaxK);
        query.parts = kNoParts;
        again.push_back(std::move(query));
        wanted_again.push_back(one);
        wanted_again.back().lean = true;
        continue;
      }
      hits.resize(std::min(hits.size(), one.last()));
      hits.erase(hits.begin(), hits.begin() + static_cast<ptrdiff_t>(std::min(one.offset, hits.size())));
      if (one.lean) CO_RETURN_IF_ERROR(co_await load_parts(store, hits, one.parts));
      out[one.query] = std::move(hits);
    }
    queries = std::move(again);
    wanted = std::move(wanted_again);
  }
  co_return std::move(out);
}

}  // namespace nearfield
