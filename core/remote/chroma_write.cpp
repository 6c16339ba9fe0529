#include <algorithm>
#include <iterator>
#include <set>
#include <unordered_map>

#include "core/collection/point_check.h"
#include "core/remote/batch_check.h"
#include "core/remote/chroma_parts.h"
#include "core/remote/hits.h"
#include "core/remote/scaled.h"

namespace nearfield {

class ChromaStore::UpsertJob : public BatchJob {
 public:
  UpsertJob(const ChromaStore& store, const std::vector<StorePoint>& points,
            const std::vector<ChromaMetadata>& metadata, std::string uuid)
      : store_(store), points_(points), metadata_(metadata), uuid_(std::move(uuid)) {}

  size_t count() const override { return points_.size(); }
  std::string_view id(size_t item) const override { return points_[item].id; }
  size_t bytes(size_t item) const override {
    const StorePoint& point = points_[item];
    size_t bytes = 50 + 12 * point.vector.size() + point.id.size() + point.text.size();
    for (const auto& [key, value] : metadata_[item].entries) bytes += 4 + key.size() + value.size();
    return bytes;
  }
  HttpRequest request(size_t first, size_t last) const override {
    std::string ids, vectors, texts, metadata;
    for (size_t i = first; i < last; ++i) {
      for (std::string* list : {&ids, &vectors, &texts, &metadata}) *list += i == first ? '[' : ',';
      append_json_string(ids, points_[i].id);
      append_chroma_vector(vectors, points_[i].vector, store_.options_.metric);
      // One that is left out would keep the text of before.
      append_json_string(texts, points_[i].text);
      char before = '{';
      for (const auto& [key, value] : metadata_[i].entries) {
        metadata += before;
        append_json_string(metadata, key);
        metadata += ':';
        metadata += value;
        before = ',';
      }
      metadata += '}';
    }
    HttpRequest out;
    out.method = "POST";
    out.path = store_.path('/' + uuid_ + "/upsert");
    out.retry = RetryClass::kIdempotentWrite;
    out.body = "{\"ids\":" + ids + "],\"embeddings\":" + vectors + "],\"documents\":" + texts +
               "],\"metadatas\":" + metadata + "]}";
    return out;
  }
  Status read(const HttpResponse& answer, size_t first, size_t last, BatchReport& report) const override {
    static_cast<void>(first);
    static_cast<void>(last);
    static_cast<void>(report);
    if (answer.status >= 300) return store_.refusal(answer);
    ASSIGN_OR_RETURN(const Json json, read_good(store_.http_, answer));
    if (!json.is_object()) return store_.http_.protocol_error(answer, "no object");
    return {};
  }

