#include "core/quant/rq8.h"

#include <catch_amalgamated.hpp>

#include "core/metric/metric.h"
#include "tests/support/codes.h"

using namespace nearfield;

namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kDot, Metric::kEuclidean};

// The r of the header, for one direction.
double radius(const Rotation& rotation, std::span<const float> vector) {
  const size_t padded = rotation.padded_dim();
  std::vector<float> from(padded), to(padded), spare(padded);
  const double norm = vector_norm(vector);
  if (norm == 0) return 0;
  for (size_t j = 0; j < vector.size(); ++j) from[j] = static_cast<float>(vector[j] / norm);
  rotation.apply(from.data(), to.data(), spare.data());
  double largest = 0;
  for (const float component : to) largest = std::max(largest, std::abs(static_cast<double>(component)));
  return largest / 254 * std::sqrt(static_cast<double>(padded)) + 0x1p-14;
}

double bound(Metric metric, double r, double query_norm, double row_norm) {
  switch (metric) {
    case Metric::kCosine: return 2 * r;
    case Metric::kDot: return 2 * r * query_norm * row_norm;
    default: return 2 * r * (row_norm + std::sqrt(query_norm * row_norm));
  }
}

}  // namespace

TEST_CASE("rq8 keeps the error it promises") {
  Random random(1);
  for (const size_t dim : {1, 2, 3, 8, 63, 64, 100, 256, 384, 1536, 4096}) {
    const auto vectors = varied_vectors(random, dim, 40);
    const Rotation rotation(dim, 9);
    std::vector<double> radii;
    for (const auto& vector : vectors) radii.push_back(radius(rotation, vector));
    for (const Metric metric : kMetrics) {
      const Rq8 code(metric, dim, 9);
      const Encoded encoded(code, vectors);
      for (size_t q = 0; q < vectors.size(); ++q) {
        const std::vector<float> scores = scores_of(code, vectors[q], encoded);
        std::vector<float> between(vectors.size());
        code.between(encoded.rows[q], encoded.rows, between);
        for (size_t i = 0; i < vectors.size(); ++i) {
          INFO("dim " << dim << " " << metric_name(metric) << " query " << q << " row " << i);
          const double exact = exact_score(metric, vectors[q], vectors[i]);
          const double r = std::max(radii[q], radii[i]);
          const double query_norm = vector_norm(vectors[q]), row_norm = vector_norm(vectors[i]);
          const double rounding = 0x1p-23 * std::abs(exact);
          const double one_side = bound(metric, r, query_norm, row_norm);
          REQUIRE(std::abs(scores[i] - exact) <= one_side + rounding);
          REQUIRE(std::abs(between[i] - exact) <= one_side + bound(metric, r, row_norm, query_norm) + rounding);
        }
      }
    }
  }
}

TEST_CASE("rq8's errors are as small on average as its header says") {
  Random random(2);
  for (const size_t dim : {128, 384, 1536}) {
    const double mean = mean_error(Rq8(Metric::kCosine, dim, 3), random);
    const double promised = 1.0 / 145 / std::sqrt(static_cast<double>(dim));
    CHECK(mean < 1.25 * promised);
    CHECK(mean > 0.5 * promised);
  }
}
