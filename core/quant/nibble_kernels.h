// Nibble kernels: integer dot products with rows of 4-bit numbers, 0..15, two in a byte.
//
// A row is packed in groups of 32 numbers to 16 bytes, taken as eight 16-bit lanes: number 8 p + l of a group is bits 4
// p to 4 p + 3 of lane l. A shift and a mask then yield eight numbers as lanes, in the order in which the query has
// them. Sums are exact, in any order and on every platform.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace nearfield {

// Packs numbers into numbers.size() / 2 bytes. REQUIRES: numbers.size() is a multiple of 32; all are at most 15.
void pack_nibbles(std::span<const uint8_t> numbers, uint8_t* to);

// sums[i] = sum over j of query[j] rows[i][j]. REQUIRES: query.size() is a multiple of 32; 128 times the sum of
// |query[j]| is at most 2^31 - 1, as for byte_sums.
void nibble_sums(std::span<const int16_t> query, std::span<const uint8_t* const> rows, std::span<int32_t> sums);

// sums[i] = sum over j of row[j] rows[i][j], of `count` numbers each. REQUIRES: count is a multiple of 32, at most
// 2^22.
void nibble_sums_between(const uint8_t* row, size_t count, std::span<const uint8_t* const> rows,
                         std::span<int32_t> sums);

// The definitions: plain loops.
void plain_nibble_sums(std::span<const int16_t> query, std::span<const uint8_t* const> rows, std::span<int32_t> sums);
void plain_nibble_sums_between(const uint8_t* row, size_t count, std::span<const uint8_t* const> rows,
                               std::span<int32_t> sums);

}  // namespace nearfield
