#include "core/remote/chroma_store.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/base/sort.h"
#include "core/collection/point_check.h"
#include "core/remote/answer.h"
#include "core/remote/ids.h"
#include "core/remote/json_text.h"
#include "core/remote/score.h"

namespace nearfield {

namespace {

constexpr size_t kMaxPage = 10'000;
constexpr size_t kIdsAtOnce = 1'000;
constexpr size_t kIdsInAnswer = 100'000;
constexpr size_t kMostScoredHere = 100'000;
constexpr size_t kMostCounted = 1 << 24;
// What an answer may have by our own doing, well below what HttpClient takes.
constexpr size_t kAnswerBytes = 16 << 20;
constexpr size_t kMostNames = 512;
constexpr uint64_t kSlots = uint64_t{1} << 32;
constexpr StoreParts kNothing{.payload = false, .text = false, .vector = false};
constexpr std::string_view kDimensionKey = "_nearfield.dimension";

std::string_view space_name(Metric metric) {
  switch (metric) {
    case Metric::kCosine: return "cosine";
    case Metric::kDot: return "ip";
    case Metric::kEuclidean: return "l2";
    case Metric::kManhattan: break;
  }
  return "";
}

ServerScale scale_of(Metric metric) {
  return metric == Metric::kEuclidean ? ServerScale::kSquaredDistance : ServerScale::kOneMinus;
}

Error invalid(std::string message, std::string value) {
  return {Code::kInvalidArgument, std::move(message), std::move(value)};
}

Error invalid_option(std::string message, std::string_view value) {
  return {Code::kInvalidConfig, std::move(message), shown(value)};
}

Error unsupported(std::string message, std::string value = "") {
  return {Code::kUnsupported, std::move(message), std::move(value)};
}

Error dimension_mismatch(Code code, uint64_t expected, uint64_t got) {
  return {code, "Vector dimension mismatch: expected " + std::to_string(expected) + ", got " + std::to_string(got),
          std::to_string(got)};
}

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

Status check_name(std::string_view name) {
  const bool plain =
      std::ranges::all_of(name, [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
  if (name.size() >= 3 && name.size() <= kMostNames && plain && is_alphanumeric(name.front()) &&
      is_alphanumeric(name.back()) && name.find("..") == std::string_view::npos) {
    return {};
  }
  return invalid_option(
      "the name of a Chroma collection has 3 to 512 of [a-zA-Z0-9._-], begins and ends with a letter "
      "or digit, and has no \"..\"",
      name);
}

// "Collection expecting embedding with dimension of 3, got 2"
std::optional<Error> told_dimensions(std::string_view body) {
  const auto number_after = [&](std::string_view mark) -> std::optional<uint64_t> {
    size_t at = body.find(mark);
    if (at == std::string_view::npos) return std::nullopt;
    at += mark.size();
    return parse_u64(body.substr(at, std::min(body.find_first_not_of("0123456789", at), body.size()) - at));
  };
  const std::optional<uint64_t> expected = number_after("expecting embedding with dimension of "),
                                got = number_after(", got ");
  if (!expected || !got) return std::nullopt;
  return dimension_mismatch(Code::kDimensionMismatch, *expected, *got);
}

// Not that of a wrong address, which has no body.
bool is_missing(const HttpResponse& response) {
  return response.status == 404 && response.body.find("\"NotFoundError\"") != std::string::npos;
}

bool comes_first(const StoreHit& a, const StoreHit& b) {
  return a.score != b.score ? a.score > b.score : a.point.id < b.point.id;
}

std::string quoted_list(std::span<const std::string> texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ',';
    append_json_string(out, text);
  }
  return out += ']';
}

std::string both(std::string_view a, std::string_view b) {
  return "{\"$and\":[" + std::string(a) + ',' + std::string(b) + "]}";
}

std::string comparison(std::string_view key, std::string_view op, std::string_view operand) {
  std::string out = "{";
  append_json_string(out, key);
  return out + ":{\"" + std::string(op) + "\":" + std::string(operand) + "}}";
}

// Records that this store wrote; or others.
std::string of_ours(bool ours) {
  return comparison(kChromaOwn, ours ? "$eq" : "$ne", '"' + std::string(kChromaLayoutVersion) + '"');
}

// Its `{}` after a write would not tell an error that came with a good status.
Result<Json> read_good(const HttpClient& http, const HttpResponse& response) {
  ASSIGN_OR_RETURN(Json json, read_answer(http, response));
  if (json_member(json, "error") != nullptr) return http.protocol_error(response, "an `error` and a good status");
  return json;
}

}  // namespace

// An answer with a good status, and the JSON that it was.
struct ChromaStore::Reply {
  HttpResponse response;  // its body is cut: what messages show of it
  Json json;
};

// One query of a request.
struct ChromaStore::Asked {
  size_t query = 0;  // of the call
  std::string vector;
  std::string where;  // empty: none
  StoreParts parts;
  size_t limit = 0;
};

class ChromaStore::UpsertJob : public BatchJob {
 public:
  UpsertJob(const ChromaStore& store, const std::vector<StorePoint>& points,
            const std::vector<ChromaMetadata>& metadata)
      : store_(store), points_(points), metadata_(metadata) {}

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
    out.path = store_.path('/' + store_.uuid_ + "/upsert");
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
};

Result<std::unique_ptr<ChromaStore>> ChromaStore::make(HttpClient& http, ChromaOptions options) {
  RETURN_IF_ERROR(check_name(options.collection));
  if (options.metric == Metric::kManhattan) {
    return invalid_option("Chroma compares by cosine, dot or euclidean, not by manhattan", "manhattan");
  }
  if (options.database.empty()) return invalid_option("the database has no name", "");
  if (options.search_batch == 0) return invalid_option("search_batch is at least 1", "0");
  return std::unique_ptr<ChromaStore>(new ChromaStore(http, std::move(options)));
}

ChromaStore::ChromaStore(HttpClient& http, ChromaOptions options)
    : http_(http), options_(std::move(options)), tenant_(options_.tenant) {}

ChromaStore::~ChromaStore() = default;

// Requests

Status ChromaStore::open() const {
  if (!closed_) return {};
  return Error{Code::kClosed, "the store of collection " + shown(options_.collection) + " was closed", ""};
}

std::string ChromaStore::path(std::string_view rest) const {
  return "/api/v2/tenants/" + percent_encoded(tenant_) + "/databases/" + percent_encoded(options_.database) +
         "/collections" + std::string(rest);
}

// What a status that is not 2xx means.
Error ChromaStore::refusal(const HttpResponse& response) const {
  if (is_missing(response)) {
    return {Code::kNotFound, "Collection '" + options_.collection + "' not found", shown(options_.collection)};
  }
  if (std::optional<Error> dimensions = told_dimensions(response.body)) return *std::move(dimensions);
  return http_.error_of(response);
}

Error ChromaStore::bad(const Reply& reply, std::string_view what) const {
  return http_.protocol_error(reply.response, what);
}

void ChromaStore::forget() {
  uuid_.clear();
  dimension_ = 0;
}

Task<Result<ChromaStore::Reply>> ChromaStore::call(HttpRequest request) {
  CO_ASSIGN_OR_RETURN(HttpResponse response, co_await http_.send(std::move(request)));
  if (response.status >= 300) co_return refusal(response);
  CO_ASSIGN_OR_RETURN(Json json, read_good(http_, response));
  constexpr size_t kKeptBytes = 2'000;  // more than a message shows
  if (response.body.size() > kKeptBytes) {
    response.body.resize(kKeptBytes);
    response.body.shrink_to_fit();
  }
  co_return Reply{std::move(response), std::move(json)};
}

// A call to the collection's UUID, and to its new one where it was made anew.
Task<Result<ChromaStore::Reply>> ChromaStore::call_collection(std::string method, std::string rest, std::string body,
                                                              RetryClass retry) {
  for (bool again = false;; again = true) {
    CO_RETURN_IF_ERROR(co_await resolve());
    const std::string used = uuid_;
    Result<Reply> reply =
        co_await call({.method = method, .path = path('/' + used + rest), .body = body, .retry = retry});
    if (reply.ok() || reply.code() != Code::kNotFound || again) co_return std::move(reply);
    if (uuid_ == used) forget();
  }
}

Task<Result<ChromaStore::Reply>> ChromaStore::post(std::string rest, std::string body, RetryClass retry) {
  return call_collection("POST", std::move(rest), std::move(body), retry);
}

Task<Status> ChromaStore::find_tenant() {
  if (!tenant_.empty()) co_return Status();
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await call({.method = "GET", .path = "/api/v2/auth/identity", .body = {}}));
  const Json* tenant = json_member(reply.json, "tenant");
  if (tenant == nullptr || !tenant->is_string() || tenant->get_ref<const std::string&>().empty()) {
    co_return bad(reply, "no `tenant`");
  }
  tenant_ = tenant->get_ref<const std::string&>();
  co_return Status();
}

Task<Status> ChromaStore::resolve() {
  if (!uuid_.empty()) co_return Status();
  CO_ASSIGN_OR_RETURN(const Reply described, co_await describe());
  co_return Status();
}

// What the server says of the collection; its UUID is known then.
Task<Result<ChromaStore::Reply>> ChromaStore::describe() {
  CO_RETURN_IF_ERROR(co_await find_tenant());
  Result<Reply> described =
      co_await call({.method = "GET", .path = path('/' + percent_encoded(options_.collection)), .body = {}});
  if (!described.ok()) {
    if (described.code() == Code::kNotFound) forget();
    co_return std::move(described);
  }
  const Json* id = json_member(described->json, "id");
  if (id == nullptr || !id->is_string() || !is_uuid(id->get_ref<const std::string&>())) {
    co_return bad(*described, "no UUID in `id`");
  }
  size_t dimension = 0;
  if (const Json* told = json_member(described->json, "dimension"); told != nullptr && !told->is_null()) {
    if (!told->is_number_unsigned() || told->get<uint64_t>() == 0 || told->get<uint64_t>() > UINT32_MAX) {
      co_return bad(*described, "a `dimension` that is none");
    }
    dimension = told->get<size_t>();
  }
  uuid_ = id->get_ref<const std::string&>();
  dimension_ = dimension;
  co_return std::move(described);
}

Task<Status> ChromaStore::read_limits() {
  if (max_batch_ > 0) co_return Status();
  CO_ASSIGN_OR_RETURN(const Reply reply,
                      co_await call({.method = "GET", .path = "/api/v2/pre-flight-checks", .body = {}}));
  const Json* most = json_member(reply.json, "max_batch_size");
  if (most == nullptr || !most->is_number_unsigned() || most->get<uint64_t>() == 0) {
    co_return bad(reply, "no `max_batch_size`");
  }
  max_batch_ = static_cast<size_t>(std::min<uint64_t>(most->get<uint64_t>(), kMaxBatchPoints));
  co_return Status();
}

// The collection

std::string ChromaStore::create_body() const {
  std::string out = "{\"name\":\"" + options_.collection + "\",\"get_or_create\":false";
  // Chroma itself learns it from the first vector.
  if (options_.dimension > 0) {
    out += ",\"metadata\":{\"" + std::string(kDimensionKey) + "\":" + std::to_string(options_.dimension) + '}';
  }
  out += ",\"configuration\":{\"hnsw\":{\"space\":\"" + std::string(space_name(options_.metric)) + '"';
  if (options_.ef_construct > 0) out += ",\"ef_construction\":" + std::to_string(options_.ef_construct);
  if (options_.m > 0) out += ",\"max_neighbors\":" + std::to_string(options_.m);
  if (options_.ef > 0) out += ",\"ef_search\":" + std::to_string(options_.ef);
  return out += "}}}";
}

Task<Result<EnsureReport>> ChromaStore::ensure() {
  CO_RETURN_IF_ERROR(open());
  Result<Reply> described = co_await describe();
  if (!described.ok() && described.code() == Code::kNotFound) {
    const Result<Reply> made = co_await call(
        {.method = "POST", .path = path(""), .body = create_body(), .retry = RetryClass::kIdempotentWrite});
    // In a conflict somebody was faster, or it was an attempt of ours whose answer was lost.
    if (!made.ok() && made.code() != Code::kConflict) co_return Error(made.error());
    described = co_await describe();
    if (!described.ok()) co_return std::move(described).failure();
    CO_ASSIGN_OR_RETURN(EnsureReport report, compare(*described));
    report.created = made.ok();
    co_return std::move(report);
  }
  if (!described.ok()) co_return std::move(described).failure();
  co_return compare(*described);
}

Result<EnsureReport> ChromaStore::compare(const Reply& described) const {
  const Json* configuration = json_member(described.json, "configuration_json");
  const Json* index = nullptr;
  for (const std::string_view kind : {"hnsw", "spann"}) {
    const Json* found = configuration == nullptr ? nullptr : json_member(*configuration, kind);
    if (found != nullptr && found->is_object()) index = found;
  }
  const Json* space = index == nullptr ? nullptr : json_member(*index, "space");
  if (space == nullptr || !space->is_string()) return bad(described, "no `space` of an index");
  const Json* metadata = json_member(described.json, "metadata");
  const Json* noted = metadata == nullptr ? nullptr : json_member(*metadata, kDimensionKey);
  size_t dimension = dimension_;
  if (dimension == 0 && noted != nullptr && noted->is_number_unsigned()) dimension = noted->get<size_t>();
  if (options_.dimension > 0 && dimension > 0 && dimension != options_.dimension) {
    return dimension_mismatch(Code::kSchemaMismatch, options_.dimension, dimension);
  }
  if (*space != space_name(options_.metric)) {
    return Error{Code::kSchemaMismatch,
                 "collection " + shown(options_.collection) + " compares by " +
                     shown(space->get_ref<const std::string&>()) + ", not by " + shown(space_name(options_.metric)),
                 ""};
  }
  EnsureReport report;
  const auto compare_one = [&](std::string name, size_t asked, std::string_view member) {
    if (asked == 0) return;
    const Json* found = json_member(*index, member);
    std::string told = found == nullptr ? "(not told)" : shown_json(*found);
    if (told != std::to_string(asked)) report.differences.push_back({std::move(name), std::to_string(asked), told});
  };
  compare_one("m", options_.m, "max_neighbors");
  compare_one("ef_construct", options_.ef_construct, "ef_construction");
  compare_one("ef", options_.ef, "ef_search");
  return report;
}

Task<Result<bool>> ChromaStore::drop() {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(co_await find_tenant());
  forget();
  CO_ASSIGN_OR_RETURN(const HttpResponse response,
                      co_await http_.send({.method = "DELETE",
                                           .path = path('/' + percent_encoded(options_.collection)),
                                           .body = {},
                                           .retry = RetryClass::kUnsafe}));
  // Or it is gone since an attempt of ours whose answer was lost.
  if (is_missing(response)) co_return response.attempts > 1;
  if (response.status >= 300) co_return refusal(response);
  CO_ASSIGN_OR_RETURN(const Json json, read_good(http_, response));
  if (!json.is_object()) co_return http_.protocol_error(response, "no object");
  co_return true;
}

Task<Result<StoreInfo>> ChromaStore::info() {
  CO_RETURN_IF_ERROR(open());
  StoreInfo out;
  out.backend = "chroma";
  out.metric = options_.metric;
  {
    CO_ASSIGN_OR_RETURN(const Reply version, co_await call({.method = "GET", .path = "/api/v2/version", .body = {}}));
    if (!version.json.is_string()) co_return bad(version, "no version");
    out.version = version.json.get_ref<const std::string&>();
  }
  CO_ASSIGN_OR_RETURN(const Reply described, co_await describe());
  out.dimension = dimension_ > 0 ? dimension_ : options_.dimension;
  Json details = Json::object();
  for (const std::string_view name : {"id", "tenant", "database", "configuration_json", "metadata"}) {
    if (const Json* value = json_member(described.json, name)) details[std::string(name)] = *value;
  }
  out.details = write_json(details);
  CO_ASSIGN_OR_RETURN(out.count, co_await count_all());
  co_return std::move(out);
}

Task<StoreHealth> ChromaStore::health() {
  StoreHealth out;
  if (const Status opened = open(); !opened.ok()) {
    out.message = opened.error().message;
    co_return out;
  }
  const Result<Reply> beat = co_await call({.method = "GET", .path = "/api/v2/heartbeat", .body = {}});
  if (!beat.ok()) {
    out.message = beat.error().message;
    co_return out;
  }
  if (const Json* time = json_member(beat->json, "nanosecond heartbeat"); time == nullptr || !time->is_number()) {
    out.message = bad(*beat, "no heartbeat").message;
    co_return out;
  }
  // The heartbeat takes no key.
  const Result<Reply> known = co_await call({.method = "GET", .path = "/api/v2/auth/identity", .body = {}});
  out.ready = known.ok();
  if (!known.ok()) out.message = known.error().message;
  co_return out;
}

Task<Status> ChromaStore::close() {
  closed_ = true;
  co_return Status();
}

// Filters

// Compiles, and makes sure that what the filter cannot tell apart is not there.
Task<Result<ChromaFilter>> ChromaStore::compile(const Filter* filter) {
  ChromaFilter out;
  if (filter == nullptr) {
    out.everything = true;
    co_return std::move(out);
  }
  CO_ASSIGN_OR_RETURN(out, compile_chroma_filter(*filter));
  for (const ChromaFilter::Probe& probe : out.probes) {
    CO_ASSIGN_OR_RETURN(const std::vector<std::string> found, co_await matching(probe.where, 0, 1));
    if (!found.empty()) co_return unsupported(probe.refusal);
  }
  co_return std::move(out);
}

// Writing

Status ChromaStore::check_points(const std::vector<StorePoint>& points) const {
  if (points.size() > kMaxBatchPoints) {
    return Error{Code::kLimitExceeded,
                 "a batch of " + std::to_string(points.size()) + " points; at most " + std::to_string(kMaxBatchPoints) +
                     " are allowed",
                 std::to_string(points.size())};
  }
  std::unordered_set<std::string_view> ids;
  ids.reserve(points.size());
  size_t dimension = options_.dimension;
  for (const StorePoint& point : points) {
    RETURN_IF_ERROR(check_strings(point.id, point.text, point.payload));
    if (!ids.insert(point.id).second) {
      return invalid("the id " + shown(point.id) + " stands twice in one batch", shown(point.id));
    }
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
    if (options_.metric != Metric::kCosine && vector_norm(point.vector) > kChromaMaxNorm) {
      return unsupported("vector of " + shown(point.id) + " is too long for Chroma, whose distances to it are infinite",
                         shown(point.id));
    }
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
      // Their payloads are longer than was thought.
      if (answered.code() != Code::kLimitExceeded || last - first < 2) co_return std::move(answered).failure();
      at_once = (last - first) / 2;
      continue;
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
  const UpsertJob job(*this, points, metadata);
  for (bool again = false;; again = true) {
    CO_RETURN_IF_ERROR(co_await erase_stale(points, metadata));
    const std::string used = uuid_;
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
  CO_ASSIGN_OR_RETURN(const std::vector<StorePoint> found, co_await records({wanted.begin(), wanted.end()}, kNothing));
  std::vector<std::string> there;
  for (const StorePoint& point : found) there.push_back(point.id);
  const size_t at_once = std::min(kIdsAtOnce, max_batch_);
  for (size_t first = 0; first < there.size(); first += at_once) {
    const auto some = std::span(there).subspan(first, std::min(at_once, there.size() - first));
    CO_ASSIGN_OR_RETURN(const Reply reply,
                        co_await post("/delete", "{\"ids\":" + quoted_list(some) + '}', RetryClass::kIdempotentWrite));
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
  CO_ASSIGN_OR_RETURN(const Reply reply,
                      co_await post("/delete", "{\"where\":" + compiled.where + '}', RetryClass::kUnsafe));
  if (!reply.json.is_object()) co_return bad(reply, "no object");
  // Servers before 1.5.5 do not say.
  const Json* deleted = json_member(reply.json, "deleted");
  co_return deleted != nullptr && deleted->is_number_unsigned() ? deleted->get<uint64_t>() : uint64_t{found.size()};
}

Task<Status> ChromaStore::clear() {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(co_await read_limits());
  CO_ASSIGN_OR_RETURN(const uint64_t count, co_await count_all());
  // A request that deletes all of a million takes longer than anybody waits. Servers before 1.5.5 do it all the same.
  const std::string body = "{\"where\":{\"$or\":[" + of_ours(true) + ',' + of_ours(false) +
                           "]},\"limit\":" + std::to_string(max_batch_) + '}';
  for (uint64_t done = 0; done <= count; done += max_batch_) {
    CO_ASSIGN_OR_RETURN(const Reply reply, co_await post("/delete", body, RetryClass::kUnsafe));
    if (!reply.json.is_object()) co_return bad(reply, "no object");
    const Json* deleted = json_member(reply.json, "deleted");
    if (deleted == nullptr || !deleted->is_number_unsigned() || deleted->get<uint64_t>() < max_batch_) break;
  }
  co_return Status();
}

// Reading

std::string ChromaStore::include(StoreParts parts) const {
  std::string out;
  const auto add = [&out](std::string_view name) { out += (out.empty() ? "\"" : ",\"") + std::string(name) + '"'; };
  // The norm of a scaled vector is there.
  if (parts.payload || (parts.vector && options_.metric == Metric::kCosine)) add("metadatas");
  if (parts.text) add("documents");
  if (parts.vector) add("embeddings");
  return out;
}

// Points of an answer: lists of the same length, or for a query its row of each.
Result<std::vector<StorePoint>> ChromaStore::read_points(const Reply& reply, StoreParts parts, size_t most,
                                                         std::optional<size_t> row) const {
  const Json* ids = nullptr;
  const auto list = [&](std::string_view name) -> const Json* {
    const Json* found = json_member(reply.json, name);
    if (found != nullptr && row.has_value()) {
      found = found->is_array() && *row < found->size() ? &(*found)[*row] : nullptr;
    }
    if (found == nullptr || !found->is_array()) return nullptr;
    return ids == nullptr || found->size() == ids->size() ? found : nullptr;
  };
  ids = list("ids");
  if (ids == nullptr) return bad(reply, "no list of `ids`");
  if (ids->size() > most) return bad(reply, "more points than were asked for");
  const bool needs_norm = parts.vector && options_.metric == Metric::kCosine;
  const Json* metadata = parts.payload || needs_norm ? list("metadatas") : nullptr;
  const Json* documents = parts.text ? list("documents") : nullptr;
  const Json* vectors = parts.vector ? list("embeddings") : nullptr;
  if ((metadata == nullptr && (parts.payload || needs_norm)) || (documents == nullptr && parts.text) ||
      (vectors == nullptr && parts.vector)) {
    return bad(reply, "lists that are not as long as `ids`");
  }
  std::vector<StorePoint> out;
  out.reserve(ids->size());
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < ids->size(); ++i) {
    const Json& id = (*ids)[i];
    if (!id.is_string() || id.get_ref<const std::string&>().empty()) return bad(reply, "an id that is none");
    if (!seen.insert(id.get_ref<const std::string&>()).second) return bad(reply, "a point twice");
    const auto part = [i](const Json* all) { return all == nullptr ? nullptr : &(*all)[i]; };
    Result<StorePoint> point =
        read_chroma_point(id.get_ref<const std::string&>(), part(metadata), part(documents), part(vectors),
                          options_.metric, options_.dimension > 0 ? options_.dimension : dimension_);
    if (!point.ok()) return bad(reply, point.error().message);
    if (!parts.payload) point->payload.clear();
    out.push_back(std::move(point).value());
  }
  return out;
}

// Those of the points that are there, in any order. Each id stands once.
Task<Result<std::vector<StorePoint>>> ChromaStore::records(std::vector<std::string> ids, StoreParts parts) {
  CO_RETURN_IF_ERROR(co_await resolve());
  CO_RETURN_IF_ERROR(co_await read_limits());
  const size_t vector_bytes = parts.vector ? 12 * std::max(options_.dimension, dimension_) : 0;
  size_t at_once = std::clamp<size_t>(kAnswerBytes / (500 + vector_bytes), 1, std::min(kIdsAtOnce, max_batch_));
  std::vector<StorePoint> out;
  for (size_t first = 0; first < ids.size();) {
    const auto some = std::span(ids).subspan(first, std::min(at_once, ids.size() - first));
    Result<Reply> answered =
        co_await post("/get", "{\"ids\":" + quoted_list(some) + ",\"include\":[" + include(parts) + "]}");
    if (!answered.ok()) {
      if (answered.code() != Code::kLimitExceeded || some.size() < 2) co_return std::move(answered).failure();
      at_once = some.size() / 2;
      continue;
    }
    CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points, read_points(*answered, parts, some.size(), std::nullopt));
    const std::unordered_set<std::string_view> asked(some.begin(), some.end());
    for (StorePoint& point : points) {
      if (asked.count(point.id) == 0) co_return bad(*answered, "a point that was not asked for");
      out.push_back(std::move(point));
    }
    first += some.size();
  }
  co_return std::move(out);
}

Task<Result<std::vector<StorePoint>>> ChromaStore::in_order(std::vector<std::string> ids, StoreParts parts) {
  const std::set<std::string> wanted(ids.begin(), ids.end());
  CO_ASSIGN_OR_RETURN(const std::vector<StorePoint> found, co_await records({wanted.begin(), wanted.end()}, parts));
  std::unordered_map<std::string_view, const StorePoint*> by_id;
  for (const StorePoint& point : found) by_id.emplace(point.id, &point);
  std::vector<StorePoint> out;
  for (const std::string& id : ids) {
    if (const auto point = by_id.find(id); point != by_id.end()) out.push_back(*point->second);
  }
  co_return std::move(out);
}

Task<Result<std::vector<StorePoint>>> ChromaStore::get(std::vector<std::string> ids, StoreParts parts) {
  CO_RETURN_IF_ERROR(open());
  for (const std::string& id : ids) CO_RETURN_IF_ERROR(check_id(id));
  if (ids.empty()) co_return std::vector<StorePoint>();
  co_return co_await in_order(std::move(ids), parts);
}

// Ids of points that pass, in the server's order. `where`: empty, if all do.
Task<Result<std::vector<std::string>>> ChromaStore::matching(std::string where, uint64_t offset, uint64_t limit) {
  std::string body = "{\"include\":[],\"limit\":" + std::to_string(limit);
  if (offset > 0) body += ",\"offset\":" + std::to_string(offset);
  if (!where.empty()) body += ",\"where\":" + where;
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await post("/get", std::move(body) + '}'));
  CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points,
                      read_points(reply, kNothing, static_cast<size_t>(limit), std::nullopt));
  std::vector<std::string> out;
  out.reserve(points.size());
  for (StorePoint& point : points) out.push_back(std::move(point.id));
  co_return std::move(out);
}

