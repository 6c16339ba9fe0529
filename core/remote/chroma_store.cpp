#include "core/remote/chroma_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/remote/chroma_parts.h"
#include "core/remote/ids.h"

namespace nearfield {

namespace {

constexpr size_t kMostNames = 512;

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
  const std::optional<uint64_t> expected = number_after(body, "expecting embedding with dimension of "),
                                got = number_after(body, ", got ");
  if (!expected || !got) return std::nullopt;
  return dimension_mismatch(Code::kDimensionMismatch, *expected, *got);
}

// Not that of a wrong address, which has no body.
bool is_missing(const HttpResponse& response) {
  return response.status == 404 && response.body.find("\"NotFoundError\"") != std::string::npos;
}

}  // namespace

std::string comparison(std::string_view key, std::string_view op, std::string_view operand) {
  std::string out = "{";
  append_json_string(out, key);
  return out + ":{\"" + std::string(op) + "\":" + std::string(operand) + "}}";
}

std::string of_ours(bool ours) {
  return comparison(kChromaOwn, ours ? "$eq" : "$ne", '"' + std::string(kChromaLayoutVersion) + '"');
}

Result<Json> read_good(const HttpClient& http, const HttpResponse& response) {
  ASSIGN_OR_RETURN(Json json, read_answer(http, response));
  if (json_member(json, "error") != nullptr) return http.protocol_error(response, "an `error` and a good status");
  return json;
}

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

Status ChromaStore::open() const { return check_open(closed_, options_.collection); }

std::string ChromaStore::path(std::string_view rest) const {
  return "/api/v2/tenants/" + percent_encoded(tenant_) + "/databases/" + percent_encoded(options_.database) +
         "/collections" + std::string(rest);
}

// What a status that is not 2xx means.
Error ChromaStore::refusal(const HttpResponse& response) const {
  if (is_missing(response)) {
    return no_collection(options_.collection);
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

Task<Result<Reply>> ChromaStore::call(HttpRequest request) {
  CO_ASSIGN_OR_RETURN(HttpResponse response, co_await http_.send(std::move(request)));
  if (response.status >= 300) co_return refusal(response);
  CO_ASSIGN_OR_RETURN(Json json, read_good(http_, response));
  co_return make_reply(std::move(response), std::move(json));
}

// A call to the collection's UUID, and to its new one where it was made anew.
Task<Result<Reply>> ChromaStore::call_collection(std::string method, std::string rest, std::string body,
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

Task<Result<Reply>> ChromaStore::post(std::string rest, std::string body, RetryClass retry) {
  return call_collection("POST", std::move(rest), std::move(body), retry);
}

Task<Status> ChromaStore::find_tenant() {
  if (!tenant_.empty()) co_return Status();
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await call({.method = "GET", .path = "/api/v2/auth/identity", .body = {}}));
  const std::string* tenant = string_member(reply.json, "tenant");
  if (tenant == nullptr || tenant->empty()) co_return bad(reply, "no `tenant`");
  tenant_ = *tenant;
  co_return Status();
}

Task<Status> ChromaStore::resolve() {
  if (!uuid_.empty()) co_return Status();
  CO_ASSIGN_OR_RETURN(const Reply described, co_await describe());
  co_return Status();
}

// What the server says of the collection; its UUID is known then.
Task<Result<Reply>> ChromaStore::describe() {
  CO_RETURN_IF_ERROR(co_await find_tenant());
  Result<Reply> described =
      co_await call({.method = "GET", .path = path('/' + percent_encoded(options_.collection)), .body = {}});
  if (!described.ok()) {
    if (described.code() == Code::kNotFound) forget();
    co_return std::move(described);
  }
  const std::string* id = string_member(described->json, "id");
  if (id == nullptr || !is_uuid(*id)) co_return bad(*described, "no UUID in `id`");
  size_t dimension = 0;
  if (const Json* told = json_member(described->json, "dimension"); told != nullptr && !told->is_null()) {
    if (!told->is_number_unsigned() || told->get<uint64_t>() == 0 || told->get<uint64_t>() > UINT32_MAX) {
      co_return bad(*described, "a `dimension` that is none");
    }
    dimension = told->get<size_t>();
  }
  uuid_ = *id;
  dimension_ = dimension;
  co_return std::move(described);
}

Task<Status> ChromaStore::read_limits() {
  if (max_batch_ > 0) co_return Status();
  CO_ASSIGN_OR_RETURN(const Reply reply,
                      co_await call({.method = "GET", .path = "/api/v2/pre-flight-checks", .body = {}}));
  const uint64_t most = unsigned_member(reply.json, "max_batch_size").value_or(0);
  if (most == 0) co_return bad(reply, "no `max_batch_size`");
  max_batch_ = static_cast<size_t>(std::min<uint64_t>(most, kMaxBatchPoints));
  co_return Status();
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
