// Vectors that are too long or too short for a server's floats: by cosine, which has no length, they are kept scaled to
// length 1, and their norm beside them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/metric/metric.h"

namespace nearfield {

// The vector divided by `norm`, as JSON; as it is where that is 1.
void append_scaled(std::string& out, std::span<const float> vector, double norm);

// Multiplies it. Fails, as answer_has() says it, where floats cannot hold the vector.
Status scale_back(std::vector<float>& vector, double norm);

// kUnsupported where the vector is so long that a server's distances to it would be infinite, which it answers to other
// queries, too; not by cosine. `what`: "the query vector".
Status check_length(std::span<const float> vector, Metric metric, std::string_view what);

}  // namespace nearfield