// Fails with kLimitExceeded where they are more than `most`.
Task<Result<std::vector<std::string>>> ChromaStore::all_matching(const ChromaFilter& filter, size_t most) {
  std::vector<std::string> out;
  if (filter.nothing) {
    CO_RETURN_IF_ERROR(co_await resolve());
    co_return std::move(out);
  }
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::vector<std::string> some, co_await matching(filter.where, out.size(), kIdsInAnswer));
    const bool last = some.size() < kIdsInAnswer;
    std::move(some.begin(), some.end(), std::back_inserter(out));
    if (out.size() > most) {
      co_return Error{Code::kLimitExceeded, "more than " + std::to_string(most) + " points would have to be fetched",
                      ""};
    }
    if (last) co_return std::move(out);
  }
}

Task<Result<uint64_t>> ChromaStore::count_all() {
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await call_collection("GET", "/count", "", RetryClass::kRead));
  if (!reply.json.is_number_unsigned()) co_return bad(reply, "no count");
  co_return reply.json.get<uint64_t>();
}

Task<Result<uint64_t>> ChromaStore::count(std::optional<Filter> filter) {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const ChromaFilter compiled, co_await compile(filter ? &*filter : nullptr));
  if (compiled.everything) co_return co_await count_all();
  CO_ASSIGN_OR_RETURN(const std::vector<std::string> found, co_await all_matching(compiled, kMostCounted));
  co_return uint64_t{found.size()};
}

