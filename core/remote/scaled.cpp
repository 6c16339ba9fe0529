#include "core/remote/scaled.h"

#include <cmath>

#include "core/remote/answer.h"
#include "core/remote/json_text.h"
#include "core/remote/store_errors.h"

namespace nearfield {

namespace {

// Of two such vectors the square of the distance is a float yet.
constexpr double kGreatestNorm = 9e18;

}  // namespace

void append_scaled(std::string& out, std::span<const float> vector, double norm) {
  if (norm == 1) return append_json_floats(out, vector);
  std::vector<float> unit(vector.size());
  for (size_t i = 0; i < unit.size(); ++i) unit[i] = static_cast<float>(vector[i] / norm);
  append_json_floats(out, unit);
}

Status scale_back(std::vector<float>& vector, double norm) {
  for (float& component : vector) {
    component = static_cast<float>(component * norm);
    if (!std::isfinite(component)) return answer_has("a vector whose norm is too large");
  }
  return {};
}

Status check_length(std::span<const float> vector, Metric metric, std::string_view what) {
  if (metric == Metric::kCosine) return {};
  const double norm = vector_norm(vector);
  if (norm <= kGreatestNorm) return {};
  return unsupported(std::string(what) + " is too long for the server, whose distances to it would be infinite: " +
                         shown(norm) + ", at most " + shown(kGreatestNorm),
                     shown(norm));
}

}  // namespace nearfield
