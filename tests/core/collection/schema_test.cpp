#include "core/collection/schema.h"

#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>

using namespace nearfield;

namespace {

Result<Schema> parsed(std::string_view text) { return parse_schema(Json::parse(text)); }

}  // namespace

TEST_CASE("a schema survives its JSON form") {
  for (const char* text :
       {R"({})", R"({"dimension": 384})", R"({"dimension": 65536, "metric": "manhattan"})", R"({"index": "flat"})",
        R"({"index": {"kind": "auto", "m": 32, "efConstruct": 100}})", R"({"index": {"kind": "hnsw"}})",
        R"({"vectorStorage": "onDemand"})", R"({"payloadStorage": "onDemand", "vectorStorage": "memory"})",
        R"({"text": {}})", R"({"text": {"fields": ["title", "meta.tags"], "stemming": false}})"}) {
    INFO(text);
    const auto schema = parsed(text);
    REQUIRE(schema.ok());
    const auto again = parse_schema(schema_json(*schema));
    REQUIRE(again.ok());
    CHECK(*again == *schema);
    CHECK(schema_difference(*schema, *again).empty());
  }
}

TEST_CASE("defaults and values") {
  const auto schema = parsed("{}");
  REQUIRE(schema.ok());
  CHECK(schema->dimension == 0);
  CHECK(schema->metric == Metric::kCosine);
  CHECK(!schema->kind);
  CHECK(!schema->text);
  const auto full = parsed(R"({"dimension": 3, "metric": "dot", "index": {"kind": "hnsw", "m": 8, "efConstruct": 50},
                               "text": {"fields": ["a"]}})");
  REQUIRE(full.ok());
  CHECK(full->kind == IndexKind::kHnsw);
  CHECK(full->hnsw.m == 8);
  CHECK(full->hnsw.ef_construct == 50);
  CHECK(full->text->fields == std::vector<std::string>{"a"});
  CHECK(full->text->stemming);
}

TEST_CASE("graphs walk codes where these pay") {
  const auto code = [](const char* json) { return parsed(json)->index(IndexKind::kHnsw).code; };
  CHECK(code(R"({"dimension": 384})") == CodeKind::kRq8);
  CHECK(code(R"({"dimension": 384, "metric": "euclidean"})") == CodeKind::kRq8);
  CHECK(code(R"({"dimension": 384, "metric": "manhattan"})") == CodeKind::kF32);
  CHECK(code(R"({"dimension": 8})") == CodeKind::kF32);
  CHECK(code(R"({"dimension": 8, "index": {"kind": "hnsw", "code": "rq8"}})") == CodeKind::kRq8);
  CHECK(code(R"({"dimension": 384, "index": {"kind": "auto", "code": "f32"}})") == CodeKind::kF32);
  // It stands in a stored schema where it was asked for, and what was stored without it agrees with the default.
  const Schema asked = *parsed(R"({"dimension": 384, "index": {"kind": "hnsw", "code": "f32"}})");
  const Schema silent = *parsed(R"({"dimension": 384, "index": {"kind": "hnsw"}})");
  CHECK(*parse_schema(schema_json(asked)) == asked);
  CHECK(*parse_schema(schema_json(silent)) == silent);
  CHECK(schema_json(silent)["index"].count("code") == 0);
  CHECK(schema_difference(silent, *parsed(R"({"dimension": 384, "index": {"kind": "hnsw", "code": "rq8"}})")).empty());
  CHECK(schema_difference(silent, asked) == "index.code is \"rq8\", not \"f32\"");
}

