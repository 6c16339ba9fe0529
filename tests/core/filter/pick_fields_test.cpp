#include "core/filter/pick_fields.h"

#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/random.h"

using namespace nearfield;

namespace {

// The simpler truth: the whole tree, then the members that are asked for.
Json picked_slowly(std::string_view text, const std::vector<std::string>& names) {
  const Json whole = Json::parse(text);
  Json out = Json::object();
  for (const std::string& name : names) {
    if (whole.contains(name)) out[name] = whole[name];
  }
  return out;
}

Json random_value(Random& random, int depth) {
  const char* const words[] = {"", "a", "b\"c", "\\", "{", "]", ",:", "\n", "é", "\xF0\x9F\x98\x80"};
  switch (random.below(depth > 3 ? 5 : 7)) {
    case 0: return nullptr;
    case 1: return random.below(2) == 0;
    case 2: return random.between(-1000, 1000);
    case 3: return static_cast<int64_t>(random.next());
    case 4: return words[random.below(std::size(words))];
    case 5: {
      Json array = Json::array();
      for (uint64_t i = random.below(uint64_t{4}); i > 0; --i) array.push_back(random_value(random, depth + 1));
      return array;
    }
    default: {
      Json object = Json::object();
      for (uint64_t i = random.below(uint64_t{5}); i > 0; --i) {
        object[words[random.below(std::size(words))]] = random_value(random, depth + 1);
      }
      return object;
    }
  }
}

}  // namespace

TEST_CASE("picked fields are those of the whole tree") {
  Random random(11);
  const std::vector<std::string> names = {"a", "b\"c", "", "\\", "missing"};
  for (int round = 0; round < 3000; ++round) {
    Json object;
    do object = random_value(random, 0);
    while (!object.is_object());
    // Indented text has white space wherever there may be some; escaped text has keys that need a parser.
    for (const std::string& text : {object.dump(), object.dump(2), object.dump(-1, ' ', true)}) {
      REQUIRE(pick_fields(text, names) == picked_slowly(text, names));
      REQUIRE(pick_fields(text, {}) == Json::object());
    }
  }
}

TEST_CASE("odd but sound objects") {
  const std::vector<std::string> names = {"k", "é"};
  for (const char* text :
       {"{}", " { } ", "{\"k\":1}", "{\"k\" : -1.5e3 }", "{\"\\u006b\":[1,{\"k\":2}]}", "{\"x\":{\"k\":1},\"k\":\"\"}",
        "{\"x\":\"\\\"k\\\":1\",\"k\":true}", "{\"\\u00e9\":\"\\ud83d\\ude00\"}", "\t{\"k\":null\n}\r\n"}) {
    INFO(text);
    CHECK(pick_fields(text, names) == picked_slowly(text, names));
  }
}
