#include "core/text/wordpiece.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "core/base/utf8.h"
#include "core/text/unicode.h"

namespace nearfield {
namespace {

constexpr size_t kMaxTokens = 1 << 20;
constexpr size_t kMaxTokenBytes = 256;
constexpr size_t kMaxWordCharacters = 100;
constexpr uint32_t kEmptySlot = 0xFFFFFFFF;
constexpr std::string_view kContinuation = "##";

// FNV-1a, 32 bits. It grows byte by byte, so one pass gives the hash of every beginning of a word.
constexpr uint32_t kHashStart = 2166136261u;
constexpr uint32_t hash_step(uint32_t hash, char byte) { return (hash ^ static_cast<unsigned char>(byte)) * 16777619u; }
constexpr uint32_t hash_of(std::string_view text) {
  uint32_t hash = kHashStart;
  for (const char byte : text) hash = hash_step(hash, byte);
  return hash;
}
// The multiplication leaves the low bits poor; the high ones help out.
constexpr size_t slot_of(uint32_t hash) { return hash ^ hash >> 15; }
constexpr uint32_t tagged(uint32_t hash, uint32_t id) { return (hash >> 24) << 24 | id; }

Error bad_vocabulary(size_t line, std::string_view token, std::string_view problem) {
  return {Code::kFormatError, "vocabulary line " + std::to_string(line + 1) + " " + std::string(problem), shown(token)};
}

// What WordPiece does with a character of ASCII; everything else in the table is the lower-case character itself.
enum AsciiAction : char { kDrop = 0, kBreak = 1, kAlone = 2 };

constexpr std::array<char, 128> ascii_actions() {
  std::array<char, 128> actions{};
  for (int c = 33; c < 127; ++c) {
    const bool digit = c >= '0' && c <= '9';
    const bool upper = c >= 'A' && c <= 'Z';
    const bool lower = c >= 'a' && c <= 'z';
    actions[static_cast<size_t>(c)] = digit || lower ? static_cast<char>(c)
                                      : upper        ? static_cast<char>(c + 32)
                                                     : kAlone;
  }
  for (const char c : {' ', '\t', '\n', '\r'}) actions[static_cast<size_t>(c)] = kBreak;
  return actions;
}
constexpr std::array<char, 128> kAsciiActions = ascii_actions();

bool is_letter(CharacterClass kind) {
  return kind == CharacterClass::kLetter || kind == CharacterClass::kIdeograph || kind == CharacterClass::kEastAsian;
}

// A letter follows at `position`, marks and characters inside words aside. Unicode's condition Final_Sigma, near
// enough.
bool letter_follows(std::string_view text, size_t position) {
  while (position < text.size()) {
    const char32_t character = decode_utf8(text, position);
    const CharacterClass kind = character_class(character);
    const bool passed_over = kind == CharacterClass::kMark || kind == CharacterClass::kControl || character == U'\'' ||
                             character == U'.' || character == U':' || character == U'\u00B7' || character == U'\u2019';
    if (!passed_over || character == U'\n' || character == U'\r' || character == U'\t') return is_letter(kind);
  }
  return false;
}

// The word being read: folded UTF-8.
struct Word {
  std::array<char, kMaxWordCharacters * 4> bytes;
  size_t size = 0;
  size_t characters = 0;  // counts on beyond kMaxWordCharacters, when bytes are no longer kept

