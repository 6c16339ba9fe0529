#include "core/remote/qdrant_store.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "core/base/sort.h"
#include "core/base/utf8.h"
#include "core/collection/fusion.h"
#include "core/collection/point_check.h"
#include "core/remote/answer.h"
#include "core/remote/ids.h"
#include "core/remote/json_text.h"
#include "core/remote/score.h"

namespace nearfield {

namespace {

constexpr size_t kMaxPage = 10'000;
constexpr size_t kMinCandidates = 100;  // as a search of Collection
constexpr size_t kIdsAtOnce = 1'000;
// What an answer may have by our own doing, well below what HttpClient takes.
constexpr size_t kAnswerBytes = 16 << 20;
constexpr uint64_t kSnapshotDeadlineMs = 600'000;
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

ServerScale scale_of(Metric metric) {
  return metric == Metric::kCosine || metric == Metric::kDot ? ServerScale::kSimilarity : ServerScale::kDistance;
}

Error invalid(std::string message, std::string value) {
  return {Code::kInvalidArgument, std::move(message), std::move(value)};
}

Error invalid_option(std::string message, std::string_view value) {
  return {Code::kInvalidConfig, std::move(message), shown(value)};
}

// Of collections, and of vectors in them.
Status check_name(std::string_view what, std::string_view name, size_t most) {
  if (name.size() > most || !is_utf8(name)) {
    return invalid_option(std::string(what) + " has 1 to " + std::to_string(most) + " bytes of UTF-8", name);
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) >= 0x20 && std::string_view("<>:\"/\\|?*").find(c) == std::string_view::npos) {
      continue;
    }
    return invalid_option(std::string(what) + " has none of <>:\"/\\|?* and control characters", name);
  }
  return {};
}

Error dimension_mismatch(Code code, uint64_t expected, uint64_t got) {
  return {code, "Vector dimension mismatch: expected " + std::to_string(expected) + ", got " + std::to_string(got),
          std::to_string(got)};
}

// "Vector dimension error: expected dim: 4, got 3"
std::optional<Error> told_dimensions(std::string_view body) {
  const auto number_after = [&](std::string_view mark) -> std::optional<uint64_t> {
    size_t at = body.find(mark);
    if (at == std::string_view::npos) return std::nullopt;
    at += mark.size();
    return parse_u64(body.substr(at, std::min(body.find_first_not_of("0123456789", at), body.size()) - at));
  };
  if (body.find("Vector dimension error") == std::string_view::npos) return std::nullopt;
  const std::optional<uint64_t> expected = number_after("expected dim: "), got = number_after(", got ");
  if (!expected || !got) return std::nullopt;
  return dimension_mismatch(Code::kDimensionMismatch, *expected, *got);
}

bool is_too_large(const HttpResponse& refusal) {
  return refusal.status == 413 ||
         (refusal.status == 400 && refusal.body.find("is larger than allowed") != std::string::npos);
}

std::string text_of(const Json* json) {
  if (json == nullptr) return "(not told)";
  return json->is_string() ? json->get_ref<const std::string&>() : shown_json(*json);
}

std::string index_type_of(const Json& described) {
  const Json* type = json_member(described, "data_type");
  return type != nullptr && type->is_string() ? type->get_ref<const std::string&>() : "";
}

// {"operation_id":1,"status":"completed"}: nothing else means that it is done.
bool is_completed(const Json& result) {
  const Json* status = json_member(result, "status");
  return status != nullptr && status->is_string() && *status == "completed";
}
// Taken, and to be done later.
bool is_pending(const Json& result) {
  const Json* status = json_member(result, "status");
  return status != nullptr && (*status == "acknowledged" || *status == "wait_timeout");
}

bool comes_first(double score, std::string_view id, double other_score, std::string_view other_id) {
  return score != other_score ? score > other_score : id < other_id;
}

}  // namespace

// An answer with a good status, whose envelope was checked.
struct QdrantStore::Reply {
  HttpResponse response;  // its body is cut: what messages show of it
  Json json;

  const Json& result() const { return *json_member(json, "result"); }
};

// One query of a request.
struct QdrantStore::Leg {
  enum class Kind : uint8_t { kDense, kText, kSparse };
  Kind kind = Kind::kDense;
  size_t query = 0;    // of the call
  bool alone = false;  // its hits are the answer
  size_t limit = 0;
  std::string body;
  StoreParts parts;
};

// What a leg found, best first.
struct QdrantStore::Ranked {
  std::vector<StoreHit> hits;
};

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

