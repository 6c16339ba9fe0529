#include "core/metric/metric.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>

namespace nearfield {

namespace {

double cosine(std::span<const float> query, std::span<const float> row) {
  double dot = 0, query_square = 0, row_square = 0;
  for (size_t j = 0; j < query.size(); ++j) {
    const double a = query[j], b = row[j];
    dot += a * b;
    query_square += a * a;
    row_square += b * b;
  }
  if (query_square == 0 || row_square == 0) return 0;
  // One root of the product, not a product of roots: a vector's score with itself is then exactly 1. The squares of
  // floats stay far inside the range of double. Rounding may leave -1..1 by a hair, so it is cut off.
  return std::clamp(dot / std::sqrt(query_square * row_square), -1.0, 1.0);
}

double dot(std::span<const float> query, std::span<const float> row) {
  double sum = 0;
  for (size_t j = 0; j < query.size(); ++j) sum += static_cast<double>(query[j]) * row[j];
  return sum;
}

double euclidean_distance(std::span<const float> query, std::span<const float> row) {
  double sum = 0;
  for (size_t j = 0; j < query.size(); ++j) {
    const double difference = static_cast<double>(query[j]) - row[j];
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

double manhattan_distance(std::span<const float> query, std::span<const float> row) {
  double sum = 0;
  for (size_t j = 0; j < query.size(); ++j) sum += std::abs(static_cast<double>(query[j]) - row[j]);
  return sum;
}

}  // namespace

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

double exact_score(Metric metric, std::span<const float> query, std::span<const float> row) {
  assert(query.size() == row.size());
  switch (metric) {
    case Metric::kCosine: return cosine(query, row);
    case Metric::kDot: return dot(query, row);
    // Subtracted from zero, not negated: equal vectors score 0, which prints better than -0.
    case Metric::kEuclidean: return 0.0 - euclidean_distance(query, row);
    case Metric::kManhattan: return 0.0 - manhattan_distance(query, row);
  }
  return 0;
}

double vector_norm(std::span<const float> vector) { return std::sqrt(dot(vector, vector)); }

}  // namespace nearfield
