#include "core/metric/kernels.h"

#include <array>
#include <catch_amalgamated.hpp>
#include <cmath>
#include <vector>

#include "core/base/random.h"

using namespace nearfield;

namespace {

constexpr Metric kSums[] = {Metric::kDot, Metric::kEuclidean, Metric::kManhattan};

struct Sum {
  double value = 0;
  double magnitude = 0;  // of the absolute terms
};

Sum plain_sum(Metric metric, std::span<const float> a, const float* b) {
  Sum sum;
  for (size_t j = 0; j < a.size(); ++j) {
    const double x = a[j], y = b[j];
    const double term = metric == Metric::kDot         ? x * y
                        : metric == Metric::kEuclidean ? (x - y) * (x - y)
                                                       : std::abs(x - y);
    sum.value += term;
    sum.magnitude += std::abs(term);
  }
  return sum;
}

bool within_bound(Metric metric, std::span<const float> query, const float* row, float sum) {
  const Sum exact = plain_sum(metric, query, row);
  const double underflow = static_cast<double>(kProductUnderflow) * static_cast<double>(query.size());
  return std::abs(sum - exact.value) <= static_cast<double>(kernel_error(query.size())) * exact.magnitude + underflow;
}

std::vector<size_t> awkward_lengths() {
  std::vector<size_t> lengths = {255, 256, 257, 384};
  for (size_t length = 0; length <= 67; ++length) lengths.push_back(length);
  return lengths;
}

}  // namespace

TEST_CASE("kernels keep their error bound at every length, alignment and batch size") {
  constexpr size_t kMostRows = 21;  // two steps of eight, one of four, one single
  Random random(1);
  for (const size_t dim : awkward_lengths()) {
    // A float lies on a multiple of four bytes; from there every offset against a 16-byte register is tried.
    for (size_t query_offset = 0; query_offset < 4; ++query_offset) {
      for (size_t row_offset = 0; row_offset < 4; ++row_offset) {
        std::vector<float> memory(4 + dim + kMostRows * (dim + 4));
        for (float& component : memory) component = random.between(-1, 1) * (random.below(8) == 0 ? 1000.f : 1.f);
        const std::span<const float> query = std::span(memory).subspan(query_offset, dim);
        std::vector<const float*> rows;
        const size_t row_count = (dim + query_offset + row_offset) % (kMostRows + 1);
        for (size_t row = 0; row < row_count; ++row) rows.push_back(memory.data() + 4 + dim + row * dim + row_offset);
        for (const Metric metric : kSums) {
          std::vector<float> plain(row_count), fast(row_count);
          plain_kernel(metric)(query, rows, plain);
          fast_kernel(metric)(query, rows, fast);
          for (size_t row = 0; row < row_count; ++row) {
            INFO("dim " << dim << " offsets " << query_offset << " " << row_offset << " row " << row);
            REQUIRE(within_bound(metric, query, rows[row], plain[row]));
            REQUIRE(within_bound(metric, query, rows[row], fast[row]));
          }
        }
      }
    }
  }
}

TEST_CASE("a kernel reads nothing but its rows") {
  // Each row in an allocation of its own, so that the sanitizer sees a read past either end.
  for (const size_t dim : {1, 3, 7, 8, 13}) {
    const std::vector<float> query(dim, 2.f);
    const std::vector<std::vector<float>> vectors(5, std::vector<float>(dim, 3.f));
    std::vector<const float*> rows;
    for (const auto& vector : vectors) rows.push_back(vector.data());
    std::vector<float> sums(rows.size());
    fast_kernel(Metric::kDot)(query, rows, sums);
    CHECK(sums == std::vector<float>(rows.size(), 6.f * static_cast<float>(dim)));
  }
}

TEST_CASE("denormals stay within the bound and overflow is not finite") {
  const std::vector<float> tiny(100, 0x1p-75f);
  const std::vector<float> huge(100, 1e30f);
  std::vector<float> mixed(100, 1e30f);
  for (size_t j = 0; j < mixed.size(); j += 2) mixed[j] = -1e30f;
  for (const Kernel kernel : {plain_kernel(Metric::kDot), fast_kernel(Metric::kDot)}) {
    const std::array<const float*, 1> rows = {tiny.data()};
    std::array<float, 1> sums;
    kernel(tiny, rows, sums);
    CHECK(within_bound(Metric::kDot, tiny, tiny.data(), sums[0]));
    for (const auto& row : {huge, mixed}) {
      const std::array<const float*, 1> large_rows = {row.data()};
      kernel(huge, large_rows, sums);
      CHECK(!std::isfinite(sums[0]));
    }
  }
}

TEST_CASE("the error bound is small where vectors are usual and infinite where it no longer holds") {
  CHECK(kernel_error(256) < 4e-5f);
  CHECK(kernel_error(65'536) < 1e-2f);
  CHECK(std::isinf(kernel_error(size_t{1} << 22)));
}
