// Memory that will be read soon, fetched now.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nearfield {

// Loads one byte a cache line of `bytes` bytes and drops it: WebAssembly has no prefetch instruction. Loads that depend
// on nothing miss the cache side by side; where they are mixed with the work they are for, fewer of them do.
inline void touch(const void* memory, size_t bytes) {
  constexpr size_t kLine = 64;
  const auto* lines = static_cast<const volatile uint8_t*>(memory);
#pragma GCC unroll 1
  for (size_t i = 0; i < bytes; i += kLine) static_cast<void>(lines[i]);
}

}  // namespace nearfield
