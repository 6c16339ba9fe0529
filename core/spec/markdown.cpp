#include "core/spec/markdown.h"

#include <algorithm>
#include <cstring>

namespace nearfield {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

size_t run_of(std::string_view text, char c) {
  const size_t end = text.find_first_not_of(c);
  return end == std::string_view::npos ? text.size() : end;
}

size_t leading_space(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

}  // namespace

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_digit(c) || c == '_' || (lower(c) >= 'a' && lower(c) <= 'z'); }

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(leading_space(text));
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

size_t digits_at(std::string_view text, size_t from) {
  size_t at = from;
  while (at < text.size() && is_digit(text[at])) ++at;
  return at - from;
}

size_t number_at(std::string_view text, size_t from) {
  size_t at = from + digits_at(text, from);
  if (at == from) return 0;
  while (at < text.size() && text[at] == '.') {
    const size_t more = digits_at(text, at + 1);
    if (more == 0) break;
    at += 1 + more;
  }
  return at - from;
}

bool starts_with_caseless(std::string_view text, std::string_view prefix) {
  if (text.size() < prefix.size()) return false;
  for (size_t i = 0; i < prefix.size(); ++i) {
    if (lower(text[i]) != prefix[i]) return false;
  }
  return true;
}

bool contains_caseless(std::string_view text, std::string_view wanted) {
  for (; text.size() >= wanted.size(); text.remove_prefix(1)) {
    if (starts_with_caseless(text, wanted)) return true;
  }
  return false;
}

std::string_view cut_utf8(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  size_t end = limit;
  // At most three steps back: further continuation bytes cannot belong to one character.
  for (int step = 0; step < 3 && end > 1 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80; ++step) --end;
  return text.substr(0, end);
}

std::string_view Line::content() const { return text.substr(leading_space(text)); }

bool LineScanner::next(Line& line) {
  if (position_ >= document_.size()) return false;
  const char* start = document_.data() + position_;
  const size_t left = document_.size() - position_;
  const auto* newline = static_cast<const char*>(std::memchr(start, '\n', left));
  size_t length = newline == nullptr ? left : static_cast<size_t>(newline - start);
  const size_t advance = newline == nullptr ? left : length + 1;
  if (length > 0 && start[length - 1] == '\r') --length;

  line.text = document_.substr(position_, length);
  line.begin = position_;
  line.end = position_ + length;
  line.number = number_++;
  line.indent = 0;
  size_t at = 0;
  for (; at < length && is_space(start[at]); ++at) {
    line.indent = start[at] == '\t' ? (line.indent / 4 + 1) * 4 : line.indent + 1;
  }
  line.blank = at == length;
  read_fence(line);
  position_ += advance;
  return true;
}

void LineScanner::read_fence(Line& line) {
  line.code = fence_ != 0;
  if (line.blank) return;
  const std::string_view content = line.content();
  const char c = content[0];
  if (c != '`' && c != '~') return;
  const size_t length = run_of(content, c);
  if (length < 3) return;
  const std::string_view rest = content.substr(length);
  if (fence_ == 0) {
    if (line.begin == passed_over_) return;
    // Backticks on the rest of the line make it a code span.
    if (c == '`' && rest.find('`') != std::string_view::npos) return;
    fence_ = c;
    fence_length_ = length;
    line.code = true;
  } else if (c == fence_ && length >= fence_length_ && trimmed(rest).empty()) {
    fence_ = 0;
  }
}

size_t find_unclosed_fence(std::string_view document) {
  size_t opened = std::string_view::npos;
  LineScanner lines(document);
  Line line;
  while (lines.next(line)) {
    if (lines.fence_ == 0) {
      opened = std::string_view::npos;
    } else if (opened == std::string_view::npos) {
      opened = line.begin;
    }
  }
  return opened;
}

std::optional<Heading> parse_heading(const Line& line) {
  if (line.blank || line.code || line.indent > 3 || line.text.size() > kMaxTitleBytes) return std::nullopt;
  std::string_view text = line.content();
  const size_t level = run_of(text, '#');
  if (level == 0 || level > 6) return std::nullopt;
  text.remove_prefix(level);
  if (text.empty() || !is_space(text[0])) return std::nullopt;
  text = trimmed(text);
  size_t end = text.size();
  while (end > 0 && text[end - 1] == '#') --end;
  if (end == 0 || is_space(text[end - 1])) text = trimmed(text.substr(0, end));
  if (text.empty()) return std::nullopt;
  return Heading{static_cast<int>(level), text};
}

bool is_thematic_break(const Line& line) {
  if (line.blank || line.code || line.indent > 3) return false;
  const std::string_view content = line.content();
  const char mark = content[0];
  if (mark != '-' && mark != '*' && mark != '_') return false;
  size_t marks = 0;
  for (const char c : content) {
    if (c == mark) {
      ++marks;
    } else if (!is_space(c)) {
      return false;
    }
  }
  return marks >= 3;
}

bool is_list_item(const Line& line) {
  if (line.blank || line.code) return false;
  const std::string_view content = line.content();
  size_t at = 1;
  if (content[0] != '-' && content[0] != '*' && content[0] != '+') {
    at = digits_at(content, 0);
    if (at == 0 || at >= content.size() || (content[at] != '.' && content[at] != ')')) return false;
    ++at;
  }
  return at < content.size() && is_space(content[at]);
}

}  // namespace nearfield
