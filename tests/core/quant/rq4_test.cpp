#include "core/quant/rq4.h"

#include <catch_amalgamated.hpp>

#include "core/quant/estimate.h"
#include "tests/support/codes.h"

using namespace nearfield;

TEST_CASE("rq4 keeps the error it promises") {
  Random random(1);
  for (const size_t dim : {1, 2, 3, 8, 63, 64, 100, 256, 384, 1536, 4096}) {
    const auto vectors = varied_vectors(random, dim, 40);
    for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean}) {
      const Rq4 code(metric, dim, 9);
      const Encoded encoded(code, vectors);
      // The sine and tangent of the angle between a direction and its code's.
      std::vector<double> sines(vectors.size()), tangents(vectors.size());
      for (size_t i = 0; i < vectors.size(); ++i) {
        const CodeTail tail = load_tail(encoded.rows[i] + code.code_bytes() - sizeof(CodeTail));
        if (tail.norm == 0) continue;
        const double length = static_cast<double>(tail.stored) / tail.norm;
        const double cosine = metric == Metric::kEuclidean ? length : 1 / length;
        sines[i] = std::sqrt(std::max(0.0, 1 - cosine * cosine)) + 1e-3;
        tangents[i] = sines[i] / cosine;
        if (dim >= 100) REQUIRE(tangents[i] < 0.2);
      }
      for (size_t q = 0; q < vectors.size(); ++q) {
        const std::vector<float> scores = scores_of(code, vectors[q], encoded);
        std::vector<float> between(vectors.size());
        code.between(encoded.rows[q], encoded.rows, between);
        for (size_t i = 0; i < vectors.size(); ++i) {
          INFO("dim " << dim << " " << metric_name(metric) << " query " << q << " row " << i);
          const double exact = exact_score(metric, vectors[q], vectors[i]);
          const double query_norm = vector_norm(vectors[q]), row_norm = vector_norm(vectors[i]);
          const double rounding = 0x1p-23 * std::abs(exact);
          if (metric == Metric::kEuclidean) {
            const double extra = 0x1p-9 * row_norm + std::sqrt(0x1p-8 * query_norm * row_norm) + rounding;
            REQUIRE(std::abs(scores[i] - exact) <= sines[i] * row_norm + extra);
            REQUIRE(std::abs(between[i] - exact) <= sines[i] * row_norm + sines[q] * query_norm + extra);
            continue;
          }
          const double cosine = exact_score(Metric::kCosine, vectors[q], vectors[i]);
          const double sine = std::sqrt(1 - cosine * cosine);
          const double lengths = metric == Metric::kDot ? query_norm * row_norm : 1;
          REQUIRE(std::abs(scores[i] - exact) <= lengths * ((tangents[i] + 0x1p-9) * sine + 0x1p-9) + rounding);
          const double both = tangents[i] * sine + tangents[q] * sine + tangents[i] * tangents[q];
          REQUIRE(std::abs(between[i] - exact) <= lengths * (both + 0x1p-8) + rounding);
        }
      }
    }
  }
}

TEST_CASE("rq4's errors are as small on average as its header says") {
  Random random(2);
  for (const size_t dim : {128, 384, 1536}) {
    const double mean = mean_error(Rq4(Metric::kCosine, dim, 3), random);
    const double scaled = mean * std::sqrt(static_cast<double>(dim));
    CHECK(scaled < 0.125);
    CHECK(scaled > 0.08);
  }
}
