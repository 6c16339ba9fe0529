// \u escapes of JSON text. printf, which could write them, is 5 KB (gzip) of WebAssembly.
#pragma once

#include <cstdint>

namespace nearfield {

// Writes \u0000 to \uffff for each UTF-16 unit: six characters, without an end. Returns the place after them.
template <typename... Units>
char* write_json_escapes(char* out, Units... units) {
  const auto write = [&out](uint16_t unit) {
    *out++ = '\\';
    *out++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4) *out++ = "0123456789abcdef"[unit >> shift & 15];
  };
  (write(units), ...);
  return out;
}

}  // namespace nearfield
