#include "core/index/planner.h"

namespace nearfield {
namespace {

std::string counted(size_t number, const char* noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

}  // namespace

Choice plan_index(std::optional<IndexKind> wanted, size_t rows, size_t dim, bool stored) {
  if (wanted) return {*wanted, "the collection's schema asks for it"};
  // Divided, not multiplied: the product may not fit.
  const uint64_t most = stored ? kStoredGraphComponents : kGraphComponents;
  const bool few = dim == 0 || rows < (most + dim - 1) / dim;
  const std::string size = counted(rows, "row") + " of " + counted(dim, "component");
  const std::string are = rows == 1 ? " is" : " are";
  const std::string verb = stored ? "read from storage" : "scan";
  if (few) return {IndexKind::kFlat, size + are + " few enough to " + verb + " on every query, and a scan is exact"};
  return {IndexKind::kHnsw, size + are + " too many to " + verb + " on every query"};
}

}  // namespace nearfield
