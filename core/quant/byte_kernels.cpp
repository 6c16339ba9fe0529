#include "core/quant/byte_kernels.h"

#include <algorithm>
#include <cassert>

#include "core/quant/lanes.h"

namespace nearfield {

namespace {

// The side that all rows of a batch share: lanes as they are, or bytes that are widened on the way.
struct QueryLanes {
  const int16_t* first;
  I16x8 load(size_t j) const { return load_lanes<I16x8>(first + j); }
};
struct RowBytes {
  const uint8_t* first;
  I16x8 load(size_t j) const { return load_bytes_widened(first + j); }
};

// Four rows share each load of the query. Two chains a row: with four rows that is what the registers of an x64 host
// hold, and enough that no addition waits for the one before.
template <size_t kRows, typename Shared>
void sum_rows(Shared shared, size_t size, const uint8_t* const* rows, int32_t* sums) {
  I32x4 even[kRows], odd[kRows];
  for (size_t row = 0; row < kRows; ++row) even[row] = odd[row] = I32x4{};
  for (size_t j = 0; j < size; j += 16) {
    const I16x8 low = shared.load(j), high = shared.load(j + 8);
    for (size_t row = 0; row < kRows; ++row) {
      even[row] += dot_pairs(low, load_bytes_widened(rows[row] + j));
      odd[row] += dot_pairs(high, load_bytes_widened(rows[row] + j + 8));
    }
  }
  if constexpr (kRows == 4) {
    I32x4 a = even[0] + odd[0], b = even[1] + odd[1], c = even[2] + odd[2], d = even[3] + odd[3];
    transpose(a, b, c, d);
    store_lanes(sums, (a + b) + (c + d));
  } else {
    for (size_t row = 0; row < kRows; ++row) {
      const I32x4 sum = even[row] + odd[row];
      sums[row] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }
  }
}

template <typename Shared>
void sum_batch(Shared shared, size_t size, std::span<const uint8_t* const> rows, std::span<int32_t> sums) {
  assert(size % 16 == 0 && sums.size() == rows.size());
  const size_t count = rows.size();
  size_t i = 0;
  for (; i + 4 <= count; i += 4) sum_rows<4>(shared, size, &rows[i], &sums[i]);
  for (; i < count; ++i) sum_rows<1>(shared, size, &rows[i], &sums[i]);
}

}  // namespace

void byte_sums(std::span<const int16_t> query, std::span<const uint8_t* const> rows, std::span<int32_t> sums) {
  sum_batch(QueryLanes{query.data()}, query.size(), rows, sums);
}

void byte_sums_between(const uint8_t* row, size_t size, std::span<const uint8_t* const> rows, std::span<int32_t> sums) {
  sum_batch(RowBytes{row}, size, rows, sums);
}

void plain_byte_sums(std::span<const int16_t> query, std::span<const uint8_t* const> rows, std::span<int32_t> sums) {
  for (size_t i = 0; i < rows.size(); ++i) {
    int32_t sum = 0;
    for (size_t j = 0; j < query.size(); ++j) sum += query[j] * static_cast<int8_t>(rows[i][j]);
    sums[i] = sum;
  }
}

void plain_byte_sums_between(const uint8_t* row, size_t size, std::span<const uint8_t* const> rows,
                             std::span<int32_t> sums) {
  for (size_t i = 0; i < rows.size(); ++i) {
    int32_t sum = 0;
    for (size_t j = 0; j < size; ++j) sum += static_cast<int8_t>(row[j]) * static_cast<int8_t>(rows[i][j]);
    sums[i] = sum;
  }
}

}  // namespace nearfield