// A cursor is "p" and the id of the last point, in the order of slots and then ids; or "o" and how many of the points
// that others wrote are done.
Task<Result<StorePage>> ChromaStore::scroll(std::optional<Filter> filter, std::string from, size_t limit,
                                            StoreParts parts) {
  CO_RETURN_IF_ERROR(open());
  if (limit == 0 || limit > kMaxPage) {
    co_return invalid("a page has 1 to " + std::to_string(kMaxPage) + " points", std::to_string(limit));
  }
  const bool among_others = from.starts_with('o');
  const std::optional<uint64_t> done = among_others ? parse_u64(std::string_view(from).substr(1)) : 0;
  if (!done || (!from.empty() && !among_others && (from[0] != 'p' || from.size() == 1)) || *done > UINT32_MAX) {
    co_return invalid("a page begins where the one before says so, not at " + shown(from), shown(from));
  }
  CO_ASSIGN_OR_RETURN(const ChromaFilter compiled, co_await compile(filter ? &*filter : nullptr));
  StorePage page;
  if (compiled.nothing) {
    CO_RETURN_IF_ERROR(co_await resolve());
    co_return std::move(page);
  }
  const auto passing = [&](std::string where) {
    return compiled.everything ? std::move(where) : both(where, compiled.where);
  };

  using Place = std::pair<uint32_t, std::string>;
  std::vector<std::string> ids;
  bool more = false;
  if (!among_others) {
    CO_ASSIGN_OR_RETURN(const uint64_t count, co_await count_all());
    std::optional<Place> after;
    if (!from.empty()) after = Place{chroma_slot(std::string_view(from).substr(1)), from.substr(1)};
    uint64_t first = after ? after->first : 0;
    // Slots are spread evenly: so many have about a page of points, where all pass.
    uint64_t width = std::clamp<uint64_t>(kSlots / std::max<uint64_t>(count, 1) * limit, 1, kSlots);
    uint64_t most = 2 * limit + 100;
    while (first < kSlots && ids.size() <= limit) {
      const uint64_t last = std::min(first + width, kSlots);
      CO_ASSIGN_OR_RETURN(std::vector<std::string> found,
                          co_await matching(passing(both(comparison(kChromaSlot, "$gte", std::to_string(first)),
                                                         comparison(kChromaSlot, "$lt", std::to_string(last)))),
                                            0, most));
      if (found.size() == most) {
        // There may be more. So many in one slot is somebody's doing.
        if (last - first == 1) most *= 4;
        width = std::max<uint64_t>(1, (last - first) / 4);
        continue;
      }
      std::vector<Place> places;
      for (std::string& id : found) {
        const uint32_t slot = chroma_slot(id);
        if (slot < first || slot >= last) {
          co_return Error{Code::kRemoteProtocolError,
                          "the record " + shown(id) + " has the metadata of another one; write it again", shown(id)};
        }
        Place place{slot, std::move(id)};
        if (!after || *after < place) places.push_back(std::move(place));
      }
      heap_sort(places);
      for (Place& place : places) ids.push_back(std::move(place.second));
      if (found.size() < most / 4) width *= 4;
      first = last;
    }
    more = ids.size() > limit;
    if (more) {
      ids.resize(limit);
      page.next = 'p' + ids.back();
    }
  }
  if (!more) {
    const size_t room = limit - ids.size();
    CO_ASSIGN_OR_RETURN(std::vector<std::string> found, co_await matching(passing(of_ours(false)), *done, room + 1));
    if (found.size() > room) {
      found.resize(room);
      page.next = 'o' + std::to_string(*done + room);
    }
    std::move(found.begin(), found.end(), std::back_inserter(ids));
  }
  if (ids.empty()) co_return std::move(page);
  if (parts.payload || parts.text || parts.vector) {
    CO_ASSIGN_OR_RETURN(page.points, co_await in_order(std::move(ids), parts));
    co_return std::move(page);
  }
  for (std::string& id : ids) {
    page.points.emplace_back();
    page.points.back().id = std::move(id);
  }
  co_return std::move(page);
}

