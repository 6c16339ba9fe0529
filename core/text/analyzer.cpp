#include "core/text/analyzer.h"

#include <array>
#include <cassert>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "core/base/utf8.h"
#include "core/text/unicode.h"

// Snowball's generated C. The second header is not on the include path by itself.
#include "../runtime/api.h"
#include "stem_UTF_8_english.h"

namespace nearfield {
namespace {

constexpr size_t kMaxTermBytes = 64;

enum class Kind : uint8_t { kOther, kLower, kUpper, kDigit, kMark, kConnector, kApostrophe, kEastAsian };

bool is_letter(Kind kind) { return kind == Kind::kLower || kind == Kind::kUpper; }
bool is_word(Kind kind) { return is_letter(kind) || kind == Kind::kDigit; }

constexpr std::array<Kind, 128> ascii_kinds() {
  std::array<Kind, 128> kinds{};
  for (size_t c = 'a'; c <= 'z'; ++c) kinds[c] = Kind::kLower;
  for (size_t c = 'A'; c <= 'Z'; ++c) kinds[c] = Kind::kUpper;
  for (size_t c = '0'; c <= '9'; ++c) kinds[c] = Kind::kDigit;
  for (const char c : {'_', '-', '.', '/', '\\'}) kinds[static_cast<size_t>(c)] = Kind::kConnector;
  kinds['\''] = Kind::kApostrophe;
  return kinds;
}
constexpr std::array<Kind, 128> kAsciiKinds = ascii_kinds();

Kind kind_of(char32_t character) {
  if (character < 0x80) return kAsciiKinds[character];
  if (character == U'\u2019') return Kind::kApostrophe;
  switch (character_class(character)) {
    case CharacterClass::kControl:  // soft hyphens and joiners stand inside words and mean nothing here
    case CharacterClass::kMark: return Kind::kMark;
    case CharacterClass::kIdeograph:
    case CharacterClass::kEastAsian: return Kind::kEastAsian;
    case CharacterClass::kLetter: return is_upper(character) ? Kind::kUpper : Kind::kLower;
    case CharacterClass::kDigit: return Kind::kDigit;
    case CharacterClass::kSpace:
    case CharacterClass::kPunctuation:
    case CharacterClass::kSymbol: return Kind::kOther;
  }
  return Kind::kOther;
}

struct Character {
  char32_t code = 0;
  Kind kind = Kind::kOther;
  size_t end = 0;  // where the next one begins
};

// The character at `position`; kOther at the end of the text.
Character read(std::string_view text, size_t position) {
  if (position >= text.size()) return {0, Kind::kOther, position};
  const auto byte = static_cast<unsigned char>(text[position]);
  if (byte < 0x80) return {byte, kAsciiKinds[byte], position + 1};
  const char32_t code = decode_utf8(text, position);
  return {code, kind_of(code), position};
}

// The same, passing over marks.
Character read_base(std::string_view text, size_t position) {
  Character character = read(text, position);
  while (character.kind == Kind::kMark) character = read(text, character.end);
  return character;
}

// Up to kMaxTermBytes of folded UTF-8, whole characters only. Once one did not fit, nothing more is taken.
class TermBuffer {
 public:
  std::string_view text() const { return {bytes_.data(), size_}; }
  bool is_plain() const { return plain_; }
  void clear() {
    size_ = 0;
    full_ = false;
    plain_ = true;
  }

  // A character of the text.
  void append(const Character& character) {
    if (character.code < 0x80) {
      const bool upper = character.kind == Kind::kUpper;
      append_byte(static_cast<char>(upper ? character.code + 32 : character.code),
                  is_letter(character.kind) || character.kind == Kind::kApostrophe);
      return;
    }
    if (character.kind == Kind::kApostrophe) return append_byte('\'', true);
    for (const char32_t folded : fold(character.code)) append_folded(folded);
  }
  void append(const TermBuffer& other) {
    plain_ = false;
    if (size_ + other.size_ > kMaxTermBytes) full_ = true;
    if (full_) return;
    std::memcpy(bytes_.data() + size_, other.bytes_.data(), other.size_);
    size_ += other.size_;
  }

