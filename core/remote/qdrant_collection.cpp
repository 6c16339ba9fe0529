#include <algorithm>

#include "core/remote/json_text.h"
#include "core/remote/qdrant_parts.h"

namespace nearfield {

namespace {

constexpr std::string_view kIdKey = "_nearfield.id";
constexpr std::string_view kEmptyKey = "_nearfield.empty";

std::string_view distance_name(Metric metric) {
  switch (metric) {
    case Metric::kCosine: return "Cosine";
    case Metric::kDot: return "Dot";
    case Metric::kEuclidean: return "Euclid";
    case Metric::kManhattan: return "Manhattan";
  }
  return "";
}

}  // namespace

std::string QdrantStore::create_body() const {
  const QdrantLayout& layout = options_.layout;
  std::string vector = "{\"size\":" + std::to_string(layout.dimension) + ",\"distance\":\"";
  vector += distance_name(layout.metric);
  vector += options_.vectors_on_disk ? "\",\"on_disk\":true}" : "\"}";
  std::string out = "{\"vectors\":";
  if (layout.vector.empty()) {
    out += vector;
  } else {
    out += '{';
    append_json_string(out, layout.vector);
    out += ':' + vector + '}';
  }
  std::string sparse;
  const auto add_sparse = [&](const std::string& name, bool idf) {
    if (name.empty()) return;
    if (!sparse.empty()) sparse += ',';
    append_json_string(sparse, name);
    sparse += ":{";
    if (options_.sparse_float16) sparse += "\"index\":{\"datatype\":\"float16\"}";
    if (idf) sparse += sparse.back() == '{' ? "\"modifier\":\"idf\"" : ",\"modifier\":\"idf\"";
    sparse += '}';
  };
  add_sparse(layout.sparse_vector, false);
  add_sparse(layout.text_vector, true);
  if (!sparse.empty()) out += ",\"sparse_vectors\":{" + sparse + '}';
  std::string hnsw;
  if (options_.m > 0) hnsw += "\"m\":" + std::to_string(options_.m);
  if (options_.ef_construct > 0) {
    if (!hnsw.empty()) hnsw += ',';
    hnsw += "\"ef_construct\":" + std::to_string(options_.ef_construct);
  }
  if (!hnsw.empty()) out += ",\"hnsw_config\":{" + hnsw + '}';
  if (options_.indexing_threshold) {
    out += ",\"optimizers_config\":{\"indexing_threshold\":" + std::to_string(*options_.indexing_threshold) + '}';
  }
  out += options_.payload_on_disk ? ",\"on_disk_payload\":true}" : ",\"on_disk_payload\":false}";
  return out;
}

Task<Result<EnsureReport>> QdrantStore::ensure() {
  CO_RETURN_IF_ERROR(open());
  EnsureReport report;
  Result<Reply> described = co_await fetch("");
  if (!described.ok() && described.code() == Code::kNotFound) {
    if (options_.layout.dimension == 0) {
      co_return Error{Code::kInvalidConfig,
                      "collection " + shown(options_.collection) +
                          " is not there, and to make it the number of components has to be given (vector_size)",
                      "0"};
    }
    Result<Reply> made =
        co_await call({.method = "PUT", .path = path(""), .body = create_body(), .retry = RetryClass::kCreate});
    if (made.ok()) {
      if (made->json != true) co_return bad(*made, "no true `result`");
      report.created = true;
    } else if (made.code() != Code::kConflict) {
      co_return std::move(made).failure();
    } else {  // somebody was faster, or it was an attempt of ours whose answer was lost
      described = co_await fetch("");
    }
  }
  if (!report.created) {
    if (!described.ok()) co_return std::move(described).failure();
    CO_ASSIGN_OR_RETURN(report, compare(*described));
  }
  if (options_.payload_index) {
    std::vector<QdrantFilter::Field> fields = options_.indexed;
    fields.push_back({std::string(kIdKey), "keyword"});
    fields.push_back({std::string(kEmptyKey), "keyword"});
    CO_RETURN_IF_ERROR(co_await make_indexes(std::move(fields)));
  }
  co_return std::move(report);
}

Result<EnsureReport> QdrantStore::compare(const Reply& described) const {
  const QdrantLayout& layout = options_.layout;
  const Json* config = json_member(described.json, "config");
  const Json* params = config == nullptr ? nullptr : json_member(*config, "params");
  const Json* vectors = params == nullptr ? nullptr : json_member(*params, "vectors");
  if (vectors == nullptr) return bad(described, "no `config.params.vectors`");
  const auto mismatch = [&](std::string_view what) { return schema_mismatch(options_.collection, what); };
  const bool unnamed = json_member(*vectors, "size") != nullptr;
  const Json* vector =
      unnamed == layout.vector.empty() ? (unnamed ? vectors : json_member(*vectors, layout.vector)) : nullptr;
  if (vector == nullptr) {
    return mismatch(layout.vector.empty() ? "has vectors with names, and none without"
                                          : "has no vector named " + shown(layout.vector));
  }
  const std::optional<uint64_t> size = unsigned_member(*vector, "size");
  const std::string* distance = string_member(*vector, "distance");
  if (!size || distance == nullptr) {
    return bad(described, "a vector without `size` and `distance`");
  }
  if (layout.dimension > 0 && *size != layout.dimension) {
    return dimension_mismatch(Code::kSchemaMismatch, layout.dimension, *size);
  }
  if (*distance != distance_name(layout.metric)) {
    return mismatch("compares by " + *distance + ", not by " + std::string(distance_name(layout.metric)));
  }
  if (const Json* multi = json_member(*vector, "multivector_config"); multi != nullptr && !multi->is_null()) {
    return mismatch("has several vectors in each point");
  }

  EnsureReport report;
  const auto compare_one = [&](std::string name, std::string asked, const Json* found) {
    std::string told = text_of(found);
    if (told != asked) report.differences.push_back({std::move(name), std::move(asked), std::move(told)});
  };
  const Json* sparse = json_member(*params, "sparse_vectors");
  for (const std::string& name : {layout.sparse_vector, layout.text_vector}) {
    if (name.empty()) continue;
    const Json* found = sparse == nullptr ? nullptr : json_member(*sparse, name);
    if (found == nullptr) return mismatch("has no sparse vector named " + shown(name));
    const std::string* modifier = string_member(*found, "modifier");
    const bool idf = modifier != nullptr && *modifier == "idf";
    if (idf != (name == layout.text_vector)) {
      return mismatch("has the sparse vector " + shown(name) + (idf ? " with idf" : " without idf"));
    }
    const Json* type = json_at(*found, {"index", "datatype"});
    const bool half = type != nullptr && *type == "float16";
    if (half != options_.sparse_float16) {
      report.differences.push_back(
          {name + ".datatype", options_.sparse_float16 ? "float16" : "float32", text_of(type)});
    }
  }
  const Json* datatype = json_member(*vector, "datatype");
  if (datatype != nullptr && !datatype->is_null()) compare_one("datatype", "float32", datatype);
  const auto compare_flag = [&](std::string name, bool asked, bool found) {
    if (asked == found) return;
    report.differences.push_back({std::move(name), asked ? "true" : "false", found ? "true" : "false"});
  };
  compare_flag("on_disk", options_.vectors_on_disk, is_true(json_member(*vector, "on_disk")));
  compare_flag("on_disk_payload", options_.payload_on_disk, is_true(json_member(*params, "on_disk_payload")));
  // A vector's own settings stand before those of the collection.
  const auto hnsw = [&](std::string_view name) {
    const Json* own = json_at(*vector, {"hnsw_config", name});
    return own != nullptr && !own->is_null() ? own : json_at(*config, {"hnsw_config", name});
  };
  if (options_.m > 0) compare_one("m", std::to_string(options_.m), hnsw("m"));
  if (options_.ef_construct > 0) {
    compare_one("ef_construct", std::to_string(options_.ef_construct), hnsw("ef_construct"));
  }
  if (options_.indexing_threshold) {
    compare_one("indexing_threshold", std::to_string(*options_.indexing_threshold),
                json_at(*config, {"optimizer_config", "indexing_threshold"}));
  }
  return report;
}

// Those that are not there yet. One that is there may be of another type: it is left as it is.
Task<Status> QdrantStore::make_indexes(std::vector<QdrantFilter::Field> fields) {
  std::erase_if(fields, [&](const QdrantFilter::Field& field) { return indexed_.count(field.key) > 0; });
  if (fields.empty()) co_return Status();
  {
    CO_ASSIGN_OR_RETURN(const Reply described, co_await fetch(""));
    if (const Json* schema = json_member(described.json, "payload_schema"); schema != nullptr) {
      if (!schema->is_object()) co_return bad(described, "a `payload_schema` that is no object");
      for (const auto& [key, value] : schema->items()) indexed_.insert(key);
    }
  }
  for (const QdrantFilter::Field& field : fields) {
    if (indexed_.count(field.key) > 0) continue;
    std::string body = "{\"field_name\":";
    append_json_string(body, field.key);
    body += ",\"field_schema\":\"" + field.type + "\"}";
    CO_ASSIGN_OR_RETURN(const Reply made, co_await call({.method = "PUT",
                                                         .path = path("/index?wait=true"),
                                                         .body = std::move(body),
                                                         .retry = RetryClass::kIdempotentWrite}));
    if (!is_completed(made.json) && !is_pending(made.json)) co_return bad(made, "no completed `result`");
    indexed_.insert(field.key);
  }
  co_return Status();
}

// How long vectors are, where it was not configured.
Task<Status> QdrantStore::learn_dimension() {
  QdrantLayout& layout = options_.layout;
  if (layout.dimension > 0) co_return Status();
  CO_ASSIGN_OR_RETURN(const Reply described, co_await fetch(""));
  CO_RETURN_IF_ERROR(compare(described));
  const Json& vectors = *json_at(described.json, {"config", "params", "vectors"});
  const Json& vector = layout.vector.empty() ? vectors : *json_member(vectors, layout.vector);
  layout.dimension = static_cast<size_t>(*unsigned_member(vector, "size"));
  co_return Status();
}

}  // namespace nearfield
