// Filters in Chroma's words: each selects what Filter::matches selects, or is refused.
#include "core/remote/chroma_filter.h"

#include <algorithm>
#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/remote/chroma_points.h"
#include "tests/support/chroma_where.h"

using namespace nearfield;

namespace {

ChromaFilter compiled(const std::string& json) {
  Result<Filter> filter = Filter::parse(Json::parse(json));
  REQUIRE(filter.ok());
  Result<ChromaFilter> out = compile_chroma_filter(*filter);
  INFO(json << ' ' << (out.ok() ? "" : out.error().message));
  REQUIRE(out.ok());
  return std::move(out).value();
}

std::string refusal_of(const std::string& json) {
  Result<Filter> filter = Filter::parse(Json::parse(json));
  REQUIRE(filter.ok());
  const Result<ChromaFilter> out = compile_chroma_filter(*filter);
  if (out.ok()) return "";
  CHECK(out.code() == Code::kUnsupported);
  return out.error().message.substr(0, out.error().message.find(": "));
}

// As the store writes it, and the server keeps it.
Json stored(const Json& payload) {
  StorePoint point;
  point.id = "1";
  point.payload = payload.dump();
  const Result<ChromaMetadata> metadata = ChromaMetadata::of(point, Metric::kDot, 5461);
  REQUIRE(metadata.ok());
  Json out = Json::object();
  for (const auto& [key, text] : metadata.value().entries) {
    const Json value = Json::parse(text);
    REQUIRE(ChromaWhere::is_metadata(key, value));
    if (!value.is_null()) out[key] = value;
  }
  return out;
}

bool selects(const ChromaFilter& filter, const Json& metadata) {
  return filter.everything || (!filter.nothing && ChromaWhere::passes(Json::parse(filter.where), metadata));
}

const std::vector<std::string> kNames = {"a", "b", "c d", "\xC3\xA9", "", "#x", "chroma:document", "_nearfield"};

Json random_scalar(Random& random) {
  switch (random.below(10)) {
    case 0: return nullptr;
    case 1: return random.below(2) == 0;
    case 2: return "xy";
    case 3: return random.below(2) == 0 ? "x" : "1";
    case 4: return static_cast<double>(random.below(4)) - 1.5;
    case 5: return static_cast<double>(random.below(3));
    case 6: return (int64_t{1} << 53) + random.below(int64_t{3});
    case 7: return random.below(2) == 0 ? Json(0x1p53) : Json(uint64_t{1} << 63);
    case 8: return random.below(2) == 0 ? Json(0.30000000000000004) : Json(0.3);
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
  for (uint64_t i = random.below(uint64_t{6}); i > 0; --i) {
    out[kNames[random.below(kNames.size())]] = random_value(random, 4);
  }
  if (random.below(10) == 0) out["a.b"] = random_value(random, 1);
  return out;
}

// What another client may have written: no nulls, no nesting, arrays of one kind. Without arrays of numbers, into which
// ranges do not look.
Json random_metadata(Random& random) {
  Json out = Json::object();
  for (uint64_t i = random.below(uint64_t{4}); i > 0; --i) {
    const std::string& name = kNames[random.below(size_t{4})];
    Json value = random_scalar(random);
    if (!ChromaWhere::is_metadata(name, value) || value.is_null()) continue;
    if (random.below(3) == 0 && !value.is_number()) value = Json::array({value, value});
    out[name] = value;
  }
  if (random.below(10) == 0) out["a.b"] = 1;
  return out;
}

Json random_operand(Random& random) { return random.below(8) == 0 ? random_value(random, 2) : random_scalar(random); }

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
    for (uint64_t j = random.below(uint64_t{3}); j > 1; --j) field += '.' + kNames[random.below(kNames.size())];
    Json list = Json::array();
    for (uint64_t j = random.below(uint64_t{4}); j > 0; --j) list.push_back(random_operand(random));
    static const std::vector<std::string> kOrdered = {"$gt", "$gte", "$lt", "$lte"};
    switch (random.below(8)) {
      case 0: out[field] = {{"$ne", random_operand(random)}}; break;
      case 1: out[field] = {{"$in", list}}; break;
      case 2: out[field] = {{"$nin", list}}; break;
      case 3: out[field] = {{"$contains", random_operand(random)}}; break;
      case 4: out[field] = {{"$exists", random.below(2) == 0}}; break;
      case 5: {
        Json bound = random_scalar(random);
        if (!bound.is_number()) bound = -1.5;
        out[field] = {{kOrdered[random.below(kOrdered.size())], bound}};
        break;
      }
      default: out[field] = {{"$eq", random_operand(random)}}; break;
    }
  }
  return out;
}

}  // namespace

