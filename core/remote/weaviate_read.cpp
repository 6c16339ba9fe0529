#include <algorithm>
#include <set>

#include "core/collection/point_check.h"
#include "core/filter/payload_filter.h"
#include "core/remote/hits.h"
#include "core/remote/ids.h"
#include "core/remote/query_check.h"
#include "core/remote/weaviate_parts.h"

namespace nearfield {

Task<Result<uint64_t>> WeaviateStore::count_matching(const WeaviateCondition& where) {
  const bool everything = where.kind == WeaviateCondition::Kind::kAll;
  std::vector<std::string> query = {"{Aggregate{" + class_ + (everything ? "" : "(where:" + where.graphql() + ')') +
                                    "{meta{count}}}}"};
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await ask(std::move(query)));
  CO_ASSIGN_OR_RETURN(const Json* list, found(reply, reply.json, "Aggregate"));
  const Json* count = list->size() == 1 ? json_at((*list)[0], {"meta", "count"}) : nullptr;
  if (count == nullptr || !count->is_number_unsigned()) co_return bad(reply, "no `count`");
  co_return count->get<uint64_t>();
}

Task<Result<uint64_t>> WeaviateStore::count(std::optional<Filter> filter) {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const WeaviateFilter compiled, co_await compile(filter ? &*filter : nullptr));
  co_return co_await count_matching(compiled.condition);
}

// The objects at these UUIDs that are there, in any order. Each stands once.
Task<Result<std::vector<WeaviateRecord>>> WeaviateStore::records(std::vector<std::string> uuids, StoreParts parts) {
  size_t at_once = points_at_once(parts, dimension_);
  std::vector<WeaviateRecord> out;
  for (size_t first = 0; first < uuids.size();) {
    const size_t last = std::min(first + at_once, uuids.size());
    std::set<std::string_view> asked;
    std::string query = "{Get{" + class_ + "(where:{path:[\"id\"],operator:ContainsAny,valueText:[";
    for (size_t i = first; i < last; ++i) {
      if (i > first) query += ',';
      query += '"' + uuids[i] + '"';
      asked.insert(uuids[i]);
    }
    query += "]},limit:" + std::to_string(last - first) + ')' + weaviate_selection(options_, parts, "") + "}}";
    std::vector<std::string> queries;
    queries.push_back(std::move(query));
    Result<Reply> answered = co_await ask(std::move(queries));
    if (!answered.ok()) {
      if (ask_fewer(answered.code(), last - first, at_once)) continue;
      co_return std::move(answered).failure();
    }
    CO_ASSIGN_OR_RETURN(const Json* list, found(*answered, answered->json, "Get"));
    for (const Json& object : *list) {
      Result<WeaviateRecord> read = read_weaviate_object(object, options_, parts, dimension_);
      if (!read.ok()) co_return bad(*answered, read.error().message);
      if (asked.erase(read->uuid) == 0) co_return bad(*answered, "an object twice, or one that was not asked for");
      out.push_back(std::move(read).value());
    }
    first = last;
  }
  co_return std::move(out);
}

Task<Result<std::vector<StorePoint>>> WeaviateStore::get(std::vector<std::string> ids, StoreParts parts) {
  CO_RETURN_IF_ERROR(open());
  for (const std::string& id : ids) CO_RETURN_IF_ERROR(check_id(id));
  if (ids.empty()) co_return std::vector<StorePoint>();
  if (parts.vector) CO_RETURN_IF_ERROR(co_await learn_dimension());
  std::set<std::string> uuids;
  for (const std::string& id : ids) uuids.insert(uuid_of_id(id));
  CO_ASSIGN_OR_RETURN(std::vector<WeaviateRecord> there, co_await records({uuids.begin(), uuids.end()}, parts));
  std::vector<StorePoint> points;
  for (WeaviateRecord& record : there) points.push_back(std::move(record.point));
  co_return in_order_of(ids, points);
}

Task<Result<StorePage>> WeaviateStore::scroll(std::optional<Filter> filter, std::string from, size_t limit,
                                              StoreParts parts) {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(check_page(limit));
  if (!from.empty() && !is_uuid(from)) {
    co_return no_such_page(from);
  }
  if (parts.vector) CO_RETURN_IF_ERROR(co_await learn_dimension());
  StoreParts asked = parts;
  asked.payload = asked.payload || filter.has_value();
  std::optional<PayloadFilter> passes;
  if (filter.has_value()) passes.emplace(*filter);
  size_t at_once = points_at_once(parts, dimension_);
  StorePage page;
  for (;;) {
    // One more tells whether these are the last.
    const size_t count = filter.has_value() ? at_once : std::min(at_once, limit - page.points.size() + 1);
    std::vector<std::string> query = {"{Get{" + class_ + "(limit:" + std::to_string(count) + ",after:\"" + from +
                                      "\")" + weaviate_selection(options_, asked, "") + "}}"};
    Result<Reply> answered = co_await ask(std::move(query));
    if (!answered.ok()) {
      if (ask_fewer(answered.code(), count, at_once)) continue;
      co_return std::move(answered).failure();
    }
    CO_ASSIGN_OR_RETURN(const Json* list, found(*answered, answered->json, "Get"));
    if (list->size() > count) co_return bad(*answered, "more objects than were asked for");
    for (const Json& object : *list) {
      Result<WeaviateRecord> read = read_weaviate_object(object, options_, asked, dimension_);
      if (!read.ok()) co_return bad(*answered, read.error().message);
      // Or it would never end.
      if (read->uuid <= from) co_return bad(*answered, "objects that do not ascend");
      if (!passes.has_value() || passes->matches(read->point.payload)) {
        if (page.points.size() == limit) {
          page.next = from;
          co_return std::move(page);
        }
        if (!parts.payload) read->point.payload.clear();
        page.points.push_back(std::move(read->point));
      }
      from = read->uuid;
    }
    if (list->size() < count) co_return std::move(page);
  }
}

}  // namespace nearfield
