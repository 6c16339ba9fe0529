#include "core/spec/links.h"

#include <algorithm>
#include <charconv>

#include "core/spec/parser.h"

namespace nearfield {
namespace {

constexpr uint32_t kMaxRange = 100;  // "1.1-1.9" names each of them, "1.1-1.999999999" does not
constexpr size_t kMaxIdBytes = 32;

// Words that may stand before a number that names a requirement.
bool is_reference_word(std::string_view word) {
  for (const std::string_view known : {"requirement", "requirements", "req", "reqs", "validates", "and", "to",
                                       "through", "ac", "criterion", "criteria"}) {
    if (word.size() == known.size() && starts_with_caseless(word, known)) return true;
  }
  return false;
}

bool is_letter(char c) { return is_word(c) && !is_digit(c) && c != '_'; }

void skip(std::string_view text, size_t& position, std::string_view any_of) {
  while (position < text.size() && any_of.find(text[position]) != std::string_view::npos) ++position;
}

bool skip_dash(std::string_view text, size_t& position) {
  size_t at = position;
  skip(text, at, " ");
  for (const std::string_view dash : {"-", "~", "–", "—", "〜", "～"}) {
    if (text.substr(at).starts_with(dash)) {
      at += dash.size();
      skip(text, at, " ");
      position = at;
      return true;
    }
  }
  return false;
}

// "req:1.2" up to "req:1.5"; only `first` when the two do not make a short range.
void link_range(const std::string& first, const std::string& last, BlockWriter& writer) {
  writer.link("req:" + first);
  const size_t dot = first.rfind('.');
  const size_t last_dot = last.rfind('.');
  const size_t at = dot == std::string::npos ? 0 : dot + 1;
  const size_t last_at = last_dot == std::string::npos ? 0 : last_dot + 1;
  // "1.2-5" means the same as "1.2-1.5".
  if (last_at != 0 && first.compare(0, at, last, 0, last_at) != 0) {
    writer.link("req:" + last);
    return;
  }
  uint32_t from = 0;
  uint32_t to = 0;
  const bool numbers = std::from_chars(first.data() + at, first.data() + first.size(), from).ec == std::errc() &&
                       std::from_chars(last.data() + last_at, last.data() + last.size(), to).ec == std::errc();
  if (!numbers || to <= from || to - from > kMaxRange) {
    if (numbers && last_at != 0) writer.link("req:" + last);
    return;
  }
  const std::string stem = "req:" + first.substr(0, at);
  for (uint32_t number = from + 1; number <= to; ++number) writer.link(stem + std::to_string(number));
}

// Reads "1.1, Req 2.3 (why), 4.1-4.6; design 5" from `position` on. A number after a word that is not about
// requirements ("Property 2") names something else. Answers whether the list goes on in the next line.
bool read_list(std::string_view text, size_t position, BlockWriter& writer) {
  bool foreign = false;
  char last_mark = ':';
  while (position < text.size()) {
    const char c = text[position];
    if (c == ';') return false;
    if (const std::string first = read_requirement_id(text, position); !first.empty()) {
      if (!foreign) {
        std::string last;
        size_t after = position;
        if (skip_dash(text, after)) last = read_requirement_id(text, after);
        if (last.empty()) {
          writer.link("req:" + first);
        } else {
          link_range(first, last, writer);
          position = after;
        }
      }
      // "3.2x" or "2.x": what follows the number is part of it.
      while (position < text.size() && is_word(text[position]) && text[position] != '_') ++position;
      last_mark = '0';
    } else if (is_letter(c)) {
      const size_t begin = position;
      while (position < text.size() && is_word(text[position]) && text[position] != '_') ++position;
      foreign = !is_reference_word(text.substr(begin, position - begin));
    } else {
      if (c == ',' || text.substr(position).starts_with("、")) foreign = false;
      if (text.substr(position).starts_with("§")) foreign = true;
      if (!is_space(c)) last_mark = c;
      ++position;
    }
  }
  return last_mark == ',';
}

// Where the list of a "Requirements:" label begins; npos if the line has none. A label stands at the start of the line,
// after list, quote and emphasis marks, or right after an emphasis mark.
size_t find_list(std::string_view text) {
  struct Label {
    std::string_view word;
    bool anywhere;
  };
  constexpr Label kLabels[] = {{"Validates", true}, {"Requirement", false}, {"要件", false}, {"Req", false}};
  for (const Label& label : kLabels) {
    size_t at = text.find(label.word);
    for (; at != std::string_view::npos; at = text.find(label.word, at + 1)) {
      const bool begins = text.substr(0, at).find_first_not_of("-*+>_ \t") == std::string_view::npos;
      const bool emphasised = at > 0 && (text[at - 1] == '_' || text[at - 1] == '*');
      if (!label.anywhere && !begins && !emphasised) continue;
      size_t after = at + label.word.size();
      skip(text, after, "s");
      skip(text, after, "*_ ");
      if (text.substr(after).starts_with(":")) return after + 1;
      if (text.substr(after).starts_with("：")) return after + std::string_view("：").size();
      if (label.anywhere && text.substr(after).starts_with("Requirement")) return after;  // "Validates Requirements 1"
    }
  }
  return std::string_view::npos;
}

}  // namespace

std::string read_requirement_id(std::string_view text, size_t& position) {
  size_t at = position;
  std::string id;
  const bool inside_word = position > 0 && is_word(text[position - 1]) && text[position - 1] != '_';
  if (inside_word) return {};
  for (const std::string_view prefix : {"NFR", "FR"}) {
    if (text.substr(at).starts_with(prefix)) {
      id = prefix;
      at += prefix.size();
      skip(text, at, "- ");
      break;
    }
  }
  const size_t length = number_at(text, at);
  if (length == 0 || length > kMaxIdBytes) return {};
  id += text.substr(at, length);
  position = at + length;
  return id;
}

void ReferenceReader::read(const Line& line, BlockWriter& writer) {
  if (line.code) {
    continues_ = false;
    return;
  }
  size_t from = continues_ && !is_list_item(line) ? 0 : std::string_view::npos;
  if (from == std::string_view::npos) from = find_list(line.text);
  continues_ = from != std::string_view::npos && read_list(line.text, from, writer);
}

std::vector<std::string> link_targets(std::string_view source) {
  const size_t slash = source.rfind('/');
  const std::string folder(source.substr(0, slash == std::string_view::npos ? 0 : slash + 1));
  return {folder + "requirements.md", folder + "bugfix.md"};
}

void resolve_links(std::span<Block> blocks, const std::unordered_set<std::string>& ids) {
  for (Block& block : blocks) {
    std::vector<std::string> resolved;
    for (const std::string& link : block.links) {
      if (!link.starts_with("req:")) {
        resolved.push_back(link);
        continue;
      }
      const std::string id = link.substr(4);
      std::vector<std::string> keys;
      const size_t dot = id.rfind('.');
      if (dot != std::string::npos) keys.push_back("req_" + id.substr(0, dot) + "_ac_" + id.substr(dot + 1));
      keys.push_back("req_" + id);
      if (dot == std::string::npos) {
        keys.push_back("req_" + id + "_ac_1");
        keys.push_back("ac_" + id);
      }
      const auto find = [&]() -> std::string {
        for (const std::string& target : link_targets(block.source)) {
          for (const std::string& key : keys) {
            std::string found = block_id(target, key);
            if (ids.contains(found)) return found;
          }
        }
        return {};
      };
      if (std::string found = find(); !found.empty() && std::ranges::find(resolved, found) == resolved.end()) {
        resolved.push_back(std::move(found));
      }
    }
    block.links = std::move(resolved);
  }
}

void resolve_links(std::vector<Block>& blocks) {
  std::unordered_set<std::string> ids;
  for (const Block& block : blocks) ids.insert(block.id);
  resolve_links(blocks, ids);
}

}  // namespace nearfield
