// From a sum of integers to a score: the tail that rotated codes end with, and what the metrics make of it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/metric/metric.h"
#include "core/quant/encoding.h"

namespace nearfield {

// The last 16 bytes of a code.
struct CodeTail {
  float scale = 0;   // of the stored direction: a unit of an integer sum is worth this; 0 for a row of zeros
  float norm = 0;    // |row|
  float stored = 0;  // |row| times the length of the stored direction
  uint32_t sum = 0;  // of the row's integers, where its code needs it
};
static_assert(sizeof(CodeTail) == 16);

inline CodeTail load_tail(const uint8_t* tail) {
  CodeTail loaded;
  std::memcpy(&loaded, tail, sizeof loaded);
  return loaded;
}

// Whether scores computed with this tail are finite. Written so that not-a-number is unsound.
inline bool sound_tail(const CodeTail& tail) {
  constexpr float kMost = std::numeric_limits<float>::max();
  // sqrt(kMaxCodeDim) is the most that a factor can be, even of codes of one bit.
  return tail.scale >= 0 && tail.scale <= 256 && tail.norm >= 0 && tail.norm <= kMost && tail.stored >= 0 &&
         tail.stored <= kMost;
}

// `cosine` between two directions as stored; of rows with these lengths.
inline float estimate(Metric metric, double cosine, double query_norm, double query_stored, const CodeTail& row) {
  switch (metric) {
    case Metric::kCosine: return static_cast<float>(cosine);
    case Metric::kDot: return held(query_norm * row.norm * cosine);
    case Metric::kEuclidean: {
      const double stored = row.stored;
      const double square = query_stored * query_stored + stored * stored - 2 * query_norm * row.norm * cosine;
      return held(0.0 - std::sqrt(std::max(square, 0.0)));
    }
    case Metric::kManhattan: break;
  }
  return 0;
}

}  // namespace nearfield
