// Ids for servers that know only UUIDs; numbers and names in JSON text.
#include "core/remote/ids.h"

#include <bit>
#include <catch_amalgamated.hpp>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>

#include "core/base/random.h"
#include "core/remote/json_text.h"
#include "core/remote/score.h"

using namespace nearfield;

TEST_CASE("a string becomes its UUIDv5, whatever its length") {
  // Made by another implementation. Lengths around the ends of SHA-1's blocks are those that padding goes wrong at.
  CHECK(derived_uuid("python.org") == "886313e1-3b8a-5372-9b90-0c9aee199e5d");
  CHECK(derived_uuid("") == "4ebd0208-8328-5d69-8c44-ec50939c0967");
  CHECK(derived_uuid("Z\xC3\xBCrich") == "88bc97ad-c8f5-5a9c-badc-e687205311e8");
  CHECK(derived_uuid(std::string(38, 'a')) == "fa465dc7-82d5-5c3b-a5bb-9b8f3132a2b7");
  CHECK(derived_uuid(std::string(39, 'a')) == "5824f981-4282-59d4-9716-acb6d741350e");
  CHECK(derived_uuid(std::string(40, 'a')) == "39f39c20-db47-5131-8879-62f8f67f9014");
  CHECK(derived_uuid(std::string(47, 'a')) == "660c273c-8a00-5941-b6f4-8d0afed88966");
  CHECK(derived_uuid(std::string(48, 'a')) == "7280cc42-274a-5c4a-91fc-ae23f853eeb7");
  CHECK(derived_uuid(std::string(49, 'a')) == "69349718-028b-5ff0-a00f-c024ded6e6ee");
  CHECK(derived_uuid(std::string(111, 'a')) == "5a333448-30c7-569b-ab96-842bddfbe8ca");
  CHECK(derived_uuid(std::string(112, 'a')) == "ab683ad5-4de4-5faf-bf37-0788e34176da");
  CHECK(derived_uuid(std::string(1024, 'a')) == "a3751b48-bc5f-5cf7-ac65-f2cf582666ba");
}

TEST_CASE("a UUID in lower case with hyphens is its own") {
  const std::string uuid = "00000000-0000-4000-8000-00000000000a";
  CHECK(is_uuid(uuid));
  CHECK(uuid_of_id(uuid) == uuid);
  for (const std::string other : {"00000000-0000-4000-8000-00000000000A", "00000000000040008000000000000000",
                                  "00000000-0000-4000-8000-00000000000", "00000000-0000-4000-8000-00000000000aa",
                                  "0000000000-00-4000-8000-00000000000a", "{0000000-0000-4000-8000-00000000000a",
                                  "urn:uuid:00000000-0000-4000-8000-000000000"}) {
    CHECK_FALSE(is_uuid(other));
    CHECK(uuid_of_id(other) == derived_uuid(other));
    CHECK(is_uuid(uuid_of_id(other)));
  }
}

TEST_CASE("whole numbers of 64 bits have one spelling") {
  CHECK(parse_u64("0") == 0u);
  CHECK(parse_u64("18446744073709551615") == UINT64_MAX);
  for (const char* other : {"", "-1", "+1", "01", "00", "1.0", "1e3", " 1", "18446744073709551616",
                            "99999999999999999999", "184467440737095516150"}) {
    CHECK_FALSE(parse_u64(other).has_value());
  }
}

