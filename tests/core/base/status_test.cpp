#include "core/base/status.h"

#include <catch_amalgamated.hpp>
#include <limits>

using namespace nearfield;

namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error{Code::kInvalidArgument, "odd", shown(int64_t{number})};
  return number / 2;
}

Result<int> quarter(int number) {
  ASSIGN_OR_RETURN(const int once, half(number));
  return half(once);
}

}  // namespace

TEST_CASE("a result holds a value or an error and passes errors on") {
  CHECK(*quarter(8) == 2);
  CHECK(quarter(6).code() == Code::kInvalidArgument);
  CHECK(quarter(6).error().value == "3");
  CHECK(quarter(7).error().value == "7");
  CHECK(Status().ok());
  CHECK(Status(Error{Code::kClosed, "", ""}).code() == Code::kClosed);
}

TEST_CASE("codes have the names of status.def") {
  CHECK(code_name(Code::kOk) == "Ok");
  CHECK(code_name(Code::kInvalidArgument) == "InvalidArgument");
  CHECK(code_name(Code::kInternal) == "Internal");
}

TEST_CASE("offending values are shown as JSON text") {
  CHECK(shown("a\"b\\c\n") == "\"a\\\"b\\\\c\\u000a\"");
  CHECK(shown(std::numeric_limits<double>::quiet_NaN()) == "\"NaN\"");
  CHECK(shown(-std::numeric_limits<double>::infinity()) == "\"-Infinity\"");
  CHECK(shown(0.5) == "0.5");
  CHECK(shown(int64_t{-3}) == "-3");
  // A cut never splits a character: 150 two-byte characters are cut behind the hundredth.
  std::string wide;
  for (int i = 0; i < 150; ++i) wide += "\xC3\xA9";
  CHECK(shown(wide) == "\"" + wide.substr(0, 200) + "\\u2026\"");
}
