#include <algorithm>
#include <set>

#include "core/collection/point_check.h"
#include "core/remote/hits.h"
#include "core/remote/ids.h"
#include "core/remote/qdrant_parts.h"
#include "core/remote/query_check.h"

namespace nearfield {

Task<Result<uint64_t>> QdrantStore::count_matching(const QdrantFilter& filter) {
  std::string body = filter.everything ? "{" : "{\"filter\":" + filter.text + ',';
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await post("/points/count", std::move(body) + "\"exact\":true}"));
  const std::optional<uint64_t> count = unsigned_member(reply.json, "count");
  if (!count) co_return bad(reply, "no `count`");
  co_return *count;
}

Task<Result<uint64_t>> QdrantStore::count(std::optional<Filter> filter) {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const QdrantFilter compiled, co_await compile(filter ? &*filter : nullptr));
  co_return co_await count_matching(compiled);
}

// The points at these keys that are there, in any order. Each key stands once.
Task<Result<std::vector<QdrantRecord>>> QdrantStore::records(std::vector<std::string> keys, std::string selection,
                                                             StoreParts parts) {
  size_t at_once = points_at_once(parts, options_.layout.dimension);
  std::vector<QdrantRecord> out;
  for (size_t first = 0; first < keys.size();) {
    const size_t last = std::min(first + at_once, keys.size());
    std::set<std::string_view> asked;
    std::string body = "{\"ids\":[";
    for (size_t i = first; i < last; ++i) {
      if (i > first) body += ',';
      body += keys[i];
      asked.insert(keys[i]);
    }
    body += "]," + selection + '}';
    Result<Reply> answered = co_await post("/points", std::move(body));
    if (!answered.ok()) {
      if (ask_fewer(answered.code(), last - first, at_once)) continue;
      co_return std::move(answered).failure();
    }
    const Reply& reply = *answered;
    if (!reply.json.is_array()) co_return bad(reply, "a `result` that is no array");
    for (const Json& record : reply.json) {
      Result<QdrantRecord> read = read_qdrant_point(record, options_.layout, parts);
      if (!read.ok()) co_return bad(reply, read.error().message);
      if (asked.erase(read->key) == 0) co_return bad(reply, "a point twice, or one that was not asked for");
      out.push_back(std::move(read).value());
    }
    first = last;
  }
  co_return std::move(out);
}

Task<Result<std::vector<StorePoint>>> QdrantStore::get(std::vector<std::string> ids, StoreParts parts) {
  CO_RETURN_IF_ERROR(open());
  for (const std::string& id : ids) CO_RETURN_IF_ERROR(check_id(id));
  if (ids.empty()) co_return std::vector<StorePoint>();
  if (parts.vector) CO_RETURN_IF_ERROR(co_await learn_dimension());
  std::set<std::string> keys;
  for (const std::string& id : ids) keys.insert(qdrant_key(id));
  CO_ASSIGN_OR_RETURN(std::vector<QdrantRecord> found,
                      co_await records({keys.begin(), keys.end()}, qdrant_selection(options_.layout, parts), parts));
  std::vector<StorePoint> points;
  for (QdrantRecord& record : found) points.push_back(std::move(record.point));
  co_return in_order_of(ids, points);
}

namespace {

// In the server's order of keys: numbers, then UUIDs in quotes.
bool comes_before(std::string_view a, std::string_view b) {
  if (a.starts_with('"') != b.starts_with('"')) return b.starts_with('"');
  if (!a.starts_with('"') && a.size() != b.size()) return a.size() < b.size();
  return a < b;
}

}  // namespace

Task<Result<StorePage>> QdrantStore::scroll(std::optional<Filter> filter, std::string from, size_t limit,
                                            StoreParts parts) {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(check_page(limit));
  if (!from.empty() && !parse_u64(from) && !is_uuid(from)) {
    co_return no_such_page(from);
  }
  CO_ASSIGN_OR_RETURN(const QdrantFilter compiled, co_await compile(filter ? &*filter : nullptr));
  if (parts.vector) {
    CO_RETURN_IF_ERROR(co_await learn_dimension());
    limit = std::min(limit, std::max<size_t>(1, kAnswerBytes / point_bytes(parts, options_.layout.dimension)));
  }
  for (;;) {
    std::string body = "{\"limit\":" + std::to_string(limit);
    if (!from.empty()) body += ",\"offset\":" + qdrant_key(from);
    if (!compiled.everything) body += ",\"filter\":" + compiled.text;
    body += ',' + qdrant_selection(options_.layout, parts) + '}';
    Result<Reply> answered = co_await post("/points/scroll", std::move(body));
    if (!answered.ok()) {
      if (ask_fewer(answered.code(), limit, limit)) continue;
      co_return std::move(answered).failure();
    }
    const Reply& reply = *answered;
    const Json* points = json_member(reply.json, "points");
    if (points == nullptr || !points->is_array()) co_return bad(reply, "no `points`");
    if (points->size() > limit) co_return bad(reply, "more points than were asked for");
    StorePage page;
    std::set<std::string> keys;
    for (const Json& record : *points) {
      Result<QdrantRecord> read = read_qdrant_point(record, options_.layout, parts);
      if (!read.ok()) co_return bad(reply, read.error().message);
      if (!keys.insert(read->key).second) co_return bad(reply, "a point twice");
      page.points.push_back(std::move(read->point));
    }
    const Json* next = json_member(reply.json, "next_page_offset");
    if (next != nullptr && !next->is_null()) {
      const std::optional<std::string> key = read_qdrant_key(*next);
      if (!key) co_return bad(reply, "a `next_page_offset` that is neither a number nor a UUID");
      // Or it would never end. A page without points, whose points were deleted meanwhile, may have a next one.
      if (keys.count(*key) > 0 || (!from.empty() && !comes_before(qdrant_key(from), *key))) {
        co_return bad(reply, "a `next_page_offset` that leads nowhere");
      }
      page.next = next->is_string() ? next->get_ref<const std::string&>() : *key;
    }
    co_return std::move(page);
  }
}

}  // namespace nearfield
