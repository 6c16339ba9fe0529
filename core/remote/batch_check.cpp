#include "core/remote/batch_check.h"

#include <utility>

#include "core/collection/collection.h"
#include "core/remote/store_errors.h"

namespace nearfield {

Status check_batch_size(size_t points) {
  if (points <= kMaxBatchPoints) return {};
  return Error{
      Code::kLimitExceeded,
      "a batch of " + std::to_string(points) + " points; at most " + std::to_string(kMaxBatchPoints) + " are allowed",
      std::to_string(points)};
}

Status BatchIds::add(std::string_view id, std::string place) {
  const auto [there, fresh] = places_.emplace(std::move(place), id);
  if (fresh) return {};
  if (there->second == id) return invalid("the id " + shown(id) + " stands twice in one batch", shown(id));
  return Error{Code::kConflict,
               "the id " + shown(id) + " is the UUID that " + shown(there->second) + " is stored under", shown(id)};
}

}  // namespace nearfield
