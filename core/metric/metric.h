// Metrics: how close two vectors are, as a score where greater is closer.
//
//   cosine     dot(a, b) / (|a| |b|), in -1..1; 0 where either vector is all zeros
//   dot        dot(a, b)
//   euclidean  -|a - b|, at most 0
//   manhattan  -sum |a_j - b_j|, at most 0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/status.h"

namespace nearfield {

enum class Metric : uint8_t {
#define NEARFIELD_METRIC(name, number, spelling) k##name = number,
#include "core/metric/metrics.def"
#undef NEARFIELD_METRIC
};

std::string_view metric_name(Metric metric);

// Fails with kInvalidArgument, listing the known names.
Result<Metric> parse_metric(std::string_view name);

// The definition: one plain loop in double precision, components in order. Every returned score is computed by it.
// REQUIRES: equal lengths.
double exact_score(Metric metric, std::span<const float> query, std::span<const float> row);

// exact_score of each row, to the bit, several rows at a time: scores[i] belongs to rows[i].
// REQUIRES: as many scores as rows; each row has the query's length.
void exact_scores(Metric metric, std::span<const float> query, std::span<const float* const> rows,
                  std::span<double> scores);

// |vector|, in double precision. Zero only for the zero vector: squares of the smallest floats are still doubles.
double vector_norm(std::span<const float> vector);

}  // namespace nearfield
