#include "core/index/planner.h"

namespace nearfield {
namespace {

std::string counted(size_t number, const char* noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

}  // namespace

Choice plan_index(std::optional<IndexKind> wanted, size_t rows, size_t dim) {
  if (wanted) return {*wanted, "the collection's schema asks for it"};
  // Divided, not multiplied: the product may not fit.
  const bool few = dim == 0 || rows < (kGraphComponents + dim - 1) / dim;
  const std::string size = counted(rows, "row") + " of " + counted(dim, "component");
  const std::string are = rows == 1 ? " is" : " are";
  if (few) return {IndexKind::kFlat, size + are + " few enough to scan on every query, and a scan is exact"};
  return {IndexKind::kHnsw, size + are + " too many to scan on every query"};
}

}  // namespace nearfield
