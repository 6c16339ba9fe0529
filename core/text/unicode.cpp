#include "core/text/unicode.h"

#include <algorithm>
#include <cassert>
#include <vector>

namespace nearfield {
namespace {

#include "core/text/unicode_tables.inc"

constexpr char32_t kLastCharacter = 0x10FFFF;
constexpr uint32_t kPageSize = 256;
// Beside the class in a page: the character is in the list of foldings.
constexpr uint8_t kFolds = 0x80;

struct Folding {
  uint32_t character;
  uint32_t target : 21;  // the folded character, or where its parts start in Tables::parts
  uint32_t upper : 1;
  uint32_t count : 3;
};

class VarintReader {
 public:
  explicit VarintReader(const uint8_t* bytes) : next_(bytes) {}
  uint32_t get() {
    uint32_t value = 0;
    for (int shift = 0;; shift += 7) {
      const uint32_t byte = *next_++;
      value |= (byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  }

 private:
  const uint8_t* next_;
};

// Pages of 256 characters; equal neighbouring pages are stored once.
struct Tables {
  std::vector<uint16_t> page_of;
  std::vector<std::array<uint8_t, kPageSize>> pages;
  std::vector<Folding> foldings;  // ascending
  std::vector<char32_t> parts;

  Tables() {
    read_foldings();
    read_classes();
  }

  void read_foldings() {
    foldings.reserve(kFoldingCount);
    VarintReader reader(kFoldings);
    uint32_t character = 0;
    uint32_t target = 0;
    for (size_t i = 0; i < kFoldingCount; ++i) {
      const uint32_t head = reader.get();
      character += head >> 2;
      const uint32_t count = (head & 1) != 0 ? reader.get() : 1;
      const auto first_part = static_cast<uint32_t>(parts.size());
      for (uint32_t part = 0; part < count; ++part) {
        const uint32_t zigzag = reader.get();
        target += (zigzag >> 1) ^ (0 - (zigzag & 1));
        if (count != 1) parts.push_back(target);
      }
      foldings.push_back({character, (count == 1 ? target : first_part) & 0x1FFFFF, head >> 1 & 1, count & 7});
    }
  }

  void read_classes() {
    page_of.reserve((kLastCharacter + 1) / kPageSize);
    VarintReader reader(kClassRuns);
    std::array<uint8_t, kPageSize> page{};
    auto folding = foldings.begin();
    uint32_t left_of_run = 0;
    uint8_t run_class = 0;
    for (uint32_t start = 0; start <= kLastCharacter; start += kPageSize) {
      for (uint32_t i = 0; i < kPageSize; ++i) {
        if (left_of_run == 0) {
          const uint32_t run = reader.get();
          left_of_run = run >> 4;
          run_class = run & 15;
        }
        --left_of_run;
        page[i] = run_class;
        if (folding != foldings.end() && folding->character == start + i) {
          page[i] |= kFolds;
          ++folding;
        }
      }
      if (pages.empty() || pages.back() != page) pages.push_back(page);
      page_of.push_back(static_cast<uint16_t>(pages.size() - 1));
    }
  }

  uint8_t at(char32_t character) const { return pages[page_of[character / kPageSize]][character % kPageSize]; }

  // REQUIRES: at(character) has kFolds.
  const Folding& folding(char32_t character) const {
    return *std::lower_bound(foldings.begin(), foldings.end(), character,
                             [](const Folding& one, char32_t other) { return one.character < other; });
  }
};

const Tables& tables() {
  static const Tables instance;
  return instance;
}

bool is_ascii_upper(char32_t character) { return character - U'A' < 26; }
bool is_ascii_letter(char32_t character) { return (character | 0x20) - U'a' < 26; }
bool is_hangul_syllable(char32_t character) { return character - 0xAC00 < 11172; }

CharacterClass ascii_class(char32_t character) {
  if (is_ascii_letter(character)) return CharacterClass::kLetter;
  if (character - U'0' < 10) return CharacterClass::kDigit;
  if (character == U' ') return CharacterClass::kSpace;
  if (character < U' ' || character == 0x7F) return CharacterClass::kControl;
  switch (character) {
    case U'$':
    case U'+':
    case U'<':
    case U'=':
    case U'>':
    case U'^':
    case U'`':
    case U'|':
    case U'~': return CharacterClass::kSymbol;
    default: return CharacterClass::kPunctuation;
  }
}

// Unicode, section 3.12: a Hangul syllable is a lead consonant, a vowel and perhaps a trailing consonant.
Folded fold_hangul(char32_t character) {
  const char32_t index = character - 0xAC00;
  const char32_t trail = index % 28;
  Folded out{{0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + trail, 0}, 3};
  if (trail == 0) out.count = 2;
  return out;
}

}  // namespace

CharacterClass character_class(char32_t character) {
  if (character < 0x80) return ascii_class(character);
  if (character > kLastCharacter) return CharacterClass::kControl;
  return static_cast<CharacterClass>(tables().at(character) & ~kFolds);
}

bool is_upper(char32_t character) {
  if (character < 0x80) return is_ascii_upper(character);
  if (character > kLastCharacter || (tables().at(character) & kFolds) == 0) return false;
  return tables().folding(character).upper != 0;
}

Folded fold(char32_t character) {
  if (character < 0x80) return {{is_ascii_upper(character) ? character + 32 : character}, 1};
  if (is_hangul_syllable(character)) return fold_hangul(character);
  if (character > kLastCharacter) return {{character}, 1};
  const uint8_t entry = tables().at(character);
  if (static_cast<CharacterClass>(entry) == CharacterClass::kMark) return {};
  if ((entry & kFolds) == 0) return {{character}, 1};
  const Folding& folding = tables().folding(character);
  if (folding.count == 1) return {{folding.target}, 1};
  Folded out;
  assert(folding.count <= out.characters.size());
  for (uint32_t i = 0; i < folding.count; ++i) out.characters[i] = tables().parts[folding.target + i];
  out.count = static_cast<uint8_t>(folding.count);
  return out;
}

}  // namespace nearfield
