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
    std::vector<std::vector<float>> vectors;
    for (size_t i = 0; i < 60; ++i) vectors.push_back(random_vector(random, dim));
    const Rq8 code(Metric::kCosine, dim, 3);
    const Encoded encoded(code, vectors);
    double squares = 0;
    for (const auto& query : vectors) {
      const std::vector<float> scores = scores_of(code, query, encoded);
      for (size_t i = 0; i < vectors.size(); ++i) {
        const double error = scores[i] - exact_score(Metric::kCosine, query, vectors[i]);
        squares += error * error;
      }
    }
    const double mean = std::sqrt(squares / 3600);
    const double promised = 1.0 / 145 / std::sqrt(static_cast<double>(dim));
    CHECK(mean < 1.25 * promised);
    CHECK(mean > 0.5 * promised);
  }
}

TEST_CASE("a batch, a block and single rows score alike") {
  Random random(4);
  for (const Metric metric : kMetrics) {
    const Rq8 code(metric, 100, 5);
    const auto vectors = varied_vectors(random, 100, 75);
    const Encoded encoded(code, vectors);
    PreparedQuery prepared;
    code.prepare(vectors[0], prepared);
    for (const size_t count : {0, 1, 3, 4, 5, 31, 32, 33, 75}) {
      std::vector<float> batch(count), block(count);
      code.score(prepared, std::span(encoded.rows).first(count), batch);
      code.score_block(prepared, encoded.bytes.data(), block);
      REQUIRE(batch == block);
      for (size_t i = 0; i < count; ++i) {
        float one = 0;
        code.score_block(prepared, encoded.rows[i], {&one, 1});
        REQUIRE(one == batch[i]);
        float there = 0, back = 0;
        code.between(encoded.rows[0], {&encoded.rows[i], 1}, {&there, 1});
        code.between(encoded.rows[i], {&encoded.rows[0], 1}, {&back, 1});
        // The two lengths enter in the other order, so the last bit of a distance may differ.
        REQUIRE(std::abs(there - back) <= 0x1p-20f * std::abs(there));
      }
    }
  }
}

TEST_CASE("lengths at the ends of the range give finite scores in the right order") {
  constexpr float kMost = std::numeric_limits<float>::max(), kLeast = std::numeric_limits<float>::denorm_min();
  Random random(6);
  for (const size_t dim : {1, 8, 384}) {
    std::vector<std::vector<float>> vectors;
    for (const float size : {kMost, 1e30f, 1.f, 1e-30f, kLeast, 0.f}) {
      vectors.push_back(std::vector<float>(dim, size));
      vectors.push_back(random_vector(random, dim, size));
    }
    for (const Metric metric : kMetrics) {
      const Rq8 code(metric, dim, 1);
      const Encoded encoded(code, vectors);
      for (size_t i = 0; i < vectors.size(); ++i) {
        REQUIRE(code.sound({encoded.rows[i], code.code_bytes()}));
        std::vector<float> between(vectors.size());
        code.between(encoded.rows[i], encoded.rows, between);
        for (const float score : between) REQUIRE(std::isfinite(score));
        const std::vector<float> scores = scores_of(code, vectors[i], encoded);
        for (const float score : scores) REQUIRE(std::isfinite(score));
        if (metric == Metric::kCosine && i % 2 == 0) {
          // Equal directions, whatever their length; zeros score 0.
          for (size_t row = 0; row < vectors.size(); row += 2) {
            const float expected = i < 10 && row < 10 ? 1.f : 0.f;
            REQUIRE(std::abs(scores[row] - expected) < 0.01f);
          }
        }
      }
    }
  }
}

TEST_CASE("tails that encode() cannot have written are not sound") {
  const Rq8 code(Metric::kDot, 10, 1);
  const Encoded encoded(code, {std::vector<float>(10, 1.f)});
  REQUIRE(code.sound(encoded.bytes));
  for (size_t field = 0; field < 4; ++field) {
    for (const float bad : {-1.f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      std::vector<uint8_t> bytes = encoded.bytes;
      std::memcpy(bytes.data() + bytes.size() - 16 + 4 * field, &bad, sizeof bad);
      CHECK(!code.sound(bytes));
    }
  }
}

TEST_CASE("whatever the bytes of a sound code, its scores are finite") {
  Random random(8);
  const auto queries = varied_vectors(random, 70, 10);
  for (const Metric metric : kMetrics) {
    const Rq8 code(metric, 70, 1);
    Encoded encoded(code, queries);
    for (size_t round = 0; round < 2000; ++round) {
      encoded.bytes[random.below(encoded.bytes.size())] = static_cast<uint8_t>(random.next());
      for (size_t i = 0; i < queries.size(); ++i) {
        const std::span<uint8_t> bytes = std::span(encoded.bytes).subspan(i * encoded.stride, encoded.stride);
        CodeScratch scratch;
        if (!code.sound(bytes)) code.encode(queries[i], bytes, scratch);
      }
      for (const float score : scores_of(code, queries[round % queries.size()], encoded)) {
        REQUIRE(std::isfinite(score));
      }
      std::vector<float> between(queries.size());
      code.between(encoded.rows[0], encoded.rows, between);
      for (const float score : between) REQUIRE(std::isfinite(score));
    }
  }
}
