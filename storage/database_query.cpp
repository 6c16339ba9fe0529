// Queries, for any collection; storage/query.h finds the answers.
#include "storage/database_state.h"
#include "storage/query.h"

namespace nearfield {

namespace {

// Queries that find their collection rewritten begin again so many times.
constexpr int kQueryAttempts = 3;

}  // namespace

template <typename T, typename Start>
Task<Result<T>> Database::State::query(Start start) {
  for (int attempt = 0;; ++attempt) {
    if (closed) co_return check_writable().error();
    Result<T> answer = co_await start();
    const Code code = answer.code();
    const bool gone = code == Code::kStorageCorrupt && options.read_only && !closed;
    const bool again = code == Code::kConflict || gone;
    if (!again || attempt == kQueryAttempts) co_return answer;
    if (!gone) continue;
    // The writer may have replaced the file that a reader looked for.
    const AsyncLock::Held held = co_await turn.acquire();
    CO_ASSIGN_OR_RETURN(const bool changed, co_await catch_up(effects, now));
    if (!changed) co_return answer;
  }
}

Task<Result<SearchResult>> Database::search(std::string collection, const SearchRequest& request, PointParts parts) {
  const QuerySource source{state_->now, state_->cache, collection};
  co_return co_await state_->query<SearchResult>([&] { return find_hits(source, request, parts); });
}

Task<Result<std::vector<Point>>> Database::get(std::string collection, std::vector<std::string> ids, PointParts parts) {
  const QuerySource source{state_->now, state_->cache, collection};
  co_return co_await state_->query<std::vector<Point>>([&] { return find_points(source, ids, parts); });
}

Task<Result<std::vector<Point>>> Database::scroll(std::string collection, const Filter* filter, std::string after,
                                                  size_t limit, PointParts parts) {
  const QuerySource source{state_->now, state_->cache, collection};
  co_return co_await state_->query<std::vector<Point>>([&] { return find_page(source, filter, after, limit, parts); });
}

Task<Result<size_t>> Database::count(std::string collection, const Filter* filter) {
  const QuerySource source{state_->now, state_->cache, collection};
  CO_ASSIGN_OR_RETURN(const RowSet rows, co_await state_->query<RowSet>([&] { return find_matching(source, filter); }));
  co_return rows.count();
}

Task<Result<std::vector<std::string>>> Database::matching_ids(std::string collection, const Filter* filter) {
  const QuerySource source{state_->now, state_->cache, collection};
  CO_ASSIGN_OR_RETURN(const RowSet rows, co_await state_->query<RowSet>([&] { return find_matching(source, filter); }));
  std::vector<std::string> ids;
  const Collection& memory = state_->find(collection)->memory;
  rows.for_each([&](RowId row) { ids.emplace_back(memory.row(row).id); });
  co_return ids;
}

}  // namespace nearfield
