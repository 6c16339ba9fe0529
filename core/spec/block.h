// Blocks: what spec search finds. A spec document is cut into requirements, criteria, design sections, tasks, decisions
// and pieces of knowledge; each keeps its place in the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"

namespace nearfield {

// The types of block, as in SpecMem's SpecBlock; spelled in lower case in payloads.
enum class BlockType : uint8_t { kRequirement, kDesign, kTask, kDecision, kKnowledge, kMarkdown };
// "requirement" ... "knowledge", "md".
std::string_view block_type_name(BlockType type);

struct Block {
  std::string id;   // 16 hex digits of a hash of (source, key); stable across machines and edits of text
  std::string key;  // what names the block inside its file: "req_1_ac_2", "task_2.1", "design_overview"
  BlockType type = BlockType::kMarkdown;
  std::string title;        // of the requirement, section or task it belongs to; may be empty
  std::string text;         // the block itself, markdown kept, list markers and indentation of the block removed
  std::string source;       // path relative to the indexed folder, with '/'
  uint32_t first_line = 1;  // 1-based, inclusive
  uint32_t last_line = 1;
  std::string feature;            // folder of the spec below .kiro/specs, "" for other files
  std::string status;             // tasks: "todo", "in_progress", "done"; everything else: "active"
  std::vector<std::string> tags;  // "req_1", "ac_2", "user_story", "optional", ...
  std::vector<std::string>
      links;            // ids of blocks this one refers to (a task's _Requirements:_, a property's Validates)
  bool pinned = false;  // criteria that say MUST, SHALL or CONSTRAINT; steering that is always included
};

// 16 hex digits of XXH3-64 over source, a NUL and key. REQUIRES: source is normalised (normalise_source).
std::string block_id(std::string_view source, std::string_view key);

// The payload a block is stored with: { type, source, lines: [first, last], title, feature, status, tags, links, pinned
// }.
Json block_payload(const Block& block);

}  // namespace nearfield
