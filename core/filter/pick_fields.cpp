#include "core/filter/pick_fields.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace nearfield {

namespace {

// Walks over text that is known to be JSON: it finds where values end and checks nothing.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  // Past white space, and past the comma or colon that stands between values.
  char next() {
    while (at_ < text_.size() && (is_space(text_[at_]) || text_[at_] == ',' || text_[at_] == ':')) ++at_;
    return at_ < text_.size() ? text_[at_] : '}';
  }
  void step() { ++at_; }

  // REQUIRES: a value begins here. Its text.
  std::string_view value() {
    const size_t begin = at_;
    switch (text_[at_]) {
      case '"': skip_string(); break;
      case '{':
      case '[': skip_nested(); break;
      default:
        while (at_ < text_.size() && !is_space(text_[at_]) && !ends_scalar(text_[at_])) ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
  static bool ends_scalar(char c) { return c == ',' || c == '}' || c == ']'; }

  void skip_string() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    ++at_;
  }
  void skip_nested() {
    size_t depth = 0;
    do {
      const char c = text_[at_];
      if (c == '"') {
        skip_string();
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    } while (depth > 0 && at_ < text_.size());
  }

  std::string_view text_;
  size_t at_ = 0;
};

// Most values and nearly all keys are strings without escapes, which need no parser.
Json parse_value(std::string_view text) {
  if (text.front() == '"' && text.find('\\') == std::string_view::npos) return text.substr(1, text.size() - 2);
  return read_checked_json(text);
}

}  // namespace

Json pick_fields(std::string_view object, std::span<const std::string> names) {
  Json out = Json::object();
  Walker walker(object);
  walker.next();  // the opening brace
  walker.step();
  while (walker.next() != '}') {
    const std::string_view key = walker.value();
    walker.next();
    const std::string_view value = walker.value();
    const std::string_view plain = key.substr(1, key.size() - 2);
    if (key.find('\\') == std::string_view::npos) {
      if (std::find(names.begin(), names.end(), plain) != names.end()) out.emplace(plain, parse_value(value));
    } else {
      const auto name = parse_value(key).get<std::string>();
      if (std::find(names.begin(), names.end(), name) != names.end()) out.emplace(name, parse_value(value));
    }
  }
  return out;
}

}  // namespace nearfield
