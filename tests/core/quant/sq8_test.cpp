#include "core/quant/sq8.h"

#include <catch_amalgamated.hpp>

#include "core/metric/kernels.h"
#include "tests/support/codes.h"

using namespace nearfield;

namespace {

struct Ranges {
  std::vector<double> middle, step;
};

Ranges ranges_of(const VectorCode& code) {
  const Sections sections = gathered(code.sections());
  const auto middle = section_values<float>(sections, "code.middle").value();
  const auto step = section_values<float>(sections, "code.step").value();
  return {{middle.begin(), middle.end()}, {step.begin(), step.end()}};
}

}  // namespace

TEST_CASE("sq8 keeps the error it promises inside the range it learned") {
  Random random(1);
  for (const size_t dim : {1, 3, 15, 16, 17, 100, 384, 1000}) {
    auto vectors = varied_vectors(random, dim, 40);
    // A dimension that never changes, and one far from zero.
    for (auto& vector : vectors) vector[dim / 2] = dim % 2 == 0 ? 3.f : 100 + vector[dim / 2];
    for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean, Metric::kManhattan}) {
      const auto code = code_for(CodeKind::kSq8, metric, vectors, 0).value();
      const Encoded encoded(*code, vectors);
      const Ranges ranges = ranges_of(*code);
      double steps = 0, squares = 0, ends = 0;
      for (size_t j = 0; j < dim; ++j) {
        steps += ranges.step[j];
        squares += ranges.step[j] * ranges.step[j];
        ends += std::pow(0x1p-21 * (std::abs(ranges.middle[j]) + 128 * ranges.step[j]), 2);
      }
      const double lost = std::sqrt(squares) / 2 + std::sqrt(ends);
      const auto bound = [&](const std::vector<float>& query, const std::vector<float>& row, double exact) {
        const double norm = metric == Metric::kCosine ? vector_norm(query) : 1;
        double largest = 0, sum = 0, query_square = 0, row_square = 0;
        for (size_t j = 0; j < dim; ++j) {
          const double middle = metric == Metric::kEuclidean ? ranges.middle[j] : 0;
          const double product = std::abs(query[j] / (norm > 0 ? norm : 1) - middle) * ranges.step[j];
          largest = std::max(largest, product);
          sum += product;
          query_square += std::pow(query[j] - middle, 2);
          row_square += std::pow(row[j] - middle, 2);
        }
        const double unit = std::max(largest / 32'766, sum / 1.6e7);
        const double worst = 64 * static_cast<double>(dim) * unit;
        const double rounding = static_cast<double>(kernel_error(dim));
        switch (metric) {
          case Metric::kCosine: return lost + worst + 2 * rounding;
          case Metric::kDot:
            return vector_norm(query) * lost + worst + 2 * rounding * vector_norm(query) * vector_norm(row);
          case Metric::kEuclidean:
            return lost + std::sqrt(2 * worst) + 0x1p-11 * (std::sqrt(query_square) + std::sqrt(row_square)) +
                   rounding * std::abs(exact);
          default: return steps / 2 + std::sqrt(ends * static_cast<double>(dim)) + rounding * (std::abs(exact) + steps);
        }
      };
      for (size_t q = 0; q < vectors.size(); ++q) {
        const std::vector<float> scores = scores_of(*code, vectors[q], encoded);
        std::vector<float> between(vectors.size());
        code->between(encoded.rows[q], encoded.rows, between);
        for (size_t i = 0; i < vectors.size(); ++i) {
          INFO("dim " << dim << " " << metric_name(metric) << " query " << q << " row " << i);
          const double exact = exact_score(metric, vectors[q], vectors[i]);
          REQUIRE(std::abs(scores[i] - exact) <= bound(vectors[q], vectors[i], exact));
          double both = bound(vectors[q], vectors[i], exact) + bound(vectors[i], vectors[q], exact);
          if (metric == Metric::kDot || metric == Metric::kCosine) both += lost * lost;
          REQUIRE(std::abs(between[i] - exact) <= both);
        }
      }
    }
  }
}

TEST_CASE("sq8 clamps what it did not learn") {
  const std::vector<float> sample = {0, 0, 1, 10};
  const auto code = VectorCode::train(CodeKind::kSq8, Metric::kManhattan, MatrixView(sample, 2), 0).value();
  const Encoded encoded(*code, {{-5, 5}, {1e38f, -std::numeric_limits<float>::max()}});
  const std::vector<float> scores = scores_of(*code, std::vector<float>{0, 5}, encoded);
  CHECK(std::abs(scores[0]) <= 0.05f);      // is at (0, 5)
  CHECK(std::abs(scores[1] + 6) <= 0.05f);  // is at (1, 0)
}

TEST_CASE("sq8 needs rows to learn from") {
  CHECK(VectorCode::train(CodeKind::kSq8, Metric::kDot, MatrixView({}, 4), 0).code() == Code::kInvalidArgument);
  CHECK(VectorCode::make(CodeKind::kSq8, Metric::kDot, 4, 0).code() == Code::kUnsupported);
  const std::vector<float> row(4, 1.f);
  CHECK(VectorCode::train(CodeKind::kRq8, Metric::kDot, MatrixView(row, 4), 0).code() == Code::kUnsupported);
}

TEST_CASE("sq8's ranges are checked when they are read") {
  const std::vector<float> sample = {0, 0, 1, 10};
  const auto code = VectorCode::train(CodeKind::kSq8, Metric::kDot, MatrixView(sample, 2), 0).value();
  const Sections written = gathered(code->sections());
  REQUIRE(VectorCode::from_sections(written).ok());
  for (size_t section = 1; section < 3; ++section) {
    for (const float bad : {-INFINITY, INFINITY, NAN, 3e38f}) {
      Sections damaged = written;
      std::memcpy(damaged[section].bytes.data() + 4, &bad, sizeof bad);
      CHECK(VectorCode::from_sections(damaged).code() == Code::kFormatError);
    }
    Sections shorter = written;
    shorter[section].bytes.resize(4);
    shorter[section].shape = {1};
    CHECK(VectorCode::from_sections(shorter).code() == Code::kFormatError);
    Sections missing = written;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(section));
    CHECK(VectorCode::from_sections(missing).code() == Code::kFormatError);
  }
}
