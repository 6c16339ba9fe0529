// What the tests of codes share: vectors of every kind, and a code with the rows it encoded.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include "core/base/matrix.h"
#include "core/base/random.h"
#include "core/quant/code.h"

namespace nearfield {

inline std::vector<float> random_vector(Random& random, size_t dim, float size = 1) {
  std::vector<float> vector(dim);
  for (float& component : vector) component = random.between(-1, 1) * size;
  return vector;
}

// Some near each other, some far, some of zeros, equal components or one component alone; lengths of 2^-10 to 2^9.
inline std::vector<std::vector<float>> varied_vectors(Random& random, size_t dim, size_t count) {
  std::vector<std::vector<float>> vectors;
  for (size_t i = 0; i < count; ++i) {
    std::vector<float> vector = random_vector(random, dim);
    if (i % 8 == 1) vector.assign(dim, 0.25f);
    if (i % 8 == 2) vector.assign(dim, 0.f);
    if (i % 8 == 3) {
      vector.assign(dim, 0.f);
      vector[random.below(dim)] = -2;
    }
    if (i % 8 >= 5) {
      // Close to the one before.
      for (size_t j = 0; j < dim; ++j) vector[j] = vectors.back()[j] + 0.1f * vector[j];
    }
    if (i % 8 == 4) {
      const float size = std::ldexp(1.f, static_cast<int>(random.below(20)) - 10);
      for (float& component : vector) component *= size;
    }
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

// The vectors one behind the other.
class Joined {
 public:
  explicit Joined(const std::vector<std::vector<float>>& vectors) : dim_(vectors.front().size()) {
    for (const auto& vector : vectors) values_.insert(values_.end(), vector.begin(), vector.end());
  }
  MatrixView view() const { return {values_, dim_}; }

 private:
  size_t dim_;
  std::vector<float> values_;
};

constexpr CodeKind kMadeKinds[] = {CodeKind::kF32, CodeKind::kF16, CodeKind::kSq8, CodeKind::kRq8,
                                   CodeKind::kRq4, CodeKind::kPq8, CodeKind::kPq4, CodeKind::kRaBitQ};

// A code of any kind, trained on `sample` where it learns.
inline Result<std::unique_ptr<VectorCode>> code_for(CodeKind kind, Metric metric,
                                                    const std::vector<std::vector<float>>& sample, uint64_t seed) {
  if (VectorCode::is_trained(kind)) return VectorCode::train(kind, metric, Joined(sample).view(), seed);
  return VectorCode::make(kind, metric, sample.front().size(), seed);
}

// Vectors as codes, one behind the other.
struct Encoded {
  size_t stride = 0;
  std::vector<std::max_align_t> memory;
  std::vector<const uint8_t*> rows;

  Encoded(const VectorCode& code, const std::vector<std::vector<float>>& vectors)
      : stride(code.code_bytes()), memory(stride * vectors.size() / sizeof(std::max_align_t) + 1) {
    CodeScratch scratch;
    auto* place = reinterpret_cast<uint8_t*>(memory.data());
    for (const auto& vector : vectors) {
      code.encode(vector, {place, stride}, scratch);
      rows.push_back(place);
      place += stride;
    }
  }
};

inline std::vector<float> scores_of(const VectorCode& code, std::span<const float> query, const Encoded& encoded) {
  PreparedQuery prepared;
  code.prepare(query, prepared);
  std::vector<float> scores(encoded.rows.size());
  code.score(prepared, encoded.rows, scores);
  return scores;
}

// The root mean square of a code's errors, over all pairs of 60 random vectors.
inline double mean_error(const VectorCode& code, Random& random) {
  std::vector<std::vector<float>> vectors;
  for (size_t i = 0; i < 60; ++i) vectors.push_back(random_vector(random, code.dim()));
  const Encoded encoded(code, vectors);
  double squares = 0;
  for (const auto& query : vectors) {
    const std::vector<float> scores = scores_of(code, query, encoded);
    for (size_t i = 0; i < vectors.size(); ++i) {
      const double error = scores[i] - exact_score(code.metric(), query, vectors[i]);
      squares += error * error;
    }
  }
  return std::sqrt(squares / 3600);
}

}  // namespace nearfield
