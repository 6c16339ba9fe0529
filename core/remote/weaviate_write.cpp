#include <algorithm>
#include <set>
#include <span>

#include "core/collection/point_check.h"
#include "core/remote/batch_check.h"
#include "core/remote/excerpt.h"
#include "core/remote/hits.h"
#include "core/remote/ids.h"
#include "core/remote/scaled.h"
#include "core/remote/weaviate_parts.h"

namespace nearfield {

class WeaviateStore::UpsertJob : public BatchJob {
 public:
  UpsertJob(const WeaviateStore& store, const std::vector<StorePoint>& points) : store_(store), points_(points) {}

  size_t count() const override { return points_.size(); }
  std::string_view id(size_t item) const override { return points_[item].id; }
  size_t bytes(size_t item) const override { return weaviate_object_bytes(points_[item], store_.options_); }
  HttpRequest request(size_t first, size_t last) const override {
    HttpRequest out;
    out.method = "POST";
    out.path = "/v1/batch/objects";
    out.retry = RetryClass::kIdempotentWrite;
    out.body = "{\"objects\":[";
    for (size_t i = first; i < last; ++i) {
      if (i > first) out.body += ',';
      append_weaviate_object(out.body, points_[i], store_.class_, store_.options_);
    }
    out.body += "]}";
    return out;
  }
  Status read(const HttpResponse& answer, size_t first, size_t last, BatchReport& report) const override {
    if (answer.status >= 300) return store_.refusal(answer);
    ASSIGN_OR_RETURN(const Json json, read_answer(store_.http_, answer));
    if (!json.is_array() || json.size() != last - first) {
      return store_.http_.protocol_error(answer, "not one result for each object");
    }
    for (size_t i = first; i < last; ++i) {
      const Json& object = json[i - first];
      const std::string* id = string_member(object, "id");
      const Json* result = json_member(object, "result");
      const std::string* status = result == nullptr ? nullptr : string_member(*result, "status");
      if (id == nullptr || *id != uuid_of_id(points_[i].id)) {
        return store_.http_.protocol_error(answer, "a result of another object");
      }
      if (status != nullptr && *status == "SUCCESS") {
        report.ok(i);
      } else if (status != nullptr && *status == "FAILED") {
        fail(*result, i, report);
      } else {
        return store_.http_.protocol_error(answer, "a result without a good `status`");
      }
    }
    return {};
  }

 private:
  void fail(const Json& result, size_t item, BatchReport& report) const {
    std::string words;
    const Json* list = json_at(result, {"errors", "error"});
    if (list != nullptr && list->is_array() && !list->empty()) {
      if (const std::string* message = string_member((*list)[0], "message")) words = *message;
    }
    if (const std::optional<Dimensions> told = told_dimensions(words)) {
      Error error = dimension_mismatch(Code::kDimensionMismatch, told->stored, told->given);
      report.failed(item, error.code, std::move(error.message));
    } else {
      report.failed(item, Code::kRemoteRejected,
                    store_.http_.server().name + " refused it: " + excerpt(words, store_.http_.server().key));
    }
  }

