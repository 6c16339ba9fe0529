#include "core/metric/kernels.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#ifdef __wasm_simd128__
#include <wasm_simd128.h>

#include "core/base/touch.h"
#endif

namespace nearfield {

namespace {

// What one component adds to a sum.
struct Product {
  static float add(float sum, float a, float b) { return sum + a * b; }
#ifdef __wasm_simd128__
  static v128_t add(v128_t sum, v128_t a, v128_t b) { return wasm_f32x4_add(sum, wasm_f32x4_mul(a, b)); }
#endif
};

struct SquaredDifference {
  static float add(float sum, float a, float b) { return sum + (a - b) * (a - b); }
#ifdef __wasm_simd128__
  static v128_t add(v128_t sum, v128_t a, v128_t b) {
    const v128_t difference = wasm_f32x4_sub(a, b);
    return wasm_f32x4_add(sum, wasm_f32x4_mul(difference, difference));
  }
#endif
};

struct AbsoluteDifference {
  static float add(float sum, float a, float b) { return sum + std::abs(a - b); }
#ifdef __wasm_simd128__
  static v128_t add(v128_t sum, v128_t a, v128_t b) {
    return wasm_f32x4_add(sum, wasm_f32x4_abs(wasm_f32x4_sub(a, b)));
  }
#endif
};

template <typename Term>
void plain_sums(std::span<const float> query, std::span<const float* const> rows, std::span<float> sums) {
  assert(sums.size() == rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    float sum = 0;
    for (size_t j = 0; j < query.size(); ++j) sum = Term::add(sum, query[j], rows[i][j]);
    sums[i] = sum;
  }
}

#ifdef __wasm_simd128__

float lane_sum(v128_t lanes) {
  return (wasm_f32x4_extract_lane(lanes, 0) + wasm_f32x4_extract_lane(lanes, 1)) +
         (wasm_f32x4_extract_lane(lanes, 2) + wasm_f32x4_extract_lane(lanes, 3));
}

// `kRows` rows share each load of the query, with `kChains` accumulators a row: a single add chain would wait for the
// previous add on every step, and more than eight chains do not fit the registers of an x64 host.
template <typename Term, size_t kRows, size_t kChains>
void simd_step(const float* query, size_t dim, const float* const* rows, float* sums) {
  v128_t chains[kRows][kChains];
  for (auto& row_chains : chains) {
    for (v128_t& chain : row_chains) chain = wasm_f32x4_const_splat(0);
  }
  size_t j = 0;
  for (; j + 4 * kChains <= dim; j += 4 * kChains) {
    for (size_t chain = 0; chain < kChains; ++chain) {
      const v128_t part = wasm_v128_load(query + j + 4 * chain);
      for (size_t row = 0; row < kRows; ++row) {
        chains[row][chain] = Term::add(chains[row][chain], part, wasm_v128_load(rows[row] + j + 4 * chain));
      }
    }
  }
#pragma clang loop unroll(disable)
  for (; j + 4 <= dim; j += 4) {
    const v128_t part = wasm_v128_load(query + j);
    for (size_t row = 0; row < kRows; ++row) {
      chains[row][0] = Term::add(chains[row][0], part, wasm_v128_load(rows[row] + j));
    }
  }
  for (size_t row = 0; row < kRows; ++row) {
    v128_t lanes = chains[row][0];
    for (size_t chain = 1; chain < kChains; ++chain) lanes = wasm_f32x4_add(lanes, chains[row][chain]);
    sums[row] = lane_sum(lanes);
  }
#pragma clang loop unroll(disable)
  for (size_t row = 0; row < kRows; ++row) {
#pragma clang loop unroll(disable)
    for (size_t tail = j; tail < dim; ++tail) sums[row] = Term::add(sums[row], query[tail], rows[row][tail]);
  }
}

template <typename Term>
void simd_sums(std::span<const float> query, std::span<const float* const> rows, std::span<float> sums) {
  assert(sums.size() == rows.size());
  constexpr size_t kStep = 8;
  const size_t dim = query.size(), count = rows.size();
  size_t i = 0;
  for (; i + kStep <= count; i += kStep) {
    // Measured on 25,000 rows of 256, a scan takes as long as reading the memory with this, and a third longer without.
    for (const float* next : rows.subspan(i + kStep, std::min(kStep, count - i - kStep)))
      touch(next, dim * sizeof(float));
    simd_step<Term, kStep, 1>(query.data(), dim, &rows[i], &sums[i]);
  }
  for (; i + 4 <= count; i += 4) simd_step<Term, 4, 2>(query.data(), dim, &rows[i], &sums[i]);
  for (; i < count; ++i) simd_step<Term, 1, 4>(query.data(), dim, &rows[i], &sums[i]);
}

#endif

}  // namespace

Kernel plain_kernel(Metric metric) {
  switch (metric) {
    case Metric::kCosine:
    case Metric::kDot: return plain_sums<Product>;
    case Metric::kEuclidean: return plain_sums<SquaredDifference>;
    case Metric::kManhattan: return plain_sums<AbsoluteDifference>;
  }
  return nullptr;
}

Kernel fast_kernel(Metric metric) {
#ifdef __wasm_simd128__
  switch (metric) {
    case Metric::kCosine:
    case Metric::kDot: return simd_sums<Product>;
    case Metric::kEuclidean: return simd_sums<SquaredDifference>;
    case Metric::kManhattan: return simd_sums<AbsoluteDifference>;
  }
#endif
  return plain_kernel(metric);
}

}  // namespace nearfield
