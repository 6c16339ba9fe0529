#include "core/remote/scaled.h"

#include <cmath>

#include "core/remote/answer.h"
#include "core/remote/json_text.h"

namespace nearfield {

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

}  // namespace nearfield
