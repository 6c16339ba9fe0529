// Characters: what kind each one is, and its plain lower-case form.
//
// The data covers every code point of the Unicode version named in unicode_tables.inc (scripts/generate-unicode.mjs
// writes that file). It is unpacked once, on first use, into about 90 KB; ASCII never needs it.
//
// All functions may run concurrently.
#pragma once

#include <array>
#include <cstdint>

namespace nearfield {

// Every character has exactly one class. The generator writes these numbers.
enum class CharacterClass : uint8_t {
  kControl = 0,      // categories Cc, Cf, Cn, Co, Cs; tab and line ends too
  kSpace = 1,        // Zs, Zl, Zp
  kMark = 2,         // Mn: accents and other marks that take no room
  kPunctuation = 3,  // P*
  kIdeograph = 4,    // the CJK ideographs that WordPiece sets apart, in the blocks listed in core/text/model/README.md
  kEastAsian = 5,    // other letters and numbers of Han, Hiragana, Katakana and Hangul: written without spaces
  kLetter = 6,       // other L*, Mc, Me
  kDigit = 7,        // other N*
  kSymbol = 8,       // S*
};

CharacterClass character_class(char32_t character);

// Letter with a lower-case form of its own. Accents do not matter: both E and É are upper case.
bool is_upper(char32_t character);

// A character without its accents, in lower case: the full lower-case mapping of NFD without category Mn.
struct Folded {
  std::array<char32_t, 4> characters{};
  uint8_t count = 0;  // 0 for marks

  const char32_t* begin() const { return characters.data(); }
  const char32_t* end() const { return characters.data() + count; }
};

// Folds one character by itself; what depends on neighbours (the final sigma) is the caller's.
Folded fold(char32_t character);

}  // namespace nearfield