Result<std::unique_ptr<QdrantStore>> QdrantStore::make(HttpClient& http, QdrantOptions options) {
  const QdrantLayout& layout = options.layout;
  if (options.collection.empty()) return invalid_option("the collection has no name", "");
  RETURN_IF_ERROR(check_name("the name of a collection", options.collection, 255));
  RETURN_IF_ERROR(check_name("the name of a vector", layout.vector, 200));
  RETURN_IF_ERROR(check_name("the name of a sparse vector", layout.sparse_vector, 200));
  RETURN_IF_ERROR(check_name("the name of the text's sparse vector", layout.text_vector, 200));
  if (!layout.text_vector.empty() && layout.text_vector == layout.sparse_vector) {
    return invalid_option("the text's sparse vector and the caller's own have one name", layout.text_vector);
  }
  if (!layout.vector.empty() && (layout.vector == layout.sparse_vector || layout.vector == layout.text_vector)) {
    return invalid_option("a sparse vector has the name of the dense one", layout.vector);
  }
  if (layout.text_field.empty() || layout.text_field == kQdrantReserved || !is_utf8(layout.text_field) ||
      layout.text_field.find_first_of("\"\\") != std::string::npos) {
    return invalid_option("the text's field is a name of UTF-8 without \" and \\, and not \"_nearfield\"",
                          layout.text_field);
  }
  if (layout.sparse_dimension == 0) return invalid_option("sparse_dimension is at least 1", "0");
  if (options.search_batch == 0) return invalid_option("search_batch is at least 1", "0");
  return std::unique_ptr<QdrantStore>(new QdrantStore(http, std::move(options)));
}

QdrantStore::QdrantStore(HttpClient& http, QdrantOptions options)
    : http_(http), options_(std::move(options)), configured_dimension_(options_.layout.dimension) {
  if (!options_.layout.text_vector.empty()) {
    analyzer_ = std::make_unique<Analyzer>(AnalyzerOptions{options_.stemming});
  }
}

QdrantStore::~QdrantStore() = default;

// Requests

std::string QdrantStore::path(std::string_view rest) const {
  return "/collections/" + percent_encoded(options_.collection) + std::string(rest);
}

Status QdrantStore::open() const {
  if (!closed_) return {};
  return Error{Code::kClosed, "the store of collection " + shown(options_.collection) + " was closed", ""};
}

// What a status that is not 2xx means.
Error QdrantStore::refusal(const HttpResponse& response) const {
  if (response.status == 404 && response.body.find("Not found: Collection") != std::string::npos) {
    return {Code::kNotFound, "Collection '" + options_.collection + "' not found", shown(options_.collection)};
  }
  if (std::optional<Error> dimensions = told_dimensions(response.body)) return *std::move(dimensions);
  Error error = http_.error_of(response);
  if (is_too_large(response)) error.code = Code::kLimitExceeded;
  return error;
}

Error QdrantStore::bad(const Reply& reply, std::string_view what) const {
  return http_.protocol_error(reply.response, what);
}

Task<Result<QdrantStore::Reply>> QdrantStore::call(HttpRequest request) {
  CO_ASSIGN_OR_RETURN(HttpResponse response, co_await http_.send(std::move(request)));
  if (response.status >= 300) co_return refusal(response);
  CO_ASSIGN_OR_RETURN(Json json, read_answer(http_, response));
  const Json* status = json_member(json, "status");
  if (status == nullptr || *status != "ok") co_return http_.protocol_error(response, "no good `status`");
  if (json_member(json, "result") == nullptr) co_return http_.protocol_error(response, "no `result`");
  constexpr size_t kKeptBytes = 2'000;  // more than a message shows
  if (response.body.size() > kKeptBytes) {
    response.body.resize(kKeptBytes);
    response.body.shrink_to_fit();
  }
  co_return Reply{std::move(response), std::move(json)};
}

Task<Result<QdrantStore::Reply>> QdrantStore::fetch(std::string_view rest) {
  return call({.method = "GET", .path = path(rest), .body = {}});
}

Task<Result<QdrantStore::Reply>> QdrantStore::post(std::string_view rest, std::string body, RetryClass retry) {
  return call({.method = "POST", .path = path(rest), .body = std::move(body), .retry = retry});
}

