#include "core/remote/weaviate_store.h"

#include <algorithm>
#include <utility>

#include "core/base/utf8.h"
#include "core/remote/excerpt.h"
#include "core/remote/ids.h"
#include "core/remote/weaviate_parts.h"
#include "core/remote/weaviate_terms.h"

namespace nearfield {

namespace {

constexpr size_t kMaxClassName = 255;
constexpr size_t kMaxPropertyName = 230;
constexpr unsigned kNotSince = 33;  // `Not` came with 1.33

// The number that ends before `end`.
std::optional<uint64_t> number_before(std::string_view text, size_t end) {
  size_t begin = end;
  while (begin > 0 && text[begin - 1] >= '0' && text[begin - 1] <= '9') --begin;
  return parse_u64(text.substr(begin, end - begin));
}

}  // namespace

// "4 vs 3: vector lengths don't match", "new node has a vector with length 3. Existing nodes have vectors with length
// 4"
std::optional<Dimensions> told_dimensions(std::string_view words) {
  constexpr std::string_view kVs = " vs ", kGiven = "a vector with length ", kStored = "have vectors with length ";
  std::optional<uint64_t> stored, given;
  if (has(words, kGiven) && has(words, kStored)) {
    given = number_after(words, kGiven);
    stored = number_after(words, kStored);
  } else if (has(words, "vector lengths don't match")) {
    if (const size_t vs = words.rfind(kVs); vs != std::string_view::npos) {
      stored = number_before(words, vs);
      given = told_number(words, vs + kVs.size());
    }
  }
  if (!stored || !given) return std::nullopt;
  return Dimensions{*stored, *given};
}

Result<std::unique_ptr<WeaviateStore>> WeaviateStore::make(EffectQueue& effects, HttpClient& http,
                                                           WeaviateOptions options) {
  const std::string& name = options.collection;
  if (name.empty()) return invalid_option("the collection has no name", "");
  if (!is_utf8(name)) return invalid_option("the name of a collection is UTF-8", name);
  if (weaviate_class(name).size() > kMaxClassName) {
    return invalid_option("the name of the collection is too long for a class of Weaviate: " +
                              std::to_string(kMaxClassName) + " characters, three for each that is not a-z or 0-9",
                          name);
  }
  const std::string& text = options.text_field;
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (text.empty() || text.size() > kMaxPropertyName || !std::ranges::all_of(text, good) ||
      (text[0] >= '0' && text[0] <= '9') || (text[0] >= 'A' && text[0] <= 'Z') || text.starts_with("nf_") ||
      text.starts_with("__") || text == "id" || text == "_id" || text == "_additional" || text == "vector") {
    return invalid_option(
        "the text's field is a property of Weaviate: [a-z_][A-Za-z0-9_]*, none of its own names and "
        "not nf_...",
        text);
  }
  if (options.m != 0 && (options.m < 4 || options.m > 2'047)) {
    return invalid_option("m is from 4 to 2047", std::to_string(options.m));
  }
  if (options.ef_construct != 0 && options.ef_construct < 4) {
    return invalid_option("ef_construct is at least 4", std::to_string(options.ef_construct));
  }
  if (options.search_batch == 0) return invalid_option("search_batch is at least 1", "0");
  const auto lower = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!std::ranges::all_of(options.backup_backend, lower)) {
    return invalid_option("a backup backend is a name such as \"filesystem\" or \"s3\"", options.backup_backend);
  }
  if (Result<NativeFusion> fusion = native_fusion(options.fusion); !fusion.ok()) {
    return invalid_option(fusion.error().message, "");
  }
  return std::unique_ptr<WeaviateStore>(new WeaviateStore(effects, http, std::move(options)));
}

WeaviateStore::WeaviateStore(EffectQueue& effects, HttpClient& http, WeaviateOptions options)
    : effects_(effects),
      http_(http),
      options_(std::move(options)),
      class_(weaviate_class(options_.collection)),
      dimension_(options_.dimension) {}

WeaviateStore::~WeaviateStore() = default;

// Requests

Status WeaviateStore::open() const { return check_open(closed_, options_.collection); }

Error WeaviateStore::missing() const { return no_collection(options_.collection); }

// What a status that is not 2xx means.
Error WeaviateStore::refusal(const HttpResponse& response) const {
  // There is no class at all, or not this one.
  if (response.status == 422 &&
      (has(response.body, "no graphql provider present") || has(response.body, "failed to get class: " + class_) ||
       has(response.body, "class: " + class_ + " doesn't exist"))) {
    return missing();
  }
  return http_.error_of(response);
}

Error WeaviateStore::bad(const Reply& reply, std::string_view what) const {
  return http_.protocol_error(reply.response, what);
}

Task<Result<Reply>> WeaviateStore::call(HttpRequest request) {
  CO_ASSIGN_OR_RETURN(HttpResponse response, co_await http_.send(std::move(request)));
  if (response.status >= 300) co_return refusal(response);
  CO_ASSIGN_OR_RETURN(Json json, read_answer(http_, response));
  co_return make_reply(std::move(response), std::move(json));
}

// The answer to one query, or an array of them.
Task<Result<Reply>> WeaviateStore::ask(std::vector<std::string> queries) {
  std::string body;
  for (const std::string& query : queries) {
    body += body.empty() ? "{\"query\":" : ",{\"query\":";
    append_json_string(body, query);
    body += '}';
  }
  const bool batch = queries.size() > 1;
  CO_ASSIGN_OR_RETURN(Reply reply, co_await call({.method = "POST",
                                                  .path = batch ? "/v1/graphql/batch" : "/v1/graphql",
                                                  .body = batch ? '[' + body + ']' : std::move(body)}));
  if (batch && (!reply.json.is_array() || reply.json.size() != queries.size())) {
    co_return bad(reply, "not one answer for each query");
  }
  co_return std::move(reply);
}

Error WeaviateStore::graphql_error(const Reply& reply, const Json& errors) const {
  const std::string* message = errors.is_array() && !errors.empty() ? string_member(errors[0], "message") : nullptr;
  if (message == nullptr) return bad(reply, "`errors` without a message");
  if (has(*message, "Cannot query field \"" + class_ + "\"")) return missing();
  std::string words = http_.server().name + ": " + excerpt(*message, http_.server().key);
  if (const std::optional<Dimensions> told = told_dimensions(*message)) {
    return dimension_mismatch(Code::kDimensionMismatch, told->stored, told->given);
  }
  if (has(*message, "Cannot query field") || has(*message, "no such prop with name")) {
    return {Code::kSchemaMismatch,
            "the class of collection " + shown(options_.collection) + " is not as this store makes it; " + words, ""};
  }
  if (has(*message, "query maximum results exceeded")) return {Code::kLimitExceeded, std::move(words), ""};
  return {Code::kRemoteRejected, std::move(words), ""};
}

// data.<root>.<class>, an array.
Result<const Json*> WeaviateStore::found(const Reply& reply, const Json& answer, std::string_view root) const {
  if (const Json* errors = json_member(answer, "errors"); errors != nullptr && !errors->is_null()) {
    return graphql_error(reply, *errors);
  }
  const Json* list = json_at(answer, {"data", root, class_});
  if (list == nullptr || !list->is_array()) return bad(reply, "no list of the class in `data`");
  return list;
}

Task<Result<bool>> WeaviateStore::drop() {
  CO_RETURN_IF_ERROR(open());
  Result<Reply> there = co_await described();
  if (!there.ok() && there.code() == Code::kNotFound) co_return false;
  if (!there.ok()) co_return std::move(there).failure();
  CO_ASSIGN_OR_RETURN(
      const HttpResponse gone,
      co_await http_.send(
          {.method = "DELETE", .path = "/v1/schema/" + class_, .body = {}, .retry = RetryClass::kUnsafe}));
  if (gone.status >= 300) co_return refusal(gone);
  // Somebody in between, such as a page that wants a password.
  if (!gone.body.empty()) co_return http_.protocol_error(gone, "a body, where a deletion has none");
  // What comes under its name next may be another one.
  dimension_ = options_.dimension;
  co_return true;
}

Task<Result<std::string>> WeaviateStore::version() {
  if (version_.empty()) {
    CO_ASSIGN_OR_RETURN(const Reply meta, co_await call({.method = "GET", .path = "/v1/meta", .body = {}}));
    const std::string* version = string_member(meta.json, "version");
    if (version == nullptr || version->empty()) co_return bad(meta, "no `version`");
    version_ = *version;
  }
  co_return version_;
}

Task<Result<StoreInfo>> WeaviateStore::info() {
  CO_RETURN_IF_ERROR(open());
  StoreInfo out;
  out.backend = "weaviate";
  out.metric = options_.metric;
  version_.clear();
  CO_ASSIGN_OR_RETURN(out.version, co_await version());
  CO_ASSIGN_OR_RETURN(const Reply there, co_await described());
  CO_RETURN_IF_ERROR(compare(there));
  CO_ASSIGN_OR_RETURN(out.dimension, co_await stored_dimension(there.json));
  CO_ASSIGN_OR_RETURN(out.count, co_await count_matching({}));
  Json details = {{"class", class_}};
  for (const std::string_view name : {"vectorConfig", "invertedIndexConfig", "shardingConfig", "replicationConfig"}) {
    if (const Json* value = json_member(there.json, name)) details[std::string(name)] = *value;
  }
  out.details = write_json(details);
  co_return std::move(out);
}

Task<StoreHealth> WeaviateStore::health() {
  StoreHealth out;
  if (const Status opened = open(); !opened.ok()) {
    out.message = opened.error().message;
    co_return out;
  }
  // Pages cannot ask this: the server answers it before it thinks of CORS.
  if (!http_.browser()) {
    const Result<HttpResponse> ready =
        co_await http_.send({.method = "GET", .path = "/v1/.well-known/ready", .body = {}});
    if (!ready.ok() || ready.value().status >= 300) {
      out.message = ready.ok() ? refusal(ready.value()).message : ready.error().message;
      co_return out;
    }
  }
  // That one takes no key.
  version_.clear();
  const Result<std::string> told = co_await version();
  out.ready = told.ok();
  if (!told.ok()) out.message = told.error().message;
  co_return out;
}

Task<Status> WeaviateStore::close() {
  closed_ = true;
  co_return Status();
}

// Filters

Task<Result<WeaviateFilter>> WeaviateStore::compile(const Filter* filter) {
  if (filter == nullptr) co_return WeaviateFilter();
  CO_ASSIGN_OR_RETURN(WeaviateFilter out, compile_weaviate_filter(*filter));
  if (out.condition.kind == WeaviateCondition::Kind::kAll) co_return std::move(out);
  if (!options_.payload_index) {
    co_return unsupported("filter: collection " + shown(options_.collection) +
                          " was configured without an index of payloads (enable_payload_index)");
  }
  if (!out.needs_not.empty()) {
    CO_ASSIGN_OR_RETURN(const std::string told, co_await version());
    const size_t dot = told.find('.');
    const std::optional<uint64_t> major = told_number(told, 0);
    const std::optional<uint64_t> minor = dot == std::string::npos ? std::nullopt : told_number(told, dot + 1);
    if (!major || !minor || (*major == 1 && *minor < kNotSince) || *major == 0) {
      co_return unsupported(out.needs_not + ": Weaviate has `Not` from 1." + std::to_string(kNotSince) +
                            " on, and this is " + shown(told));
    }
  }
  for (const WeaviateFilter::Substring& substring : out.substrings) {
    CO_ASSIGN_OR_RETURN(const uint64_t longer,
                        co_await count_matching({WeaviateCondition::Kind::kAny, {}, {substring.term}}));
    if (longer == 0) continue;
    co_return unsupported(substring.clause + ": Weaviate looks into strings of at most " +
                              std::to_string(kTermStringBytes) + " bytes here, and " + std::to_string(longer) +
                              " points have a longer one",
                          std::to_string(longer));
  }
  co_return std::move(out);
}

}  // namespace nearfield