TEST_CASE("bad schemas name the option") {
  struct Case {
    const char* json;
    Code code;
    const char* mentions;
  };
  for (const Case& bad : std::initializer_list<Case>{
           {"[]", Code::kConfigError, "schema"},
           {R"({"dimensions": 3})", Code::kConfigError, "known are dimension, metric, index, text"},
           {R"({"vectorStorage": true})", Code::kConfigError, "schema.vectorStorage"},
           {R"({"payloadStorage": "disk"})", Code::kConfigError, "disk"},
           {R"({"dimension": 64, "index": {"kind": "hnsw", "code": "rabitq"}})", Code::kUnsupported, "kind flat"},
           {R"({"dimension": "3"})", Code::kConfigError, "schema.dimension"},
           {R"({"dimension": null})", Code::kConfigError, "schema.dimension"},
           {R"({"dimension": -1})", Code::kInvalidArgument, "got -1"},
           {R"({"dimension": 1.5})", Code::kInvalidArgument, "got 1.5"},
           {R"({"dimension": 65537})", Code::kInvalidArgument, "got 65537"},
           {R"({"dimension": 1e300})", Code::kInvalidArgument, "schema.dimension"},
           {R"({"metric": 1})", Code::kConfigError, "schema.metric"},
           {R"({"metric": "cosin"})", Code::kInvalidArgument, "cosin"},
           {R"({"index": "ivf"})", Code::kInvalidArgument, "ivf"},
           {R"({"index": 3})", Code::kConfigError, "schema.index"},
           {R"({"index": {"kind": true}})", Code::kConfigError, "schema.index.kind"},
           {R"({"index": {"kind": "hnsw", "code": 8}})", Code::kConfigError, "schema.index.code"},
           {R"({"index": {"kind": "hnsw", "code": "rq9"}})", Code::kInvalidArgument, "rq9"},
           {R"({"dimension": 64, "index": {"kind": "hnsw", "code": "pq"}})", Code::kUnsupported, "pq"},
           {R"({"dimension": 64, "metric": "manhattan", "index": {"kind": "flat", "code": "rabitq"}})",
            Code::kUnsupported, "use f32"},
           {R"({"dimension": 64, "metric": "manhattan", "index": {"kind": "hnsw", "code": "rq8"}})", Code::kUnsupported,
            "manhattan"},
           {R"({"index": {"kind": "hnsw", "M": 3}})", Code::kConfigError, "known are kind, code, m, efConstruct"},
           {R"({"index": {"kind": "hnsw", "m": 1}})", Code::kInvalidArgument, "schema.index.m"},
           {R"({"index": {"kind": "hnsw", "m": 101}})", Code::kInvalidArgument, "schema.index.m"},
           {R"({"index": {"efConstruct": 0}})", Code::kInvalidArgument, "schema.index.efConstruct"},
           {R"({"index": {"efConstruct": 2001}})", Code::kInvalidArgument, "schema.index.efConstruct"},
           {R"({"index": {"kind": "flat", "m": 16}})", Code::kConfigError, "no meaning"},
           {R"({"text": true})", Code::kConfigError, "schema.text"},
           {R"({"text": {"field": []}})", Code::kConfigError, "known are fields, stemming"},
           {R"({"text": {"fields": "text"}})", Code::kConfigError, "schema.text.fields"},
           {R"({"text": {"fields": []}})", Code::kInvalidArgument, "schema.text.fields"},
           {R"({"text": {"fields": [1]}})", Code::kConfigError, "schema.text.fields"},
           {R"({"text": {"fields": [""]}})", Code::kInvalidArgument, "schema.text.fields"},
           {R"({"text": {"fields": ["a", "a"]}})", Code::kInvalidArgument, "schema.text.fields"},
           {R"({"text": {"stemming": "yes"}})", Code::kConfigError, "schema.text.stemming"},
       }) {
    INFO(bad.json);
    const auto schema = parsed(bad.json);
    REQUIRE(!schema.ok());
    CHECK(schema.code() == bad.code);
    CHECK(schema.error().message.find(bad.mentions) != std::string::npos);
    CHECK(!schema.error().value.empty());
  }
}

TEST_CASE("differences are named, and auto agrees with any kind") {
  const auto difference = [](std::string_view stored, std::string_view wanted) {
    return schema_difference(*parsed(stored), *parsed(wanted));
  };
  CHECK(difference(R"({"dimension": 3})", R"({"dimension": 4})") == "dimension is 3, not 4");
  CHECK(difference(R"({"metric": "dot", "dimension": 1})", R"({"dimension": 2})") ==
        R"(dimension is 1, not 2; metric is "dot", not "cosine")");
  CHECK(difference(R"({"index": "hnsw"})", R"({"index": "flat"})") == R"(index.kind is "hnsw", not "flat")");
  CHECK(difference(R"({"index": {"kind": "hnsw", "m": 8}})", R"({"index": "auto"})").empty());
  CHECK(difference(R"({})", R"({"index": {"kind": "hnsw", "m": 8}})").empty());
  CHECK(difference(R"({"index": {"kind": "hnsw", "m": 8}})", R"({"index": "hnsw"})") == "index.m is 8, not 16");
  CHECK(difference(R"({"vectorStorage": "onDemand"})", R"({})") == R"(vectorStorage is "onDemand", not "memory")");
  CHECK(difference(R"({})", R"({"payloadStorage": "onDemand"})") == R"(payloadStorage is "memory", not "onDemand")");
  CHECK(write_json(schema_json(*parsed(R"({"vectorStorage": "memory", "payloadStorage": "memory"})"))) ==
        write_json(schema_json(*parsed("{}"))));
  CHECK(difference(R"({"text": {}})", R"({})") == "it has a text index");
  CHECK(difference(R"({})", R"({"text": {}})") == "it has no text index");
  CHECK(difference(R"({"text": {"fields": ["a"]}})", R"({"text": {"stemming": false}})") ==
        R"(text.fields is ["a"], not ["text"]; text.stemming is true, not false)");
}

TEST_CASE("collection names") {
  CHECK(check_collection_name("notes_2-B").ok());
  CHECK(check_collection_name(std::string(100, 'a')).ok());
  for (const std::string& name : {std::string(), std::string(101, 'a'), std::string("a/b"), std::string("a.b"),
                                  std::string("\xC3\xA9"), std::string("a\0b", 3), std::string("a b")}) {
    CHECK(check_collection_name(name).code() == Code::kInvalidArgument);
  }
}