TEST_CASE("a condition of Chroma's selects what its filter selects") {
  Random random(11);
  size_t refused = 0, probed = 0, compared = 0, selected = 0;
  for (int round = 0; round < 1'500; ++round) {
    // Points of the store's, or of others too.
    const bool mixed = round % 2 == 0;
    std::vector<Json> payloads, metadata;
    for (int i = 0; i < 20; ++i) {
      const bool ours = !mixed || i % 2 == 0;
      payloads.push_back(ours ? random_payload(random) : random_metadata(random));
      metadata.push_back(ours ? stored(payloads.back()) : payloads.back());
    }
    const Json json = random_filter(random, 3);
    const Result<Filter> filter = Filter::parse(json);
    REQUIRE(filter.ok());
    const Result<ChromaFilter> out = compile_chroma_filter(*filter);
    if (!out.ok()) {
      CHECK(out.code() == Code::kUnsupported);
      INFO(out.error().message);
      CHECK(out.error().message.starts_with("filter."));
      ++refused;
      continue;
    }
    const bool stopped = std::ranges::any_of(out.value().probes, [&](const ChromaFilter::Probe& probe) {
      CHECK(probe.refusal.starts_with("filter."));
      const Json where = Json::parse(probe.where);
      return std::ranges::any_of(metadata, [&](const Json& one) { return ChromaWhere::passes(where, one); });
    });
    if (stopped) {
      ++probed;
      continue;
    }
    for (size_t i = 0; i < payloads.size(); ++i) {
      const bool found = selects(out.value(), metadata[i]);
      ++compared;
      selected += found ? 1 : 0;
      if (found == filter->matches(payloads[i])) continue;
      FAIL("filter " << json.dump() << "\nbecame " << out.value().where << "\npayload " << payloads[i].dump()
                     << "\nstored " << metadata[i].dump());
    }
  }
  // Most can be said, and they tell points apart.
  CHECK(refused < 150);
  CHECK(probed < 500);
  CHECK(compared > 15'000);
  CHECK(selected > compared / 5);
  CHECK(selected < compared * 4 / 5);
}

TEST_CASE("filters in Chroma's words") {
  CHECK(compiled("{}").everything);
  CHECK(compiled(R"({"$and":[]})").everything);
  CHECK(compiled(R"({"tag":{"$nin":[]}})").everything);
  CHECK(compiled(R"({"$or":[]})").nothing);
  CHECK(compiled(R"({"tag":{"$in":[]}})").nothing);
  CHECK(compiled(R"({"$not":{}})").nothing);
  CHECK(compiled(R"({"tag":"red"})").where ==
        R"({"$or":[{"$and":[{"_nearfield":{"$eq":"1"}},{"_nearfield.terms":{"$contains":"=\"red\" tag"}}]},)"
        R"({"$and":[{"_nearfield":{"$ne":"1"}},{"$or":[{"tag":{"$contains":"red"}},{"tag":{"$in":["red"]}}]}]}]})");
  CHECK(compiled(R"({"a.b":{"$ne":1.0}})").where ==
        R"({"$or":[{"$and":[{"_nearfield":{"$eq":"1"}},{"_nearfield.terms":{"$not_contains":"=1 a.b"}}]},)"
        R"({"_nearfield":{"$ne":"1"}}]})");
  const ChromaFilter tags = compiled(R"({"tags":{"$contains":"red"}})");
  REQUIRE(tags.probes.size() == 2);
  CHECK(tags.probes[0].where == R"({"_nearfield.terms":{"$contains":"\"tags"}})");
  CHECK(tags.probes[1].where == R"({"_nearfield":{"$ne":"1"}})");
  CHECK(compiled(R"({"a":{"$exists":true}})").probes.size() == 1);
  CHECK(compiled(R"({"a.b":{"$exists":true}})").probes.empty());
  CHECK(compiled(R"({"a":{"$exists":true},"b":{"$in":[]}})").nothing);
}

