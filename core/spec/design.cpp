#include <algorithm>
#include <optional>

#include "core/spec/links.h"
#include "core/spec/readers.h"

namespace nearfield {
namespace {

bool says_decision(std::string_view title) {
  return contains_caseless(title, "decision") || title.find("決定") != std::string_view::npos ||
         title.find("判断") != std::string_view::npos;
}

struct Property {
  std::string number;
  std::string_view title;
};

// "Property 3: Title", "**Property 3: Title**", "- **Property 3** — text".
std::optional<Property> parse_property(std::string_view text) {
  const size_t mark = text.find_first_not_of("*_-+ ");
  if (mark == std::string_view::npos || !text.substr(mark).starts_with("Property ")) return std::nullopt;
  const size_t at = mark + std::string_view("Property ").size();
  const size_t length = number_at(text, at);
  if (length == 0 || length > 16) return std::nullopt;
  const std::string_view rest = text.substr(at + length);
  if (!rest.empty() && is_word(rest[0])) return std::nullopt;
  const size_t end = std::min(mark > 0 ? text.find("**", at) : text.size(), text.size());
  return Property{std::string(text.substr(at, length)), cut_utf8(text.substr(mark, end - mark), kMaxTitleBytes)};
}

}  // namespace

void read_design(LineScanner& lines, BlockWriter& writer) {
  ReferenceReader references;
  int decision_level = 0;  // of the heading that says decision, which those below it inherit
  bool in_property = false;
  bool after_blank = true;
  Line line;
  while (lines.next(line)) {
    if (line.blank) {
      after_blank = true;
      continue;
    }
    BlockHead head;
    head.type = BlockType::kDesign;
    if (const auto heading = parse_heading(line)) {
      if (heading->level <= decision_level) decision_level = 0;
      if (decision_level == 0 && says_decision(heading->text)) decision_level = heading->level;
      if (decision_level > 0) head.type = BlockType::kDecision;
      head.title = heading->text;
      const auto property = parse_property(heading->text);
      in_property = property.has_value();
      if (property) {
        head.key = "property_" + property->number;
        head.tags = {"property_" + property->number};
      } else {
        head.key = "design_" + slug(heading->text);
      }
      writer.open_section(line, *heading, std::move(head));
    } else if (is_thematic_break(line) && writer.is_open()) {
      writer.add_break(line);
    } else {
      const auto property = !line.code && line.indent <= 3 && (after_blank || writer.is_bare())
                                ? parse_property(line.content())
                                : std::nullopt;
      if (property && !(in_property && writer.is_bare())) {
        head.key = "property_" + property->number;
        head.title = trimmed(property->title);
        head.tags = {"property_" + property->number};
        in_property = true;
        writer.open_text(line, std::move(head));
      } else if (!writer.is_open()) {
        head.key = "design_preamble";
        writer.open_text(line, std::move(head));
      } else {
        writer.add(line);
      }
      references.read(line, writer);
    }
    after_blank = false;
  }
}

}  // namespace nearfield