 private:
  const ChromaStore& store_;
  const std::vector<StorePoint>& points_;
  const std::vector<ChromaMetadata>& metadata_;
  const std::string uuid_;  // the store may forget it meanwhile
};

Status ChromaStore::check_points(const std::vector<StorePoint>& points) const {
  RETURN_IF_ERROR(check_batch_size(points.size()));
  BatchIds ids(points.size());
  size_t dimension = options_.dimension;
  for (const StorePoint& point : points) {
    RETURN_IF_ERROR(check_strings(point.id, point.text, point.payload));
    RETURN_IF_ERROR(ids.add(point.id, point.id));
    if (!point.sparse.indices.empty() || !point.sparse.values.empty()) {
      return unsupported("sparse vector of " + shown(point.id) + ": a Chroma server of one node has none",
                         shown(point.id));
    }
    if (point.vector.empty()) {
      return unsupported("the point " + shown(point.id) + " has no vector, and Chroma takes none without",
                         shown(point.id));
    }
    if (dimension == 0) dimension = point.vector.size();
    RETURN_IF_ERROR(check_vector(point.vector, dimension, "vector of " + shown(point.id)));
    RETURN_IF_ERROR(check_length(point.vector, options_.metric, "vector of " + shown(point.id)));
  }
  return {};
}

// Adds a null for each key that a record has and the new one has not.
Task<Status> ChromaStore::erase_stale(const std::vector<StorePoint>& points, std::vector<ChromaMetadata>& metadata) {
  size_t at_once = std::min(kIdsAtOnce, max_batch_);
  for (size_t first = 0; first < points.size();) {
    const size_t last = std::min(first + at_once, points.size());
    std::unordered_map<std::string_view, size_t> places;
    std::string body = "{\"ids\":[";
    for (size_t i = first; i < last; ++i) {
      if (i > first) body += ',';
      append_json_string(body, points[i].id);
      places.emplace(points[i].id, i);
    }
    Result<Reply> answered = co_await post("/get", std::move(body) + "],\"include\":[\"metadatas\"]}");
    if (!answered.ok()) {
      if (ask_fewer(answered.code(), last - first, at_once)) continue;
      co_return std::move(answered).failure();
    }
    const Json* ids = json_member(answered->json, "ids");
    const Json* found = json_member(answered->json, "metadatas");
    if (ids == nullptr || !ids->is_array() || found == nullptr || !found->is_array() || found->size() != ids->size()) {
      co_return bad(*answered, "not as many metadata as ids");
    }
    for (size_t i = 0; i < ids->size(); ++i) {
      const Json& id = (*ids)[i];
      const auto place = id.is_string() ? places.find(id.get_ref<const std::string&>()) : places.end();
      if (place == places.end()) co_return bad(*answered, "a point twice, or one that was not asked for");
      const Json& old = (*found)[i];
      if (!old.is_null() && !old.is_object()) co_return bad(*answered, "metadata that are no object");
      if (old.is_object()) {
        for (const auto& [key, value] : old.items()) {
          if (is_chroma_key(key)) metadata[place->second].entries.emplace(key, "null");
        }
      }
      places.erase(place);
    }
    first = last;
  }
  co_return Status();
}

Task<Result<WriteReport>> ChromaStore::upsert(std::vector<StorePoint> points) {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(check_points(points));
  if (points.empty()) co_return WriteReport();
  CO_RETURN_IF_ERROR(co_await read_limits());
  std::vector<ChromaMetadata> metadata;
  metadata.reserve(points.size());
  for (const StorePoint& point : points) {
    CO_ASSIGN_OR_RETURN(ChromaMetadata one, ChromaMetadata::of(point, options_.metric, max_batch_));
    metadata.push_back(std::move(one));
  }
  BatchLimits limits = options_.batches;
  limits.max_items = std::min(limits.max_items, max_batch_);
  for (bool again = false;; again = true) {
    CO_RETURN_IF_ERROR(co_await erase_stale(points, metadata));
    CO_RETURN_IF_ERROR(co_await resolve());
    const std::string used = uuid_;
    const UpsertJob job(*this, points, metadata, used);
    Result<WriteReport> report = co_await write_batches(http_, job, limits);
    if (report.ok() || report.code() != Code::kNotFound || again) co_return std::move(report);
    if (uuid_ == used) forget();
  }
}

Task<Result<uint64_t>> ChromaStore::remove(std::vector<std::string> ids) {
  CO_RETURN_IF_ERROR(open());
  for (const std::string& id : ids) CO_RETURN_IF_ERROR(check_id(id));
  if (ids.empty()) co_return uint64_t{0};
  CO_RETURN_IF_ERROR(co_await read_limits());
  const std::set<std::string> wanted(std::make_move_iterator(ids.begin()), std::make_move_iterator(ids.end()));
  // The server counts what it is asked for, there or not.
  CO_ASSIGN_OR_RETURN(const std::vector<StorePoint> found, co_await records({wanted.begin(), wanted.end()}, kNoParts));
  std::vector<std::string> there;
  for (const StorePoint& point : found) there.push_back(point.id);
  const size_t at_once = std::min(kIdsAtOnce, max_batch_);
  for (size_t first = 0; first < there.size(); first += at_once) {
    const auto some = std::span(there).subspan(first, std::min(at_once, there.size() - first));
    CO_ASSIGN_OR_RETURN(const Reply reply,
                        co_await post("/delete", "{\"ids\":" + json_strings(some) + '}', RetryClass::kIdempotentWrite));
    if (!reply.json.is_object()) co_return bad(reply, "no object");
  }
  co_return uint64_t{there.size()};
}

Task<Result<uint64_t>> ChromaStore::remove_matching(Filter filter) {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const ChromaFilter compiled, co_await compile(&filter));
  if (compiled.everything) {
    CO_ASSIGN_OR_RETURN(const uint64_t count, co_await count_all());
    CO_RETURN_IF_ERROR(co_await clear());
    co_return count;
  }
  CO_ASSIGN_OR_RETURN(const std::vector<std::string> found, co_await all_matching(compiled, kMostCounted));
  if (found.empty()) co_return uint64_t{0};
  CO_RETURN_IF_ERROR(co_await read_limits());
  co_return co_await remove_where(compiled.where, found.size());
}

// A batch at a time, because a request that deletes all of a million takes longer than anybody waits. `most`: about how
// many there are. Servers before 1.5.5 delete all at once, and do not say how many.
Task<Result<uint64_t>> ChromaStore::remove_where(std::string where, uint64_t most) {
  const std::string body = "{\"where\":" + where + ",\"limit\":" + std::to_string(max_batch_) + '}';
  for (uint64_t removed = 0;;) {
    CO_ASSIGN_OR_RETURN(const Reply reply, co_await post("/delete", body, RetryClass::kUnsafe));
    if (!reply.json.is_object()) co_return bad(reply, "no object");
    const std::optional<uint64_t> deleted = unsigned_member(reply.json, "deleted");
    if (!deleted) co_return most;
    removed += *deleted;
    if (*deleted < max_batch_ || removed > most) co_return removed;
  }
}

Task<Status> ChromaStore::clear() {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(co_await read_limits());
  CO_ASSIGN_OR_RETURN(const uint64_t count, co_await count_all());
  const std::string everything = "{\"$or\":[" + of_ours(true) + ',' + of_ours(false) + "]}";
  CO_RETURN_IF_ERROR(co_await remove_where(everything, count));
  co_return Status();
}

}  // namespace nearfield
