#include "core/metric/metric.h"

#include "core/base/spelling.h"

namespace nearfield {

namespace {

constexpr Spelling<Metric> kNames[] = {
#define NEARFIELD_METRIC(name, number, spelling) {Metric::k##name, spelling},
#include "core/metric/metrics.def"
#undef NEARFIELD_METRIC
};

}  // namespace

std::string_view metric_name(Metric metric) { return name_in(kNames, metric); }

Result<Metric> parse_metric(std::string_view name) { return parse_by(kNames, "metric", name); }

}  // namespace nearfield
