// Spec documents to blocks.
//
// Reads Kiro's .kiro/specs/**/{requirements,design,tasks,bugfix}.md, steering files and any other markdown; the kind of
// a file follows from its path. Nothing is lost: the line ranges of a file's blocks cover each of its non-blank lines,
// ascend and do not overlap (but parts of one line over kMaxBlockBytes share that line). Keys, and so ids, are unique
// in a file. Never fails: malformed documents become plain blocks, bytes that are not UTF-8 become U+FFFD.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/spec/block.h"

namespace nearfield {

// Changes whenever the same file may give other blocks than before, so that indexes know to read it again.
inline constexpr uint32_t kParserVersion = 1;

enum class DocumentKind : uint8_t { kRequirements, kDesign, kTasks, kSteering, kMarkdown };

// './', '\\' and repeated '/' are resolved, '..' cannot climb above the folder, bad UTF-8 becomes U+FFFD.
std::string normalise_source(std::string_view path);

// By file name (requirements.md and bugfix.md are kRequirements), but everything in a steering folder is kSteering, and
// so are the guideline files other agents read: AGENTS.md, CLAUDE.md, POWER.md, SKILL.md, .cursor/rules/...
DocumentKind document_kind(std::string_view source);

// The folder of a file below .kiro/specs. Of requirements, design and task files elsewhere it is their whole folder
// (the indexed folder may be .kiro/specs itself); of other files "".
std::string feature_of(std::string_view source);

// Links are left as "req:1.2", the requirement's own words, for resolve_links.
// Complexity: linear in the bytes; memory is a small multiple of them.
std::vector<Block> parse_spec(std::string_view path, std::string_view text);

// Links inside one feature name requirements of a sibling file; this resolves them once all files of a feature are
// parsed: "req:1.2" style targets become ids and those that name nothing in `blocks` are dropped.
void resolve_links(std::vector<Block>& blocks);

}  // namespace nearfield
