// Scan kernels: sums of looked-up bytes for 32 rows at once, of which each row has one 4-bit number a group.
//
// A row's score is the sum over groups of tables[group][number]. Sixteen entries are one register, so one instruction
// looks up sixteen rows. (Fast scan: André, Kermarrec and Le Scouarnec, VLDB 2015.) Numbers of a group lie in 16 bytes:
// byte i has that of row i in its lower and of row 16 + i in its upper half.
//
// Entries are at most 63, so that four groups are added as bytes before they are widened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace nearfield {

constexpr size_t kScanRows = 32;
constexpr uint8_t kMostEntry = 63;

// Adds up all groups. REQUIRES: `numbers` and `tables` are as long, 16 bytes a group; the groups are a multiple of 4,
// at most 2^20; entries are at most kMostEntry.
void scan_sums(std::span<const uint8_t> numbers, std::span<const uint8_t> tables, std::span<uint32_t, kScanRows> sums);
// The definition: a plain loop.
void plain_scan_sums(std::span<const uint8_t> numbers, std::span<const uint8_t> tables,
                     std::span<uint32_t, kScanRows> sums);

// Makes the table of a group: entry n is `least` + the sum of weights[k] over the bits k of n.
// REQUIRES: no entry is below 0 or beyond kMostEntry.
void write_table(const int16_t* weights, uint8_t least, uint8_t* table);

}  // namespace nearfield
