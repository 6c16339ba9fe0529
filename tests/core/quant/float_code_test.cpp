#include "core/quant/float_code.h"

#include <catch_amalgamated.hpp>

#include "core/metric/kernels.h"
#include "core/quant/half.h"
#include "tests/support/codes.h"

using namespace nearfield;

TEST_CASE("f32 and f16 keep the error they promise") {
  Random random(1);
  for (const CodeKind kind : {CodeKind::kF32, CodeKind::kF16}) {
    for (const size_t dim : {1, 3, 4, 5, 8, 100, 255, 256, 257, 384, 1000}) {
      const auto vectors = varied_vectors(random, dim, 40);
      const double root = std::sqrt(static_cast<double>(dim));
      const double part = kind == CodeKind::kF16 ? 0x1p-11 + 0x1p-25 * root : 0;
      for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean, Metric::kManhattan}) {
        const FloatCode code(kind, metric, dim, 0);
        const Encoded encoded(code, vectors);
        for (size_t q = 0; q < vectors.size(); ++q) {
          const std::vector<float> scores = scores_of(code, vectors[q], encoded);
          std::vector<float> between(vectors.size());
          code.between(encoded.rows[q], encoded.rows, between);
          for (size_t i = 0; i < vectors.size(); ++i) {
            INFO(code_kind_name(kind) << " dim " << dim << " " << metric_name(metric) << " " << q << " " << i);
            const double exact = exact_score(metric, vectors[q], vectors[i]);
            const double query_norm = vector_norm(vectors[q]), row_norm = vector_norm(vectors[i]);
            // What sums of floats may lose, and directions by rounding.
            const double sums = static_cast<double>(kernel_error(dim)) + 0x1p-22;
            const double of_dot = query_norm * row_norm * sums, of_distance = 2 * std::abs(exact) * sums;
            const auto bound = [&](double e, double other) {
              switch (metric) {
                case Metric::kCosine: return e + sums;
                case Metric::kDot: return other * e + of_dot;
                case Metric::kEuclidean: return e + of_distance;
                default: return root * e + of_distance;
              }
            };
            const bool cosine = metric == Metric::kCosine;
            const double row_error = part * (cosine ? 1 : row_norm), query_error = part * (cosine ? 1 : query_norm);
            REQUIRE(std::abs(scores[i] - exact) <= bound(row_error, query_norm));
            REQUIRE(std::abs(between[i] - exact) <=
                    bound(row_error, query_norm) * (1 + part) + bound(query_error, row_norm));
          }
        }
      }
    }
  }
}

TEST_CASE("rows of halves come back as they were") {
  Random random(2);
  for (const float size : {1.f, 0x1p-120f, 0x1p100f}) {
    std::vector<float> row(64);
    // Within one row's reach of its largest component.
    for (float& component : row) component = float_of_half(static_cast<uint16_t>(0x3000 + random.below(0x0C00))) * size;
    const FloatCode code(CodeKind::kF16, Metric::kManhattan, 64, 0);
    CHECK(scores_of(code, row, Encoded(code, {row}))[0] == 0);
  }
}
