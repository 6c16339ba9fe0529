#include "core/config/expand.h"

#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>

using namespace nearfield;

namespace {

const Json kEnvironment = {{"KEY", "sesame"}, {"_a1", "x"}, {"NESTED", "${KEY}"}, {"BRACE", "}"}, {"EMPTY", ""}};

std::string expanded(std::string_view text) {
  auto result = expand(text, kEnvironment);
  INFO(text);
  REQUIRE(result.ok());
  return std::move(result).value();
}

}  // namespace

TEST_CASE("variables are put in once, and nothing is read again") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"${KEY}", "sesame"},
      {"a${KEY}b${_a1}c", "asesamebxc"},
      {"${NESTED}", "${KEY}"},
      {"${EMPTY}", ""},
      {"${KEY}${KEY}", "sesamesesame"},
      {"${BRACE}", "}"},
      // $ alone, and the literal.
      {"$", "$"},
      {"$KEY", "$KEY"},
      {"$$", "$$"},
      {"a$", "a$"},
      {"$${KEY}", "${KEY}"},
      {"$$${KEY}", "$${KEY}"},
      {"x$${KEY}${KEY}", "x${KEY}sesame"},
      {"$${", "${"},
      {"{}", "{}"},
      {"$ {KEY}", "$ {KEY}"},
  };
  for (const auto& [text, wanted] : cases) CHECK(expanded(text) == wanted);
}

TEST_CASE("a variable that is not set, or has no name, is an error that shows no value") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"${MISSING}", "the environment variable MISSING is not set"},
      {"${KEY}${MISSING}", "the environment variable MISSING is not set"},
      {"${key}", "the environment variable key is not set"},
      {"${", "${ without a variable's name"},
      {"${KEY", "${ without a variable's name"},
      {"${}", "${ without a variable's name"},
      {"${1A}", "${ without a variable's name"},
      {"${A B}", "${ without a variable's name"},
      {"${KEY:-x}", "${ without a variable's name"},
      {"${${KEY}}", "${ without a variable's name"},
  };
  for (const auto& [text, wanted] : cases) {
    const auto result = expand(text, kEnvironment);
    INFO(text);
    REQUIRE(!result.ok());
    CHECK(result.code() == Code::kInvalidConfig);
    CHECK(result.error().message.find(wanted) != std::string::npos);
    CHECK(result.error().message.find("sesame") == std::string::npos);
  }
  CHECK(!expand("${" + std::string(1 << 20, 'A') + "}", kEnvironment).ok());
  // Only its own members: an object of JavaScript has others.
  CHECK(!expand("${toString}", kEnvironment).ok());
  CHECK(!expand("${KEY}", Json{{"KEY", 5}}).ok());
}

TEST_CASE("whether there is a variable is known without looking it up") {
  CHECK(has_variable("a${B}"));
  CHECK(has_variable("$${A}${B}"));
  CHECK(has_variable("${"));
  CHECK(!has_variable("$${A}"));
  CHECK(!has_variable("$A"));
  CHECK(!has_variable(""));
}
