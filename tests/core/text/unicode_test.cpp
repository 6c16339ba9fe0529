#include "core/text/unicode.h"

#include <catch_amalgamated.hpp>
#include <string>

#include "core/base/utf8.h"

using namespace nearfield;

namespace {

std::string folded(std::string_view text) {
  std::string out;
  for (size_t position = 0; position < text.size();) {
    for (const char32_t character : fold(decode_utf8(text, position))) append_utf8(character, out);
  }
  return out;
}

}  // namespace

TEST_CASE("characters have the classes of their categories") {
  using enum CharacterClass;
  const auto check = [](CharacterClass expected, std::u32string_view characters) {
    for (const char32_t character : characters) {
      INFO(static_cast<uint32_t>(character));
      CHECK(character_class(character) == expected);
    }
  };
  check(kControl, U"\t\n\r\x7F\u0085\u00AD\u200B\u200D\uFEFF\uE000\u0378");
  check(kSpace, U" \u00A0\u2003\u2028\u2029\u3000");
  check(kMark, U"\u0300\u0345\u0E31\u3099\uFE0F");
  check(kPunctuation, U"!\"#%&'()*,-./:;?@[\\]_{}\u2014\u3002\u00BF");
  check(kSymbol, U"$+<=>^`|~\u20AC\uFFFD\U0001F680");
  check(kIdeograph, U"\u4E00\u9FFF\u3400\U00020000\uF900\U0002F800");
  check(kEastAsian, U"\u3042\u30A2\u30FC\u3005\uFF71\uD55C\u1100");
  check(kLetter, U"azAZ\u00E9\u0431\u05D0\u0903");
  check(kDigit, U"09\u0660\u00BD\u2163");
  CHECK(character_class(0) == kControl);
  CHECK(character_class(0xD800) == kControl);
  CHECK(character_class(0x10FFFF) == kControl);
  CHECK(character_class(0x110000) == kControl);
  CHECK(character_class(0xFFFFFFFF) == kControl);
}

TEST_CASE("folding drops accents, then case") {
  CHECK(folded("Ångström ÀÉÎ \xE2\x84\xA6") == "angstrom aei \xCF\x89");  // the ohm sign is an omega
  CHECK(folded("İstanbul ı I") == "istanbul ı i");
  CHECK(folded("Straße ẞ") == "straße ß");
  CHECK(folded("ΣΊΣΥΦΟΣ ς") == "σισυφοσ ς");
  CHECK(folded("Йй Ёё") == "ии ее");
  CHECK(folded("e\xCC\x82\xCC\x83") == "e");
  CHECK(folded("한") == "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB");
  CHECK(folded("가") == "\xE1\x84\x80\xE1\x85\xA1");
  CHECK(folded("デ") == "テ");
  CHECK(folded("\xEF\xA4\x80") == "\xE8\xB1\x88");              // a compatibility ideograph
  CHECK(folded("\xE0\xA7\x8B") == "\xE0\xA7\x87\xE0\xA6\xBE");  // Bengali o is two vowel signs
  CHECK(folded("ＡＢ ﬁ ½ 👍🏽") == "ａｂ ﬁ ½ 👍🏽");
  CHECK(fold(0x0300).count == 0);
  CHECK(*fold(0xFFFFFFFF).begin() == 0xFFFFFFFF);
}

TEST_CASE("folding twice changes nothing and marks are all that vanishes") {
  for (char32_t character = 0; character <= 0x10FFFF; ++character) {
    const Folded once = fold(character);
    if ((once.count == 0) != (character_class(character) == CharacterClass::kMark))
      FAIL(static_cast<uint32_t>(character));
    for (const char32_t part : once) {
      const Folded twice = fold(part);
      if (twice.count != 1 || *twice.begin() != part) FAIL(static_cast<uint32_t>(character));
    }
  }
}

TEST_CASE("upper case is what has a lower-case form of its own") {
  for (const char32_t character : U"AZ\u00C9\u0130\u03A3\u042F\u1E9E\u212B\U00010400") {
    if (character != 0) CHECK(is_upper(character));
  }
  for (const char32_t character : U"az\u00E9\u00DF\u03C2\u4E00\uAC00\uFFFD") CHECK_FALSE(is_upper(character));
}
