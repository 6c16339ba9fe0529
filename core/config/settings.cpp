#include "core/config/settings.h"

#include <cassert>

namespace nearfield {

std::string_view backend_name(Backend backend) {
  switch (backend) {
    case Backend::kEmbedded: return "embedded";
    case Backend::kQdrant: return "qdrant";
    case Backend::kChroma: return "chroma";
    case Backend::kWeaviate: return "weaviate";
    case Backend::kCustom: return "custom";
  }
  return "";
}

Divisors nearest_divisors(uint64_t dimension, uint64_t wanted) {
  assert(dimension > 0 && wanted > 0);
  Divisors found{1, dimension};
  for (uint64_t each = 1; each <= dimension; ++each) {
    if (dimension % each != 0) continue;
    if (each <= wanted) found.below = each;
    if (each >= wanted && each < found.above) found.above = each;
  }
  return found;
}

Status check_dimension(const Settings& settings, uint64_t dimension) {
  if (settings.dimension != 0 && settings.dimension != dimension) {
    return Error{Code::kDimensionMismatch,
                 "Vector dimension mismatch: expected " + std::to_string(settings.dimension) + ", got " +
                     std::to_string(dimension),
                 std::to_string(dimension)};
  }
  if (settings.sub_vectors == 0 || dimension == 0) return {};
  const Divisors near = nearest_divisors(dimension, settings.sub_vectors);
  if (near.below == settings.sub_vectors || near.above == settings.sub_vectors) return {};
  return Error{Code::kInvalidConfig,
               "num_sub_vectors must divide the dimension " + std::to_string(dimension) + ", got " +
                   std::to_string(settings.sub_vectors) + "; the nearest that do are " + std::to_string(near.below) +
                   " and " + std::to_string(near.above),
               std::to_string(settings.sub_vectors)};
}

}  // namespace nearfield
