// Scores of codes by decoding them: for the codes, metrics and pairs that have no kernel of their own.
//
// A piece of a row at a time is turned into floats, which the kernels of core/metric add up. Where single precision
// overflows, the sum is computed again in double.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/metric/metric.h"

namespace nearfield {

// Turns codes into the floats that are compared. Called for a row and a piece of it, which costs little beside the
// work.
class Decoder {
 public:
  // Writes components begin, begin + 1, ... of a row to `to`. REQUIRES: begin is a multiple of 16.
  virtual void decode(const uint8_t* code, size_t begin, std::span<float> to) const = 0;

 protected:
  ~Decoder() = default;
};

// One side of a score: floats, or a code where there are none.
struct ScoredSide {
  std::span<const float> floats;
  const uint8_t* code = nullptr;
};

// Scores of `side` with rows of `dim` components. Cosine is the dot product: both are directions.
void decoded_scores(Metric metric, const Decoder& decoder, size_t dim, ScoredSide side,
                    std::span<const uint8_t* const> codes, std::span<float> scores);

// The score that the sum of a metric's kernel makes.
double score_of_sum(Metric metric, double sum);

}  // namespace nearfield
