// Filters in Weaviate's words: each selects what Filter::matches selects, or is refused.
#include "core/remote/weaviate_filter.h"

#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/remote/weaviate_terms.h"
#include "tests/support/graphql.h"
#include "tests/support/weaviate_where.h"

using namespace nearfield;

namespace {

Result<WeaviateFilter> compiled(const Json& json) {
  Result<Filter> filter = Filter::parse(json);
  REQUIRE(filter.ok());
  return compile_weaviate_filter(*filter);
}

std::string text_of(const std::string& json) {
  const Result<WeaviateFilter> filter = compiled(Json::parse(json));
  INFO((filter.ok() ? "" : filter.error().message));
  REQUIRE(filter.ok());
  return filter.value().condition.graphql();
}

std::string refusal_of(const Json& json) {
  const Result<WeaviateFilter> filter = compiled(json);
  if (filter.ok()) return "";
  CHECK(filter.code() == Code::kUnsupported);
  return filter.error().message.substr(0, filter.error().message.find(": "));
}

const std::vector<std::string> kNames = {"a", "b", "c d", "\xC3\xA9", "", "A"};

Json random_scalar(Random& random) {
  switch (random.below(12)) {
    case 0: return nullptr;
    case 1: return random.below(2) == 0;
    case 2: return random.below(2) == 0 ? "xy" : "y*x?";
    case 3: return random.below(2) == 0 ? "x" : "";
    case 4: return static_cast<double>(random.below(3)) + 0.5;
    case 5: return static_cast<double>(random.below(3));
    case 6: return (int64_t{1} << 53) + random.below(int64_t{4}) - 1;
    case 7: return random.below(2) == 0 ? Json(0x1p53) : Json(uint64_t{1} << 63);
    case 8: return random.below(2) == 0 ? Json(INT64_MIN + random.below(int64_t{3})) : Json(-0x1p63);
    case 9:
      return random.below(2) == 0 ? Json(UINT64_MAX - static_cast<uint64_t>(random.below(int64_t{3}))) : Json(-0.0);
    case 10: return random.below(2) == 0 ? Json(-1e-300) : Json(1e300);
    default: return random.below(int64_t{4}) - 1;
  }
}

Json random_value(Random& random, int depth) {
  const uint64_t kind = random.below(uint64_t{10});
  if (depth == 0 || kind < 5) return random_scalar(random);
  if (kind < 8) {
    Json out = Json::array();
    for (uint64_t i = random.below(uint64_t{4}); i > 0; --i) out.push_back(random_value(random, depth - 1));
    return out;
  }
  Json out = Json::object();
  for (uint64_t i = random.below(uint64_t{4}); i > 0; --i) {
    out[kNames[random.below(kNames.size())]] = random_value(random, depth - 1);
  }
  return out;
}

Json random_payload(Random& random) {
  Json out = Json::object();
  for (uint64_t i = random.below(uint64_t{5}); i > 0; --i) {
    out[kNames[random.below(kNames.size())]] = random_value(random, 4);
  }
  if (random.below(10) == 0) out["a.b"] = random_value(random, 1);
  return out;
}

Json random_filter(Random& random, int depth) {
  Json out = Json::object();
  for (uint64_t i = random.below(uint64_t{10}) == 0 ? 0 : 1 + random.below(uint64_t{2}); i > 0; --i) {
    const uint64_t kind = random.below(uint64_t{10});
    if (depth > 0 && kind < 4) {
      if (kind == 0) {
        out["$not"] = random_filter(random, depth - 1);
        continue;
      }
      Json list = Json::array();
      for (uint64_t j = random.below(uint64_t{4}); j > 0; --j) list.push_back(random_filter(random, depth - 1));
      out[kind == 1 ? "$and" : "$or"] = list;
      continue;
    }
    std::string field = kNames[random.below(kNames.size())];
    for (uint64_t j = random.below(uint64_t{3}); j > 0; --j) field += '.' + kNames[random.below(kNames.size())];
    if (field.empty() || field[0] == '$') field = "a";
    Json list = Json::array();
    for (uint64_t j = random.below(uint64_t{4}); j > 0; --j) list.push_back(random_value(random, 1));
    static const std::vector<std::string> kOrdered = {"$gt", "$gte", "$lt", "$lte"};
    switch (random.below(8)) {
      case 0: out[field] = {{"$ne", random_value(random, 2)}}; break;
      case 1: out[field] = {{"$in", list}}; break;
      case 2: out[field] = {{"$nin", list}}; break;
      case 3: out[field] = {{"$contains", random_value(random, 1)}}; break;
      case 4: out[field] = {{"$exists", random.below(2) == 0}}; break;
      case 5:
      case 6: {
        Json bound = random_scalar(random);
        if (!bound.is_number() && !bound.is_string()) bound = 1;
        out[field] = {{kOrdered[random.below(kOrdered.size())], bound}};
        break;
      }
      default: out[field] = {{"$eq", random_value(random, 2)}}; break;
    }
  }
  return out;
}

Json graphql_where(const WeaviateCondition& condition) {
  const std::string query = "{Get{Docs(where:" + condition.graphql() + "){id}}}";
  return GraphqlReader(query).read()[0]["fields"][0]["args"]["where"];
}

}  // namespace

