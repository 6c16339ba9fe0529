#include "core/base/json.h"

#include <catch_amalgamated.hpp>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/json_scan.h"
#include "core/base/random.h"

using namespace nearfield;

TEST_CASE("good JSON is parsed, whatever its shape") {
  for (const std::string text :
       {"{}", "[]", "null", "-0.5e3", "\"\\u00e9\"", "{\"a\":[1,2,{\"b\":null}]}", " [ true ] "}) {
    CAPTURE(text);
    CHECK(parse_json(text, "text").ok());
    CHECK(check_json(text, "text").ok());
  }
  CHECK(parse_json("{\"a\":[1,\"x\"]}", "text").value()["a"][1] == "x");
}

TEST_CASE("bad JSON is refused, with what it is in the message") {
  for (const std::string text : {"", "{", "[1,]", "{\"a\":1,}", "nul", "NaN", "Infinity", "1 2", "'a'", "\"\xff\"",
                                 "\"\xc0\x80\"", "{\"a\":1,\"a\":2}", "// x\n1", "\"\t\""}) {
    CAPTURE(text);
    CHECK(parse_json(text, "the filter").code() == Code::kFormatError);
    CHECK(check_json(text, "the filter").code() == Code::kFormatError);
  }
  CHECK(parse_json("{", "the filter").error().message.find("the filter") != std::string::npos);
  // The same key in two objects is fine.
  CHECK(parse_json("[{\"a\":1},{\"a\":2}]", "text").ok());
}

TEST_CASE("limits hold before a tree is built") {
  const JsonLimits limits = {.max_bytes = 1000, .max_depth = 4, .max_values = 10};
  CHECK(parse_json("[[[[1]]]]", "text", limits).ok());
  CHECK(parse_json("[[[[[1]]]]]", "text", limits).code() == Code::kLimitExceeded);
  CHECK(parse_json("[1,2,3,4,5,6,7,8,9]", "text", limits).ok());
  CHECK(parse_json("[1,2,3,4,5,6,7,8,9,10]", "text", limits).code() == Code::kLimitExceeded);
  CHECK(parse_json(std::string(1001, ' '), "text", limits).code() == Code::kLimitExceeded);
  // Without an end in sight, and far deeper than a stack.
  CHECK(parse_json(std::string(1 << 20, '['), "text").code() == Code::kLimitExceeded);
}

TEST_CASE("writing never throws, and what is written can be read") {
  CHECK(write_json(Json("a\xff"
                        "b")) ==
        "\"a\xEF\xBF\xBD"
        "b\"");
  const Json json = {{"k", {1, 2.5, nullptr, true, "\xC3\xA9"}}};
  CHECK(parse_json(write_json(json), "text").value() == json);
}

TEST_CASE("what is read is what nlohmann's own tree of it says") {
  // There the last of two keys that are the same is taken.
  const auto both = [](const std::string& text) {
    CAPTURE(text);
    const Json wanted = Json::parse(text, nullptr, false);
    const auto found = parse_json(text, "text");
    if (found.code() == Code::kFormatError && found.error().message.find("stands twice") != std::string::npos) return;
    REQUIRE(found.ok() == !wanted.is_discarded());
    if (!found.ok()) return;
    REQUIRE(found.value() == wanted);
    REQUIRE(found.value().type() == wanted.type());
    REQUIRE(parse_json(write_json(wanted), "text").value() == wanted);
  };
  for (const std::string text : {"-0",
                                 "-0.0",
                                 "18446744073709551615",
                                 "18446744073709551616",
                                 "-9223372036854775808",
                                 "-9223372036854775809",
                                 "1e308",
                                 "1e309",
                                 "-1e400",
                                 "1e-400",
                                 "0.1",
                                 "123456789012345678901234567890",
                                 "1E+2",
                                 "-",
                                 "1.",
                                 "1e",
                                 "1e+",
                                 "\"\\ud83d\\ude00\"",
                                 "\"\\ud83d\"",
                                 "\"\\ude00\"",
                                 "\"\\ud83d\\u0041\"",
                                 "\"\\ud83dx\"",
                                 "\"\\u12g4\"",
                                 "\"\\u12",
                                 "\"\\",
                                 "\"\\b\\f\\n\\r\\t\\/\\u001f\\u000b\\u007F\"",
                                 "\xEF\xBB\xBF{}",
                                 "\xEF\xBB{}",
                                 "[1 2]",
                                 "{\"a\" 1}",
                                 "{\"a\":1 \"b\":2}",
                                 "{1:2}",
                                 "[",
                                 "[1",
                                 "{\"a\"",
                                 "{\"a\":",
                                 "{\"a\":1",
                                 "]",
                                 "true false",
                                 "truefalse",
                                 "True"}) {
    both(text);
  }
  Random random(12);
  const std::vector<std::string> seeds = {
      "{\"repo\":\"a/b\",\"n\":[1,2.5e3,-7,1e22,-0.125],\"deep\":{\"ok\":true,\"no\":null}}",
      "[\"\\u00e9\\\\ \\ud83d\\ude00\", {\"k\\n\": \"\xE6\xA4\x9C\"}, 0.25, false, [[], {}]]"};
  constexpr std::string_view kBytes = "{}[]\",:\\0123456789.eE+-truefalsnudD8 \t\n\xC3\xA9\xE6\x80\x01";
  for (int i = 0; i < 40'000; ++i) {
    std::string text = seeds[random.below(seeds.size())];
    for (uint64_t n = random.below(uint64_t{4}); n > 0; --n) {
      const size_t at = random.below(text.size());
      const char byte = kBytes[random.below(kBytes.size())];
      if (random.below(3) == 0)
        text.erase(at, 1);
      else if (random.below(2) == 0)
        text.insert(at, 1, byte);
      else
        text[at] = byte;
    }
    both(text);
  }
}

