#include "core/filter/filter.h"

#include <catch_amalgamated.hpp>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/filter/pick_fields.h"

using namespace nearfield;

namespace {

size_t below(Random& random, size_t bound) { return static_cast<size_t>(random.below(bound)); }

Json json(std::string_view text) { return Json::parse(text); }

Filter parsed(const Json& filter) {
  auto result = Filter::parse(filter);
  INFO(filter.dump());
  REQUIRE(result.ok());
  return std::move(result).value();
}

bool matches(std::string_view filter, std::string_view payload) { return parsed(json(filter)).matches(json(payload)); }

// The naive evaluator: values are flattened into a list first, equality is nlohmann's, nothing is sorted or shared.
void flatten(const Json& value, std::vector<Json>& out) {
  out.push_back(value);
  if (value.is_array()) {
    for (const Json& element : value) flatten(element, out);
  }
}

void follow(const Json& value, std::string path, std::vector<Json>& out) {
  if (value.is_array()) {
    for (const Json& element : value) follow(element, path, out);
  } else if (value.is_object()) {
    const size_t dot = path.find('.');
    const std::string name = path.substr(0, dot);
    if (!value.contains(name)) return;
    if (dot == std::string::npos) {
      out.push_back(value[name]);
    } else {
      follow(value[name], path.substr(dot + 1), out);
    }
  }
}

bool naive_operator(const std::string& op, const Json& operand, const std::vector<Json>& found) {
  std::vector<Json> all;
  for (const Json& value : found) flatten(value, all);
  const auto any_equal = [&](const Json& wanted) {
    for (const Json& value : all) {
      if (value == wanted) return true;
    }
    return false;
  };
  const auto any_in = [&] {
    for (const Json& wanted : operand) {
      if (any_equal(wanted)) return true;
    }
    return false;
  };
  if (op == "$eq") return any_equal(operand);
  if (op == "$ne") return !any_equal(operand);
  if (op == "$in") return any_in();
  if (op == "$nin") return !any_in();
  if (op == "$exists") return operand.get<bool>() == !found.empty();
  for (const Json& value : all) {
    if (op == "$contains") {
      if (value.is_array() && std::find(value.begin(), value.end(), operand) != value.end()) return true;
      continue;
    }
    const bool comparable = (value.is_number() && operand.is_number()) || (value.is_string() && operand.is_string());
    if (!comparable) continue;
    if (op == "$gt" && value > operand) return true;
    if (op == "$gte" && value >= operand) return true;
    if (op == "$lt" && value < operand) return true;
    if (op == "$lte" && value <= operand) return true;
  }
  if (op == "$contains" && operand.is_string()) {
    for (const Json& value : found) {
      if (value.is_string() && value.get<std::string>().find(operand.get<std::string>()) != std::string::npos) {
        return true;
      }
    }
  }
  return false;
}

bool naive(const Json& filter, const Json& payload) {
  for (const auto& [name, value] : filter.items()) {
    bool passes = name != "$or";
    if (name == "$and") {
      for (const Json& child : value) passes = passes && naive(child, payload);
    } else if (name == "$or") {
      for (const Json& child : value) passes = passes || naive(child, payload);
    } else if (name == "$not") {
      passes = !naive(value, payload);
    } else {
      std::vector<Json> found;
      follow(payload, name, found);
      if (value.is_object()) {
        for (const auto& [op, operand] : value.items()) passes = passes && naive_operator(op, operand, found);
      } else {
        passes = naive_operator("$eq", value, found);
      }
    }
    if (!passes) return false;
  }
  return true;
}

// Few names and few values, so that filters and payloads meet.
Json random_scalar(Random& random) {
  switch (below(random, 8)) {
    case 0: return nullptr;
    case 1: return below(random, 2) == 0;
    case 2: return 0.5 * static_cast<double>(below(random, 5));
    case 3: return -static_cast<int64_t>(below(random, 3));
    case 4: return std::string(below(random, 3), 'a');
    case 5: return std::string(1, static_cast<char>('a' + below(random, 3)));
    default: return below(random, 3);
  }
}

Json random_value(Random& random, int depth) {
  const size_t shape = depth == 0 ? 9 : below(random, 10);
  if (shape < 2) {
    Json array = Json::array();
    for (size_t i = below(random, 4); i > 0; --i) array.push_back(random_value(random, depth - 1));
    return array;
  }
  if (shape < 4) {
    Json object = Json::object();
    for (size_t i = below(random, 3); i > 0; --i) {
      object[std::string(1, static_cast<char>('a' + below(random, 3)))] = random_value(random, depth - 1);
    }
    return object;
  }
  return random_scalar(random);
}

Json random_payload(Random& random) {
  Json object = Json::object();
  for (const char* name : {"a", "b", "c"}) {
    if (below(random, 4) != 0) object[name] = random_value(random, 3);
  }
  return object;
}

Json random_filter(Random& random, int depth) {
  Json filter = Json::object();
  for (size_t i = below(random, 3); i > 0 || filter.empty(); i -= i > 0 ? 1 : 0) {
    const size_t shape = depth == 0 ? 9 : below(random, 10);
    if (shape == 0) {
      filter["$not"] = random_filter(random, depth - 1);
    } else if (shape < 3) {
      Json list = Json::array();
      for (size_t j = below(random, 4); j > 0; --j) list.push_back(random_filter(random, depth - 1));
      filter[shape == 1 ? "$and" : "$or"] = list;
    } else {
      static constexpr const char* kFields[] = {"a", "b", "c", "a.b", "b.a", "c.c", "a.a.b"};
      static constexpr const char* kOps[] = {"$eq",  "$ne", "$gt",  "$gte",      "$lt",
                                             "$lte", "$in", "$nin", "$contains", "$exists"};
      Json operators = Json::object();
      for (size_t j = 1 + below(random, 2); j > 0; --j) {
        const std::string op = kOps[below(random, 10)];
        if (op == "$exists") {
          operators[op] = below(random, 2) == 0;
        } else if (op == "$in" || op == "$nin") {
          operators[op] = Json::array();
          for (size_t k = below(random, 4); k > 0; --k) operators[op].push_back(random_value(random, 2));
        } else if (op[1] == 'g' || op[1] == 'l') {
          Json operand;
          while (!operand.is_number() && !operand.is_string()) operand = random_scalar(random);
          operators[op] = operand;
        } else {
          operators[op] = random_value(random, 2);
        }
      }
      filter[kFields[below(random, 7)]] = operators;
    }
  }
  return filter;
}

}  // namespace

