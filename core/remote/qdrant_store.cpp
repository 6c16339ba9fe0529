#include "core/remote/qdrant_store.h"

#include <utility>

#include "core/base/utf8.h"
#include "core/remote/json_text.h"
#include "core/remote/qdrant_parts.h"

namespace nearfield {

namespace {

// Filters of strangers name many fields; beyond so many indexes they are answered without.
constexpr size_t kMostIndexes = 100;
constexpr uint64_t kSnapshotDeadlineMs = 600'000;

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

// "Vector dimension error: expected dim: 4, got 3"
std::optional<Error> told_dimensions(std::string_view body) {
  if (body.find("Vector dimension error") == std::string_view::npos) return std::nullopt;
  const std::optional<uint64_t> expected = number_after(body, "expected dim: "), got = number_after(body, ", got ");
  if (!expected || !got) return std::nullopt;
  return dimension_mismatch(Code::kDimensionMismatch, *expected, *got);
}

}  // namespace

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

Status QdrantStore::open() const { return check_open(closed_, options_.collection); }

// What a status that is not 2xx means.
Error QdrantStore::refusal(const HttpResponse& response) const {
  if (response.status == 404 && response.body.find("Not found: Collection") != std::string::npos) {
    return no_collection(options_.collection);
  }
  if (std::optional<Error> dimensions = told_dimensions(response.body)) return *std::move(dimensions);
  Error error = http_.error_of(response);
  if (is_too_large(response)) error.code = Code::kLimitExceeded;
  return error;
}

Error QdrantStore::bad(const Reply& reply, std::string_view what) const {
  return http_.protocol_error(reply.response, what);
}

// The reply's JSON is the `result` of the envelope.
Task<Result<Reply>> QdrantStore::call(HttpRequest request) {
  CO_ASSIGN_OR_RETURN(HttpResponse response, co_await http_.send(std::move(request)));
  if (response.status >= 300) co_return refusal(response);
  CO_ASSIGN_OR_RETURN(Json json, read_answer(http_, response));
  const Json* status = json_member(json, "status");
  if (status == nullptr || *status != "ok") co_return http_.protocol_error(response, "no good `status`");
  if (json_member(json, "result") == nullptr) co_return http_.protocol_error(response, "no `result`");
  co_return make_reply(std::move(response), std::move(json["result"]));
}

Task<Result<Reply>> QdrantStore::fetch(std::string_view rest) {
  return call({.method = "GET", .path = path(rest), .body = {}});
}

Task<Result<Reply>> QdrantStore::post(std::string_view rest, std::string body, RetryClass retry) {
  return call({.method = "POST", .path = path(rest), .body = std::move(body), .retry = retry});
}

Task<Result<bool>> QdrantStore::drop() {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const Reply reply,
                      co_await call({.method = "DELETE", .path = path(""), .body = {}, .retry = RetryClass::kUnsafe}));
  if (!reply.json.is_boolean()) co_return bad(reply, "a `result` that is neither true nor false");
  // What comes under its name next may be another one.
  indexed_.clear();
  options_.layout.dimension = configured_dimension_;
  co_return reply.json.get<bool>();
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
    const std::string* version = string_member(json, "version");
    if (version == nullptr) co_return http_.protocol_error(root, "no `version`");
    out.version = *version;
  }
  CO_ASSIGN_OR_RETURN(const Reply described, co_await fetch(""));
  Json details = Json::object();
  for (const std::string_view name :
       {"status", "optimizer_status", "points_count", "indexed_vectors_count", "segments_count", "payload_schema"}) {
    if (const Json* value = json_member(described.json, name)) details[std::string(name)] = *value;
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
  if (options_.payload_index && indexed_.size() < kMostIndexes) {
    const Status made = co_await make_indexes(out.fields);
    if (made.code() == Code::kAborted) co_return Error(made.error());
    // The answer is the same without. A key that may only read makes none, however often it tries.
    if (made.code() == Code::kUnauthorized) {
      for (const QdrantFilter::Field& field : out.fields) indexed_.insert(field.key);
    }
  }
  if (out.substrings.empty()) co_return std::move(out);
  CO_ASSIGN_OR_RETURN(const Reply described, co_await fetch(""));
  const Json* schema = json_member(described.json, "payload_schema");
  if (schema == nullptr || !schema->is_object()) co_return bad(described, "no `payload_schema`");
  for (const auto& [key, value] : schema->items()) {
    if (const std::string* type = string_member(value, "data_type"); type == nullptr || *type != "text") continue;
    const std::vector<std::string> names = split_qdrant_path(key);
    for (const QdrantFilter::Substring& substring : out.substrings) {
      if (substring.path != names) continue;
      co_return unsupported(substring.clause +
                            ": Qdrant has a full-text index on this field, and compares words there");
    }
  }
  co_return std::move(out);
}

// Snapshots

namespace {

std::optional<Snapshot> read_snapshot(const Json& json) {
  const std::string* name = string_member(json, "name");
  const std::optional<uint64_t> size = unsigned_member(json, "size");
  if (name == nullptr || name->empty() || !size) return std::nullopt;
  Snapshot out;
  out.name = *name;
  out.bytes = *size;
  if (const std::string* created = string_member(json, "creation_time")) out.created = *created;
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
  std::optional<Snapshot> made = read_snapshot(reply.json);
  if (!made) co_return bad(reply, "no snapshot with `name` and `size`");
  co_return *std::move(made);
}

Task<Result<std::vector<Snapshot>>> QdrantStore::list_snapshots() {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await fetch("/snapshots"));
  if (!reply.json.is_array()) co_return bad(reply, "a `result` that is no array");
  std::vector<Snapshot> out;
  for (const Json& each : reply.json) {
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
  if (reply.json != true) co_return bad(reply, "no true `result`");
  co_return Status();
}

}  // namespace nearfield
