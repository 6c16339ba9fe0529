#include "core/index/kinds.h"

#include "core/base/spelling.h"

namespace nearfield {

namespace {

constexpr Spelling<IndexKind> kNames[] = {
#define NEARFIELD_INDEX_KIND(name, number, spelling) {IndexKind::k##name, spelling},
#include "core/index/kinds.def"
#undef NEARFIELD_INDEX_KIND
};

}  // namespace

std::string_view index_kind_name(IndexKind kind) { return name_in(kNames, kind); }

Result<IndexKind> parse_index_kind(std::string_view name) { return parse_by(kNames, "index kind", name); }

}  // namespace nearfield