// The collection

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
    Result<Reply> made = co_await call(
        {.method = "PUT", .path = path(""), .body = create_body(), .retry = RetryClass::kIdempotentWrite});
    if (made.ok()) {
      if (made->result() != true) co_return bad(*made, "no true `result`");
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
  const Json* config = json_member(described.result(), "config");
  const Json* params = config == nullptr ? nullptr : json_member(*config, "params");
  const Json* vectors = params == nullptr ? nullptr : json_member(*params, "vectors");
  if (vectors == nullptr) return bad(described, "no `config.params.vectors`");
  const auto mismatch = [&](std::string what) {
    return Error{Code::kSchemaMismatch, "collection " + shown(options_.collection) + ' ' + std::move(what), ""};
  };
  const bool unnamed = json_member(*vectors, "size") != nullptr;
  const Json* vector =
      unnamed == layout.vector.empty() ? (unnamed ? vectors : json_member(*vectors, layout.vector)) : nullptr;
  if (vector == nullptr) {
    return mismatch(layout.vector.empty() ? "has vectors with names, and none without"
                                          : "has no vector named " + shown(layout.vector));
  }
  const Json* size = json_member(*vector, "size");
  const Json* distance = json_member(*vector, "distance");
  if (size == nullptr || !size->is_number_unsigned() || distance == nullptr || !distance->is_string()) {
    return bad(described, "a vector without `size` and `distance`");
  }
  if (layout.dimension > 0 && size->get<uint64_t>() != layout.dimension) {
    return dimension_mismatch(Code::kSchemaMismatch, layout.dimension, size->get<uint64_t>());
  }
  if (*distance != distance_name(layout.metric)) {
    return mismatch("compares by " + text_of(distance) + ", not by " + std::string(distance_name(layout.metric)));
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
    const Json* modifier = json_member(*found, "modifier");
    const bool idf = modifier != nullptr && *modifier == "idf";
    if (idf != (name == layout.text_vector)) {
      return mismatch("has the sparse vector " + shown(name) + (idf ? " with idf" : " without idf"));
    }
    const Json* index = json_member(*found, "index");
    const Json* type = index == nullptr ? nullptr : json_member(*index, "datatype");
    const bool half = type != nullptr && *type == "float16";
    if (half != options_.sparse_float16) {
      report.differences.push_back(
          {name + ".datatype", options_.sparse_float16 ? "float16" : "float32", text_of(type)});
    }
  }
  const Json* datatype = json_member(*vector, "datatype");
  if (datatype != nullptr && !datatype->is_null()) compare_one("datatype", "float32", datatype);
  const auto flag = [](const Json* found) { return found != nullptr && *found == true; };
  const auto compare_flag = [&](std::string name, bool asked, bool found) {
    if (asked == found) return;
    report.differences.push_back({std::move(name), asked ? "true" : "false", found ? "true" : "false"});
  };
  compare_flag("on_disk", options_.vectors_on_disk, flag(json_member(*vector, "on_disk")));
  compare_flag("on_disk_payload", options_.payload_on_disk, flag(json_member(*params, "on_disk_payload")));
  // A vector's own settings stand before those of the collection.
  const auto hnsw = [&](std::string_view name) {
    const Json* own = json_member(*vector, "hnsw_config");
    const Json* found = own == nullptr ? nullptr : json_member(*own, name);
    if (found != nullptr && !found->is_null()) return found;
    const Json* all = json_member(*config, "hnsw_config");
    return all == nullptr ? nullptr : json_member(*all, name);
  };
  if (options_.m > 0) compare_one("m", std::to_string(options_.m), hnsw("m"));
  if (options_.ef_construct > 0) {
    compare_one("ef_construct", std::to_string(options_.ef_construct), hnsw("ef_construct"));
  }
  if (options_.indexing_threshold) {
    const Json* optimizers = json_member(*config, "optimizer_config");
    compare_one("indexing_threshold", std::to_string(*options_.indexing_threshold),
                optimizers == nullptr ? nullptr : json_member(*optimizers, "indexing_threshold"));
  }
  return report;
}

