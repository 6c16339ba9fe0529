// Vectors that a server keeps scaled to length 1, and their norm beside them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace nearfield {

// The vector divided by `norm`, as JSON; as it is where that is 1.
void append_scaled(std::string& out, std::span<const float> vector, double norm);

// Multiplies it. Fails, as answer_has() says it, where floats cannot hold the vector.
Status scale_back(std::vector<float>& vector, double norm);

}  // namespace nearfield