TEST_CASE("floats are written so that they read back, in hardly more digits than needed") {
  Random random(1);
  size_t numbers = 0, longer = 0;
  const auto check = [&](float value) {
    std::string text;
    append_json_float(text, value);
    CHECK(std::strtof(text.c_str(), nullptr) == value);
    char shortest[64];
    const auto end = std::to_chars(shortest, shortest + sizeof(shortest), value, std::chars_format::scientific).ptr;
    const auto digits = [](std::string_view number) {
      const std::string_view mantissa = number.substr(0, number.find('e'));
      size_t count = 0, zeros = 0;
      for (const char c : mantissa) {
        if (c < '0' || c > '9') continue;
        zeros = c == '0' ? zeros + 1 : 0;
        if (c != '0' || count > 0) ++count;
      }
      return count > zeros ? count - zeros : size_t{1};
    };
    CHECK(digits(text) <= 9);
    ++numbers;
    longer += digits(text) > digits({shortest, static_cast<size_t>(end - shortest)}) ? 1 : 0;
  };
  for (const float value :
       {0.0f, -0.0f, 1.0f, -1.5f, 0.1f, 16777216.0f, 3.4028235e38f, 1e-45f, 1.17549435e-38f, 1e20f}) {
    check(value);
  }
  for (int i = 0; i < 100'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(random.next()));
    if (std::isfinite(value)) check(value);
    check(random.between(-1, 1));
    check(std::ldexp(1.0f, static_cast<int>(random.below(80)) - 40));  // where floats lie closer on one side
    check(static_cast<float>(random.below(uint64_t{1'000'000})) / 1'000);
  }
  CHECK(longer * 100 < numbers);
  std::string text;
  append_json_floats(text, std::vector<float>{1, -0.5f, 3e-7f});
  CHECK(text == "[1,-0.5,0.0000003]");
}

TEST_CASE("strings are escaped, names in paths are encoded") {
  std::string text;
  append_json_string(text, "a\"b\\c\n\x01\xC3\xA9");
  CHECK(text == "\"a\\\"b\\\\c\\u000a\\u0001\xC3\xA9\"");
  CHECK(percent_encoded("notizen \xC3\xBC/..?#%") == "notizen%20%C3%BC%2F..%3F%23%25");
}

TEST_CASE("short decimals are those that a simple reader reads exactly") {
  for (const double value : {0.0, 1.5, -0.1, 123456789.25, 1e22, 1e-7, 999999999999999.0}) {
    CHECK(is_short_decimal(value));
  }
  for (const double value : {0.1 + 0.2, 1.0 / 3, 1e23, 1e-8, 0x1p53, 5e-324}) CHECK_FALSE(is_short_decimal(value));
  // Such a reader: all digits as a whole number, divided by a power of ten, rounded once.
  Random random(2);
  for (int i = 0; i < 10'000; ++i) {
    const double value = std::round(random.unit() * 1e6) / 1e3;
    std::string text;
    append_json_double(text, value);
    REQUIRE(is_short_decimal(value));
    if (text.find('e') != std::string::npos) continue;
    double digits = 0, power = 1;
    bool fraction = false;
    for (const char c : text) {
      if (c == '.') {
        fraction = true;
      } else {
        digits = digits * 10 + (c - '0');
        if (fraction) power *= 10;
      }
    }
    CHECK(digits / power == value);
  }
}

TEST_CASE("scores of servers become ours") {
  CHECK(score_of(Metric::kCosine, ServerScale::kSimilarity, 1.0000001) == 1);
  CHECK(score_of(Metric::kDot, ServerScale::kSimilarity, 2.5) == 2.5);
  CHECK(score_of(Metric::kDot, ServerScale::kOneMinus, -5) == 6);
  CHECK(score_of(Metric::kDot, ServerScale::kNegated, -5) == 5);
  CHECK(score_of(Metric::kCosine, ServerScale::kOneMinus, 0.25) == 0.75);
  CHECK(score_of(Metric::kEuclidean, ServerScale::kDistance, 2) == -2);
  CHECK(score_of(Metric::kEuclidean, ServerScale::kSquaredDistance, 4) == -2);
  CHECK(score_of(Metric::kManhattan, ServerScale::kDistance, 3) == -3);
  CHECK_FALSE(std::signbit(score_of(Metric::kEuclidean, ServerScale::kDistance, 0)));
  CHECK_FALSE(std::signbit(score_of(Metric::kEuclidean, ServerScale::kSquaredDistance, -1e-9)));
}
