#include <algorithm>
#include <cmath>

#include "core/collection/point_check.h"
#include "core/remote/batch_check.h"
#include "core/remote/hits.h"
#include "core/remote/qdrant_parts.h"
#include "core/remote/scaled.h"

namespace nearfield {

class QdrantStore::UpsertJob : public BatchJob {
 public:
  UpsertJob(const QdrantStore& store, const std::vector<StorePoint>& points) : store_(store), points_(points) {}

  size_t count() const override { return points_.size(); }
  std::string_view id(size_t item) const override { return points_[item].id; }
  size_t bytes(size_t item) const override { return qdrant_point_bytes(points_[item]); }
  HttpRequest request(size_t first, size_t last) const override {
    HttpRequest out;
    out.method = "PUT";
    out.path = store_.path("/points?wait=true");
    out.retry = RetryClass::kIdempotentWrite;
    size_t expected = 20;
    for (size_t i = first; i < last; ++i) expected += bytes(i);
    out.body.reserve(expected);
    out.body = "{\"points\":[";
    for (size_t i = first; i < last; ++i) {
      if (i > first) out.body += ',';
      append_qdrant_point(out.body, points_[i], store_.options_.layout, store_.analyzer_.get());
    }
    out.body += "]}";
    return out;
  }
  Status read(const HttpResponse& answer, size_t first, size_t last, BatchReport& report) const override {
    if (answer.status >= 300) return store_.refusal(answer);
    ASSIGN_OR_RETURN(const Json json, read_answer(store_.http_, answer));
    const Json* result = json_member(json, "result");
    if (result != nullptr && is_completed(*result)) return {};
    if (result == nullptr || !is_pending(*result)) {
      return store_.http_.protocol_error(answer, "no completed `result`");
    }
    for (size_t i = first; i < last; ++i) report.unknown(i);
    return {};
  }
  bool too_large(const HttpResponse& refusal) const override { return is_too_large(refusal); }

 private:
  const QdrantStore& store_;
  const std::vector<StorePoint>& points_;
};

Status QdrantStore::check_sparse(const SparseVector& vector, std::string_view what) const {
  const QdrantLayout& layout = options_.layout;
  if (vector.empty() && vector.values.empty()) return {};
  if (layout.sparse_vector.empty()) {
    return unsupported(std::string(what) + ": the collection was configured without sparse vectors");
  }
  if (vector.indices.size() != vector.values.size()) {
    return invalid(std::string(what) + " has " + std::to_string(vector.indices.size()) + " indices and " +
                       std::to_string(vector.values.size()) + " values",
                   std::to_string(vector.values.size()));
  }
  for (size_t i = 0; i < vector.indices.size(); ++i) {
    const uint32_t index = vector.indices[i];
    if (index >= layout.sparse_dimension) {
      return invalid(std::string(what) + " has an index of " + std::to_string(index) + "; sparse_dimension is " +
                         std::to_string(layout.sparse_dimension),
                     std::to_string(index));
    }
    if (i > 0 && vector.indices[i - 1] >= index) {
      return invalid(std::string(what) + ": its indices do not ascend at " + std::to_string(index),
                     std::to_string(index));
    }
    if (!std::isfinite(vector.values[i])) {
      return invalid(std::string(what) + ": value " + std::to_string(i) + " is not finite",
                     shown(static_cast<double>(vector.values[i])));
    }
  }
  return {};
}

Status QdrantStore::check_points(std::span<const StorePoint> points) const {
  RETURN_IF_ERROR(check_batch_size(points.size()));
  BatchIds ids(points.size());
  for (const StorePoint& point : points) {
    RETURN_IF_ERROR(check_strings(point.id, point.text, point.payload));
    const auto check_vectors = [&](const std::string& whose) -> Status {
      if (!point.vector.empty()) {
        const size_t dimension = options_.layout.dimension > 0 ? options_.layout.dimension : point.vector.size();
        RETURN_IF_ERROR(check_vector(point.vector, dimension, whose));
        RETURN_IF_ERROR(check_length(point.vector, options_.layout.metric, whose));
      }
      return check_sparse(point.sparse, whose);
    };
    // Words are for those that are wrong.
    if (!check_vectors("").ok()) return check_vectors("vector of " + shown(point.id));
    RETURN_IF_ERROR(ids.add(point.id, qdrant_key(point.id)));
  }
  return {};
}

Task<Result<WriteReport>> QdrantStore::upsert(std::vector<StorePoint> points) {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(check_points(points));
  if (points.empty()) co_return WriteReport();
  const UpsertJob job(*this, points);
  co_return co_await write_batches(http_, job, options_.batches);
}

// `selector`: "\"points\":[..]" or "\"filter\":{..}".
Task<Status> QdrantStore::remove_by(std::string selector, RetryClass retry) {
  CO_ASSIGN_OR_RETURN(const Reply reply,
                      co_await post("/points/delete?wait=true", '{' + std::move(selector) + '}', retry));
  if (is_completed(reply.json)) co_return Status();
  if (!is_pending(reply.json)) co_return bad(reply, "no completed `result`");
  co_return Error{Code::kTimeout, "the server has taken the deletion, and has yet to carry it out", ""};
}

Task<Result<uint64_t>> QdrantStore::remove(std::vector<std::string> ids) {
  CO_RETURN_IF_ERROR(open());
  for (const std::string& id : ids) CO_RETURN_IF_ERROR(check_id(id));
  uint64_t removed = 0;
  for (size_t first = 0; first < ids.size(); first += kIdsAtOnce) {
    const std::span<const std::string> some = std::span(ids).subspan(first, std::min(kIdsAtOnce, ids.size() - first));
    std::set<std::string> wanted(some.begin(), some.end());
    std::set<std::string> keys;
    for (const std::string& id : wanted) keys.insert(qdrant_key(id));
    CO_ASSIGN_OR_RETURN(
        const std::vector<QdrantRecord> found,
        co_await records({keys.begin(), keys.end()}, qdrant_selection(options_.layout, kNoParts), kNoParts));
    std::string selector;
    for (const QdrantRecord& record : found) {
      // Not what another id has there.
      if (wanted.count(record.point.id) == 0) continue;
      selector += selector.empty() ? "\"points\":[" : ",";
      selector += record.key;
      ++removed;
    }
    if (!selector.empty()) CO_RETURN_IF_ERROR(co_await remove_by(selector + ']', RetryClass::kIdempotentWrite));
  }
  co_return removed;
}

Task<Result<uint64_t>> QdrantStore::remove_matching(Filter filter) {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const QdrantFilter compiled, co_await compile(&filter));
  CO_ASSIGN_OR_RETURN(const uint64_t count, co_await count_matching(compiled));
  if (count == 0) co_return count;
  if (compiled.everything) {
    CO_RETURN_IF_ERROR(co_await clear());
  } else {
    CO_RETURN_IF_ERROR(co_await remove_by("\"filter\":" + compiled.text, RetryClass::kUnsafe));
  }
  co_return count;
}

Task<Status> QdrantStore::clear() {
  CO_RETURN_IF_ERROR(open());
  co_return co_await remove_by("\"filter\":{}", RetryClass::kUnsafe);
}

}  // namespace nearfield