// Searching

Status ChromaStore::check_query(const StoreQuery& query) const {
  const bool has_vector = !query.vector.empty(), has_text = !query.text.empty();
  const bool has_sparse = !query.sparse.indices.empty() || !query.sparse.values.empty();
  if (!has_vector && !has_text && !has_sparse) return invalid("a search needs a vector", "");
  const bool dense_only = query.mode == SearchMode::kDense;
  if (!dense_only && (has_text || query.mode == SearchMode::kText || query.mode == SearchMode::kHybrid)) {
    return unsupported(
        "search.text: a Chroma server of one node searches by vectors alone; search by mode dense, or keep the texts "
        "in "
        "an embedded collection",
        shown(query.text));
  }
  if (!dense_only && has_sparse) return unsupported("search.sparse: a Chroma server of one node has no sparse vectors");
  if (!has_vector) return invalid("a search of mode dense needs a vector", shown(std::string_view("dense")));
  RETURN_IF_ERROR(check_vector(query.vector, options_.dimension > 0 ? options_.dimension : query.vector.size(),
                               "the query vector"));
  if (options_.metric != Metric::kCosine && vector_norm(query.vector) > kChromaMaxNorm) {
    return unsupported("the query vector is too long for Chroma, whose distances to it are infinite");
  }
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
  if (query.ef > 0) {
    return unsupported("search.ef: Chroma has it as a setting of the collection (ef), not of a search",
                       std::to_string(query.ef));
  }
  if (query.nprobe > 0) return unsupported("search.nprobe is for partitioned indexes", std::to_string(query.nprobe));
  if (query.rescore > 0) {
    return unsupported("search.rescore: Chroma compares whole vectors", std::to_string(query.rescore));
  }
  return {};
}

