// Kernels: single-precision sums of one query with a batch of rows, for scans that look at many rows quickly.
//
// Rows are named by pointers, so a scan of a table, a filtered scan and the neighbours of a graph's node are the same
// call. Any length and any alignment of a float will do.
//
//   cosine, dot   sum of q_j x_j
//   euclidean     sum of (q_j - x_j)^2
//   manhattan     sum of |q_j - x_j|
//
// How wrong a sum may be: added in any order, n rounded terms give a result within gamma(n + 2) times the sum of the
// absolute terms (Higham, Accuracy and Stability of Numerical Algorithms, 2002, 3.1 and 4.2, gamma(k) = k u / (1 - k
// u), u = 2^-24); for dot products that sum is at most |q| |x|, and for the two distances it is the result itself.
// Products below the smallest normal float add at most kProductUnderflow each, and a sum that overflows is not finite.
#pragma once

#include <cstddef>
#include <limits>
#include <span>

#include "core/metric/metric.h"

namespace nearfield {

// Writes one sum a row to `sums`. REQUIRES: each row has query.size() components; sums.size() == rows.size().
using Kernel = void (*)(std::span<const float> query, std::span<const float* const> rows, std::span<float> sums);

// The definition: a plain loop.
Kernel plain_kernel(Metric metric);
// The one to use: SIMD128 in WebAssembly, eight rows a step; the plain loop elsewhere.
Kernel fast_kernel(Metric metric);

// The nearest float; infinite beyond the largest one, where the plain conversion is undefined.
inline float narrowed(double value) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (value > std::numeric_limits<float>::max()) return kInfinity;
  if (value < std::numeric_limits<float>::lowest()) return -kInfinity;
  return static_cast<float>(value);
}

constexpr float kProductUnderflow = 0x1p-149f;

// Bound on the error of a kernel's sum over `dim` terms, relative to the sum of the absolute terms (exact or as
// computed), with room for eight more roundings by the caller. It is 2 (dim + 8) u: twice the first order of
// gamma(dim + 8), which covers the higher orders while (dim + 8) u <= 1/4. Infinite for longer vectors.
constexpr float kernel_error(size_t dim) {
  if (dim > (size_t{1} << 22) - 8) return std::numeric_limits<float>::infinity();
  return static_cast<float>(dim + 8) * 0x1p-23f;
}

}  // namespace nearfield
