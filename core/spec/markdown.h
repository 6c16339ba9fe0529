// Markdown, one line at a time: as much of the syntax as spec documents need to be cut into blocks.
//
// Nothing here copies or allocates: lines are views into the document, which must outlive them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nearfield {

struct Line {
  std::string_view text;  // without the newline and a carriage return before it
  size_t begin = 0;       // byte offsets in the document: text is [begin, end)
  size_t end = 0;
  uint32_t number = 0;  // from 1
  uint32_t indent = 0;  // columns of leading white space; a tab reaches the next multiple of 4
  bool blank = false;   // nothing but ASCII white space
  bool code = false;    // inside fenced code, or one of its fences

  // The text after the leading white space.
  std::string_view content() const;
};

// Walks a document once. A fence that is never closed runs to the end, as CommonMark says, unless it is passed over.
class LineScanner {
 public:
  explicit LineScanner(std::string_view document, size_t offset = 0, uint32_t first_number = 1,
                       size_t passed_over = std::string_view::npos)
      : document_(document), position_(offset), number_(first_number), passed_over_(passed_over) {}

  // The next line; false at the end. A newline at the very end starts no further line.
  bool next(Line& line);

 private:
  void read_fence(Line& line);

  friend size_t find_unclosed_fence(std::string_view document);

  std::string_view document_;
  size_t position_;
  uint32_t number_;
  size_t passed_over_;  // offset of a line that opens no fence
  char fence_ = 0;      // '`' or '~' while inside fenced code
  size_t fence_length_ = 0;
};

// The line (its offset) that opens a fence which is never closed; npos where all are closed. Such a fence is a slip of
// its author, often code that shows code, and would hide the structure of all that follows.
size_t find_unclosed_fence(std::string_view document);

struct Heading {
  int level = 0;          // 1..6
  std::string_view text;  // trimmed, closing #s removed; never empty
};

// "## Overview", outside code. Lines over kMaxTitleBytes are text, not headings, which bounds titles and keys.
inline constexpr size_t kMaxTitleBytes = 1000;
std::optional<Heading> parse_heading(const Line& line);

// "---", "***", "_ _ _".
bool is_thematic_break(const Line& line);
// "- x", "* x", "+ x", "1. x", "1) x" at any indentation.
bool is_list_item(const Line& line);

bool is_space(char c);
bool is_digit(char c);
bool is_word(char c);  // ASCII letter, digit or underscore
std::string_view trimmed(std::string_view text);
// How many bytes from `from` on are digits.
size_t digits_at(std::string_view text, size_t from);
// How many bytes from `from` on are "1", "1.2", "1.2.3"...; a trailing dot is left alone.
size_t number_at(std::string_view text, size_t from);
// `text` begins with `prefix`, ASCII letters in any case. REQUIRES: prefix is in lower case.
bool starts_with_caseless(std::string_view text, std::string_view prefix);
// As starts_with_caseless, anywhere. Only for titles: quadratic at worst.
bool contains_caseless(std::string_view text, std::string_view wanted);
// The longest prefix of at most `limit` bytes that ends between characters.
std::string_view cut_utf8(std::string_view text, size_t limit);

}  // namespace nearfield
