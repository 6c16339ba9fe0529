#include "core/index/kinds.h"

#include <string>

namespace nearfield {

std::string_view index_kind_name(IndexKind kind) {
  switch (kind) {
#define NEARFIELD_INDEX_KIND(name, number, spelling) \
  case IndexKind::k##name: return spelling;
#include "core/index/kinds.def"
#undef NEARFIELD_INDEX_KIND
  }
  return "";
}

Result<IndexKind> parse_index_kind(std::string_view name) {
#define NEARFIELD_INDEX_KIND(identifier, number, spelling) \
  if (name == spelling) return IndexKind::k##identifier;
#include "core/index/kinds.def"
#undef NEARFIELD_INDEX_KIND
  std::string known;
#define NEARFIELD_INDEX_KIND(identifier, number, spelling) known += known.empty() ? spelling : ", " spelling;
#include "core/index/kinds.def"
#undef NEARFIELD_INDEX_KIND
  return Error{Code::kInvalidArgument, "unknown index kind " + shown(name) + "; known are " + known, shown(name)};
}

}  // namespace nearfield
