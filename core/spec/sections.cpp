#include "core/spec/readers.h"

namespace nearfield {

void read_sections(LineScanner& lines, BlockWriter& writer, BlockType type, std::string_view key_prefix, bool pinned) {
  const std::string prefix(key_prefix);
  Line line;
  while (lines.next(line)) {
    if (line.blank) continue;
    BlockHead head;
    head.type = type;
    head.pinned = pinned;
    if (const auto heading = parse_heading(line)) {
      head.title = heading->text;
      head.key = prefix + "_" + slug(heading->text);
      writer.open_section(line, *heading, std::move(head));
    } else if (is_thematic_break(line) && writer.is_open()) {
      writer.add_break(line);
    } else if (!writer.is_open()) {
      head.key = prefix + "_preamble";
      writer.open_text(line, std::move(head));
    } else {
      writer.add(line);
    }
  }
}

}  // namespace nearfield
