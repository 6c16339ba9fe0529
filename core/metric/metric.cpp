#include "core/metric/metric.h"

#include <string>

namespace nearfield {

std::string_view metric_name(Metric metric) {
  switch (metric) {
#define NEARFIELD_METRIC(name, number, spelling) \
  case Metric::k##name: return spelling;
#include "core/metric/metrics.def"
#undef NEARFIELD_METRIC
  }
  return "";
}

Result<Metric> parse_metric(std::string_view name) {
#define NEARFIELD_METRIC(identifier, number, spelling) \
  if (name == spelling) return Metric::k##identifier;
#include "core/metric/metrics.def"
#undef NEARFIELD_METRIC
  std::string known;
#define NEARFIELD_METRIC(identifier, number, spelling) known += known.empty() ? spelling : ", " spelling;
#include "core/metric/metrics.def"
#undef NEARFIELD_METRIC
  return Error{Code::kInvalidArgument, "unknown metric " + shown(name) + "; known are " + known, shown(name)};
}

}  // namespace nearfield
