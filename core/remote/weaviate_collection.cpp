#include <algorithm>

#include "core/remote/weaviate_parts.h"

namespace nearfield {

namespace {

std::string_view distance_name(Metric metric) {
  switch (metric) {
    case Metric::kCosine: return "cosine";
    case Metric::kDot: return "dot";
    case Metric::kEuclidean: return "l2-squared";
    case Metric::kManhattan: return "manhattan";
  }
  return "";
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

}  // namespace

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

Task<Result<Reply>> WeaviateStore::described() {
  Result<HttpResponse> response = co_await http_.send({.method = "GET", .path = "/v1/schema/" + class_, .body = {}});
  if (!response.ok()) co_return std::move(response).failure();
  if (response->status == 404) co_return missing();
  if (response->status >= 300) co_return refusal(*response);
  CO_ASSIGN_OR_RETURN(Json json, read_answer(http_, *response));
  const std::string* name = string_member(json, "class");
  if (name == nullptr || *name != class_) co_return http_.protocol_error(*response, "another class");
  co_return make_reply(std::move(response).value(), std::move(json));
}

Task<Result<EnsureReport>> WeaviateStore::ensure() {
  CO_RETURN_IF_ERROR(open());
  Result<Reply> there = co_await described();
  if (!there.ok() && there.code() == Code::kNotFound) {
    CO_ASSIGN_OR_RETURN(
        const HttpResponse made,
        co_await http_.send(
            {.method = "POST", .path = "/v1/schema", .body = create_body(), .retry = RetryClass::kCreate}));
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
  const auto mismatch = [&](std::string_view what) { return schema_mismatch(options_.collection, what); };
  const Json* vector = json_at(described.json, {"vectorConfig", "default"});
  if (vector == nullptr) return mismatch("has no vector named \"default\"");
  const Json* vectorizer = json_member(*vector, "vectorizer");
  if (vectorizer == nullptr || json_member(*vectorizer, "none") == nullptr) {
    return mismatch("makes vectors itself: its vectorizer is " + text_of(vectorizer));
  }
  const Json* index = json_member(*vector, "vectorIndexConfig");
  const std::string* distance = index == nullptr ? nullptr : string_member(*index, "distance");
  if (distance == nullptr) return bad(described, "a vector without `distance`");
  if (*distance != distance_name(options_.metric)) {
    return mismatch("compares by " + *distance + ", not by " + std::string(distance_name(options_.metric)));
  }
  if (is_true(json_at(described.json, {"multiTenancyConfig", "enabled"}))) return mismatch("has tenants");
  const Json* declared = json_member(described.json, "properties");
  if (declared == nullptr || !declared->is_array()) return bad(described, "no `properties`");
  for (const Property& property : properties_of(options_)) {
    const auto there = std::ranges::find_if(*declared, [&](const Json& each) {
      const std::string* name = string_member(each, "name");
      return name != nullptr && *name == property.name;
    });
    if (there == declared->end()) return mismatch("has no property " + shown(property.name));
    const Json* type = json_member(*there, "dataType");
    const std::string* tokenization = string_member(*there, "tokenization");
    if (type == nullptr || *type != Json::array({std::string(property.type)}) ||
        (!property.tokenization.empty() && (tokenization == nullptr || *tokenization != property.tokenization)) ||
        (property.filterable && !is_true(json_member(*there, "indexFilterable"))) ||
        (property.searchable && !is_true(json_member(*there, "indexSearchable")))) {
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
    if (!is_true(json_at(*index, {code, "enabled"}))) continue;
    report.differences.push_back({"quantization", "none", std::string(code)});
  }
  return report;
}

// As it was made for, or as the first vectors have it; 0: there are none.
Task<Result<size_t>> WeaviateStore::stored_dimension(const Json& described) {
  if (const std::string* description = string_member(described, "description")) {
    const Result<Json> ours = parse_json(*description, "description");
    const uint64_t told = ours.ok() ? unsigned_member(*ours, "dimension").value_or(0) : 0;
    if (told > 0 && told <= UINT32_MAX) co_return static_cast<size_t>(told);
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

}  // namespace nearfield
