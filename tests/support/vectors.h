// Vectors for tests: seeded random ones and real text embeddings, and the plain search that every index answers to.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/base/row_set.h"
#include "core/index/vector_table.h"
#include "core/metric/metric.h"

namespace nearfield {

constexpr Metric kAllMetrics[] = {Metric::kCosine, Metric::kDot, Metric::kEuclidean, Metric::kManhattan};

inline std::vector<float> random_vector(Random& random, size_t dim) {
  std::vector<float> vector(dim);
  for (float& component : vector) component = random.between(-1, 1);
  return vector;
}

inline VectorTable random_table(size_t rows, size_t dim, uint64_t seed) {
  Random random(seed);
  VectorTable table(dim);
  for (size_t i = 0; i < rows; ++i) table.append(random_vector(random, dim));
  return table;
}

// Each row is in the set with probability `share`.
inline RowSet random_rows(size_t size, double share, uint64_t seed) {
  Random random(seed);
  RowSet rows(size);
  for (size_t row = 0; row < size; ++row) {
    if (random.unit() < share) rows.insert(static_cast<RowId>(row));
  }
  return rows;
}

// Scores every allowed row, sorts them all, and keeps the ties of the last.
inline std::vector<Scored> plain_search(const VectorTable& table, Metric metric, std::span<const float> query,
                                        const RowSet& allowed, size_t limit) {
  std::vector<Scored> all;
  for (RowId row = 0; row < table.count(); ++row) {
    if (allowed.contains(row)) all.push_back({row, exact_score(metric, query, table.row(row))});
  }
  std::stable_sort(all.begin(), all.end(), [](const Scored& a, const Scored& b) { return a.score > b.score; });
  size_t end = std::min(limit, all.size());
  while (end > 0 && end < all.size() && all[end].score == all[end - 1].score) ++end;
  all.resize(end);
  return all;
}

// Equal to the bit, in rows, order and scores.
inline bool same_answers(const std::vector<Scored>& a, const std::vector<Scored>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Scored& x, const Scored& y) {
    return x.row == y.row && std::bit_cast<uint64_t>(x.score) == std::bit_cast<uint64_t>(y.score);
  });
}

inline float float_of_half(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int fraction = half & 1023;
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                        : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

constexpr size_t kRealDim = 384;

template <typename T>
std::vector<T> read_values(const std::string& path, size_t count) {
  std::ifstream file(path, std::ios::binary);
  std::vector<T> values(count);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(T)));
  if (!file) values.clear();
  return values;
}

// The first `count` text embeddings (or queries that belong to them) of the development data, row after row; empty
// where the data is absent.
inline std::vector<float> real_vectors(size_t count) {
  const std::string path = std::string(NEARFIELD_SOURCE_DIR) + "/../shared/data/vectors-dev/base.f16";
  std::vector<float> vectors;
  for (const uint16_t half : read_values<uint16_t>(path, count * kRealDim)) vectors.push_back(float_of_half(half));
  return vectors;
}
inline std::vector<float> real_queries(size_t count) {
  const std::string path = std::string(NEARFIELD_SOURCE_DIR) + "/../shared/data/vectors-dev/queries.f32";
  return read_values<float>(path, count * kRealDim);
}

inline VectorTable table_of(MatrixView rows) {
  VectorTable table(rows.dim());
  for (size_t i = 0; i < rows.count(); ++i) table.append(rows.row(i));
  return table;
}

}  // namespace nearfield
