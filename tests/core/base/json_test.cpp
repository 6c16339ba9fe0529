#include "core/base/json.h"

#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>

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
