#include "core/metric/metric.h"

#include <algorithm>
#include <bit>
#include <catch_amalgamated.hpp>
#include <cmath>
#include <limits>
#include <vector>

using namespace nearfield;

namespace {

double score(Metric metric, std::vector<float> a, std::vector<float> b) { return exact_score(metric, a, b); }

}  // namespace

TEST_CASE("metrics have names and numbers that stay") {
  CHECK(metric_name(Metric::kCosine) == "cosine");
  CHECK(metric_name(Metric::kManhattan) == "manhattan");
  CHECK(static_cast<int>(Metric::kCosine) == 1);
  CHECK(static_cast<int>(Metric::kDot) == 2);
  CHECK(static_cast<int>(Metric::kEuclidean) == 3);
  CHECK(static_cast<int>(Metric::kManhattan) == 4);
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean, Metric::kManhattan}) {
    CHECK(*parse_metric(metric_name(metric)) == metric);
  }
}

TEST_CASE("an unknown metric is named, and so are the known ones") {
  for (const char* name : {"", "Cosine", "cosine ", "l2"}) {
    const auto metric = parse_metric(name);
    REQUIRE(metric.code() == Code::kInvalidArgument);
    CHECK(metric.error().value == "\"" + std::string(name) + "\"");
    CHECK(metric.error().message.find("cosine, dot, euclidean, manhattan") != std::string::npos);
  }
}

TEST_CASE("scores follow their formulas") {
  CHECK(score(Metric::kDot, {1, 2, 3}, {4, -5, 6}) == 12);
  CHECK(score(Metric::kEuclidean, {1, 2}, {4, 6}) == -5);
  CHECK(score(Metric::kManhattan, {1, 2}, {4, -6}) == -11);
  CHECK(score(Metric::kCosine, {3, 4}, {4, 3}) == 24.0 / 25.0);
  CHECK(score(Metric::kCosine, {1, 0}, {0, 7}) == 0);
  CHECK(score(Metric::kCosine, {2, -2}, {-9, 9}) == -1);
}

TEST_CASE("a vector is as close to itself as can be") {
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
  for (const std::vector<float>& vector : {std::vector<float>{0.1f, 0.7f, -0.3f}, {kLargest, -kLargest}, {kSmallest}}) {
    CHECK(score(Metric::kCosine, vector, vector) == 1);
    CHECK(score(Metric::kEuclidean, vector, vector) == 0);
    CHECK(!std::signbit(score(Metric::kEuclidean, vector, vector)));
    CHECK(!std::signbit(score(Metric::kManhattan, vector, vector)));
  }
}

TEST_CASE("zero vectors have a cosine of zero") {
  CHECK(score(Metric::kCosine, {0, 0}, {1, 2}) == 0);
  CHECK(score(Metric::kCosine, {1, 2}, {0, -0.0f}) == 0);
  CHECK(score(Metric::kCosine, {0, 0}, {0, 0}) == 0);
}

TEST_CASE("no float takes a score out of range") {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const std::vector<float> huge(64, kLargest);
  const std::vector<float> tiny(64, std::numeric_limits<float>::denorm_min());
  CHECK(std::isfinite(score(Metric::kDot, huge, huge)));
  CHECK(score(Metric::kCosine, huge, tiny) == 1);
  CHECK(score(Metric::kCosine, tiny, tiny) == 1);
  CHECK(std::isfinite(score(Metric::kEuclidean, huge, std::vector<float>(64, -kLargest))));
  CHECK(vector_norm(tiny) > 0);
  CHECK(std::isfinite(vector_norm(huge)));
  CHECK(vector_norm({}) == 0);
}

TEST_CASE("rows that are scored together score as each by itself, to the bit") {
  // A plain generator: the numbers need to differ in all their bits, not to be good.
  uint32_t state = 9;
  const auto next = [&] {
    state = state * 1664525 + 1013904223;
    return std::ldexp(static_cast<float>(static_cast<int32_t>(state)), -31 + static_cast<int>(state >> 3 & 7));
  };
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean, Metric::kManhattan}) {
    for (const size_t dim : {0u, 1u, 3u, 8u, 37u, 384u}) {
      std::vector<float> query(dim);
      for (float& component : query) component = next();
      for (size_t count = 0; count <= 13; ++count) {
        // One float further than the allocator would begin.
        std::vector<float> values(1 + count * dim);
        for (float& component : values) component = next();
        if (count > 2) std::fill_n(values.begin() + 1 + static_cast<ptrdiff_t>(dim), dim, 0.0f);
        if (count > 5) std::fill_n(values.begin() + 1, dim, std::numeric_limits<float>::denorm_min());
        std::vector<const float*> rows(count);
        for (size_t i = 0; i < count; ++i) rows[i] = values.data() + 1 + i * dim;
        std::vector<double> scores(count, 1e300);
        exact_scores(metric, query, rows, scores);
        for (size_t i = 0; i < count; ++i) {
          const double alone = exact_score(metric, query, {rows[i], dim});
          INFO(metric_name(metric) << " " << dim << " " << i << " of " << count);
          CHECK(std::bit_cast<uint64_t>(scores[i]) == std::bit_cast<uint64_t>(alone));
        }
      }
    }
  }
}