TEST_CASE("what Chroma cannot say exactly names its clause") {
  CHECK(refusal_of(R"({"$and":[{"b":1},{"year":{"$gt":"2020"}}]})") == "filter.$and[1].year.$gt");
  CHECK(refusal_of(R"({"$or":[{"$not":{"n":{"$lte":9007199254740992}}}]})") == "filter.$or[0].$not.n.$lte");
  CHECK(refusal_of(R"({"n":{"$lt":9007199254740991}})").empty());
  CHECK(refusal_of(R"({"n":18446744073709551615})").empty());
  CHECK(refusal_of(R"({"a":[1,{"b":null}]})").empty());
  Json many = Json::array();
  for (int i = 0; i < 900; ++i) many.push_back("value " + std::to_string(i));
  const ChromaFilter in = compiled(Json{{"a", {{"$in", many}}}}.dump());
  CHECK(ChromaWhere::passes(Json::parse(in.where), stored({{"a", "value 899"}})));
  CHECK_FALSE(ChromaWhere::passes(Json::parse(in.where), stored({{"a", "value 900"}})));
  for (int i = 0; i < 2'000; ++i) many.push_back("more " + std::to_string(i));
  CHECK(refusal_of(Json{{"a", {{"$in", many}}}}.dump()) == "filter");
  CHECK(refusal_of(Json{{"a", {{"$nin", many}}}}.dump()) == "filter");
}

TEST_CASE("metadata have flat copies of payloads, and all that filters need") {
  const Json metadata = stored(Json::parse(
      R"({"year":2020,"price":1.0,"tag":"red","ok":true,"tags":["x","y"],"mixed":[1,"x"],"author":{"name":"A","born":[1]},)"
      R"("$y":1,"#x":2,"chroma:document":"no","_nearfield":5,"none":null,"big":18446744073709551615,"with.dot":1,"e":[]})"));
  for (const char* name : {"mixed", "author", "$y", "#x", "chroma:document", "none", "big", "with.dot", "e"}) {
    CHECK_FALSE(metadata.contains(name));
  }
  CHECK(metadata["_nearfield"] == "1");
  CHECK(metadata["year"].dump() == "2020");
  CHECK(metadata["price"].dump() == "1.0");
  CHECK(metadata["tag"] == "red");
  CHECK(metadata["ok"] == true);
  CHECK(metadata["tags"] == Json({"x", "y"}));
  CHECK(metadata["author.name"] == "A");
  CHECK(metadata["author.born"] == Json({1}));
  CHECK(metadata["_nearfield.max.year"] == metadata["_nearfield.min.year"]);
  CHECK(metadata["_nearfield.payload"].get<std::string>().find("18446744073709551615") != std::string::npos);
  CHECK(stored(Json::object()).size() == 3);
}

TEST_CASE("numbers keep their order") {
  Random random(2);
  const double edges[] = {-1.7976931348623157e308, -0x1p53, -1, -5e-324, 0, 5e-324, 0.1, 0.10000000000000002, 1e300};
  for (const double a : edges) {
    for (const double b : edges) CHECK((a < b) == (chroma_order(a) < chroma_order(b)));
  }
  CHECK(chroma_order(-0.0) == chroma_order(0.0));
}

TEST_CASE("a payload that would break its collection is refused") {
  StorePoint point;
  point.id = "x";
  Json list = Json::array();
  for (int i = 0; i < 2'000; ++i) list.push_back(i);
  point.payload = Json{{"list", list}}.dump();
  CHECK(ChromaMetadata::of(point, Metric::kDot, 6'100).ok());
  CHECK(ChromaMetadata::of(point, Metric::kDot, 5'461).code() == Code::kLimitExceeded);
  // A long path with many values under it is as long as all of them.
  point.payload = Json{{std::string(200'000, 'p'), list}}.dump();
  CHECK(ChromaMetadata::of(point, Metric::kDot, 1'000'000).code() == Code::kLimitExceeded);
}