  void append_ascii(char character) {
    if (++characters <= kMaxWordCharacters) bytes[size++] = character;
  }
  void append(char32_t character) {
    if (character < 0x80) return append_ascii(static_cast<char>(character));
    if (++characters > kMaxWordCharacters) return;
    const auto put = [this](char32_t byte) { bytes[size++] = static_cast<char>(byte); };
    if (character < 0x800) {
      put(0xC0 | character >> 6);
    } else {
      if (character < 0x10000) {
        put(0xE0 | character >> 12);
      } else {
        put(0xF0 | character >> 18);
        put(0x80 | (character >> 12 & 0x3F));
      }
      put(0x80 | (character >> 6 & 0x3F));
    }
    put(0x80 | (character & 0x3F));
  }
  void clear() { size = characters = 0; }
};

}  // namespace

Result<WordPiece> WordPiece::load(std::string_view vocabulary) {
  WordPiece out;
  out.tokens_.reserve(vocabulary.size());
  for (size_t line = 0, begin = 0; begin < vocabulary.size(); ++line) {
    const size_t end = std::min(vocabulary.find('\n', begin), vocabulary.size());
    const std::string_view token = vocabulary.substr(begin, end - begin);
    begin = end + 1;
    if (token.empty()) return bad_vocabulary(line, token, "is empty");
    if (token.size() > kMaxTokenBytes) return bad_vocabulary(line, token, "is longer than 256 bytes");
    if (!is_utf8(token)) return bad_vocabulary(line, token, "is not UTF-8");
    if (line == kMaxTokens) return bad_vocabulary(line, token, "is beyond the limit of 1048576 tokens");
    out.tokens_ += token;
    out.token_ends_.push_back(static_cast<uint32_t>(out.tokens_.size()));
    out.longest_token_ = std::max(out.longest_token_, token.size());
  }
  if (out.size() == 0 || out.token(kUnknownId) != "[UNK]") {
    return bad_vocabulary(0, out.size() == 0 ? "" : out.token(0), "is not \"[UNK]\"");
  }
  out.tokens_.shrink_to_fit();
  out.token_ends_.shrink_to_fit();
  // At most half full, so that the search for an absent beginning, the usual case, ends soon.
  out.slots_.assign(std::bit_ceil(out.size() * 2), kEmptySlot);
  for (uint32_t id = 0; id < out.size(); ++id) {
    if (!out.insert(id)) return bad_vocabulary(id, out.token(id), "repeats an earlier token");
  }
  return out;
}

bool WordPiece::insert(uint32_t id) {
  const uint32_t hash = hash_of(token(id));
  const size_t mask = slots_.size() - 1;
  size_t slot = slot_of(hash) & mask;
  for (; slots_[slot] != kEmptySlot; slot = (slot + 1) & mask) {
    if (token(slots_[slot] & 0xFFFFFF) == token(id)) return false;
  }
  slots_[slot] = tagged(hash, id);
  return true;
}

uint32_t WordPiece::longest(std::string_view prefix, std::string_view text, size_t& length) const {
  std::array<uint32_t, kMaxTokenBytes> hashes;  // of each beginning of `text`
  uint32_t hash = hash_of(prefix);
  const size_t limit = std::min(text.size(), longest_token_ - std::min(longest_token_, prefix.size()));
  for (size_t i = 0; i < limit; ++i) hashes[i] = hash = hash_step(hash, text[i]);
  const size_t mask = slots_.size() - 1;
  for (length = limit; length > 0; --length) {
    hash = hashes[length - 1];
    for (size_t slot = slot_of(hash) & mask; slots_[slot] != kEmptySlot; slot = (slot + 1) & mask) {
      if (slots_[slot] >> 24 != hash >> 24) continue;
      const uint32_t id = slots_[slot] & 0xFFFFFF;
      const std::string_view candidate = token(id);
      if (candidate.size() == prefix.size() + length && candidate.starts_with(prefix) &&
          candidate.substr(prefix.size()) == text.substr(0, length)) {
        return id;
      }
    }
  }
  return kUnknownId;
}

// Writes what fits of the word's ids. REQUIRES: !ids.empty().
size_t WordPiece::split(std::string_view word, std::span<uint32_t> ids) const {
  size_t count = 0;
  for (size_t begin = 0, length = 0; begin < word.size(); begin += length) {
    const uint32_t id = longest(begin == 0 ? "" : kContinuation, word.substr(begin), length);
    if (id == kUnknownId) {
      ids[0] = kUnknownId;
      return 1;
    }
    // Goes on when `ids` is full: whether the rest can be spelt decides about the pieces already written.
    if (count < ids.size()) ids[count++] = id;
  }
  return count;
}

size_t WordPiece::tokenize(std::string_view text, std::span<uint32_t> ids) const {
  size_t count = 0;
  Word word;
  const auto end_word = [&] {
    if (word.characters == 0 || count == ids.size()) return;
    if (word.characters > kMaxWordCharacters) {
      ids[count++] = kUnknownId;
    } else {
      count += split({word.bytes.data(), word.size}, ids.subspan(count));
    }
    word.clear();
  };
  bool after_letter = false;  // for the final sigma
  for (size_t position = 0; position < text.size() && count < ids.size();) {
    if (static_cast<unsigned char>(text[position]) < 0x80) {
      const char character = text[position++];
      const char action = kAsciiActions[static_cast<size_t>(character)];
      if (action > kAlone) {
        word.append_ascii(action);
        after_letter = action >= 'a';
      } else if (action != kDrop) {
        end_word();
        if (action == kAlone) {
          word.append_ascii(character);
          end_word();
        }
        after_letter = false;
      }
      continue;
    }
    const char32_t character = decode_utf8(text, position);
    const CharacterClass kind = character_class(character);
    if (character == kReplacementCharacter || kind == CharacterClass::kControl || kind == CharacterClass::kMark)
      continue;
    if (kind == CharacterClass::kSpace) {
      end_word();
    } else {
      const bool alone = kind == CharacterClass::kIdeograph || kind == CharacterClass::kPunctuation;
      if (alone) end_word();
      if (character == U'\u03A3' && after_letter && !letter_follows(text, position)) {
        word.append(U'\u03C2');
      } else {
        for (const char32_t folded : fold(character)) word.append(folded);
      }
      if (alone) end_word();
    }
    after_letter = is_letter(kind);
  }
  end_word();
  return count;
}

}  // namespace nearfield
