// Filters in Qdrant's words: each selects what Filter::matches selects, or is refused.
#include "core/remote/qdrant_filter.h"

#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/remote/qdrant_points.h"
#include "tests/support/qdrant_conditions.h"

using namespace nearfield;

namespace {

Result<QdrantFilter> compiled(const Json& json) {
  Result<Filter> filter = Filter::parse(json);
  REQUIRE(filter.ok());
  return compile_qdrant_filter(*filter, "text");
}

std::string text_of(const std::string& json) {
  const Result<QdrantFilter> filter = compiled(Json::parse(json));
  INFO((filter.ok() ? "" : filter.error().message));
  REQUIRE(filter.ok());
  return filter.value().everything ? "everything" : filter.value().text;
}

std::string refusal_of(const std::string& json) {
  const Result<QdrantFilter> filter = compiled(Json::parse(json));
  if (filter.ok()) return "";
  CHECK(filter.code() == Code::kUnsupported);
  return filter.error().message.substr(0, filter.error().message.find(": "));
}

// As the store writes it.
Json stored(const Json& payload) {
  StorePoint point;
  point.id = "1";
  point.payload = payload.dump();
  QdrantLayout layout;
  layout.text_field = "text";
  std::string text;
  append_qdrant_point(text, point, layout, nullptr);
  return Json::parse(text)["payload"];
}

const std::vector<std::string> kNames = {"a", "b", "c d", "\xC3\xA9", ""};

Json random_scalar(Random& random) {
  switch (random.below(9)) {
    case 0: return nullptr;
    case 1: return random.below(2) == 0;
    case 2: return "xy";
    case 3: return random.below(2) == 0 ? "x" : "";
    case 4: return static_cast<double>(random.below(3)) + 0.5;
    case 5: return static_cast<double>(random.below(3));
    case 6: return (int64_t{1} << 53) + random.below(int64_t{3});
    case 7: return random.below(2) == 0 ? Json(random.below(2) == 0 ? 0x1p53 : 1e16) : Json(uint64_t{1} << 63);
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
  if (random.below(10) == 0) out["text"] = random_value(random, 1);
  if (random.below(10) == 0) out["_nearfield"] = random_value(random, 2);
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
    for (uint64_t j = random.below(uint64_t{4}); j > 0; --j) list.push_back(random_scalar(random));
    static const std::vector<std::string> kOrdered = {"$gt", "$gte", "$lt", "$lte"};
    switch (random.below(8)) {
      case 0: out[field] = {{"$ne", random_scalar(random)}}; break;
      case 1: out[field] = {{"$in", list}}; break;
      case 2: out[field] = {{"$nin", list}}; break;
      case 3: out[field] = {{"$contains", random.below(2) == 0 ? Json("x") : random_scalar(random)}}; break;
      case 4: out[field] = {{"$exists", random.below(2) == 0}}; break;
      case 5: {
        Json bound = random_scalar(random);
        if (!bound.is_number()) bound = 1;
        out[field] = {{kOrdered[random.below(kOrdered.size())], bound}};
        break;
      }
      default: out[field] = {{"$eq", random_scalar(random)}}; break;
    }
  }
  return out;
}

}  // namespace

TEST_CASE("a compiled filter selects what the filter selects") {
  Random random(6);
  size_t refused = 0, compared = 0, selected = 0;
  for (int round = 0; round < 600; ++round) {
    std::vector<Json> payloads(20);
    for (Json& payload : payloads) payload = random_payload(random);
    const Json json = random_filter(random, 3);
    const Result<Filter> parsed = Filter::parse(json);
    REQUIRE(parsed.ok());
    const Filter& filter = parsed.value();
    const Result<QdrantFilter> out = compile_qdrant_filter(filter, "text");
    if (!out.ok()) {
      CHECK(out.code() == Code::kUnsupported);
      CHECK(out.error().message.starts_with("filter."));
      ++refused;
      continue;
    }
    for (const Json& payload : payloads) {
      const Json there = stored(payload);
      const bool found =
          out.value().everything || QdrantConditions::passes(Json::parse(out.value().text), there, Json(1));
      ++compared;
      selected += found ? 1 : 0;
      if (found == filter.matches(payload)) continue;
      FAIL("filter " << json.dump() << "\nbecame " << out.value().text << "\npayload " << payload.dump() << "\nstored "
                     << there.dump());
    }
  }
  // Most can be said, and they tell points apart.
  CHECK(refused < 200);
  CHECK(selected > compared / 5);
  CHECK(selected < compared * 4 / 5);
}

TEST_CASE("a stored payload keeps the original where it differs, or where the server would round it") {
  const auto own = [](const std::string& payload) {
    const Json there = stored(Json::parse(payload));
    return there.contains("_nearfield") ? there["_nearfield"] : Json();
  };
  CHECK(stored(Json::parse(R"({"a":[1,"x"],"b":{"c":0.25},"d":9007199254740993})")) ==
        Json::parse(R"({"a":[1,"x"],"b":{"c":0.25},"d":9007199254740993})"));
  for (const std::string payload : {R"({"a":[[1],2]})", R"({"a":0.30000000000000004})", R"({"a":1e16})",
                                    R"({"a":1e300})", R"({"text":1})", R"({"_nearfield":1})", R"({})"}) {
    CHECK(Json::parse(own(payload)["payload"].get<std::string>()) == Json::parse(payload));
  }
  CHECK(own(R"({"a":[],"b":[{"c":[]},{"c":1}],"d":[[],[]],"e":[[],1],"x.y":[],"":{"z":[]}})")["empty"] ==
        Json({".z", "a", "b.c", "d"}));
}

