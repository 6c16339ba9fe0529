#include "core/base/utf8.h"

#include <catch_amalgamated.hpp>
#include <vector>

using namespace nearfield;

namespace {

std::vector<char32_t> decoded(std::string_view text) {
  std::vector<char32_t> out;
  for (size_t position = 0; position < text.size();) out.push_back(decode_utf8(text, position));
  return out;
}

}  // namespace

TEST_CASE("every character survives encoding and decoding") {
  std::string text;
  for (char32_t character = 0; character <= 0x10FFFF; ++character) {
    if (character >= 0xD800 && character <= 0xDFFF) continue;
    text.clear();
    append_utf8(character, text);
    size_t position = 0;
    // Plain comparisons: a million CHECKs would take seconds.
    if (decode_utf8(text, position) != character || position != text.size() || !is_utf8(text)) {
      FAIL("character " << static_cast<uint32_t>(character));
    }
  }
}

TEST_CASE("bytes that are not UTF-8 become U+FFFD, one by one") {
  for (const std::string_view bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                                     "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x82", "\xF0\x9F\x98"}) {
    CHECK_FALSE(is_utf8(bad));
    CHECK(decoded(bad) == std::vector<char32_t>(bad.size(), kReplacementCharacter));
    CHECK(is_utf8(to_utf8(bad)));
  }
  CHECK(decoded("a\xE2\x82z") == std::vector<char32_t>{'a', kReplacementCharacter, kReplacementCharacter, 'z'});
  CHECK(to_utf8("a\xFFz") == "a\xEF\xBF\xBDz");
  CHECK(to_utf8("gr\xC3\xBC\xC3\x9F") == "gr\xC3\xBC\xC3\x9F");
}

TEST_CASE("lengths in UTF-16 are what JavaScript says") {
  CHECK(utf16_length("") == 0);
  CHECK(utf16_length("a\xC3\xA9\xE2\x82\xAC") == 3);
  CHECK(utf16_length("\xF0\x9F\x98\x80!") == 3);
}

TEST_CASE("one bad byte is found wherever it stands in a long text") {
  for (size_t length = 1; length < 40; ++length) {
    const std::string good(length, 'a');
    REQUIRE(is_utf8(good));
    for (size_t at = 0; at < length; ++at) {
      std::string bad = good;
      bad[at] = static_cast<char>(0xFF);
      CHECK(!is_utf8(bad));
      bad = good;
      bad.replace(at, 1, "\xE6\xA4\x9C");
      CHECK(is_utf8(bad));
    }
  }
}