TEST_CASE("Weaviate filters: a compiled filter selects what the filter selects, in both spellings") {
  Random random(6);
  size_t compared = 0, selected = 0;
  for (int round = 0; round < 1'000; ++round) {
    const Json json = random_filter(random, 3);
    const Result<Filter> parsed = Filter::parse(json);
    REQUIRE(parsed.ok());
    const Result<WeaviateFilter> out = compile_weaviate_filter(parsed.value());
    INFO(json.dump());
    REQUIRE(out.ok());
    const Json graphql = graphql_where(out.value().condition), rest = Json::parse(out.value().condition.rest());
    for (int i = 0; i < 20; ++i) {
      const Json payload = random_payload(random);
      const Json stored = {{std::string(kWeaviateTerms), payload_terms(payload)}};
      const bool found = WeaviateWhere::passes(graphql, stored, "");
      REQUIRE(found == WeaviateWhere::passes(rest, stored, ""));
      ++compared;
      selected += found ? 1 : 0;
      if (found == parsed.value().matches(payload)) continue;
      FAIL("filter " << json.dump() << "\nbecame " << rest.dump() << "\npayload " << payload.dump() << "\nstored "
                     << stored.dump());
    }
  }
  CHECK(selected > compared / 5);
  CHECK(selected < compared * 4 / 5);
}

TEST_CASE("Weaviate filters: digits of numbers have the order of numbers") {
  const std::vector<Json> ascending = {-1e308,
                                       -0x1p63 - 4096,
                                       INT64_MIN,
                                       INT64_MIN + 1,
                                       -9007199254740993,
                                       -9007199254740992,
                                       -1.5,
                                       -1,
                                       -5e-324,
                                       0,
                                       5e-324,
                                       0.1,
                                       1,
                                       1.0000000000000002,
                                       2020,
                                       9007199254740992,
                                       9007199254740993,
                                       9223372036854775807,
                                       0x1p63,
                                       9223372036854775809U,
                                       UINT64_MAX,
                                       0x1p64,
                                       1e308};
  for (size_t i = 1; i < ascending.size(); ++i) {
    INFO(ascending[i].dump());
    CHECK(term_number_digits(ascending[i - 1]) < term_number_digits(ascending[i]));
  }
  CHECK(term_number_digits(-0.0) == term_number_digits(0));
  CHECK(term_number_digits(1.0) == term_number_digits(1));
  CHECK(term_number_digits(0x1p63) == term_number_digits(uint64_t{1} << 63));
  CHECK(term_number_digits(-0x1p63) == term_number_digits(INT64_MIN));
}