TEST_CASE("a NUL is no end of a text") {
  using namespace std::string_literals;
  CHECK(parse_json("{}\0"s, "text").code() == Code::kFormatError);
  CHECK(parse_json("{}\0garbage"s, "text").code() == Code::kFormatError);
  CHECK(parse_json("\0"s, "text").code() == Code::kFormatError);
  CHECK(parse_json("[\"\0\"]"s, "text").code() == Code::kFormatError);
  CHECK(parse_json("[\"\\u0000\"]", "text").value()[0] == "\0"s);
}

TEST_CASE("characters are escaped as printf would write them") {
  for (int byte = 0; byte < 0x20; ++byte) {
    char wanted[16];
    std::snprintf(wanted, sizeof wanted, "\"\\u%04x\"", byte);
    for (const char* letter : {"\bb", "\tt", "\nn", "\ff", "\rr"}) {
      if (letter[0] == byte) std::snprintf(wanted, sizeof wanted, "\"\\%c\"", letter[1]);
    }
    CHECK(write_json(std::string(1, static_cast<char>(byte))) == wanted);
    if (byte == 0 || byte == '\t' || byte == '\n' || byte == '\r') continue;
    // What the parser saw last is in its message.
    std::snprintf(wanted, sizeof wanted, "'<U+%.4X>'", byte);
    const auto found = parse_json(std::string(1, static_cast<char>(byte)), "text");
    REQUIRE(found.code() == Code::kFormatError);
    CHECK(found.error().message.find(wanted) != std::string::npos);
  }
  CHECK(write_json("\x7f\"\\/") == "\"\x7f\\\"\\\\/\"");
  const Json letters = "\u00e9\U0001F600";
  CHECK(letters.dump(-1, ' ', true) == "\"\\u00e9\\ud83d\\ude00\"");
  CHECK(write_json(std::numeric_limits<double>::infinity()) == "null");
}

TEST_CASE("the quick look accepts nothing that the parser refuses") {
  const JsonLimits limits = {.max_bytes = 200, .max_depth = 6, .max_values = 13};
  for (const std::string text : {"{}", " {\"a\" : [1, -2.5e-3, true, false, null, \"x\\n\xC3\xA9\"], \"b\":{\"a\":0}} ",
                                 "[[[[[[]]]]]]", "0", "-0.0E+10", "[1,2,3,4,5,6,7,8,9,0,1]"}) {
    CAPTURE(text);
    CHECK(is_plain_json(text, limits));
  }
  for (const std::string text : {"",
                                 " ",
                                 "{\"a\":1,\"a\":2}",
                                 "{\"a\":{\"b\":1,\"b\":2}}",
                                 "[[[[[[[]]]]]]]",
                                 "[1,2,3,4,5,6,7,8,9,0,1,2,3]",
                                 "01",
                                 "1.",
                                 ".5",
                                 "+1",
                                 "1e",
                                 "1e999",
                                 "[1,]",
                                 "[,1]",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "{a:1}",
                                 "{\"a\":1,}",
                                 "\"\t\"",
                                 "\"\\x\"",
                                 "\"\\",
                                 "\"\xC3\"",
                                 "\"\xED\xA0\x80\"",
                                 "tru",
                                 "nullx",
                                 "{} {}",
                                 "[",
                                 "{",
                                 "]",
                                 "\"",
                                 "\xEF\xBB\xBF{}"}) {
    CAPTURE(text);
    CHECK(!is_plain_json(text, limits));
  }
  CHECK(!is_plain_json(std::string(201, ' ') + "1", limits));
  CHECK(!is_plain_json(std::string(1 << 20, '[')));
  std::string keys = "{";
  for (int i = 0; i < 200; ++i) keys += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":" + "1";
  CHECK(check_json(keys + "}", "text").ok());

  Random random(11);
  const std::vector<std::string> seeds = {"{\"repo\":\"a/b\",\"n\":[1,2.5e3,-7],\"deep\":{\"ok\":true,\"no\":null}}",
                                          "[\"\\\"\\\\\", {\"k\": \"\xE6\xA4\x9C\"}, 0.25, false]"};
  constexpr std::string_view kBytes = "{}[]\",:\\0123456789.eE+-truefalsn \t\n\xC3\xA9\xE6\x80\x01";
  size_t plain = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string text = seeds[random.below(seeds.size())];
    for (uint64_t n = random.below(uint64_t{4}); n > 0; --n) {
      const size_t at = random.below(text.size());
      const char byte = kBytes[random.below(kBytes.size())];
      if (random.below(3) == 0)
        text.erase(at, 1);
      else if (random.below(2) == 0)
        text.insert(at, 1, byte);
      else
        text[at] = byte;
    }
    if (!is_plain_json(text)) continue;
    ++plain;
    CAPTURE(text);
    REQUIRE(Json::accept(text));
  }
  CHECK(plain > 10'000);
}
