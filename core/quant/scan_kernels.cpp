#include "core/quant/scan_kernels.h"

#include <algorithm>
#include <cassert>

#include "core/quant/lanes.h"

namespace nearfield {

namespace {

constexpr size_t kGroupBytes = 16;
// Sums of so many groups fit 16 bits: 1024 * 63 < 2^16.
constexpr size_t kGroupsHeld = 1024;

// Bytes of even and odd rows as 16-bit sums.
struct WideSums {
  U16x8 all = {};  // even + 256 odd, modulo 2^16
  U16x8 odd = {};

  void add(U8x16 bytes) {
    const auto pairs = reinterpret_cast<U16x8>(bytes);
    all += pairs;
    odd += pairs >> 8;
  }
  void add_to(uint32_t* sums) const {
    const U16x8 even = all - (odd << 8);
    for (size_t i = 0; i < 8; ++i) {
      sums[2 * i] += even[i];
      sums[2 * i + 1] += odd[i];
    }
  }
};

}  // namespace

void scan_sums(std::span<const uint8_t> numbers, std::span<const uint8_t> tables, std::span<uint32_t, kScanRows> sums) {
  assert(numbers.size() == tables.size() && numbers.size() % (4 * kGroupBytes) == 0);
  std::ranges::fill(sums, 0u);
  const uint8_t* number = numbers.data();
  const uint8_t* table = tables.data();
  const uint8_t* const end = number + numbers.size();
  while (number < end) {
    const size_t bytes = std::min(static_cast<size_t>(end - number), kGroupsHeld * kGroupBytes);
    const uint8_t* const stop = number + bytes;
    WideSums low, high;
    for (; number < stop; number += 4 * kGroupBytes, table += 4 * kGroupBytes) {
      U8x16 low_bytes = {}, high_bytes = {};
      for (size_t at = 0; at < 4 * kGroupBytes; at += kGroupBytes) {
        const auto both = load_lanes<U8x16>(number + at), entries = load_lanes<U8x16>(table + at);
        low_bytes += look_up(entries, both & 15);
        // There are no shifts of bytes: sixteen bits are shifted and what came from the neighbour is cut off.
        high_bytes += look_up(entries, reinterpret_cast<U8x16>(reinterpret_cast<U16x8>(both) >> 4) & 15);
      }
      low.add(low_bytes);
      high.add(high_bytes);
    }
    low.add_to(sums.data());
    high.add_to(sums.data() + 16);
  }
}

void plain_scan_sums(std::span<const uint8_t> numbers, std::span<const uint8_t> tables,
                     std::span<uint32_t, kScanRows> sums) {
  for (size_t row = 0; row < kScanRows; ++row) {
    sums[row] = 0;
    for (size_t at = 0; at < numbers.size(); at += kGroupBytes) {
      const uint8_t both = numbers[at + row % 16];
      sums[row] += tables[at + (row < 16 ? both & 15 : both >> 4)];
    }
  }
}

void write_table(const int16_t* weights, uint8_t least, uint8_t* table) {
  constexpr U8x16 kBits[] = {{0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255},
                             {0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 255, 255},
                             {0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255},
                             {0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}};
  U8x16 entries = U8x16{} + least;
  // Negative weights wrap, and so does their sum, back into range.
  for (size_t k = 0; k < 4; ++k) entries += kBits[k] & static_cast<uint8_t>(weights[k]);
  store_lanes(table, entries);
}

}  // namespace nearfield
