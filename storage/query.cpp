#include "storage/query.h"

#include <optional>

#include "core/base/sort.h"
#include "core/filter/payload_filter.h"
#include "core/index/flat.h"
#include "core/index/ranking.h"

namespace nearfield {

namespace {

// The frames of as many rows at most are kept in memory after a search.
constexpr size_t kRowsKept = 1'000;

Result<LiveCollection*> look_up(const QuerySource& source) {
  const auto found = source.now.collections.find(source.collection);
  if (found == source.now.collections.end()) return unknown_collection(source.collection);
  return found->second.get();
}

// After an effect: the collection, if its rows still have the numbers they had.
Result<LiveCollection*> look_again(const QuerySource& source, const std::shared_ptr<const Era>& era) {
  ASSIGN_OR_RETURN(LiveCollection * live, look_up(source));
  if (live->era == era) return live;
  return Error{Code::kConflict, "the collection " + shown(source.collection) + " was rewritten meanwhile",
               shown(source.collection)};
}

// Puts into `leg` the best `limit` of `wanted`, and those that share the last score, as flat_search finds them:
// exact_score over a block of vectors after the other.
Task<Result<LegResult>> scan_vectors(const QuerySource& source, const SearchRequest& request, size_t limit,
                                     RowSet wanted, FrameCache::Use use, LegResult leg) {
  CO_ASSIGN_OR_RETURN(const LiveCollection* live, look_up(source));
  const Schema& schema = live->memory.schema();
  const size_t dimension = schema.dimension;
  const Metric metric = schema.metric;
  std::optional<VectorTable> table;
  std::vector<RowId> rows;  // of the table
  std::vector<float> vector(dimension);
  const auto score = [&] {
    if (rows.empty()) return;
    for (const Scored& found : flat_search(*table, metric, request.vector, RowSet(rows.size(), true), limit)) {
      leg.rows.push_back({rows[found.row], found.score});
    }
    rank(leg.rows, limit);
    rows.clear();
  };
  BodyScan scan(source.now, source.cache, *live, std::move(wanted), use);
  for (;;) {
    CO_ASSIGN_OR_RETURN(const BodyScan::Step step, scan.next());
    if (step == BodyScan::Step::kEnd) break;
    if (step == BodyScan::Step::kWait) {
      CO_RETURN_IF_ERROR(co_await scan.arrival());
      continue;
    }
    scan.for_each([&](RowId row, const Body& body) {
      if (body.vector.size() != dimension) return;
      if (rows.empty()) table.emplace(dimension);
      body.vector.copy_to(vector);
      table->append(vector);
      rows.push_back(row);
      if (rows.size() == table->block_rows()) score();
    });
  }
  score();
  co_return leg;
}

// Points of rows, in the order of `rows`, each there at most once.
Task<Result<std::vector<Point>>> load_points(const QuerySource& source, const LiveCollection& live,
                                             std::vector<RowId> rows, PointParts parts) {
  std::vector<std::pair<RowId, size_t>> order;  // by row
  RowSet wanted(live.memory.row_count());
  for (size_t i = 0; i < rows.size(); ++i) {
    order.emplace_back(rows[i], i);
    wanted.insert(rows[i]);
  }
  heap_sort(order);
  std::vector<Point> points(rows.size());
  size_t next = 0;
  const auto take = [&](RowId, const Body& body) {
    Point& point = points[order[next++].second];
    point.id = body.id;
    if (parts.strings) point.text = body.text, point.payload = body.payload;
    if (parts.vector) point.vector = body.vector.copy();
  };
  const Schema& schema = live.memory.schema();
  if ((schema.payload_on_demand && parts.strings) || (schema.vectors_on_demand && parts.vector)) {
    BodyScan scan(source.now, source.cache, live, std::move(wanted), FrameCache::Use::kAgain);
    for (;;) {
      CO_ASSIGN_OR_RETURN(const BodyScan::Step step, scan.next());
      if (step == BodyScan::Step::kEnd) break;
      if (step == BodyScan::Step::kWait) {
        CO_RETURN_IF_ERROR(co_await scan.arrival());
        continue;
      }
      scan.for_each(take);
    }
  } else {
    for (const auto& [row, unused] : order) {
      const RowView here = live.memory.row(row);
      take(row, {here.id, here.text, here.payload, Elements<float>(view_bytes(here.vector))});
    }
  }
  co_return points;
}

}  // namespace

Error unknown_collection(std::string_view name) {
  return {Code::kNotFound, "there is no collection " + shown(name), shown(name)};
}

Task<Result<RowSet>> find_matching(const QuerySource& source, const Filter* filter) {
  CO_ASSIGN_OR_RETURN(LiveCollection * live, look_up(source));
  if (filter == nullptr) co_return live->memory.live();
  if (!live->memory.schema().payload_on_demand) co_return live->memory.matching(filter);
  const std::shared_ptr<const Era> era = live->era;
  const PayloadFilter payload_filter(*filter);
  RowSet out(live->memory.row_count());
  BodyScan scan(source.now, source.cache, *live, live->memory.live(), FrameCache::Use::kOnce);
  for (;;) {
    CO_ASSIGN_OR_RETURN(const BodyScan::Step step, scan.next());
    if (step == BodyScan::Step::kEnd) break;
    if (step == BodyScan::Step::kWait) {
      CO_RETURN_IF_ERROR(co_await scan.arrival());
      continue;
    }
    scan.for_each([&](RowId row, const Body& body) {
      if (payload_filter.matches(body.payload)) out.insert(row);
    });
  }
  CO_ASSIGN_OR_RETURN(live, look_again(source, era));
  out.grow(live->memory.row_count());
  out.intersect(live->memory.live());
  co_return out;
}

Task<Result<SearchResult>> find_hits(const QuerySource& source, const SearchRequest& request, PointParts parts) {
  CO_ASSIGN_OR_RETURN(LiveCollection * live, look_up(source));
  const std::shared_ptr<const Era> era = live->era;
  CO_ASSIGN_OR_RETURN(const SearchShape shape, live->memory.shape(request));
  CO_ASSIGN_OR_RETURN(RowSet allowed, co_await find_matching(source, request.filter ? &*request.filter : nullptr));
  CO_ASSIGN_OR_RETURN(live, look_again(source, era));
  LegResult dense;
  if (shape.dense && live->memory.schema().vectors_on_demand) {
    RowSet wanted = live->memory.rows_to_score(request, shape, allowed, dense);
    // What an index names is likely to be named again.
    const auto use = wanted.count() > kRowsKept ? FrameCache::Use::kOnce : FrameCache::Use::kAgain;
    CO_ASSIGN_OR_RETURN(
        dense, co_await scan_vectors(source, request, shape.candidates, std::move(wanted), use, std::move(dense)));
    CO_ASSIGN_OR_RETURN(live, look_again(source, era));
    allowed.grow(live->memory.row_count());
  } else if (shape.dense) {
    dense = live->memory.search_dense(request, shape, allowed);
  }
  SearchResult result = live->memory.search(request, shape, allowed, std::move(dense));

  std::vector<RowId> rows;
  for (const Hit& hit : result.hits) rows.push_back(hit.id);
  CO_ASSIGN_OR_RETURN(result.loaded, co_await load_points(source, *live, std::move(rows), parts));
  for (size_t i = 0; i < result.hits.size(); ++i) result.hits[i].row = row_view(result.loaded[i]);
  co_return result;
}

Task<Result<std::vector<Point>>> find_points(const QuerySource& source, const std::vector<std::string>& ids,
                                             PointParts parts) {
  CO_ASSIGN_OR_RETURN(const LiveCollection* live, look_up(source));
  // Each row once; an id that is asked for twice is answered twice.
  std::vector<RowId> rows;
  std::vector<size_t> answers;  // indexes of `rows`
  std::map<RowId, size_t> seen;
  for (const std::string& id : ids) {
    const std::optional<RowId> row = live->memory.find_row(id);
    if (!row) continue;
    const auto [found, added] = seen.emplace(*row, rows.size());
    if (added) rows.push_back(*row);
    answers.push_back(found->second);
  }
  CO_ASSIGN_OR_RETURN(std::vector<Point> points, co_await load_points(source, *live, std::move(rows), parts));
  if (points.size() == answers.size()) co_return points;
  std::vector<Point> repeated;
  for (const size_t answer : answers) repeated.push_back(points[answer]);
  co_return repeated;
}

Task<Result<std::vector<Point>>> find_page(const QuerySource& source, const Filter* filter, const std::string& after,
                                           size_t limit, PointParts parts) {
  CO_ASSIGN_OR_RETURN(const RowSet allowed, co_await find_matching(source, filter));
  CO_ASSIGN_OR_RETURN(const LiveCollection* live, look_up(source));
  co_return co_await load_points(source, *live, live->memory.page(allowed, after, limit), parts);
}

}  // namespace nearfield