  const WeaviateStore& store_;
  const std::vector<StorePoint>& points_;
};

Status WeaviateStore::check_points(const std::vector<StorePoint>& points) const {
  RETURN_IF_ERROR(check_batch_size(points.size()));
  BatchIds ids(points.size());
  for (const StorePoint& point : points) {
    RETURN_IF_ERROR(check_strings(point.id, point.text, point.payload));
    if (!point.vector.empty()) {
      RETURN_IF_ERROR(check_vector(point.vector, dimension_ > 0 ? dimension_ : point.vector.size(),
                                   "vector of " + shown(point.id)));
      RETURN_IF_ERROR(check_length(point.vector, options_.metric, "vector of " + shown(point.id)));
    }
    if (!point.sparse.empty()) {
      return unsupported("sparse vector of " + shown(point.id) + ": Weaviate has none; it searches texts by BM25");
    }
    RETURN_IF_ERROR(ids.add(point.id, uuid_of_id(point.id)));
  }
  return {};
}

Task<Result<WriteReport>> WeaviateStore::upsert(std::vector<StorePoint> points) {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(check_points(points));
  if (points.empty()) co_return WriteReport();
  CO_ASSIGN_OR_RETURN(const Reply there, co_await described());
  CO_RETURN_IF_ERROR(compare(there));
  if (dimension_ == 0) {
    CO_ASSIGN_OR_RETURN(dimension_, co_await stored_dimension(there.json));
    if (dimension_ > 0) CO_RETURN_IF_ERROR(check_points(points));
  }
  const UpsertJob job(*this, points);
  co_return co_await write_batches(http_, job, options_.batches);
}

// How many there were; `all`: until there are none left, because a call removes only so many.
Task<Result<uint64_t>> WeaviateStore::remove_where(std::string where, RetryClass retry, bool all) {
  const std::string body =
      "{\"match\":{\"class\":\"" + class_ + "\",\"where\":" + where + "},\"output\":\"minimal\",\"dryRun\":false}";
  for (uint64_t removed = 0;;) {
    CO_ASSIGN_OR_RETURN(const Reply reply,
                        co_await call({.method = "DELETE", .path = "/v1/batch/objects", .body = body, .retry = retry}));
    const Json* results = json_member(reply.json, "results");
    const auto number = [&](std::string_view name) {
      return results == nullptr ? std::nullopt : unsigned_member(*results, name);
    };
    const std::optional<uint64_t> matches = number("matches"), limit = number("limit"), gone = number("successful"),
                                  failed = number("failed");
    if (!matches || !limit || !gone || !failed) co_return bad(reply, "no counts in `results`");
    removed += *gone;
    if (*failed > 0) {
      co_return Error{Code::kRemoteRejected,
                      http_.server().name + " removed " + std::to_string(removed) + " points, and could not remove " +
                          std::to_string(*failed),
                      std::to_string(*failed)};
    }
    if (*gone > *matches) co_return bad(reply, "more objects removed than matched");
    if (!all || *matches < *limit || *matches == 0) co_return removed;
    // Or it would never end.
    if (*gone == 0) co_return bad(reply, "objects that match, and none removed");
  }
}

Task<Result<uint64_t>> WeaviateStore::remove(std::vector<std::string> ids) {
  CO_RETURN_IF_ERROR(open());
  for (const std::string& id : ids) CO_RETURN_IF_ERROR(check_id(id));
  uint64_t removed = 0;
  for (size_t first = 0; first < ids.size(); first += kIdsAtOnce) {
    const std::span<const std::string> some = std::span(ids).subspan(first, std::min(kIdsAtOnce, ids.size() - first));
    const std::set<std::string> wanted(some.begin(), some.end());
    std::set<std::string> uuids;
    for (const std::string& id : wanted) uuids.insert(uuid_of_id(id));
    CO_ASSIGN_OR_RETURN(const std::vector<WeaviateRecord> there,
                        co_await records({uuids.begin(), uuids.end()}, kNoParts));
    std::string list;
    size_t count = 0;
    for (const WeaviateRecord& record : there) {
      // Not what another id has there.
      if (wanted.count(record.point.id) == 0) continue;
      list += list.empty() ? "\"" : ",\"";
      list += record.uuid + '"';
      ++count;
    }
    if (count == 0) continue;
    CO_RETURN_IF_ERROR(
        co_await remove_where(R"({"path":["id"],"operator":"ContainsAny","valueTextArray":[)" + list + "]}",
                              RetryClass::kIdempotentWrite, /*all=*/false));
    removed += count;
  }
  co_return removed;
}

Task<Result<uint64_t>> WeaviateStore::remove_matching(Filter filter) {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const WeaviateFilter compiled, co_await compile(&filter));
  if (compiled.condition.kind == WeaviateCondition::Kind::kAll) {
    CO_ASSIGN_OR_RETURN(const uint64_t count, co_await count_matching({}));
    CO_RETURN_IF_ERROR(co_await clear());
    co_return count;
  }
  co_return co_await remove_where(compiled.condition.rest(), RetryClass::kUnsafe, /*all=*/true);
}

Task<Status> WeaviateStore::clear() {
  CO_RETURN_IF_ERROR(open());
  if (options_.payload_index) {
    CO_RETURN_IF_ERROR(co_await remove_where(WeaviateCondition().rest(), RetryClass::kUnsafe, /*all=*/true));
    co_return Status();
  }
  // No property of it can be asked for; so page by page.
  for (;;) {
    CO_ASSIGN_OR_RETURN(const StorePage page, co_await scroll(std::nullopt, "", kIdsAtOnce, kNoParts));
    if (page.points.empty()) co_return Status();
    std::vector<std::string> ids;
    for (const StorePoint& point : page.points) ids.push_back(point.id);
    CO_RETURN_IF_ERROR(co_await remove(std::move(ids)));
  }
}

}  // namespace nearfield
