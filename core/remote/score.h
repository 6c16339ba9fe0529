// Scores of servers as scores of ours: greater is closer, and equal to core/metric's within what f32 can hold.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/metric/metric.h"

namespace nearfield {

// What a server says of two vectors.
enum class ServerScale : uint8_t {
  kSimilarity,       // cosine or dot product
  kOneMinus,         // 1 - that
  kNegated,          // -that
  kDistance,         // euclidean or manhattan distance
  kSquaredDistance,  // of the euclidean
};

// REQUIRES: `value` is finite. Rounding may take a server's cosine out of -1..1, or a distance below 0, by a hair: cut
// off here, as in exact_score.
inline double score_of(Metric metric, ServerScale scale, double value) {
  double score = value;
  switch (scale) {
    case ServerScale::kSimilarity: break;
    case ServerScale::kOneMinus: score = 1 - value; break;
    case ServerScale::kNegated: score = 0.0 - value; break;
    case ServerScale::kDistance: score = 0.0 - std::max(value, 0.0); break;
    case ServerScale::kSquaredDistance: score = 0.0 - std::sqrt(std::max(value, 0.0)); break;
  }
  return metric == Metric::kCosine ? std::clamp(score, -1.0, 1.0) : score;
}

}  // namespace nearfield
