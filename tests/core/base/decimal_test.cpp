#include "core/base/decimal.h"

#include <bit>
#include <catch_amalgamated.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/base/random.h"

using namespace nearfield;

namespace {

// What the C library reads, bit for bit.
void agrees(const std::string& text) {
  CAPTURE(text);
  REQUIRE(std::bit_cast<uint64_t>(read_decimal(text)) == std::bit_cast<uint64_t>(std::strtod(text.c_str(), nullptr)));
}

std::string printed(double value, int digits) {
  char text[1200];
  std::snprintf(text, sizeof text, "%.*e", digits, value);
  return text;
}

double any_double(Random& random) { return std::bit_cast<double>(random.below(uint64_t{0x7FF0} << 48)); }

}  // namespace

TEST_CASE("decimals at the borders are read as the C library reads them") {
  for (const char* text : {"0",
                           "-0",
                           "0.0",
                           "-0.000e5",
                           "1",
                           "10",
                           "0.1",
                           "1e22",
                           "1e23",
                           "8.5e22",
                           "9007199254740991.5",
                           "9007199254740993",
                           "9007199254740993.00000000000000000000000001",
                           "5e-324",
                           "2.4703282292062327e-324",
                           "2.4703282292062328e-324",
                           "1.7976931348623157e308",
                           "1.7976931348623158e+308",
                           "1.7976931348623159e308",
                           "1e308",
                           "1e309",
                           "1E310",
                           "1e311",
                           "2.2250738585072011e-308",
                           "2.2250738585072012e-308",
                           "2.2250738585072014e-308",
                           "1e-323",
                           "1e-324",
                           "1e-325",
                           "0.000000000000000000000000000001e31",
                           "1e99999999999999999999",
                           "1e-99999999999999999999",
                           "0e99999999999"}) {
    agrees(text);
  }
  agrees("1" + std::string(400, '0'));
  agrees("1" + std::string(400, '0') + "e-400");
  agrees("0." + std::string(400, '0') + "1e400");
  agrees(std::string(5000, '9') + "e-5000");
}

TEST_CASE("decimals of any length are read as the C library reads them") {
  Random random(7);
  for (int i = 0; i < 20'000; ++i) agrees(printed(any_double(random), static_cast<int>(random.below(22))));
  for (int i = 0; i < 20'000; ++i) {
    std::string text = random.below(2) == 0 ? "-" : "";
    const auto digits = [&](uint64_t count) {
      for (; count > 0; --count) text += static_cast<char>('0' + random.below(10));
    };
    text += static_cast<char>('1' + random.below(9));
    digits(random.below(25));
    if (random.below(2) == 0) {
      text += '.';
      digits(1 + random.below(25));
    }
    if (random.below(2) == 0) text += (random.below(2) == 0 ? "e-" : "E") + std::to_string(random.below(320));
    agrees(text);
  }
}

TEST_CASE("the middle of two doubles goes to the even one, and a digit far behind decides") {
  Random random(8);
  for (int i = 0; i < 2'000; ++i) {
    // 54 bits, the last of them set: between two doubles. Halved digit by digit it stays there.
    std::string digits = std::to_string((uint64_t{1} << 53 | random.below(uint64_t{1} << 53)) | 1);
    const uint64_t halvings = random.below(600);
    for (uint64_t n = 0; n < halvings; ++n) {
      int carry = 0;
      for (char& digit : digits) {
        const int value = carry * 10 + (digit - '0');
        digit = static_cast<char>('0' + value / 2);
        carry = value % 2;
      }
      digits += '5';  // what was odd leaves a half
    }
    agrees(digits + "e-" + std::to_string(halvings));
    agrees(digits + std::string(900, '0') + "1e-" + std::to_string(halvings + 901));
    digits.back() = static_cast<char>(digits.back() - 1);
    agrees(digits + "99999999999999999999" + "e-" + std::to_string(halvings + 20));
  }
}