// Hits from the first on, in any order, become those that the query asked for.
void ChromaStore::finish(std::vector<StoreHit>& hits, const StoreQuery& query) const {
  heap_sort(hits, comes_first);
  hits.resize(std::min(hits.size(), query.offset + query.k));
  hits.erase(hits.begin(), hits.begin() + static_cast<ptrdiff_t>(std::min(query.offset, hits.size())));
  for (size_t i = 0; i < hits.size(); ++i) hits[i].dense = LegScore{hits[i].score, query.offset + i + 1};
  if (query.min_score) {
    std::erase_if(hits, [&](const StoreHit& hit) { return hit.score < *query.min_score; });
  }
}

// One request for queries that differ in their vectors alone, or several where its answer is too long.
Task<Status> ChromaStore::search_some(std::vector<Asked>& asked, std::vector<std::vector<StoreHit>>& out) {
  const StoreParts parts = asked[0].parts;
  const size_t hit_bytes = 500 + (parts.vector ? 12 * std::max(options_.dimension, dimension_) : 0);
  size_t at_once = options_.search_batch;
  for (size_t first = 0; first < asked.size();) {
    size_t last = first, most = 0, bytes = 0;
    std::string vectors;
    while (last < asked.size() && last - first < at_once) {
      const size_t limit = std::max(most, asked[last].limit);
      const bool fits = bytes + asked[last].vector.size() <= options_.batches.max_bytes &&
                        (last - first + 1) * limit * hit_bytes <= kAnswerBytes;
      if (last > first && !fits) break;
      if (last > first) vectors += ',';
      most = limit;
      bytes += asked[last].vector.size();
      vectors += asked[last++].vector;
    }
    std::string body = "{\"query_embeddings\":[" + vectors + "],\"n_results\":" + std::to_string(most);
    if (!asked[0].where.empty()) body += ",\"where\":" + asked[0].where;
    const std::string wanted = include(parts);
    body += ",\"include\":[\"distances\"" + (wanted.empty() ? "" : ',' + wanted) + "]}";
    Result<Reply> answered = co_await post("/query", std::move(body));
    if (!answered.ok()) {
      if (answered.code() != Code::kLimitExceeded || last - first < 2) co_return std::move(answered).failure();
      at_once = (last - first) / 2;
      continue;
    }
    const Reply& reply = *answered;
    const Json* ids = json_member(reply.json, "ids");
    const Json* distances = json_member(reply.json, "distances");
    if (ids == nullptr || !ids->is_array() || ids->size() != last - first || distances == nullptr ||
        !distances->is_array() || distances->size() != ids->size()) {
      co_return bad(reply, "not one list of `ids` and `distances` for each query");
    }
    for (size_t i = first; i < last; ++i) {
      CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points, read_points(reply, parts, most, i - first));
      const Json& row = (*distances)[i - first];
      if (!row.is_array() || row.size() != points.size()) co_return bad(reply, "not one distance for each point");
      std::vector<StoreHit>& hits = out[asked[i].query];
      for (size_t j = 0; j < points.size(); ++j) {
        if (!row[j].is_number()) co_return bad(reply, "a distance that is no number");
        const auto distance = row[j].get<double>();
        if (!std::isfinite(distance)) co_return bad(reply, "a distance that is not finite");
        StoreHit hit;
        hit.point = std::move(points[j]);
        hit.score = score_of(options_.metric, scale_of(options_.metric), distance);
        hits.push_back(std::move(hit));
      }
    }
    first = last;
  }
  co_return Status();
}

