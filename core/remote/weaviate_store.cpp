#include "core/remote/weaviate_store.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>
#include <utility>

#include "core/base/sort.h"
#include "core/base/utf8.h"
#include "core/collection/point_check.h"
#include "core/filter/payload_filter.h"
#include "core/remote/answer.h"
#include "core/remote/excerpt.h"
#include "core/remote/ids.h"
#include "core/remote/json_text.h"
#include "core/remote/score.h"
#include "core/remote/weaviate_terms.h"

namespace nearfield {

namespace {

constexpr size_t kMaxPage = 10'000;
constexpr size_t kMaxClassName = 255;
constexpr size_t kMaxPropertyName = 230;
constexpr size_t kIdsAtOnce = 1'000;
// What an answer may have by our own doing, well below what HttpClient takes.
constexpr size_t kAnswerBytes = 16 << 20;
// From this many objects on a search with a filter is not exact, where the class does not tell.
constexpr uint64_t kFlatCutoff = 40'000;
constexpr unsigned kNotSince = 33;  // `Not` came with 1.33
constexpr uint64_t kSnapshotDeadlineMs = 600'000, kSnapshotPollMs = 500;
constexpr StoreParts kNoParts{.payload = false, .text = false, .vector = false};
// The server squares components as f32.
constexpr double kLeastNorm = 1e-15, kGreatestNorm = 1e15;

std::string_view distance_name(Metric metric) {
  switch (metric) {
    case Metric::kCosine: return "cosine";
    case Metric::kDot: return "dot";
    case Metric::kEuclidean: return "l2-squared";
    case Metric::kManhattan: return "manhattan";
  }
  return "";
}

ServerScale scale_of(Metric metric) {
  switch (metric) {
    case Metric::kCosine: return ServerScale::kOneMinus;
    case Metric::kDot: return ServerScale::kNegated;
    case Metric::kEuclidean: return ServerScale::kSquaredDistance;
    case Metric::kManhattan: break;
  }
  return ServerScale::kDistance;
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

// The number that ends before `end`, or that begins at `begin`.
std::optional<uint64_t> number_before(std::string_view text, size_t end) {
  size_t begin = end;
  while (begin > 0 && text[begin - 1] >= '0' && text[begin - 1] <= '9') --begin;
  return parse_u64(text.substr(begin, end - begin));
}
std::optional<uint64_t> number_at(std::string_view text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  return parse_u64(text.substr(begin, end - begin));
}

struct Dimensions {
  uint64_t stored = 0, given = 0;
};

// "4 vs 3: vector lengths don't match", "new node has a vector with length 3. Existing nodes have vectors with length
// 4"
std::optional<Dimensions> told_dimensions(std::string_view words) {
  constexpr std::string_view kVs = " vs ", kGiven = "a vector with length ", kStored = "have vectors with length ";
  std::optional<uint64_t> stored, given;
  if (const size_t at = words.find(kGiven), other = words.find(kStored);
      at != std::string_view::npos && other != std::string_view::npos) {
    given = number_at(words, at + kGiven.size());
    stored = number_at(words, other + kStored.size());
  } else if (words.find("vector lengths don't match") != std::string_view::npos) {
    if (const size_t vs = words.rfind(kVs); vs != std::string_view::npos) {
      stored = number_before(words, vs);
      given = number_at(words, vs + kVs.size());
    }
  }
  if (!stored || !given) return std::nullopt;
  return Dimensions{*stored, *given};
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

const std::string* string_member(const Json& json, std::string_view name) {
  const Json* member = json_member(json, name);
  return member != nullptr && member->is_string() ? &member->get_ref<const std::string&>() : nullptr;
}

std::string text_of(const Json* json) {
  if (json == nullptr) return "(not told)";
  return json->is_string() ? json->get_ref<const std::string&>() : shown_json(*json);
}

bool comes_first(double score, std::string_view id, double other_score, std::string_view other_id) {
  return score != other_score ? score > other_score : id < other_id;
}

// What a vector is scaled by to be stored or asked for; 1 where it stays as it is.
double scaled_by(std::span<const float> vector, Metric metric) {
  if (metric != Metric::kCosine || vector.empty()) return 1;
  const double norm = vector_norm(vector);
  return norm == 0 || (norm > kLeastNorm && norm < kGreatestNorm) ? 1 : norm;
}

void append_vector(std::string& out, std::span<const float> vector, double scale) {
  if (scale == 1) return append_json_floats(out, vector);
  std::vector<float> unit(vector.size());
  for (size_t i = 0; i < unit.size(); ++i) unit[i] = static_cast<float>(vector[i] / scale);
  append_json_floats(out, unit);
}

// A property as it is declared.
struct Property {
  std::string name;
  std::string_view type, tokenization;  // no tokenization: none
  bool filterable = false, searchable = false;
};

std::vector<Property> properties_of(const WeaviateOptions& options) {
  std::vector<Property> out = {{"nf_id", "text", "field", false, false},
                               {"nf_payload", "text", "field", false, false},
                               {"nf_norm", "number", "", false, false},
                               {options.text_field, "text", "word", false, options.text_search}};
  if (options.payload_index) out.push_back({std::string(kWeaviateTerms), "text[]", "field", true, false});
  return out;
}

// What fusing two legs is to the server.
struct NativeFusion {
  std::string_view type;
  double alpha = 0;
  double scale = 1;  // of the server's scores
};

Result<NativeFusion> native_fusion(const Fusion& fusion) {
  if (const auto* convex = std::get_if<Convex>(&fusion)) {
    return NativeFusion{"relativeScoreFusion", convex->alpha, 1};
  }
  const auto& ranks = std::get<ReciprocalRank>(fusion);
  if (ranks.k != 60) return unsupported("search.fusion.k: Weaviate's is 60", shown(ranks.k));
  const double sum = ranks.dense_weight + ranks.text_weight;
  if (!(sum > 0)) return unsupported("search.fusion: Weaviate takes no two weights of 0", shown(sum));
  return NativeFusion{"rankedFusion", ranks.dense_weight / sum, sum};
}

}  // namespace

std::string weaviate_class(std::string_view collection) {
  std::string out;
  for (const char c : collection) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      out += c;
    } else {
      out += '_';
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
  }
  if (out.empty() || out[0] < 'a' || out[0] > 'z') return "X_z" + out;
  out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

// An answer with a good status.
struct WeaviateStore::Reply {
  HttpResponse response;  // its body is cut: what messages show of it
  Json json;
};

struct WeaviateStore::Record {
  std::string uuid;
  StorePoint point;
};

// One query as it is sent.
struct WeaviateStore::Leg {
  enum class Kind : uint8_t { kDense, kText, kHybrid };
  Kind kind = Kind::kDense;
  double scale = 1;  // of the server's scores
  size_t limit = 0, offset = 0;
  StoreParts parts;
  std::string text;
};

class WeaviateStore::UpsertJob : public BatchJob {
 public:
  UpsertJob(const WeaviateStore& store, const std::vector<StorePoint>& points) : store_(store), points_(points) {}

  size_t count() const override { return points_.size(); }
  std::string_view id(size_t item) const override { return points_[item].id; }
  size_t bytes(size_t item) const override {
    const StorePoint& point = points_[item];
    const size_t payload = (store_.options_.payload_index ? 6 : 1) * point.payload.size();
    return 300 + 12 * point.vector.size() + point.id.size() + point.text.size() + payload;
  }
  HttpRequest request(size_t first, size_t last) const override {
    HttpRequest out;
    out.method = "POST";
    out.path = "/v1/batch/objects";
    out.retry = RetryClass::kIdempotentWrite;
    out.body = "{\"objects\":[";
    for (size_t i = first; i < last; ++i) {
      if (i > first) out.body += ',';
      append_object(out.body, points_[i]);
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
  void append_object(std::string& out, const StorePoint& point) const {
    const WeaviateOptions& options = store_.options_;
    const double scale = scaled_by(point.vector, options.metric);
    out += "{\"class\":\"" + store_.class_ + "\",\"id\":\"" + uuid_of_id(point.id) + "\",\"properties\":{";
    const size_t begin = out.size();
    const auto next = [&](std::string_view name) {
      if (out.size() > begin) out += ',';
      append_json_string(out, name);
      out += ':';
    };
    if (!is_uuid(point.id)) {
      next("nf_id");
      append_json_string(out, point.id);
    }
    if (!point.payload.empty()) {
      next("nf_payload");
      append_json_string(out, point.payload);
    }
    if (options.payload_index && !point.payload.empty()) {
      const std::vector<std::string> terms = payload_terms(read_checked_json(point.payload));
      if (!terms.empty()) {
        next(kWeaviateTerms);
        for (size_t i = 0; i < terms.size(); ++i) {
          out += i > 0 ? ',' : '[';
          append_json_string(out, terms[i]);
        }
        out += ']';
      }
    }
    if (scale != 1) {
      next("nf_norm");
      append_json_double(out, scale);
    }
    if (!point.text.empty()) {
      next(options.text_field);
      append_json_string(out, point.text);
    }
    out += '}';
    if (!point.vector.empty()) {
      out += ",\"vectors\":{\"default\":";
      append_vector(out, point.vector, scale);
      out += '}';
    }
    out += '}';
  }

  void fail(const Json& result, size_t item, BatchReport& report) const {
    std::string words;
    const Json* errors = json_member(result, "errors");
    const Json* list = errors == nullptr ? nullptr : json_member(*errors, "error");
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

Status WeaviateStore::open() const {
  if (!closed_) return {};
  return Error{Code::kClosed, "the store of collection " + shown(options_.collection) + " was closed", ""};
}

Error WeaviateStore::missing() const {
  return {Code::kNotFound, "Collection '" + options_.collection + "' not found", shown(options_.collection)};
}

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

Task<Result<WeaviateStore::Reply>> WeaviateStore::call(HttpRequest request) {
  CO_ASSIGN_OR_RETURN(HttpResponse response, co_await http_.send(std::move(request)));
  if (response.status >= 300) co_return refusal(response);
  CO_ASSIGN_OR_RETURN(Json json, read_answer(http_, response));
  constexpr size_t kKeptBytes = 2'000;  // more than a message shows
  if (response.body.size() > kKeptBytes) {
    response.body.resize(kKeptBytes);
    response.body.shrink_to_fit();
  }
  co_return Reply{std::move(response), std::move(json)};
}

// The answer to one query, or an array of them.
Task<Result<WeaviateStore::Reply>> WeaviateStore::ask(std::vector<std::string> queries) {
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
  const Json* data = json_member(answer, "data");
  const Json* inner = data == nullptr ? nullptr : json_member(*data, root);
  const Json* list = inner == nullptr ? nullptr : json_member(*inner, class_);
  if (list == nullptr || !list->is_array()) return bad(reply, "no list of the class in `data`");
  return list;
}

// The collection

std::string WeaviateStore::create_body() const {
  // What a class does not tell before its first object.
  std::string description = "{\"nearfield\":1";
  if (options_.dimension > 0) description += ",\"dimension\":" + std::to_string(options_.dimension);
  description += '}';
  std::string out = "{\"class\":\"" + class_ + "\",\"description\":";
  append_json_string(out, description);
  out +=
      ",\"vectorConfig\":{\"default\":{\"vectorizer\":{\"none\":{}},\"vectorIndexType\":\"hnsw\","
      "\"vectorIndexConfig\":{\"distance\":\"";
  out += distance_name(options_.metric);
  out += '"';
  const auto setting = [&out](std::string_view name, size_t value) {
    if (value > 0) out += ",\"" + std::string(name) + "\":" + std::to_string(value);
  };
  setting("maxConnections", options_.m);
  setting("efConstruction", options_.ef_construct);
  setting("ef", options_.ef);
  out += ",\"skipDefaultQuantization\":true}}},\"properties\":[";
  bool first = true;
  for (const Property& property : properties_of(options_)) {
    if (!first) out += ',';
    first = false;
    out += "{\"name\":\"" + property.name + "\",\"dataType\":[\"" + std::string(property.type) + "\"]";
    if (!property.tokenization.empty()) out += ",\"tokenization\":\"" + std::string(property.tokenization) + '"';
    out += property.filterable ? ",\"indexFilterable\":true" : ",\"indexFilterable\":false";
    out += property.searchable ? ",\"indexSearchable\":true}" : ",\"indexSearchable\":false}";
  }
  // Every word counts, as in a search here.
  out += "],\"invertedIndexConfig\":{\"stopwords\":{\"preset\":\"none\"},\"bm25\":{\"k1\":1.2,\"b\":0.75}}}";
  return out;
}

Task<Result<WeaviateStore::Reply>> WeaviateStore::described() {
  Result<HttpResponse> response = co_await http_.send({.method = "GET", .path = "/v1/schema/" + class_, .body = {}});
  if (!response.ok()) co_return std::move(response).failure();
  if (response->status == 404) co_return missing();
  if (response->status >= 300) co_return refusal(*response);
  CO_ASSIGN_OR_RETURN(Json json, read_answer(http_, *response));
  const std::string* name = string_member(json, "class");
  if (name == nullptr || *name != class_) co_return http_.protocol_error(*response, "another class");
  co_return Reply{std::move(response).value(), std::move(json)};
}

Task<Result<EnsureReport>> WeaviateStore::ensure() {
  CO_RETURN_IF_ERROR(open());
  Result<Reply> there = co_await described();
  if (!there.ok() && there.code() == Code::kNotFound) {
    CO_ASSIGN_OR_RETURN(
        const HttpResponse made,
        co_await http_.send(
            {.method = "POST", .path = "/v1/schema", .body = create_body(), .retry = RetryClass::kIdempotentWrite}));
    if (made.status < 300) {
      CO_ASSIGN_OR_RETURN(const Json json, read_answer(http_, made));
      const std::string* name = string_member(json, "class");
      if (name == nullptr || *name != class_) co_return http_.protocol_error(made, "another class");
      EnsureReport report;
      report.created = true;
      co_return std::move(report);
    }
    // Somebody was faster, or it was an attempt of ours whose answer was lost.
    if (made.status != 422 || !has(made.body, "already exists")) co_return refusal(made);
    there = co_await described();
  }
  if (!there.ok()) co_return std::move(there).failure();
  CO_ASSIGN_OR_RETURN(EnsureReport report, compare(*there));
  if (options_.dimension > 0) {
    CO_ASSIGN_OR_RETURN(const size_t stored, co_await stored_dimension(there->json));
    if (stored > 0 && stored != options_.dimension) {
      co_return dimension_mismatch(Code::kSchemaMismatch, options_.dimension, stored);
    }
  }
  co_return std::move(report);
}

Result<EnsureReport> WeaviateStore::compare(const Reply& described) const {
  const auto mismatch = [&](std::string what) {
    return Error{Code::kSchemaMismatch, "collection " + shown(options_.collection) + ' ' + std::move(what), ""};
  };
  const Json* vectors = json_member(described.json, "vectorConfig");
  const Json* vector = vectors == nullptr ? nullptr : json_member(*vectors, "default");
  if (vector == nullptr) return mismatch("has no vector named \"default\"");
  const Json* vectorizer = json_member(*vector, "vectorizer");
  if (vectorizer == nullptr || json_member(*vectorizer, "none") == nullptr) {
    return mismatch("makes vectors itself: its vectorizer is " + text_of(vectorizer));
  }
  const Json* index = json_member(*vector, "vectorIndexConfig");
  const Json* distance = index == nullptr ? nullptr : json_member(*index, "distance");
  if (distance == nullptr || !distance->is_string()) return bad(described, "a vector without `distance`");
  if (*distance != distance_name(options_.metric)) {
    return mismatch("compares by " + text_of(distance) + ", not by " + std::string(distance_name(options_.metric)));
  }
  const Json* tenancy = json_member(described.json, "multiTenancyConfig");
  if (const Json* on = tenancy == nullptr ? nullptr : json_member(*tenancy, "enabled"); on != nullptr && *on == true) {
    return mismatch("has tenants");
  }
  const Json* declared = json_member(described.json, "properties");
  if (declared == nullptr || !declared->is_array()) return bad(described, "no `properties`");
  for (const Property& property : properties_of(options_)) {
    const auto there = std::ranges::find_if(*declared, [&](const Json& each) {
      const std::string* name = string_member(each, "name");
      return name != nullptr && *name == property.name;
    });
    if (there == declared->end()) return mismatch("has no property " + shown(property.name));
    const auto flag = [&](std::string_view name) {
      const Json* found = json_member(*there, name);
      return found != nullptr && *found == true;
    };
    const Json* type = json_member(*there, "dataType");
    const std::string* tokenization = string_member(*there, "tokenization");
    if (type == nullptr || *type != Json::array({std::string(property.type)}) ||
        (!property.tokenization.empty() && (tokenization == nullptr || *tokenization != property.tokenization)) ||
        (property.filterable && !flag("indexFilterable")) || (property.searchable && !flag("indexSearchable"))) {
      return mismatch("has the property " + shown(property.name) + ", but not as this store makes it");
    }
  }

  EnsureReport report;
  const auto compare_one = [&](std::string name, size_t asked, std::string_view setting) {
    if (asked == 0) return;
    std::string told = text_of(json_member(*index, setting));
    if (told != std::to_string(asked)) {
      report.differences.push_back({std::move(name), std::to_string(asked), std::move(told)});
    }
  };
  compare_one("m", options_.m, "maxConnections");
  compare_one("ef_construct", options_.ef_construct, "efConstruction");
  compare_one("ef", options_.ef, "ef");
  for (const std::string_view code : {"pq", "bq", "sq", "rq"}) {
    const Json* config = json_member(*index, code);
    const Json* on = config == nullptr ? nullptr : json_member(*config, "enabled");
    if (on != nullptr && *on == true) report.differences.push_back({"quantization", "none", std::string(code)});
  }
  return report;
}

// As it was made for, or as the first vectors have it; 0: there are none.
Task<Result<size_t>> WeaviateStore::stored_dimension(const Json& described) {
  if (const std::string* description = string_member(described, "description")) {
    const Result<Json> ours = parse_json(*description, "description");
    const Json* dimension = ours.ok() ? json_member(*ours, "dimension") : nullptr;
    if (dimension != nullptr && dimension->is_number_unsigned()) {
      const auto told = dimension->get<uint64_t>();
      if (told > 0 && told <= UINT32_MAX) co_return static_cast<size_t>(told);
    }
  }
  // The server compares a vector with those that it has, if any, and says how long they are.
  std::vector<std::string> query = {"{Get{" + class_ + "(nearVector:{vector:[1]},limit:1){_additional{id}}}}"};
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await ask(std::move(query)));
  const Result<const Json*> list = found(reply, reply.json, "Get");
  if (list.ok()) co_return size_t{(*list)->empty() ? 0U : 1U};
  const Json* errors = json_member(reply.json, "errors");
  const std::string* message =
      errors != nullptr && errors->is_array() && !errors->empty() ? string_member((*errors)[0], "message") : nullptr;
  const std::optional<Dimensions> told = message == nullptr ? std::nullopt : told_dimensions(*message);
  if (!told || told->stored == 0 || told->stored > UINT32_MAX) co_return Error{list.code(), list.error().message, ""};
  co_return static_cast<size_t>(told->stored);
}

Task<Status> WeaviateStore::learn_dimension() {
  if (dimension_ > 0) co_return Status();
  CO_ASSIGN_OR_RETURN(const Reply there, co_await described());
  CO_ASSIGN_OR_RETURN(dimension_, co_await stored_dimension(there.json));
  co_return Status();
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
    const std::optional<uint64_t> major = number_at(told, 0);
    const std::optional<uint64_t> minor = dot == std::string::npos ? std::nullopt : number_at(told, dot + 1);
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

// Writing

Status WeaviateStore::check_points(const std::vector<StorePoint>& points) const {
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
      RETURN_IF_ERROR(check_vector(point.vector, dimension_ > 0 ? dimension_ : point.vector.size(),
                                   "vector of " + shown(point.id)));
    }
    if (!point.sparse.empty()) {
      return unsupported("sparse vector of " + shown(point.id) + ": Weaviate has none; it searches texts by BM25");
    }
    const auto [place, fresh] = places.emplace(uuid_of_id(point.id), point.id);
    if (fresh) continue;
    if (place->second == point.id) {
      return invalid("the id " + shown(point.id) + " stands twice in one batch", shown(point.id));
    }
    return Error{Code::kConflict,
                 "the id " + shown(point.id) + " is the UUID that " + shown(place->second) + " is stored under",
                 shown(point.id)};
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
    const auto number = [&](std::string_view name) -> std::optional<uint64_t> {
      const Json* value = results == nullptr ? nullptr : json_member(*results, name);
      if (value == nullptr || !value->is_number_unsigned()) return std::nullopt;
      return value->get<uint64_t>();
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
    CO_ASSIGN_OR_RETURN(const std::vector<Record> there, co_await records({uuids.begin(), uuids.end()}, kNoParts));
    std::string list;
    size_t count = 0;
    for (const Record& record : there) {
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

// Reading

Task<Result<uint64_t>> WeaviateStore::count_matching(const WeaviateCondition& where) {
  const bool everything = where.kind == WeaviateCondition::Kind::kAll;
  std::vector<std::string> query = {"{Aggregate{" + class_ + (everything ? "" : "(where:" + where.graphql() + ')') +
                                    "{meta{count}}}}"};
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await ask(std::move(query)));
  CO_ASSIGN_OR_RETURN(const Json* list, found(reply, reply.json, "Aggregate"));
  const Json* meta = list->size() == 1 ? json_member((*list)[0], "meta") : nullptr;
  const Json* count = meta == nullptr ? nullptr : json_member(*meta, "count");
  if (count == nullptr || !count->is_number_unsigned()) co_return bad(reply, "no `count`");
  co_return count->get<uint64_t>();
}

Task<Result<uint64_t>> WeaviateStore::count(std::optional<Filter> filter) {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const WeaviateFilter compiled, co_await compile(filter ? &*filter : nullptr));
  co_return co_await count_matching(compiled.condition);
}

// The fields of a query that read_record() reads. `additional`: "distance", "score" or nothing.
std::string WeaviateStore::selection(StoreParts parts, std::string_view additional) const {
  std::string out = "{nf_id";
  if (parts.payload) out += " nf_payload";
  if (parts.text) out += ' ' + options_.text_field;
  if (parts.vector && options_.metric == Metric::kCosine) out += " nf_norm";
  out += " _additional{id";
  if (!additional.empty()) out += ' ' + std::string(additional);
  if (parts.vector) out += " vectors{default}";
  return out += "}}";
}

// Fails with kRemoteProtocolError; the message goes on from "the answer has".
Result<WeaviateStore::Record> WeaviateStore::read_record(const Json& json, StoreParts parts) const {
  const Json* additional = json_member(json, "_additional");
  const std::string* uuid = additional == nullptr ? nullptr : string_member(*additional, "id");
  if (uuid == nullptr || !is_uuid(*uuid)) return answer_has("an object whose `id` is no UUID");
  // A string; null stands for none.
  const auto text = [&](std::string_view name) -> Result<std::string> {
    const Json* member = json_member(json, name);
    if (member == nullptr || member->is_null()) return std::string();
    if (!member->is_string()) return answer_has("a property that is no string: " + std::string(name));
    return member->get<std::string>();
  };
  Record out;
  out.uuid = *uuid;
  StorePoint& point = out.point;
  ASSIGN_OR_RETURN(point.id, text("nf_id"));
  // Another client may have copied it to an object that is not of this id.
  if (point.id.empty() || uuid_of_id(point.id) != *uuid) point.id = *uuid;
  if (parts.text) {
    ASSIGN_OR_RETURN(point.text, text(options_.text_field));
  }
  if (parts.payload) {
    ASSIGN_OR_RETURN(point.payload, text("nf_payload"));
    const size_t first = point.payload.find_first_not_of(" \t\r\n");
    if (!point.payload.empty() &&
        (first == std::string::npos || point.payload[first] != '{' || !check_json(point.payload, "payload").ok())) {
      return answer_has("an nf_payload that is no JSON object");
    }
  }
  if (!parts.vector) return out;
  const Json* vectors = json_member(*additional, "vectors");
  const Json* vector = vectors == nullptr ? nullptr : json_member(*vectors, "default");
  if (vector == nullptr || vector->is_null()) return out;
  ASSIGN_OR_RETURN(point.vector, read_floats(*vector));
  if (dimension_ > 0 && !point.vector.empty() && point.vector.size() != dimension_) {
    return answer_has("a vector of " + std::to_string(point.vector.size()) + " components, not " +
                      std::to_string(dimension_));
  }
  const Json* norm = json_member(json, "nf_norm");
  if (norm == nullptr || norm->is_null()) return out;
  const double length = norm->is_number() ? norm->get<double>() : 0;
  if (!(length > 0 && std::isfinite(length))) return answer_has("an nf_norm that is no length");
  for (float& component : point.vector) {
    component = static_cast<float>(component * length);
    if (!std::isfinite(component)) return answer_has("a vector whose norm is too large");
  }
  return out;
}

// The objects at these UUIDs that are there, in any order. Each stands once.
Task<Result<std::vector<WeaviateStore::Record>>> WeaviateStore::records(std::vector<std::string> uuids,
                                                                        StoreParts parts) {
  const size_t vector_bytes = parts.vector ? 12 * dimension_ : 0;
  size_t at_once = std::clamp<size_t>(kAnswerBytes / (500 + vector_bytes), 1, kIdsAtOnce);
  std::vector<Record> out;
  for (size_t first = 0; first < uuids.size();) {
    const size_t last = std::min(first + at_once, uuids.size());
    std::set<std::string_view> asked;
    std::string query = "{Get{" + class_ + "(where:{path:[\"id\"],operator:ContainsAny,valueText:[";
    for (size_t i = first; i < last; ++i) {
      if (i > first) query += ',';
      query += '"' + uuids[i] + '"';
      asked.insert(uuids[i]);
    }
    query += "]},limit:" + std::to_string(last - first) + ')' + selection(parts, "") + "}}";
    std::vector<std::string> queries;
    queries.push_back(std::move(query));
    const Result<Reply> answered = co_await ask(std::move(queries));
    if (!answered.ok()) {
      // Their payloads are longer than was thought.
      if (answered.code() != Code::kLimitExceeded || last - first < 2) {
        co_return Error{answered.code(), answered.error().message, answered.error().value};
      }
      at_once = (last - first) / 2;
      continue;
    }
    CO_ASSIGN_OR_RETURN(const Json* list, found(*answered, answered->json, "Get"));
    for (const Json& object : *list) {
      Result<Record> read = read_record(object, parts);
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
  std::vector<StorePoint> out;
  if (ids.empty()) co_return std::move(out);
  if (parts.vector) CO_RETURN_IF_ERROR(co_await learn_dimension());
  std::set<std::string> uuids;
  for (const std::string& id : ids) uuids.insert(uuid_of_id(id));
  CO_ASSIGN_OR_RETURN(const std::vector<Record> there, co_await records({uuids.begin(), uuids.end()}, parts));
  std::unordered_map<std::string_view, const StorePoint*> by_id;
  for (const Record& record : there) by_id.emplace(record.point.id, &record.point);
  for (const std::string& id : ids) {
    if (const auto point = by_id.find(id); point != by_id.end()) out.push_back(*point->second);
  }
  co_return std::move(out);
}

Task<Result<StorePage>> WeaviateStore::scroll(std::optional<Filter> filter, std::string from, size_t limit,
                                              StoreParts parts) {
  CO_RETURN_IF_ERROR(open());
  if (limit == 0 || limit > kMaxPage) {
    co_return invalid("a page has 1 to " + std::to_string(kMaxPage) + " points", std::to_string(limit));
  }
  if (!from.empty() && !is_uuid(from)) {
    co_return invalid("a page begins where the one before says so, not at " + shown(from), shown(from));
  }
  if (parts.vector) CO_RETURN_IF_ERROR(co_await learn_dimension());
  StoreParts asked = parts;
  asked.payload = asked.payload || filter.has_value();
  std::optional<PayloadFilter> passes;
  if (filter.has_value()) passes.emplace(*filter);
  size_t at_once = std::clamp<size_t>(kAnswerBytes / (500 + (parts.vector ? 12 * dimension_ : 0)), 1, kIdsAtOnce);
  StorePage page;
  for (;;) {
    // One more tells whether these are the last.
    const size_t count = filter.has_value() ? at_once : std::min(at_once, limit - page.points.size() + 1);
    std::vector<std::string> query = {"{Get{" + class_ + "(limit:" + std::to_string(count) + ",after:\"" + from +
                                      "\")" + selection(asked, "") + "}}"};
    const Result<Reply> answered = co_await ask(std::move(query));
    if (!answered.ok()) {
      if (answered.code() != Code::kLimitExceeded || count == 1) {
        co_return Error{answered.code(), answered.error().message, answered.error().value};
      }
      at_once = count / 2;
      continue;
    }
    CO_ASSIGN_OR_RETURN(const Json* list, found(*answered, answered->json, "Get"));
    if (list->size() > count) co_return bad(*answered, "more objects than were asked for");
    for (const Json& object : *list) {
      Result<Record> read = read_record(object, asked);
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

// Searching

Result<WeaviateStore::Leg> WeaviateStore::leg_of(const StoreQuery& query, const WeaviateCondition& where,
                                                 bool lean) const {
  const auto needs = [](std::string_view mode, std::string_view what) {
    return invalid("a search of mode " + std::string(mode) + " needs a " + std::string(what), shown(mode));
  };
  const bool has_vector = !query.vector.empty(), has_text = !query.text.empty();
  if (!query.sparse.empty()) {
    return unsupported("search.sparse: Weaviate has no sparse vectors; it searches texts by BM25");
  }
  if (!has_vector && !has_text) return invalid("a search needs a vector, a text or both", "");
  if (query.mode == SearchMode::kDense && !has_vector) return needs("dense", "vector");
  if (query.mode == SearchMode::kText && !has_text) return needs("text", "text");
  if (query.mode == SearchMode::kHybrid && !has_vector) return needs("hybrid", "vector");
  if (query.mode == SearchMode::kHybrid && !has_text) return needs("hybrid", "text");
  const bool dense = has_vector && query.mode != SearchMode::kText;
  const bool text = has_text && query.mode != SearchMode::kDense;
  if (text && !options_.text_search) {
    return invalid("collection " + shown(options_.collection) +
                       " was configured without text search (enable_hybrid_search); search with a vector alone",
                   shown(query.text));
  }
  if (text && !is_utf8(query.text)) return invalid("search.text is not UTF-8", shown(query.text));
  if (query.text.size() > kMaxQueryTextBytes) {
    return Error{Code::kLimitExceeded, "search.text has at most " + std::to_string(kMaxQueryTextBytes) + " bytes",
                 std::to_string(query.text.size())};
  }
  if (has_vector) {
    RETURN_IF_ERROR(check_vector(query.vector, dimension_ > 0 ? dimension_ : query.vector.size(), "the query vector"));
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
  if (query.ef > 0 && query.ef != options_.ef) {
    return unsupported("search.ef: Weaviate's is one for the whole collection (index_config.ef)",
                       std::to_string(query.ef));
  }
  if (query.nprobe > 0 || query.rescore > 0) {
    return unsupported(query.nprobe > 0 ? "search.nprobe is for partitioned indexes"
                                        : "search.rescore: Weaviate decides itself how many candidates it scores again",
                       std::to_string(query.nprobe > 0 ? query.nprobe : query.rescore));
  }

  Leg leg;
  leg.limit = query.k;
  leg.offset = query.offset;
  leg.parts = lean ? kNoParts : query.parts;
  std::string& out = leg.text;
  out = "{Get{" + class_ + '(';
  const auto add_vector = [&] {
    out += "vector:";
    append_vector(out, query.vector, scaled_by(query.vector, options_.metric));
  };
  const auto add_words = [&] {
    out += "query:";
    append_json_string(out, query.text);
    out += ",properties:[\"" + options_.text_field + "\"]";
  };
  if (dense && text) {
    leg.kind = Leg::Kind::kHybrid;
    ASSIGN_OR_RETURN(const NativeFusion fusion, native_fusion(query.fusion.value_or(options_.fusion)));
    leg.scale = fusion.scale;
    out += "hybrid:{";
    add_words();
    out += ',';
    add_vector();
    out += ",targetVectors:[\"default\"],alpha:";
    append_json_double(out, fusion.alpha);
    out += ",fusionType:" + std::string(fusion.type) + '}';
  } else if (dense) {
    out += "nearVector:{";
    add_vector();
    out += '}';
  } else {
    leg.kind = Leg::Kind::kText;
    out += "bm25:{";
    add_words();
    out += '}';
  }
  // With a filter, however wide, the server looks at every object that passes, if they are not too many.
  const bool exact = query.exact && dense && options_.payload_index;
  if (exact || where.kind != WeaviateCondition::Kind::kAll) out += ",where:" + where.graphql();
  out += ",limit:" + std::to_string(query.k);
  if (query.offset > 0) out += ",offset:" + std::to_string(query.offset);
  out += ')' + selection(leg.parts, leg.kind == Leg::Kind::kDense ? "distance" : "score") + "}}";
  return leg;
}

// Fails where the server will not look at every object that passes; answers whether it does so with any filter.
Task<Result<bool>> WeaviateStore::check_exact(const WeaviateCondition& where) {
  if (!options_.payload_index) {
    co_return unsupported("search.exact: Weaviate takes it with a filter alone, and collection " +
                          shown(options_.collection) +
                          " was configured without an index of payloads (enable_payload_index)");
  }
  CO_ASSIGN_OR_RETURN(const Reply there, co_await described());
  uint64_t cutoff = kFlatCutoff;
  const Json* at = &there.json;
  for (const std::string_view name : {"vectorConfig", "default", "vectorIndexConfig", "flatSearchCutoff"}) {
    at = at == nullptr ? nullptr : json_member(*at, name);
  }
  if (at != nullptr && at->is_number_unsigned()) cutoff = at->get<uint64_t>();
  CO_ASSIGN_OR_RETURN(uint64_t count, co_await count_matching({}));
  if (count < cutoff) co_return true;
  if (where.kind != WeaviateCondition::Kind::kAll) {
    CO_ASSIGN_OR_RETURN(count, co_await count_matching(where));
  }
  if (count < cutoff) co_return false;
  co_return unsupported("search.exact: Weaviate compares fewer than " + std::to_string(cutoff) +
                            " points one by one, and these are " + std::to_string(count),
                        std::to_string(count));
}

Result<std::vector<StoreHit>> WeaviateStore::read_hits(const Reply& reply, const Json& answer, const Leg& leg) const {
  ASSIGN_OR_RETURN(const Json* list, found(reply, answer, "Get"));
  if (list->size() > leg.limit) return bad(reply, "more objects than were asked for");
  std::vector<StoreHit> hits;
  std::set<std::string> uuids;
  for (const Json& object : *list) {
    Result<Record> read = read_record(object, leg.parts);
    if (!read.ok()) return bad(reply, read.error().message);
    if (!uuids.insert(read->uuid).second) return bad(reply, "an object twice");
    const Json& additional = *json_member(object, "_additional");
    double value = 0;
    if (leg.kind == Leg::Kind::kDense) {
      const Json* distance = json_member(additional, "distance");
      if (distance == nullptr || !distance->is_number()) return bad(reply, "a `distance` that is no number");
      value = score_of(options_.metric, scale_of(options_.metric), distance->get<double>());
    } else {
      // A number, as text.
      const std::string* text = string_member(additional, "score");
      const Result<Json> score = parse_json(text == nullptr ? "" : *text, "score");
      if (!score.ok() || !score->is_number()) return bad(reply, "a `score` that is no number in a string");
      value = score->get<double>() * leg.scale;
    }
    if (!std::isfinite(value)) return bad(reply, "a score that is not finite");
    StoreHit hit;
    hit.point = std::move(read->point);
    hit.score = value;
    hits.push_back(std::move(hit));
  }
  heap_sort(hits,
            [](const StoreHit& a, const StoreHit& b) { return comes_first(a.score, a.point.id, b.score, b.point.id); });
  if (leg.kind == Leg::Kind::kHybrid) return hits;
  for (size_t i = 0; i < hits.size(); ++i) {
    (leg.kind == Leg::Kind::kDense ? hits[i].dense : hits[i].text) = LegScore{hits[i].score, leg.offset + i + 1};
  }
  return hits;
}

// Into hits of which only the ids are known.
Task<Status> WeaviateStore::load_parts(std::vector<StoreHit>& hits, StoreParts parts) {
  if (hits.empty() || (!parts.payload && !parts.text && !parts.vector)) co_return Status();
  std::vector<std::string> ids;
  for (const StoreHit& hit : hits) ids.push_back(hit.point.id);
  CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points, co_await get(std::move(ids), parts));
  // One that was removed in between is a hit no more.
  size_t next = 0;
  std::vector<StoreHit> kept;
  for (StoreHit& hit : hits) {
    if (next == points.size() || points[next].id != hit.point.id) continue;
    hit.point = std::move(points[next++]);
    kept.push_back(std::move(hit));
  }
  hits = std::move(kept);
  co_return Status();
}

Task<Result<std::vector<std::vector<StoreHit>>>> WeaviateStore::search(std::vector<StoreQuery> queries) {
  CO_RETURN_IF_ERROR(open());
  std::vector<std::vector<StoreHit>> out(queries.size());
  std::vector<Leg> legs;
  std::vector<bool> lean(queries.size(), false);
  bool few = false;  // in all
  for (size_t i = 0; i < queries.size(); ++i) {
    const StoreQuery& query = queries[i];
    if (query.parts.vector) CO_RETURN_IF_ERROR(co_await learn_dimension());
    CO_ASSIGN_OR_RETURN(const WeaviateFilter filter, co_await compile(query.filter ? &*query.filter : nullptr));
    // Too much for one answer: the parts of hits come later, some at a time.
    lean[i] = query.parts.vector && query.k * (500 + 12 * dimension_) > kAnswerBytes;
    CO_ASSIGN_OR_RETURN(Leg leg, leg_of(query, filter.condition, lean[i]));
    if (query.exact && leg.kind != Leg::Kind::kText && !few) {
      CO_ASSIGN_OR_RETURN(few, co_await check_exact(filter.condition));
    }
    legs.push_back(std::move(leg));
  }
  size_t at_once = options_.search_batch;
  for (size_t first = 0; first < legs.size();) {
    size_t bytes = 0, answer_bytes = 0, last = first;
    std::vector<std::string> some;
    while (last < legs.size() && some.size() < at_once) {
      const Leg& leg = legs[last];
      const size_t expected = leg.limit * (500 + (leg.parts.vector ? 12 * dimension_ : 0));
      if (!some.empty() &&
          (bytes + leg.text.size() > options_.batches.max_bytes || answer_bytes + expected > kAnswerBytes)) {
        break;
      }
      bytes += leg.text.size();
      answer_bytes += expected;
      some.push_back(leg.text);
      ++last;
    }
    const size_t count = some.size();
    const Result<Reply> answered = co_await ask(std::move(some));
    if (!answered.ok()) {
      // Payloads are longer than was thought.
      if (answered.code() != Code::kLimitExceeded || (count == 1 && lean[first])) {
        co_return Error{answered.code(), answered.error().message, answered.error().value};
      }
      if (count > 1) {
        at_once = count / 2;
        continue;
      }
      const StoreQuery& query = queries[first];
      CO_ASSIGN_OR_RETURN(const WeaviateFilter filter, co_await compile(query.filter ? &*query.filter : nullptr));
      lean[first] = true;
      CO_ASSIGN_OR_RETURN(legs[first], leg_of(query, filter.condition, true));
      continue;
    }
    for (size_t i = first; i < last; ++i) {
      const Json& answer = count > 1 ? answered->json[i - first] : answered->json;
      CO_ASSIGN_OR_RETURN(out[i], read_hits(*answered, answer, legs[i]));
      if (const std::optional<double>& least = queries[i].min_score) {
        std::erase_if(out[i], [&](const StoreHit& hit) { return hit.score < *least; });
      }
    }
    first = last;
  }
  for (size_t i = 0; i < queries.size(); ++i) {
    if (lean[i]) CO_RETURN_IF_ERROR(co_await load_parts(out[i], queries[i].parts));
  }
  co_return std::move(out);
}

// Snapshots

// "/v1/backups/filesystem"
Task<Result<std::string>> WeaviateStore::backup_path() {
  constexpr std::string_view kModule = "backup-";
  std::string backend = options_.backup_backend;
  if (backend.empty()) {
    CO_ASSIGN_OR_RETURN(const Reply meta, co_await call({.method = "GET", .path = "/v1/meta", .body = {}}));
    const Json* modules = json_member(meta.json, "modules");
    for (auto module = modules == nullptr || !modules->is_object() ? Json::const_iterator() : modules->begin();
         modules != nullptr && modules->is_object() && module != modules->end(); ++module) {
      if (module.key().starts_with(kModule) && backend.empty()) backend = module.key().substr(kModule.size());
    }
    if (backend.empty()) co_return unsupported("the server has no module for backups");
  }
  co_return "/v1/backups/" + percent_encoded(backend);
}

namespace {

std::optional<Snapshot> read_backup(const Json& json) {
  const std::string* id = string_member(json, "id");
  if (id == nullptr || id->empty()) return std::nullopt;
  Snapshot out;
  out.name = *id;
  if (const std::string* started = string_member(json, "startedAt")) out.created = *started;
  // In GiB.
  const Json* size = json_member(json, "size");
  const double bytes = size != nullptr && size->is_number() ? size->get<double>() * 0x1p30 : 0;
  if (bytes > 0 && bytes < 0x1p63) out.bytes = static_cast<uint64_t>(bytes);
  return out;
}

}  // namespace

Task<Result<Snapshot>> WeaviateStore::create_snapshot() {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(co_await described());
  CO_ASSIGN_OR_RETURN(const std::string path, co_await backup_path());
  std::string id = class_;
  id[0] = static_cast<char>(id[0] - 'A' + 'a');
  id += '-' + std::to_string(effects_.now_ms());
  const uint64_t until = effects_.now_ms() + kSnapshotDeadlineMs;
  {
    CO_ASSIGN_OR_RETURN(const HttpResponse begun,
                        co_await http_.send({.method = "POST",
                                             .path = path,
                                             .body = "{\"id\":\"" + id + "\",\"include\":[\"" + class_ + "\"]}",
                                             .retry = RetryClass::kUnsafe}));
    if (begun.status >= 300) {
      Error error = refusal(begun);
      if (has(begun.body, "no backup backend")) error.code = Code::kUnsupported;
      co_return error;
    }
  }
  for (;;) {
    CO_ASSIGN_OR_RETURN(const Reply reply, co_await call({.method = "GET", .path = path + '/' + id, .body = {}}));
    const std::string* status = string_member(reply.json, "status");
    std::optional<Snapshot> made = read_backup(reply.json);
    if (status == nullptr || !made || made->name != id) co_return bad(reply, "no backup with `id` and `status`");
    if (*status == "SUCCESS") co_return *std::move(made);
    if (*status == "FAILED" || *status == "CANCELED") {
      const std::string* why = string_member(reply.json, "error");
      co_return Error{
          Code::kRemoteRejected,
          http_.server().name + " made no backup: " + excerpt(why == nullptr ? *status : *why, http_.server().key), ""};
    }
    if (effects_.now_ms() >= until) {
      co_return Error{Code::kTimeout, "the backup " + shown(id) + " was begun, and has not ended in time", ""};
    }
    EffectAnswer slept = co_await effects_.request(SleepEffect{kSnapshotPollMs});
    CO_RETURN_IF_ERROR(std::move(slept.status));
  }
}

Task<Result<std::vector<Snapshot>>> WeaviateStore::list_snapshots() {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const std::string path, co_await backup_path());
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await call({.method = "GET", .path = path, .body = {}}));
  if (!reply.json.is_array()) co_return bad(reply, "no list of backups");
  std::vector<Snapshot> out;
  for (const Json& each : reply.json) {
    std::optional<Snapshot> backup = read_backup(each);
    if (!backup) co_return bad(reply, "a backup without `id`");
    const Json* classes = json_member(each, "classes");
    const std::string* status = string_member(each, "status");
    if (classes == nullptr || *classes != Json::array({class_})) continue;
    if (status != nullptr && *status == "SUCCESS") out.push_back(*std::move(backup));
  }
  co_return std::move(out);
}

Task<Status> WeaviateStore::delete_snapshot(std::string name) {
  CO_RETURN_IF_ERROR(open());
  co_return unsupported("Weaviate has no call that deletes a backup; delete it where the server keeps them",
                        shown(name));
}

}  // namespace nearfield
