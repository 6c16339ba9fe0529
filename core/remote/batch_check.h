// What can be wrong with a batch of points, whichever the server. One point has core/collection/point_check.h.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "core/base/status.h"

namespace nearfield {

// Fails with kLimitExceeded.
Status check_batch_size(size_t points);

// The ids of a batch, each of which stands once, and the places that the server keeps them at.
class BatchIds {
 public:
  explicit BatchIds(size_t points) { places_.reserve(points); }

  // Fails with kInvalidArgument where the id stands twice, and with kConflict where another id has its place.
  // REQUIRES: `id` outlives this.
  Status add(std::string_view id, std::string place);

 private:
  std::unordered_map<std::string, std::string_view> places_;
};

}  // namespace nearfield
