// The kinds of index, by name and number.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/status.h"

namespace nearfield {

enum class IndexKind : uint8_t {
#define NEARFIELD_INDEX_KIND(name, number, spelling) k##name = number,
#include "core/index/kinds.def"
#undef NEARFIELD_INDEX_KIND
};

std::string_view index_kind_name(IndexKind kind);
// Fails with kInvalidArgument, listing the known names.
Result<IndexKind> parse_index_kind(std::string_view name);

}  // namespace nearfield
