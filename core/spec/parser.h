// Spec documents to blocks.
//
// Reads Kiro's .kiro/specs/**/{requirements,design,tasks,bugfix}.md, steering files and any other markdown; the kind of a
// file follows from its path. Nothing is lost: the line ranges of a file's blocks cover each of its non-blank lines.
// Never fails: malformed documents become plain blocks, bytes that are not UTF-8 become U+FFFD.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/spec/block.h"

namespace nearfield {

// './', '\\' and repeated '/' are resolved, '..' cannot climb above the folder.
std::string normalise_source(std::string_view path);

// Complexity: linear in the bytes.
std::vector<Block> parse_spec(std::string_view path, std::string_view text);

// Links inside one feature name requirements of a sibling file; this resolves them once all files of a feature are
// parsed: "req:1.2" style targets become ids and those that name nothing are dropped.
void resolve_links(std::vector<Block>& blocks);

}  // namespace nearfield