TEST_CASE("filters in Qdrant's words") {
  CHECK(text_of("{}") == "everything");
  CHECK(text_of(R"({"$and":[]})") == "everything");
  CHECK(text_of(R"({"$or":[]})") == R"({"must":[{"has_id":[]}]})");
  CHECK(text_of(R"({"tag":{"$in":[]}})") == R"({"must":[{"has_id":[]}]})");
  CHECK(text_of(R"({"tag":{"$nin":[]}})") == "everything");
  CHECK(text_of(R"({"$not":{}})") == R"({"must":[{"has_id":[]}]})");
  CHECK(text_of(R"({"tag":"red"})") == R"({"must":[{"key":"tag","match":{"any":["red"]}}]})");
  CHECK(text_of(R"({"ok":true,"year":{"$gte":2021,"$lt":2024}})") ==
        R"({"must":[{"key":"ok","match":{"value":true}},{"key":"year","range":{"gte":2021}},)"
        R"({"key":"year","range":{"lt":2024}}]})");
  CHECK(text_of(R"({"price":1.5})") == R"({"must":[{"key":"price","range":{"gte":1.5,"lte":1.5}}]})");
  CHECK(text_of(R"({"tag":{"$ne":"red"}})") == R"({"must_not":[{"key":"tag","match":{"any":["red"]}}]})");
  CHECK(text_of(R"({"a.b":"x"})") ==
        R"({"should":[{"key":"a.b","match":{"any":["x"]}},{"key":"a[].b","match":{"any":["x"]}}]})");
  CHECK(text_of(R"({"with space":"x"})") == R"({"must":[{"key":"\"with space\"","match":{"any":["x"]}}]})");
  CHECK(text_of(R"({"n":9007199254740993})") == R"({"must":[{"key":"n","match":{"any":[9007199254740993]}}]})");
  CHECK(text_of(R"({"x":{"$in":["a",1,"b",null,false]}})") ==
        R"({"should":[{"key":"x","match":{"value":false}},{"key":"x","range":{"gte":1,"lte":1}},)"
        R"({"key":"x","match":{"any":["a","b"]}},{"is_null":{"key":"x"}},{"is_null":{"key":"x[]"}}]})");
}

TEST_CASE("what Qdrant cannot say exactly names its clause") {
  CHECK(refusal_of(R"({"a":[1]})") == "filter.a.$eq");
  CHECK(refusal_of(R"({"a":{"$eq":{"b":1}}})") == "filter.a.$eq");
  CHECK(refusal_of(R"({"$and":[{"b":1},{"year":{"$gt":"2020"}}]})") == "filter.$and[1].year.$gt");
  CHECK(refusal_of(R"({"$or":[{"$not":{"n":{"$lte":9007199254740992}}}]})") == "filter.$or[0].$not.n.$lte");
  CHECK(refusal_of(R"({"n":{"$lt":9007199254740991}})").empty());
  CHECK(refusal_of(R"({"n":18446744073709551615})") == "filter.n.$eq");
  CHECK(refusal_of(R"({"n":9223372036854775807})").empty());
  CHECK(refusal_of(R"({"n":{"$gt":0.12345678901234567}})") == "filter.n.$gt");
  CHECK(refusal_of(R"({"a.b.c.d.e":1})").empty());
  CHECK(refusal_of(R"({"a.b.c.d.e.f":{"$exists":true}})") == "filter.a.b.c.d.e.f.$exists");
  CHECK(refusal_of(R"({"a\"b":1})") == "filter.a\"b.$eq");
  CHECK(refusal_of(R"({"text":"x"})") == "filter.text.$eq");
  CHECK(refusal_of(R"({"_nearfield.id":"x"})") == "filter._nearfield.id.$eq");
  CHECK(refusal_of(R"({"a":{"$contains":["x"]}})") == "filter.a.$contains");
}

TEST_CASE("a compiled filter says which indexes serve it, and where words must not be indexed") {
  const QdrantFilter filter =
      compiled(
          Json::parse(R"({"tag":"red","year":{"$gt":3},"a.b":true,"mixed":{"$in":[1,"a"]},"t.u":{"$contains":"x"}})"))
          .value();
  const std::vector<QdrantFilter::Field> expected = {
      {"a.b", "bool"}, {"a[].b", "bool"}, {"tag", "keyword"}, {"year", "float"}};
  CHECK(filter.fields == expected);
  REQUIRE(filter.substrings.size() == 1);
  CHECK(filter.substrings[0].clause == "filter.t.u.$contains");
  CHECK(filter.substrings[0].path == std::vector<std::string>{"t", "u"});
  CHECK(split_qdrant_path("t[].u") == filter.substrings[0].path);
  CHECK(split_qdrant_path(R"("with.dot".b[3].c[])") == std::vector<std::string>{"with.dot", "b", "c"});
}
