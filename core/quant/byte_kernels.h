// Byte kernels: integer dot products of a query of 16-bit integers, or of a row, with a batch of rows of
// signed bytes.
//
// Integers, so a sum is exact and the same on every platform and in any order. Rows are named by pointers to their
// first byte, at any address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace nearfield {

// sums[i] = sum over j of query[j] rows[i][j]. REQUIRES: query.size() is a multiple of 16; 128 times the sum of
// |query[j]| is at most 2^31 - 1 (see kMostQuerySum), so that no partial sum leaves 32 bits.
void byte_sums(std::span<const int16_t> query, std::span<const uint8_t* const> rows, std::span<int32_t> sums);

// sums[i] = sum over j of row[j] rows[i][j]. REQUIRES: size is a multiple of 16, at most 131,056.
void byte_sums_between(const uint8_t* row, size_t size, std::span<const uint8_t* const> rows, std::span<int32_t> sums);

// The definitions: plain loops.
void plain_byte_sums(std::span<const int16_t> query, std::span<const uint8_t* const> rows, std::span<int32_t> sums);
void plain_byte_sums_between(const uint8_t* row, size_t size, std::span<const uint8_t* const> rows,
                             std::span<int32_t> sums);

// The largest sum of |query[j]|.
constexpr int32_t kMostQuerySum = INT32_MAX / 128;

}  // namespace nearfield
