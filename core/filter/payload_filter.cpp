#include "core/filter/payload_filter.h"

#include <nlohmann/json.hpp>

#include "core/filter/pick_fields.h"

namespace nearfield {

PayloadFilter::PayloadFilter(const Filter& filter)
    : filter_(filter), matches_without_payload_(filter.matches(Json())) {}

bool PayloadFilter::matches(std::string_view payload) const {
  if (payload.empty()) return matches_without_payload_;
  return filter_.matches(pick_fields(payload, filter_.fields()));
}

}  // namespace nearfield
