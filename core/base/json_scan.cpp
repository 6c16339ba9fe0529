#include "core/base/json_scan.h"

#include <algorithm>
#include <array>

#include "core/base/utf8.h"

namespace nearfield {

namespace {

constexpr size_t kMaxPlainDepth = 16;
// Keys of all objects that are open at one time. Each is compared with those before it in its object.
constexpr size_t kMaxPlainKeys = 64;
// Below the largest double whatever the digits are.
constexpr size_t kMaxPlainNumber = 32;
constexpr size_t kMaxPlainExponent = 2;

class Scanner {
 public:
  Scanner(std::string_view text, const JsonLimits& limits)
      : at_(text.data()), end_(text.data() + text.size()), limits_(limits) {}

  bool whole() {
    if (!value(0)) return false;
    skip_space();
    return at_ == end_;
  }

 private:
  // What stands here; 0 at the end.
  char here() const { return at_ != end_ ? *at_ : '\0'; }
  bool take(char wanted) {
    if (here() != wanted) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool counted() { return ++values_ <= limits_.max_values; }

  // Space, then one value. `depth`: how many arrays and objects are around it.
  bool value(size_t depth) {
    skip_space();
    if (!counted()) return false;
    switch (here()) {
      case '{': return depth < std::min(kMaxPlainDepth, limits_.max_depth) && object(depth + 1);
      case '[': return depth < std::min(kMaxPlainDepth, limits_.max_depth) && array(depth + 1);
      case '"': return string(nullptr);
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number();
    }
  }

  bool object(size_t depth) {
    const size_t outer_keys = key_count_;
    ++at_;
    skip_space();
    if (take('}')) return true;
    do {
      skip_space();
      std::string_view key;
      if (here() != '"' || key_count_ == kMaxPlainKeys || !counted() || !string(&key)) return false;
      if (std::find(&keys_[outer_keys], &keys_[key_count_], key) != &keys_[key_count_]) return false;
      keys_[key_count_++] = key;
      skip_space();
      if (!take(':') || !value(depth)) return false;
      skip_space();
    } while (take(','));
    key_count_ = outer_keys;
    return take('}');
  }

  bool array(size_t depth) {
    ++at_;
    skip_space();
    if (take(']')) return true;
    do {
      if (!value(depth)) return false;
      skip_space();
    } while (take(','));
    return take(']');
  }

  // `key` receives what stands between the quotes; with an escape in it, the same key could be spelled in two ways.
  bool string(std::string_view* key) {
    const char* const begin = ++at_;
    unsigned char all = 0;
    for (;; ++at_) {
      if (at_ == end_) return false;
      const auto byte = static_cast<unsigned char>(*at_);
      if (byte == '"') break;
      if (byte < 0x20) return false;
      all |= byte;
      if (byte != '\\') continue;
      ++at_;
      if (key != nullptr || at_ == end_ || std::string_view("\"\\/bfnrt").find(*at_) == std::string_view::npos)
        return false;
    }
    const std::string_view text(begin, static_cast<size_t>(at_ - begin));
    ++at_;
    if (key != nullptr) *key = text;
    return all < 0x80 || is_utf8(text);
  }

  bool word(std::string_view wanted) {
    if (!std::string_view(at_, static_cast<size_t>(end_ - at_)).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }

  size_t digits() {
    const char* const begin = at_;
    while (here() >= '0' && here() <= '9') ++at_;
    return static_cast<size_t>(at_ - begin);
  }
  bool number() {
    const char* const begin = at_;
    take('-');
    if (!take('0') && digits() == 0) return false;
    if (take('.') && digits() == 0) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      const size_t exponent = digits();
      if (exponent == 0 || exponent > kMaxPlainExponent) return false;
    }
    return static_cast<size_t>(at_ - begin) <= kMaxPlainNumber;
  }

  const char* at_;
  const char* const end_;
  const JsonLimits& limits_;
  size_t values_ = 0;
  size_t key_count_ = 0;
  std::array<std::string_view, kMaxPlainKeys> keys_;
};

}  // namespace

bool is_plain_json(std::string_view text, const JsonLimits& limits) {
  return text.size() <= limits.max_bytes && Scanner(text, limits).whole();
}

}  // namespace nearfield