Task<Result<std::vector<StoreHit>>> ChromaStore::search_exactly(const StoreQuery& query, const ChromaFilter& filter) {
  constexpr StoreParts kVector{.payload = false, .text = false, .vector = true};
  CO_ASSIGN_OR_RETURN(std::vector<std::string> ids, co_await all_matching(filter, kMostScoredHere));
  std::vector<StoreHit> hits;
  for (size_t first = 0; first < ids.size(); first += kMaxPage) {
    const auto some = std::span(ids).subspan(first, std::min(kMaxPage, ids.size() - first));
    CO_ASSIGN_OR_RETURN(const std::vector<StorePoint> points, co_await records({some.begin(), some.end()}, kVector));
    for (const StorePoint& point : points) {
      if (point.vector.empty()) continue;
      if (point.vector.size() != query.vector.size()) {
        co_return dimension_mismatch(Code::kDimensionMismatch, point.vector.size(), query.vector.size());
      }
      StoreHit hit;
      hit.point.id = point.id;
      hit.score = exact_score(options_.metric, query.vector, point.vector);
      hits.push_back(std::move(hit));
    }
  }
  finish(hits, query);
  if (hits.empty() || (!query.parts.payload && !query.parts.text && !query.parts.vector)) co_return std::move(hits);
  std::vector<std::string> best;
  for (const StoreHit& hit : hits) best.push_back(hit.point.id);
  CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points, co_await in_order(std::move(best), query.parts));
  // One that was removed in between is a hit no more.
  size_t next = 0;
  std::erase_if(hits, [&](StoreHit& hit) {
    if (next == points.size() || points[next].id != hit.point.id) return true;
    hit.point = std::move(points[next++]);
    return false;
  });
  co_return std::move(hits);
}

