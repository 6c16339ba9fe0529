// The scores that answers carry: a plain loop, and several rows' loops side by side.
//
// Compiled without fused multiplication and addition, so scores are the same on every platform.
#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#ifdef __wasm_simd128__
#include <wasm_simd128.h>
#endif

#include "core/metric/metric.h"

namespace nearfield {

namespace {

double cosine_of(double dot, double query_square, double row_square) {
  if (query_square == 0 || row_square == 0) return 0;
  // One root of the product, not a product of roots: a vector's score with itself is then exactly 1. The squares of
  // floats stay far inside the range of double. Rounding may leave -1..1 by a hair, so it is cut off.
  return std::clamp(dot / std::sqrt(query_square * row_square), -1.0, 1.0);
}

double cosine(std::span<const float> query, std::span<const float> row) {
  double dot = 0, query_square = 0, row_square = 0;
  for (size_t j = 0; j < query.size(); ++j) {
    const double a = query[j], b = row[j];
    dot += a * b;
    query_square += a * a;
    row_square += b * b;
  }
  return cosine_of(dot, query_square, row_square);
}

double dot(std::span<const float> query, std::span<const float> row) {
  double sum = 0;
  for (size_t j = 0; j < query.size(); ++j) sum += static_cast<double>(query[j]) * row[j];
  return sum;
}

double euclidean_distance(std::span<const float> query, std::span<const float> row) {
  double sum = 0;
  for (size_t j = 0; j < query.size(); ++j) {
    const double difference = static_cast<double>(query[j]) - row[j];
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

double manhattan_distance(std::span<const float> query, std::span<const float> row) {
  double sum = 0;
  for (size_t j = 0; j < query.size(); ++j) sum += std::abs(static_cast<double>(query[j]) - row[j]);
  return sum;
}

// A chain of additions waits for each of them; four rows have four chains, two in each pair of lanes. Every lane adds
// in the order of the plain loop.
constexpr size_t kRows = 4;
typedef float Floats __attribute__((vector_size(8)));
typedef double Pair __attribute__((vector_size(16)));

using Rows = std::array<const float*, kRows>;
using Scores = std::array<double, kRows>;

Pair pair(double first, double second) { return Pair{first, second}; }
// Component j of two rows.
Pair pair(const float* first, const float* second, size_t j) {
#ifdef __wasm_simd128__
  // What the compiler makes of the line below converts each of them by itself.
  return reinterpret_cast<Pair>(
      wasm_f64x2_promote_low_f32x4(wasm_v128_load32_lane(second + j, wasm_v128_load32_zero(first + j), 1)));
#else
  return __builtin_convertvector((Floats{first[j], second[j]}), Pair);
#endif
}

// Cosine or dot.
Scores products(Metric metric, std::span<const float> query, const Rows& rows) {
  Pair dots[2] = {}, squares[2] = {}, query_square = {};
  for (size_t j = 0; j < query.size(); ++j) {
    const Pair a = pair(query[j], query[j]);
    const Pair b = pair(rows[0], rows[1], j), c = pair(rows[2], rows[3], j);
    query_square += a * a;
    dots[0] += a * b;
    dots[1] += a * c;
    squares[0] += b * b;
    squares[1] += c * c;
  }
  Scores scores;
  for (size_t i = 0; i < kRows; ++i) {
    const double dot = dots[i / 2][i % 2];
    scores[i] = metric == Metric::kDot ? dot : cosine_of(dot, query_square[0], squares[i / 2][i % 2]);
  }
  return scores;
}

Scores euclidean(std::span<const float> query, const Rows& rows) {
  Pair sums[2] = {};
  for (size_t j = 0; j < query.size(); ++j) {
    const Pair a = pair(query[j], query[j]);
    const Pair b = a - pair(rows[0], rows[1], j), c = a - pair(rows[2], rows[3], j);
    sums[0] += b * b;
    sums[1] += c * c;
  }
  Scores scores;
  for (size_t i = 0; i < kRows; ++i) scores[i] = 0.0 - std::sqrt(sums[i / 2][i % 2]);
  return scores;
}

}  // namespace

double exact_score(Metric metric, std::span<const float> query, std::span<const float> row) {
  assert(query.size() == row.size());
  switch (metric) {
    case Metric::kCosine: return cosine(query, row);
    case Metric::kDot: return dot(query, row);
    // Subtracted from zero, not negated: equal vectors score 0, which prints better than -0.
    case Metric::kEuclidean: return 0.0 - euclidean_distance(query, row);
    case Metric::kManhattan: return 0.0 - manhattan_distance(query, row);
  }
  return 0;
}

void exact_scores(Metric metric, std::span<const float> query, std::span<const float* const> rows,
                  std::span<double> scores) {
  assert(rows.size() == scores.size());
  for (size_t i = 0; i < rows.size(); i += kRows) {
    const size_t count = std::min(kRows, rows.size() - i);
    if (count == 1 || metric == Metric::kManhattan) {
      for (size_t row = i; row < i + count; ++row) scores[row] = exact_score(metric, query, {rows[row], query.size()});
      continue;
    }
    // The last rows are joined by the first of them again.
    Rows group;
    for (size_t row = 0; row < kRows; ++row) group[row] = rows[i + (row < count ? row : 0)];
    const Scores found = metric == Metric::kEuclidean ? euclidean(query, group) : products(metric, query, group);
    std::copy_n(found.begin(), count, scores.begin() + static_cast<ptrdiff_t>(i));
  }
}

double vector_norm(std::span<const float> vector) { return std::sqrt(dot(vector, vector)); }

}  // namespace nearfield
