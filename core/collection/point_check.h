// What can be wrong with one point, for every store; Collection::check has the codes.
#pragma once

#include <span>
#include <string_view>

#include "core/base/status.h"

namespace nearfield {

Status check_id(std::string_view id);

// All of a point but its vector.
Status check_strings(std::string_view id, std::string_view text, std::string_view payload);

// Fails with kDimensionMismatch or, naming `what` and the first component that is not finite, kInvalidArgument.
Status check_vector(std::span<const float> vector, size_t dimension, std::string_view what);

}  // namespace nearfield
