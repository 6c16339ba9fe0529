#include "core/quant/nibble_kernels.h"

#include <cassert>

#include "core/quant/lanes.h"

namespace nearfield {

namespace {

constexpr size_t kGroup = 32;

template <size_t kPlane>
I16x8 plane(U16x8 group) {
  return reinterpret_cast<I16x8>((group >> 4 * kPlane) & 15);
}

// The side that all rows of a batch share.
struct QueryLanes {
  const int16_t* first;
  template <size_t kPlane>
  I16x8 load(size_t j) const {
    return load_lanes<I16x8>(first + j + 8 * kPlane);
  }
};
struct RowNibbles {
  const uint8_t* first;
  template <size_t kPlane>
  I16x8 load(size_t j) const {
    return plane<kPlane>(load_lanes<U16x8>(first + j / 2));
  }
};

template <size_t kPlane, size_t kRows, typename Shared>
void add_plane(Shared shared, size_t j, const U16x8* groups, I32x4* sums) {
  const I16x8 lanes = shared.template load<kPlane>(j);
  for (size_t row = 0; row < kRows; ++row) sums[row] += dot_pairs(lanes, plane<kPlane>(groups[row]));
}

template <size_t kRows, typename Shared>
void sum_rows(Shared shared, size_t count, const uint8_t* const* rows, int32_t* to) {
  I32x4 sums[kRows];
  for (I32x4& sum : sums) sum = I32x4{};
  for (size_t j = 0; j < count; j += kGroup) {
    U16x8 groups[kRows];
    for (size_t row = 0; row < kRows; ++row) groups[row] = load_lanes<U16x8>(rows[row] + j / 2);
    add_plane<0, kRows>(shared, j, groups, sums);
    add_plane<1, kRows>(shared, j, groups, sums);
    add_plane<2, kRows>(shared, j, groups, sums);
    add_plane<3, kRows>(shared, j, groups, sums);
  }
  for (size_t row = 0; row < kRows; ++row) to[row] = (sums[row][0] + sums[row][1]) + (sums[row][2] + sums[row][3]);
}

template <typename Shared>
void sum_batch(Shared shared, size_t count, std::span<const uint8_t* const> rows, std::span<int32_t> sums) {
  assert(count % kGroup == 0 && sums.size() == rows.size());
  size_t i = 0;
  for (; i + 4 <= rows.size(); i += 4) sum_rows<4>(shared, count, &rows[i], &sums[i]);
  for (; i < rows.size(); ++i) sum_rows<1>(shared, count, &rows[i], &sums[i]);
}

int32_t number_at(const uint8_t* row, size_t j) {
  // Lanes are little-endian: planes 0 and 1 are a lane's first byte.
  const size_t lane = j % 8, at_plane = j % kGroup / 8;
  return row[j / kGroup * 16 + 2 * lane + at_plane / 2] >> 4 * (at_plane % 2) & 15;
}

}  // namespace

void pack_nibbles(std::span<const uint8_t> numbers, uint8_t* to) {
  assert(numbers.size() % kGroup == 0);
  for (size_t group = 0; group < numbers.size(); group += kGroup) {
    for (size_t lane = 0; lane < 8; ++lane) {
      const uint8_t* number = &numbers[group + lane];
      to[group / 2 + 2 * lane] = static_cast<uint8_t>(number[0] | number[8] << 4);
      to[group / 2 + 2 * lane + 1] = static_cast<uint8_t>(number[16] | number[24] << 4);
    }
  }
}

void nibble_sums(std::span<const int16_t> query, std::span<const uint8_t* const> rows, std::span<int32_t> sums) {
  sum_batch(QueryLanes{query.data()}, query.size(), rows, sums);
}

void nibble_sums_between(const uint8_t* row, size_t count, std::span<const uint8_t* const> rows,
                         std::span<int32_t> sums) {
  sum_batch(RowNibbles{row}, count, rows, sums);
}

void plain_nibble_sums(std::span<const int16_t> query, std::span<const uint8_t* const> rows, std::span<int32_t> sums) {
  for (size_t i = 0; i < rows.size(); ++i) {
    int32_t sum = 0;
    for (size_t j = 0; j < query.size(); ++j) sum += query[j] * number_at(rows[i], j);
    sums[i] = sum;
  }
}

void plain_nibble_sums_between(const uint8_t* row, size_t count, std::span<const uint8_t* const> rows,
                               std::span<int32_t> sums) {
  for (size_t i = 0; i < rows.size(); ++i) {
    int32_t sum = 0;
    for (size_t j = 0; j < count; ++j) sum += number_at(row, j) * number_at(rows[i], j);
    sums[i] = sum;
  }
}

}  // namespace nearfield
