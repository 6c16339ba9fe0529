// One row's numbers in a block of 32 rows side by side, as scan kernels read them (scan_kernels.h).
//
// A byte of a row's code is the numbers of two groups, the lower half that of the first; so two groups of a block take
// 32 bytes.
#pragma once

#include <cassert>

#include "core/quant/scan_kernels.h"

namespace nearfield {

// Puts `code` at a place of `block`. REQUIRES: place < kScanRows; the block has kScanRows bytes for each of the code's,
// zeros at that place.
inline void put_row(uint8_t* block, size_t place, std::span<const uint8_t> code) {
  assert(place < kScanRows);
  const size_t shift = place < 16 ? 0 : 4;
  for (size_t i = 0; i < code.size(); ++i) {
    uint8_t* const groups = block + kScanRows * i + place % 16;
    groups[0] = static_cast<uint8_t>(groups[0] | (code[i] & 15) << shift);
    groups[16] = static_cast<uint8_t>(groups[16] | code[i] >> 4 << shift);
  }
}

// Reads it back.
inline void take_row(const uint8_t* block, size_t place, std::span<uint8_t> code) {
  assert(place < kScanRows);
  const size_t shift = place < 16 ? 0 : 4;
  for (size_t i = 0; i < code.size(); ++i) {
    const uint8_t* const groups = block + kScanRows * i + place % 16;
    code[i] = static_cast<uint8_t>((groups[0] >> shift & 15) | (groups[16] >> shift & 15) << 4);
  }
}

}  // namespace nearfield