TEST_CASE("Weaviate filters: in its words") {
  CHECK(text_of("{}") == R"({operator:NotEqual,path:["nf_terms"],valueText:"-"})");
  CHECK(text_of(R"({"$or":[]})") == R"({operator:Equal,path:["nf_terms"],valueText:"-"})");
  CHECK(text_of(R"({"tag":{"$in":[]}})") == R"({operator:Equal,path:["nf_terms"],valueText:"-"})");
  CHECK(text_of(R"({"tag":"red"})") ==
        R"({operator:ContainsAny,path:["nf_terms"],valueText:["tag:s7i6l6k","tag@s7i6l6k"]})");
  CHECK(text_of(R"({"tag":{"$ne":true}})") ==
        R"({operator:And,operands:[{operator:NotEqual,path:["nf_terms"],valueText:"tag:bt"},)"
        R"({operator:NotEqual,path:["nf_terms"],valueText:"tag@bt"}]})");
  CHECK(text_of(R"({"a.b":{"$exists":true}})") == R"({operator:Equal,path:["nf_terms"],valueText:"a/b!"})");
  CHECK(text_of(R"({"t":{"$contains":"*\"}"}})") ==
        R"({operator:Or,operands:[{operator:Equal,path:["nf_terms"],valueText:"t@s2q2i7t"},)"
        R"({operator:Like,path:["nf_terms"],valueText:"t:s*2q2i7t*"}]})");
  // A name that would mean something in a query is not in it.
  CHECK(text_of(R"({"x\"}) { evil":1})").find("evil") == std::string::npos);
}

TEST_CASE("Weaviate filters: long strings are told by a digest, and what that cannot tell is asked first") {
  const std::string longer(kTermStringBytes + 1, 'x'), other = std::string(kTermStringBytes, 'x') + 'y';
  const Json stored = {{std::string(kWeaviateTerms), payload_terms({{"a", longer}, {"b", {longer}}})}};
  const auto passes = [&](const Json& filter) {
    return WeaviateWhere::passes(graphql_where(compiled(filter).value().condition), stored, "");
  };
  CHECK(passes({{"a", longer}}));
  CHECK_FALSE(passes({{"a", other}}));
  CHECK(passes({{"b", {{"$contains", longer}}}}));
  CHECK_FALSE(passes({{"b", {{"$contains", other}}}}));
  CHECK(passes({{"a", {{"$gt", "xx"}}}}));
  CHECK(passes({{"a", {{"$lt", "xy"}}}}));
  CHECK_FALSE(passes({{"a", {{"$lt", "xx"}}}}));
  const WeaviateFilter filter = compiled({{"$and", {{{"a", {{"$contains", "x"}}}}}}}).value();
  REQUIRE(filter.substrings.size() == 1);
  CHECK(filter.substrings[0].clause == "filter.$and[0].a.$contains");
  CHECK(WeaviateWhere::passes({{"operator", "Equal"}, {"path", {"nf_terms"}}, {"valueText", filter.substrings[0].term}},
                              stored, ""));
  CHECK(compiled({{"b", {{"$contains", 1}}}}).value().substrings.empty());
}

TEST_CASE("Weaviate filters: what Weaviate cannot say exactly names its clause") {
  CHECK(refusal_of({{"a", {{"$gt", std::string(65, 'x')}}}}) == "filter.a.$gt");
  CHECK(refusal_of({{"a", {{"$gt", std::string(64, 'x')}}}}).empty());
  Json many = Json::array();
  for (int i = 0; i < 100; ++i) many.push_back({{"a", {{"$gt", 0.1}}}});
  CHECK(refusal_of({{"$or", many}}).starts_with("filter.$or["));
  CHECK(compiled({{"a", {{"$ne", 1}}}}).value().needs_not.empty());
  CHECK(compiled({{"$or", {{{"$not", {{"a", {{"$gt", 1}}}}}}}}}).value().needs_not == "filter.$or[0].$not");
}

TEST_CASE("Weaviate filters: a payload has each term once, and short ones however long its names are") {
  const std::string name(10'000, 'n');
  Json payload = {{name, {{name, Json::array()}}}};
  for (int i = 0; i < 1'000; ++i) payload[name][name].push_back(i % 100);
  const std::vector<std::string> terms = payload_terms(payload);
  CHECK(terms.size() == 4 + 100);
  for (const std::string& term : terms) CHECK(term.size() < 100);
}