 private:
  void append_byte(char byte, bool plain) {
    if (size_ == kMaxTermBytes) full_ = true;
    plain_ = plain_ && plain;
    if (!full_) bytes_[size_++] = byte;
  }
  void append_folded(char32_t folded) {
    // Search takes both forms of sigma for the same letter.
    if (folded == U'\u03C2') folded = U'\u03C3';
    if (folded < 0x80) return append_byte(static_cast<char>(folded), folded - U'a' < 26);
    plain_ = false;
    std::string encoded;  // short: no allocation
    append_utf8(folded, encoded);
    if (size_ + encoded.size() > kMaxTermBytes) full_ = true;
    if (full_) return;
    std::memcpy(bytes_.data() + size_, encoded.data(), encoded.size());
    size_ += encoded.size();
  }

  std::array<char, kMaxTermBytes> bytes_;
  size_t size_ = 0;
  bool full_ = false;
  bool plain_ = true;  // only a to z and apostrophes: a word for the stemmer
};

// The English stemmer behind a direct-mapped cache: a colliding word replaces the one before.
class Stemmer {
 public:
  Stemmer() : cache_(kEntries), environment_(english_UTF_8_create_env()) {
    if (environment_ == nullptr) throw std::bad_alloc();
  }
  ~Stemmer() { english_UTF_8_close_env(environment_); }
  Stemmer(const Stemmer&) = delete;
  Stemmer& operator=(const Stemmer&) = delete;

  // Valid until the next call. REQUIRES: `word` is lower-case ASCII.
  std::string_view stem(std::string_view word) {
    if (word.size() > kMaxCached) return run(word);
    uint32_t hash = static_cast<uint32_t>(word.size());
    for (const char byte : word) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x9E3779B1u;
    Entry& entry = cache_[hash >> (32 - kEntryBits)];
    if (entry.word_size != word.size() || std::memcmp(entry.word.data(), word.data(), word.size()) != 0) {
      const std::string_view stem = run(word);
      assert(stem.size() <= word.size() + 1);
      entry.word_size = static_cast<uint8_t>(word.size());
      entry.stem_size = static_cast<uint8_t>(stem.size());
      std::memcpy(entry.word.data(), word.data(), word.size());
      std::memcpy(entry.stem.data(), stem.data(), stem.size());
    }
    return {entry.stem.data(), entry.stem_size};
  }

 private:
  static constexpr size_t kEntryBits = 12;
  static constexpr size_t kEntries = size_t{1} << kEntryBits;
  static constexpr size_t kMaxCached = 22;
  struct Entry {
    uint8_t word_size = 0;
    uint8_t stem_size = 0;
    std::array<char, kMaxCached> word;
    std::array<char, kMaxCached + 2> stem;  // a stem may be longer than its word by an e
  };

  std::string_view run(std::string_view word) {
    // Both calls fail only for want of memory.
    if (SN_set_current(environment_, static_cast<int>(word.size()), reinterpret_cast<const symbol*>(word.data())) < 0 ||
        english_UTF_8_stem(environment_) < 0) {
      throw std::bad_alloc();
    }
    return {reinterpret_cast<const char*>(environment_->p), static_cast<size_t>(environment_->l)};
  }

  std::vector<Entry> cache_;
  SN_env* environment_;  // last: nothing that may throw comes after it
};

// Fills a vector of terms, whose strings it uses again.
class TermWriter {
 public:
  explicit TermWriter(std::vector<Term>& terms) : terms_(terms) {}

  size_t size() const { return count_; }
  void put(std::string_view text, size_t begin, size_t end) { set(reserve(), text, begin, end); }
  // Makes room for a term that is known later.
  size_t reserve() {
    if (count_ == terms_.size()) terms_.emplace_back();
    return count_++;
  }
  void set(size_t index, std::string_view text, size_t begin, size_t end) {
    terms_[index].text.assign(text);
    terms_[index].begin = static_cast<uint32_t>(begin);
    terms_[index].end = static_cast<uint32_t>(end);
  }
  // Takes the reserved `index` back, when one term stands behind it.
  void drop_reserved(size_t index) {
    assert(index + 2 == count_);
    std::swap(terms_[index], terms_[index + 1]);
    --count_;
  }
  void finish() { terms_.resize(count_); }

 private:
  std::vector<Term>& terms_;
  size_t count_ = 0;
};

// A part ends between `previous` and `next`: lower to upper case (getUser), the last capital of a run (HTTPServer),
// letters to digits and back.
bool splits(Kind previous, const Character& next, std::string_view text) {
  if (!is_word(previous)) return false;
  if ((previous == Kind::kDigit) != (next.kind == Kind::kDigit)) return true;
  if (next.kind != Kind::kUpper) return false;
  if (previous == Kind::kLower) return true;
  const Character after = read_base(text, next.end);
  if (after.kind != Kind::kLower) return false;
  const bool plural = after.code == U's' && !is_letter(read_base(text, after.end).kind);
  return !plural;
}

}  // namespace

struct Analyzer::State {
  std::unique_ptr<Stemmer> stemmer;  // none when stemming is off

