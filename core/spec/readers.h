// One reader for each kind of spec document. Each hands every non-blank line of `lines` to `writer`.
#pragma once

#include "core/spec/block_writer.h"
#include "core/spec/markdown.h"

namespace nearfield {

// requirements.md and bugfix.md: requirements, their user stories, numbered acceptance criteria.
void read_requirements(LineScanner& lines, BlockWriter& writer);
// design.md: sections, decisions, correctness properties.
void read_design(LineScanner& lines, BlockWriter& writer);
// tasks.md: check-box items at any depth, and the prose between them.
void read_tasks(LineScanner& lines, BlockWriter& writer);
// Any other markdown, cut at its headings. `key_prefix` begins the keys ("md", "knowledge").
void read_sections(LineScanner& lines, BlockWriter& writer, BlockType type, std::string_view key_prefix, bool pinned);

}  // namespace nearfield
