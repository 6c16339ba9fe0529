#include "core/quant/decoded.h"

#include <algorithm>
#include <cmath>

#include "core/metric/kernels.h"
#include "core/quant/encoding.h"

namespace nearfield {

namespace {

constexpr size_t kPiece = 256;

std::span<const float> piece_of(const ScoredSide& side, const Decoder& decoder, size_t begin, std::span<float> held) {
  if (side.code == nullptr) return side.floats.subspan(begin, held.size());
  decoder.decode(side.code, begin, held);
  return held;
}

double double_sum(Metric metric, const Decoder& decoder, size_t dim, const ScoredSide& side, const uint8_t* code) {
  double sum = 0;
  float left[kPiece], right[kPiece];
  for (size_t begin = 0; begin < dim; begin += kPiece) {
    const size_t count = std::min(kPiece, dim - begin);
    decoder.decode(code, begin, {right, count});
    const double score =
        exact_score(metric, piece_of(side, decoder, begin, {left, count}), std::span<const float>(right, count));
    sum += metric == Metric::kEuclidean ? score * score : metric == Metric::kManhattan ? -score : score;
  }
  return sum;
}

}  // namespace

double score_of_sum(Metric metric, double sum) {
  switch (metric) {
    case Metric::kCosine:
    case Metric::kDot: return sum;
    case Metric::kEuclidean: return 0.0 - std::sqrt(sum);
    case Metric::kManhattan: return 0.0 - sum;
  }
  return 0;
}

void decoded_scores(Metric metric, const Decoder& decoder, size_t dim, ScoredSide side,
                    std::span<const uint8_t* const> codes, std::span<float> scores) {
  if (metric == Metric::kCosine) metric = Metric::kDot;
  std::ranges::fill(scores, 0.f);
  float left[kPiece], right[kPiece];
  for (size_t begin = 0; begin < dim; begin += kPiece) {
    const size_t count = std::min(kPiece, dim - begin);
    const std::span<const float> piece = piece_of(side, decoder, begin, {left, count});
    for (size_t i = 0; i < codes.size(); ++i) {
      decoder.decode(codes[i], begin, {right, count});
      const float* const row = right;
      float sum = 0;
      fast_kernel(metric)(piece, {&row, 1}, {&sum, 1});
      scores[i] += sum;
    }
  }
  for (size_t i = 0; i < codes.size(); ++i) {
    const double sum = std::isfinite(scores[i]) ? scores[i] : double_sum(metric, decoder, dim, side, codes[i]);
    scores[i] = held(score_of_sum(metric, sum));
  }
}

}  // namespace nearfield