// Those that are not there yet. One that is there may be of another type: it is left as it is.
Task<Status> QdrantStore::make_indexes(std::vector<QdrantFilter::Field> fields) {
  std::erase_if(fields, [&](const QdrantFilter::Field& field) { return indexed_.count(field.key) > 0; });
  if (fields.empty()) co_return Status();
  {
    CO_ASSIGN_OR_RETURN(const Reply described, co_await fetch(""));
    if (const Json* schema = json_member(described.result(), "payload_schema"); schema != nullptr) {
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
    if (!is_completed(made.result()) && !is_pending(made.result())) co_return bad(made, "no completed `result`");
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
  const Json& vectors = *json_member(*json_member(*json_member(described.result(), "config"), "params"), "vectors");
  const Json& vector = layout.vector.empty() ? vectors : *json_member(vectors, layout.vector);
  layout.dimension = json_member(vector, "size")->get<size_t>();
  co_return Status();
}

Task<Result<bool>> QdrantStore::drop() {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const Reply reply,
                      co_await call({.method = "DELETE", .path = path(""), .body = {}, .retry = RetryClass::kUnsafe}));
  if (!reply.result().is_boolean()) co_return bad(reply, "a `result` that is neither true nor false");
  // What comes under its name next may be another one.
  indexed_.clear();
  options_.layout.dimension = configured_dimension_;
  co_return reply.result().get<bool>();
}

Task<Result<StoreInfo>> QdrantStore::info() {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(co_await learn_dimension());
  StoreInfo out;
  out.backend = "qdrant";
  out.metric = options_.layout.metric;
  out.dimension = options_.layout.dimension;
  {
    CO_ASSIGN_OR_RETURN(const HttpResponse root, co_await http_.send({.method = "GET", .path = "/", .body = {}}));
    if (root.status >= 300) co_return refusal(root);
    CO_ASSIGN_OR_RETURN(const Json json, read_answer(http_, root));
    const Json* version = json_member(json, "version");
    if (version == nullptr || !version->is_string()) co_return http_.protocol_error(root, "no `version`");
    out.version = version->get_ref<const std::string&>();
  }
  CO_ASSIGN_OR_RETURN(const Reply described, co_await fetch(""));
  Json details = Json::object();
  for (const std::string_view name :
       {"status", "optimizer_status", "points_count", "indexed_vectors_count", "segments_count", "payload_schema"}) {
    if (const Json* value = json_member(described.result(), name)) details[std::string(name)] = *value;
  }
  out.details = write_json(details);
  QdrantFilter all;
  all.everything = true;
  CO_ASSIGN_OR_RETURN(out.count, co_await count_matching(all));
  co_return std::move(out);
}

Task<StoreHealth> QdrantStore::health() {
  StoreHealth out;
  if (const Status opened = open(); !opened.ok()) {
    out.message = opened.error().message;
    co_return out;
  }
  const Result<HttpResponse> ready = co_await http_.send({.method = "GET", .path = "/readyz", .body = {}});
  if (!ready.ok() || ready.value().status >= 300) {
    out.message = ready.ok() ? refusal(ready.value()).message : ready.error().message;
    co_return out;
  }
  // That one takes no key.
  const Result<Reply> exists = co_await fetch("/exists");
  out.ready = exists.ok();
  if (!exists.ok()) out.message = exists.error().message;
  co_return out;
}

Task<Status> QdrantStore::close() {
  closed_ = true;
  co_return Status();
}

// Filters

Task<Result<QdrantFilter>> QdrantStore::compile(const Filter* filter) {
  QdrantFilter out;
  if (filter == nullptr) {
    out.everything = true;
    co_return std::move(out);
  }
  CO_ASSIGN_OR_RETURN(out, compile_qdrant_filter(*filter, options_.layout.text_field));
  if (options_.payload_index) CO_RETURN_IF_ERROR(co_await make_indexes(out.fields));
  if (out.substrings.empty()) co_return std::move(out);
  CO_ASSIGN_OR_RETURN(const Reply described, co_await fetch(""));
  const Json* schema = json_member(described.result(), "payload_schema");
  if (schema == nullptr || !schema->is_object()) co_return bad(described, "no `payload_schema`");
  for (const auto& [key, value] : schema->items()) {
    if (index_type_of(value) != "text") continue;
    const std::vector<std::string> names = split_qdrant_path(key);
    for (const QdrantFilter::Substring& substring : out.substrings) {
      if (substring.path != names) continue;
      co_return Error{Code::kUnsupported,
                      substring.clause + ": Qdrant has a full-text index on this field, and compares words there", ""};
    }
  }
  co_return std::move(out);
}

// Writing

Status QdrantStore::check_sparse(const SparseVector& vector, std::string_view what) const {
  const QdrantLayout& layout = options_.layout;
  if (vector.empty() && vector.values.empty()) return {};
  if (layout.sparse_vector.empty()) {
    return Error{Code::kUnsupported, std::string(what) + ": the collection was configured without sparse vectors", ""};
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
  if (points.size() > kMaxBatchPoints) {
    return Error{Code::kLimitExceeded,
                 "a batch of " + std::to_string(points.size()) + " points; at most " + std::to_string(kMaxBatchPoints) +
                     " are allowed",
                 std::to_string(points.size())};
  }
  std::unordered_map<std::string, std::string_view> places;
  places.reserve(points.size());
  for (const StorePoint& point : points) {
    RETURN_IF_ERROR(check_strings(point.id, point.text, point.payload));
    if (!point.vector.empty()) {
      const size_t dimension = options_.layout.dimension > 0 ? options_.layout.dimension : point.vector.size();
      RETURN_IF_ERROR(check_vector(point.vector, dimension, "vector of " + shown(point.id)));
    }
    RETURN_IF_ERROR(check_sparse(point.sparse, "sparse vector of " + shown(point.id)));
    const auto [place, fresh] = places.emplace(qdrant_key(point.id), point.id);
    if (fresh) continue;
    if (place->second == point.id)
      return invalid("the id " + shown(point.id) + " stands twice in one batch", shown(point.id));
    return Error{Code::kConflict,
                 "the id " + shown(point.id) + " is the UUID that " + shown(place->second) + " is stored under",
                 shown(point.id)};
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
  if (is_completed(reply.result())) co_return Status();
  if (!is_pending(reply.result())) co_return bad(reply, "no completed `result`");
  co_return Error{Code::kTimeout, "the server has taken the deletion, and has yet to carry it out", ""};
}

Task<Result<uint64_t>> QdrantStore::remove(std::vector<std::string> ids) {
  CO_RETURN_IF_ERROR(open());
  for (const std::string& id : ids) CO_RETURN_IF_ERROR(check_id(id));
  const StoreParts none{.payload = false, .text = false, .vector = false};
  uint64_t removed = 0;
  for (size_t first = 0; first < ids.size(); first += kIdsAtOnce) {
    const std::span<const std::string> some = std::span(ids).subspan(first, std::min(kIdsAtOnce, ids.size() - first));
    std::set<std::string> wanted(some.begin(), some.end());
    std::set<std::string> keys;
    for (const std::string& id : wanted) keys.insert(qdrant_key(id));
    CO_ASSIGN_OR_RETURN(const std::vector<QdrantRecord> found,
                        co_await records({keys.begin(), keys.end()}, qdrant_selection(options_.layout, none), none));
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

// Reading

Task<Result<uint64_t>> QdrantStore::count_matching(const QdrantFilter& filter) {
  std::string body = filter.everything ? "{" : "{\"filter\":" + filter.text + ',';
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await post("/points/count", std::move(body) + "\"exact\":true}"));
  const Json* count = json_member(reply.result(), "count");
  if (count == nullptr || !count->is_number_unsigned()) co_return bad(reply, "no `count`");
  co_return count->get<uint64_t>();
}

Task<Result<uint64_t>> QdrantStore::count(std::optional<Filter> filter) {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const QdrantFilter compiled, co_await compile(filter ? &*filter : nullptr));
  co_return co_await count_matching(compiled);
}

// The points at these keys that are there, in any order. Each key stands once.
Task<Result<std::vector<QdrantRecord>>> QdrantStore::records(std::vector<std::string> keys, std::string selection,
                                                             StoreParts parts) {
  const size_t vector_bytes = parts.vector ? 12 * options_.layout.dimension : 0;
  size_t at_once = std::clamp<size_t>(kAnswerBytes / (500 + vector_bytes), 1, kIdsAtOnce);
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
      // Their payloads are longer than was thought.
      if (answered.code() != Code::kLimitExceeded || last - first < 2) co_return std::move(answered).failure();
      at_once = (last - first) / 2;
      continue;
    }
    const Reply& reply = *answered;
    if (!reply.result().is_array()) co_return bad(reply, "a `result` that is no array");
    for (const Json& record : reply.result()) {
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
  std::vector<StorePoint> out;
  if (ids.empty()) co_return std::move(out);
  if (parts.vector) CO_RETURN_IF_ERROR(co_await learn_dimension());
  std::set<std::string> keys;
  for (const std::string& id : ids) keys.insert(qdrant_key(id));
  CO_ASSIGN_OR_RETURN(std::vector<QdrantRecord> found,
                      co_await records({keys.begin(), keys.end()}, qdrant_selection(options_.layout, parts), parts));
  std::unordered_map<std::string_view, const StorePoint*> by_id;
  for (const QdrantRecord& record : found) by_id.emplace(record.point.id, &record.point);
  for (const std::string& id : ids) {
    if (const auto point = by_id.find(id); point != by_id.end()) out.push_back(*point->second);
  }
  co_return std::move(out);
}

Task<Result<StorePage>> QdrantStore::scroll(std::optional<Filter> filter, std::string from, size_t limit,
                                            StoreParts parts) {
  CO_RETURN_IF_ERROR(open());
  if (limit == 0 || limit > kMaxPage) {
    co_return invalid("a page has 1 to " + std::to_string(kMaxPage) + " points", std::to_string(limit));
  }
  if (!from.empty() && !parse_u64(from) && !is_uuid(from)) {
    co_return invalid("a page begins where the one before says so, not at " + shown(from), shown(from));
  }
  CO_ASSIGN_OR_RETURN(const QdrantFilter compiled, co_await compile(filter ? &*filter : nullptr));
  if (parts.vector) {
    CO_RETURN_IF_ERROR(co_await learn_dimension());
    limit = std::min(limit, std::max<size_t>(1, kAnswerBytes / (500 + 12 * options_.layout.dimension)));
  }
  for (;;) {
    std::string body = "{\"limit\":" + std::to_string(limit);
    if (!from.empty()) body += ",\"offset\":" + qdrant_key(from);
    if (!compiled.everything) body += ",\"filter\":" + compiled.text;
    body += ',' + qdrant_selection(options_.layout, parts) + '}';
    Result<Reply> answered = co_await post("/points/scroll", std::move(body));
    if (!answered.ok()) {
      if (answered.code() != Code::kLimitExceeded || limit == 1) co_return std::move(answered).failure();
      limit /= 2;
      continue;
    }
    const Reply& reply = *answered;
    const Json* points = json_member(reply.result(), "points");
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
    const Json* next = json_member(reply.result(), "next_page_offset");
    if (next != nullptr && !next->is_null()) {
      const std::optional<std::string> key = read_qdrant_key(*next);
      if (!key) co_return bad(reply, "a `next_page_offset` that is neither a number nor a UUID");
      // Or it would never end.
      if (keys.empty() || keys.count(*key) > 0 || (!from.empty() && *key == qdrant_key(from))) {
        co_return bad(reply, "a `next_page_offset` that leads nowhere");
      }
      page.next = next->is_string() ? next->get_ref<const std::string&>() : *key;
    }
    co_return std::move(page);
  }
}

// Searching

// What a query asks the server: one leg, or two that are fused.
Result<std::vector<QdrantStore::Leg>> QdrantStore::legs_of(const StoreQuery& query, const QdrantFilter& filter) {
  const QdrantLayout& layout = options_.layout;
  const auto needs = [](std::string_view mode, std::string_view what) {
    return invalid("a search of mode " + std::string(mode) + " needs a " + std::string(what), shown(mode));
  };
  const bool has_vector = !query.vector.empty(), has_text = !query.text.empty(), has_sparse = !query.sparse.empty();
  if (!has_vector && !has_text && !has_sparse) return invalid("a search needs a vector, a text or both", "");
  if (query.mode == SearchMode::kDense && !has_vector) return needs("dense", "vector");
  if (query.mode == SearchMode::kText && !has_text) return needs("text", "text");
  if (query.mode == SearchMode::kHybrid && !has_vector) return needs("hybrid", "vector");
  if (query.mode == SearchMode::kHybrid && !has_text && !has_sparse) return needs("hybrid", "text");
  const bool dense = has_vector && query.mode != SearchMode::kText;
  const bool text = has_text && query.mode != SearchMode::kDense;
  const bool sparse = has_sparse && (query.mode == SearchMode::kAuto || query.mode == SearchMode::kHybrid);
  if (text && sparse) {
    return Error{Code::kUnsupported, "a search takes a text or a sparse vector beside its vector, not both", ""};
  }
  if (text && layout.text_vector.empty()) {
    return invalid("collection " + shown(options_.collection) +
                       " was configured without text search (enable_hybrid_search); search with a vector alone",
                   shown(query.text));
  }
  if (has_vector) {
    const size_t dimension = layout.dimension > 0 ? layout.dimension : query.vector.size();
    RETURN_IF_ERROR(check_vector(query.vector, dimension, "the query vector"));
  }
  RETURN_IF_ERROR(check_sparse(query.sparse, "the query's sparse vector"));
  if (query.k == 0 || query.k > kMaxK) {
    return invalid("search.k is from 1 to " + std::to_string(kMaxK), std::to_string(query.k));
  }
  if (query.offset > kMaxK - query.k) {
    return invalid("search.offset is at most " + std::to_string(kMaxK) + " together with k",
                   std::to_string(query.offset));
  }
  if (query.min_score && !std::isfinite(*query.min_score)) {
    return invalid("search.minScore is a finite number", shown(*query.min_score));
  }
  if (query.nprobe > 0 || query.rescore > 0) {
    return Error{Code::kUnsupported,
                 query.nprobe > 0 ? "search.nprobe is for partitioned indexes; Qdrant's takes ef"
                                  : "search.rescore: Qdrant decides itself how many candidates it scores again",
                 std::to_string(query.nprobe > 0 ? query.nprobe : query.rescore)};
  }

  const bool hybrid = dense && (text || sparse);
  const size_t limit = hybrid ? std::max(query.offset + query.k, kMinCandidates) : query.k;
  const StoreParts none{.payload = false, .text = false, .vector = false};
  std::vector<Leg> legs;
  const auto add = [&](Leg::Kind kind, std::string_view what, std::string_view name) {
    Leg leg{
        .kind = kind, .query = 0, .alone = !hybrid, .limit = limit, .body = {}, .parts = hybrid ? none : query.parts};
    leg.body = "{\"query\":" + std::string(what);
    if (!name.empty()) {
      leg.body += ",\"using\":";
      append_json_string(leg.body, name);
    }
    leg.body += ",\"limit\":" + std::to_string(limit);
    if (!hybrid && query.offset > 0) leg.body += ",\"offset\":" + std::to_string(query.offset);
    if (!filter.everything) leg.body += ",\"filter\":" + filter.text;
    const size_t ef = query.ef > 0 ? query.ef : options_.ef;
    if (kind == Leg::Kind::kDense && query.exact) {
      leg.body += ",\"params\":{\"exact\":true}";
    } else if (kind == Leg::Kind::kDense && ef > 0) {
      leg.body += ",\"params\":{\"hnsw_ef\":" + std::to_string(std::max(ef, limit)) + '}';
    }
    leg.body += ',' + qdrant_selection(layout, leg.parts) + '}';
    legs.push_back(std::move(leg));
  };
  if (dense) {
    std::string what;
    append_dense(what, query.vector, layout.metric);
    add(Leg::Kind::kDense, what, layout.vector);
  }
  if (text) {
    const SparseVector words = query_weights(*analyzer_, query.text, layout.sparse_dimension);
    std::string what;
    append_sparse(what, words);
    if (!words.empty()) add(Leg::Kind::kText, what, layout.text_vector);
  }
  if (sparse) {
    std::string what;
    append_sparse(what, query.sparse);
    add(Leg::Kind::kSparse, what, layout.sparse_vector);
  }
  return legs;
}

// One request for all of the legs, and what each found.
Task<Result<std::vector<QdrantStore::Ranked>>> QdrantStore::run(const std::vector<Leg>& legs) {
  std::string body;
  for (const Leg& leg : legs) {
    body += body.empty() ? "" : ",";
    body += leg.body;
  }
  const bool batch = legs.size() > 1;
  if (batch) body = "{\"searches\":[" + body + "]}";
  CO_ASSIGN_OR_RETURN(const Reply reply,
                      co_await post(batch ? "/points/query/batch" : "/points/query", std::move(body)));
  if (batch && (!reply.result().is_array() || reply.result().size() != legs.size())) {
    co_return bad(reply, "not one result for each query");
  }
  std::vector<Ranked> out;
  for (size_t i = 0; i < legs.size(); ++i) {
    const Leg& leg = legs[i];
    const Json* points = json_member(batch ? reply.result()[i] : reply.result(), "points");
    if (points == nullptr || !points->is_array()) co_return bad(reply, "no `points`");
    if (points->size() > leg.limit) co_return bad(reply, "more points than were asked for");
    Ranked ranked;
    std::set<std::string> keys;
    for (const Json& hit : *points) {
      Result<QdrantRecord> read = read_qdrant_point(hit, options_.layout, leg.parts);
      if (!read.ok()) co_return bad(reply, read.error().message);
      if (!keys.insert(read->key).second) co_return bad(reply, "a point twice");
      const Json* score = json_member(hit, "score");
      if (score == nullptr || !score->is_number()) co_return bad(reply, "a `score` that is no number");
      const auto value = score->get<double>();  // finite: parse_json takes nothing else for a number
      StoreHit found;
      found.point = std::move(read->point);
      found.score = leg.kind == Leg::Kind::kDense
                        ? score_of(options_.layout.metric, scale_of(options_.layout.metric), value)
                        : value;
      ranked.hits.push_back(std::move(found));
    }
    heap_sort(ranked.hits, [](const StoreHit& a, const StoreHit& b) {
      return comes_first(a.score, a.point.id, b.score, b.point.id);
    });
    out.push_back(std::move(ranked));
  }
  co_return std::move(out);
}

// Into hits of which only the ids are known.
Task<Status> QdrantStore::load_parts(std::vector<StoreHit>& hits, StoreParts parts) {
  if (hits.empty() || (!parts.payload && !parts.text && !parts.vector)) co_return Status();
  std::vector<std::string> ids;
  for (const StoreHit& hit : hits) ids.push_back(hit.point.id);
  CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points, co_await get(std::move(ids), parts));
  // One that was removed in between is a hit no more.
  size_t next = 0, kept = 0;
  for (StoreHit& hit : hits) {
    if (next == points.size() || points[next].id != hit.point.id) continue;
    hit.point = std::move(points[next++]);
    if (&hits[kept] != &hit) hits[kept] = std::move(hit);
    ++kept;
  }
  hits.resize(kept);
  co_return Status();
}

Task<Result<std::vector<std::vector<StoreHit>>>> QdrantStore::search(std::vector<StoreQuery> queries) {
  CO_RETURN_IF_ERROR(open());
  std::vector<std::vector<StoreHit>> out(queries.size());
  std::vector<Leg> legs;
  for (size_t i = 0; i < queries.size(); ++i) {
    const StoreQuery& query = queries[i];
    if (query.parts.vector) CO_RETURN_IF_ERROR(co_await learn_dimension());
    CO_ASSIGN_OR_RETURN(const QdrantFilter filter, co_await compile(query.filter ? &*query.filter : nullptr));
    CO_ASSIGN_OR_RETURN(std::vector<Leg> asked, legs_of(query, filter));
    for (Leg& leg : asked) {
      leg.query = i;
      legs.push_back(std::move(leg));
    }
  }
  std::vector<Ranked> found;
  for (size_t first = 0; first < legs.size();) {
    size_t bytes = 0;
    std::vector<Leg> some;
    while (first < legs.size() && some.size() < options_.search_batch &&
           (some.empty() || bytes + legs[first].body.size() <= options_.batches.max_bytes)) {
      bytes += legs[first].body.size();
      some.push_back(legs[first++]);
    }
    CO_ASSIGN_OR_RETURN(std::vector<Ranked> ranked, co_await run(some));
    std::move(ranked.begin(), ranked.end(), std::back_inserter(found));
  }

  for (size_t at = 0; at < legs.size();) {
    const size_t i = legs[at].query;
    const StoreQuery& query = queries[i];
    std::vector<StoreHit>& hits = out[i];
    if (legs[at].alone) {
      hits = std::move(found[at].hits);
      for (size_t rank = 0; rank < hits.size(); ++rank) {
        const LegScore told{hits[rank].score, query.offset + rank + 1};
        (legs[at].kind == Leg::Kind::kDense  ? hits[rank].dense
         : legs[at].kind == Leg::Kind::kText ? hits[rank].text
                                             : hits[rank].sparse) = told;
      }
      ++at;
    } else {
      // The rows of the fusion are numbers of `ids`.
      std::map<std::string, RowId> rows;
      std::vector<std::string> ids;
      const auto scored = [&](const Ranked& ranked) {
        std::vector<Scored> list;
        for (const StoreHit& hit : ranked.hits) {
          const auto [row, fresh] = rows.emplace(hit.point.id, static_cast<RowId>(ids.size()));
          if (fresh) ids.push_back(hit.point.id);
          list.push_back({row->second, hit.score});
        }
        return list;
      };
      const bool paired = at + 1 < legs.size() && legs[at + 1].query == i;
      const std::vector<Scored> dense = scored(found[at]);
      const std::vector<Scored> other = paired ? scored(found[at + 1]) : std::vector<Scored>();
      const bool sparse = paired && legs[at + 1].kind == Leg::Kind::kSparse;
      std::vector<FusedRow> fused = fuse(query.fusion.value_or(options_.fusion), dense, other);
      heap_sort(fused, [&](const FusedRow& a, const FusedRow& b) {
        return comes_first(a.score, ids[a.row], b.score, ids[b.row]);
      });
      for (size_t rank = query.offset; rank < std::min(fused.size(), query.offset + query.k); ++rank) {
        StoreHit hit;
        hit.point.id = ids[fused[rank].row];
        hit.score = fused[rank].score;
        hit.dense = fused[rank].dense;
        (sparse ? hit.sparse : hit.text) = fused[rank].text;
        hits.push_back(std::move(hit));
      }
      at += paired ? 2 : 1;
    }
    if (query.min_score) {
      std::erase_if(hits, [&](const StoreHit& hit) { return hit.score < *query.min_score; });
    }
  }
  for (size_t at = 0; at < legs.size(); ++at) {
    const bool first = at == 0 || legs[at - 1].query != legs[at].query;
    const size_t i = legs[at].query;
    if (first && !legs[at].alone) CO_RETURN_IF_ERROR(co_await load_parts(out[i], queries[i].parts));
  }
  co_return std::move(out);
}

// Snapshots

namespace {

std::optional<Snapshot> read_snapshot(const Json& json) {
  const Json* name = json_member(json, "name");
  const Json* size = json_member(json, "size");
  const Json* created = json_member(json, "creation_time");
  if (name == nullptr || !name->is_string() || name->get_ref<const std::string&>().empty()) return std::nullopt;
  if (size == nullptr || !size->is_number_unsigned()) return std::nullopt;
  Snapshot out;
  out.name = name->get_ref<const std::string&>();
  out.bytes = size->get<uint64_t>();
  if (created != nullptr && created->is_string()) out.created = created->get_ref<const std::string&>();
  return out;
}

}  // namespace

Task<Result<Snapshot>> QdrantStore::create_snapshot() {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await call({.method = "POST",
                                                        .path = path("/snapshots?wait=true"),
                                                        .body = {},
                                                        .retry = RetryClass::kUnsafe,
                                                        .deadline_ms = kSnapshotDeadlineMs}));
  std::optional<Snapshot> made = read_snapshot(reply.result());
  if (!made) co_return bad(reply, "no snapshot with `name` and `size`");
  co_return *std::move(made);
}

Task<Result<std::vector<Snapshot>>> QdrantStore::list_snapshots() {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await fetch("/snapshots"));
  if (!reply.result().is_array()) co_return bad(reply, "a `result` that is no array");
  std::vector<Snapshot> out;
  for (const Json& each : reply.result()) {
    std::optional<Snapshot> snapshot = read_snapshot(each);
    if (!snapshot) co_return bad(reply, "a snapshot without `name` and `size`");
    out.push_back(*std::move(snapshot));
  }
  co_return std::move(out);
}

Task<Status> QdrantStore::delete_snapshot(std::string name) {
  CO_RETURN_IF_ERROR(open());
  if (name.empty() || name == "." || name == "..") co_return invalid("a snapshot has another name", shown(name));
  CO_ASSIGN_OR_RETURN(const Reply reply,
                      co_await call({.method = "DELETE",
                                     .path = path("/snapshots/" + percent_encoded(name) + "?wait=true"),
                                     .body = {},
                                     .retry = RetryClass::kUnsafe}));
  if (reply.result() != true) co_return bad(reply, "no true `result`");
  co_return Status();
}

}  // namespace nearfield