TEST_CASE("the corpus of filter cases") {
  std::ifstream file(std::string(NEARFIELD_SOURCE_DIR) + "/tests/corpus/filters.json");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const Json cases = json(text);
  REQUIRE(cases.size() > 100);
  for (const Json& entry : cases) {
    INFO(entry.dump());
    const auto filter = Filter::parse(entry["filter"]);
    if (entry.contains("error")) {
      REQUIRE(!filter.ok());
      CHECK(code_name(filter.code()) == entry["error"].get<std::string>());
      // The message opens with the path, and with nothing longer.
      CHECK(filter.error().message.starts_with(entry["path"].get<std::string>() + ": "));
      CHECK(!filter.error().value.empty());
    } else {
      REQUIRE(filter.ok());
      CHECK(filter->matches(entry["payload"]) == entry["matches"].get<bool>());
      CHECK(naive(entry["filter"], entry["payload"]) == entry["matches"].get<bool>());
    }
  }
}

TEST_CASE("random filters agree with the naive evaluator") {
  Random random(7);
  size_t matched = 0;
  for (int i = 0; i < 4'000; ++i) {
    const Json filter = random_filter(random, 3);
    const Filter compiled = parsed(filter);
    for (int j = 0; j < 8; ++j) {
      const Json payload = random_payload(random);
      const bool expected = naive(filter, payload);
      if (compiled.matches(payload) != expected) FAIL(filter.dump() << " over " << payload.dump());
      // What a collection does: only the fields that the filter looks at.
      if (compiled.matches(pick_fields(payload.dump(), compiled.fields())) != expected) FAIL(filter.dump());
      matched += expected ? 1 : 0;
    }
  }
  // Both answers are common enough to mean something.
  CHECK(matched > 6'000);
  CHECK(matched < 26'000);
}

TEST_CASE("numbers compare exactly") {
  // 2^53 + 1 is an integer of its own, though a double cannot hold it.
  CHECK(matches(R"({"n": 9007199254740993})", R"({"n": 9007199254740993})"));
  CHECK(!matches(R"({"n": 9007199254740993})", R"({"n": 9007199254740992})"));
  CHECK(!matches(R"({"n": 9007199254740993})", R"({"n": 9007199254740992.0})"));
  CHECK(matches(R"({"n": 9007199254740992})", R"({"n": 9007199254740992.0})"));
  CHECK(matches(R"({"n": {"$gt": 9007199254740992.0}})", R"({"n": 9007199254740993})"));
  CHECK(matches(R"({"n": {"$lt": 9007199254740993}})", R"({"n": 9007199254740992.0})"));
  CHECK(matches(R"({"n": {"$gt": 18446744073709551614}})", R"({"n": 18446744073709551615})"));
  CHECK(matches(R"({"n": {"$lt": 1e20}})", R"({"n": 18446744073709551615})"));
  CHECK(!matches(R"({"n": 18446744073709551615})", R"({"n": 18446744073709551616})"));
  CHECK(matches(R"({"n": {"$gt": -9223372036854775808}})", R"({"n": 18446744073709551615})"));
  CHECK(matches(R"({"n": -9223372036854775808})", R"({"n": -9223372036854775808.0})"));
  CHECK(matches(R"({"n": {"$lt": -9223372036854775808}})", R"({"n": -1e19})"));
  CHECK(matches(R"({"n": {"$gt": -1.5}})", R"({"n": -1})"));
  CHECK(matches(R"({"n": {"$lt": -1}})", R"({"n": -1.5})"));
  CHECK(matches(R"({"n": {"$in": [5, -1.5, 1]}})", R"({"n": 1.0})"));
  // Integers made in C++ are signed where the parser makes them unsigned.
  CHECK(parsed(Json{{"n", int64_t{5}}}).matches(json(R"({"n": 5})")));
  CHECK(parsed(Json{{"n", int64_t{-5}}}).matches(json(R"({"n": -5})")));
}

TEST_CASE("names mean nothing beyond themselves") {
  CHECK(matches(R"({"__proto__": 1})", R"({"__proto__": 1})"));
  CHECK(!matches(R"({"__proto__": {"$exists": true}})", "{}"));
  CHECK(matches(R"({"__proto__.polluted": {"$exists": false}})", "{}"));
}

TEST_CASE("bounds hold and the error names the place") {
  const auto nested = [](size_t levels) {
    Json filter = {{"a", 1}};
    for (size_t i = 1; i < levels; ++i) filter = Json{{"$not", filter}};
    return filter;
  };
  CHECK(Filter::parse(nested(32)).ok());
  const auto deep = Filter::parse(nested(33));
  REQUIRE(deep.code() == Code::kFilterError);
  CHECK(deep.error().message.find("32 levels") != std::string::npos);

  const auto wide = [](size_t fields) {
    Json filter = Json::object();
    for (size_t i = 0; i < fields; ++i) filter["f" + std::to_string(i)] = i;
    return filter;
  };
  CHECK(Filter::parse(wide(1'000)).ok());
  const auto crowded = Filter::parse(wide(1'001));
  REQUIRE(crowded.code() == Code::kFilterError);
  CHECK(crowded.error().message.find("1000 clauses") != std::string::npos);
  Json empties = Json::array();
  for (int i = 0; i < 1'001; ++i) empties.push_back(Json::object());
  CHECK(Filter::parse(Json{{"$and", empties}}).code() == Code::kFilterError);

  Json values = Json::array();
  for (int i = 0; i < 10'000; ++i) values.push_back(9'999 - i);
  Json filter = {{"a", {{"$in", values}}}};
  const Filter many = parsed(filter);
  CHECK(many.matches(Json{{"a", 9'999}}));
  CHECK(!many.matches(Json{{"a", 10'000}}));
  filter["a"]["$in"].push_back(-1);
  const auto full = Filter::parse(filter);
  REQUIRE(full.code() == Code::kFilterError);
  CHECK(full.error().message.starts_with("filter.a.$in: has 10001 values"));
  // The value is shown, but not all of it.
  CHECK(full.error().value.size() < 300);
}

TEST_CASE("a mistake gets the sentence that mends it") {
  const auto message = [](std::string_view filter) { return Filter::parse(json(filter)).error().message; };
  CHECK(message(R"({"$gt": 3})").find("stands inside a field") != std::string::npos);
  CHECK(message(R"({"a": {"$or": []}})").find("stands beside fields") != std::string::npos);
  CHECK(message(R"({"a": {"gt": 3}})").find("$gte") != std::string::npos);
  CHECK(Filter::parse(json(R"({"a": {"$gt": true}})")).error().value == "true");
}