Task<Result<std::vector<std::vector<StoreHit>>>> ChromaStore::search(std::vector<StoreQuery> queries) {
  CO_RETURN_IF_ERROR(open());
  std::vector<std::vector<StoreHit>> out(queries.size());
  if (queries.empty()) co_return std::move(out);
  for (const StoreQuery& query : queries) CO_RETURN_IF_ERROR(check_query(query));
  CO_RETURN_IF_ERROR(co_await resolve());
  std::map<std::string, std::vector<Asked>> groups;
  for (size_t i = 0; i < queries.size(); ++i) {
    const StoreQuery& query = queries[i];
    CO_ASSIGN_OR_RETURN(ChromaFilter filter, co_await compile(query.filter ? &*query.filter : nullptr));
    if (query.exact) {
      CO_ASSIGN_OR_RETURN(out[i], co_await search_exactly(query, filter));
    } else if (!filter.nothing) {
      Asked asked{i, {}, std::move(filter.where), query.parts, query.offset + query.k};
      append_chroma_vector(asked.vector, query.vector, options_.metric);
      const char parts = static_cast<char>('0' + (query.parts.payload ? 1 : 0) + (query.parts.text ? 2 : 0) +
                                           (query.parts.vector ? 4 : 0));
      groups[parts + asked.where].push_back(std::move(asked));
    }
  }
  for (auto& [alike, asked] : groups) CO_RETURN_IF_ERROR(co_await search_some(asked, out));
  for (size_t i = 0; i < queries.size(); ++i) {
    if (!queries[i].exact) finish(out[i], queries[i]);
  }
  co_return std::move(out);
}

// Snapshots

namespace {

Error no_snapshots() {
  return unsupported("Chroma makes no snapshots; whoever runs the server copies its folder, or export the collection");
}

}  // namespace

Task<Result<Snapshot>> ChromaStore::create_snapshot() { co_return no_snapshots(); }
Task<Result<std::vector<Snapshot>>> ChromaStore::list_snapshots() { co_return no_snapshots(); }
Task<Status> ChromaStore::delete_snapshot(std::string name) {
  static_cast<void>(name);
  co_return no_snapshots();
}

}  // namespace nearfield