  void put(const TermBuffer& buffer, size_t index, size_t begin, size_t end, TermWriter& out) {
    std::string_view text = buffer.text();
    if (buffer.is_plain() && stemmer != nullptr) text = stemmer->stem(text);
    out.set(index, text, begin, end);
  }

  // Reads the word or identifier that starts at `begin`, answers where it ends.
  size_t read_identifier(std::string_view text, const size_t begin, TermWriter& out) {
    const size_t whole_index = out.reserve();
    TermBuffer whole;  // stays empty until a second part begins
    TermBuffer part;
    size_t parts = 0;
    size_t part_begin = begin;
    size_t end = begin;  // of what belongs to the identifier for sure
    Kind previous = Kind::kOther;
    const auto end_part = [&] {
      put(part, out.reserve(), part_begin, end, out);
      if (parts++ == 0) whole = part;
      part.clear();
    };
    const auto append = [&](const Character& character) {
      part.append(character);
      if (parts > 0) whole.append(character);
    };

    for (size_t position = begin;;) {
      const Character character = read(text, position);
      if (is_word(character.kind)) {
        if (splits(previous, character, text)) {
          end_part();
          part_begin = position;
        }
        append(character);
        previous = character.kind;
        end = character.end;
      } else if (character.kind == Kind::kMark) {
        end = character.end;
      } else if (character.kind == Kind::kApostrophe) {
        if (!is_letter(previous) || !is_letter(read(text, character.end).kind)) break;
        append(character);
        previous = Kind::kApostrophe;
      } else if (character.kind == Kind::kConnector) {
        const Character next = read(text, character.end);
        if (!is_word(next.kind)) break;
        if (character.code == U'.' && previous == Kind::kDigit && next.kind == Kind::kDigit) {
          append(character);
        } else {
          end_part();
          whole.append(character);
          part_begin = character.end;
          previous = Kind::kConnector;
        }
      } else {
        break;
      }
      position = character.end;
    }
    end_part();
    if (parts == 1) {
      out.drop_reserved(whole_index);
    } else {
      put(whole, whole_index, begin, end, out);
    }
    return end;
  }

  // Reads the run of East Asian characters that starts at `position`, answers where it ends.
  size_t read_east_asian(std::string_view text, size_t position, TermWriter& out) {
    struct Unit {
      TermBuffer text;
      size_t begin = 0;
      size_t end = 0;
    };
    Unit before;
    Unit current;
    size_t units = 0;
    const auto put_pair = [&] {
      TermBuffer pair = before.text;
      pair.append(current.text);
      out.put(pair.text(), units > 1 ? before.begin : current.begin, current.end);
    };
    for (;;) {
      const Character character = read(text, position);
      // Vowels and trailing consonants of a Hangul syllable that came decomposed belong to its unit.
      const bool continues = character.code - 0x1160 < 0xA0 && units > 0;
      if (character.kind == Kind::kEastAsian && !continues) {
        if (units > 1) put_pair();
        before = current;
        current = {};
        current.begin = position;
        ++units;
      } else if (character.kind != Kind::kMark && !continues) {
        break;
      }
      if (character.kind == Kind::kEastAsian) current.text.append(character);
      position = current.end = character.end;
    }
    put_pair();
    return position;
  }
};

Analyzer::Analyzer(AnalyzerOptions options) : state_(std::make_unique<State>()) {
  if (options.stemming) state_->stemmer = std::make_unique<Stemmer>();
}
Analyzer::~Analyzer() = default;
Analyzer::Analyzer(Analyzer&&) noexcept = default;
Analyzer& Analyzer::operator=(Analyzer&&) noexcept = default;

void Analyzer::analyze(std::string_view text, std::vector<Term>& terms) {
  assert(text.size() <= std::numeric_limits<uint32_t>::max());
  TermWriter out(terms);
  for (size_t position = 0; position < text.size();) {
    const Character character = read(text, position);
    if (is_word(character.kind)) {
      position = state_->read_identifier(text, position, out);
    } else if (character.kind == Kind::kEastAsian) {
      position = state_->read_east_asian(text, position, out);
    } else {
      position = character.end;
    }
  }
  out.finish();
}

}  // namespace nearfield
