// References to requirements: found in tasks and properties, resolved to block ids inside one folder.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/spec/block.h"
#include "core/spec/block_writer.h"
#include "core/spec/markdown.h"

namespace nearfield {

// "FR-1.1" and "FR 1.1" are requirement "FR1.1", "Requirement 1.1" is "1.1": reads one number at text[position], after
// its word if there is one, and moves position past it. Empty, and position unchanged, where there is none.
std::string read_requirement_id(std::string_view text, size_t& position);

// Finds "_Requirements: 1.1, 2.3-2.5_", "**Validates: Requirements 3**", "要件: 2" and the like, line after line, and
// gives the open block the links "req:1.1", "req:2.3"...
class ReferenceReader {
 public:
  // REQUIRES: writer.is_open().
  void read(const Line& line, BlockWriter& writer);

 private:
  bool continues_ = false;  // the last line ended inside a list of references
};

// Turns each "req:" link of `blocks` into the id of the block it names, if that id is in `ids`, and drops it if not.
// Looked for in the requirements.md, then the bugfix.md of the block's own folder: "1.2" is criterion 2 of requirement
// 1, or requirement "1.2"; "1" is the first block of requirement 1, or the first criterion of a flat list.
void resolve_links(std::span<Block> blocks, const std::unordered_set<std::string>& ids);

// The files whose blocks links of `source` can name, best first.
std::vector<std::string> link_targets(std::string_view source);

}  // namespace nearfield
