// Decimal numbers to doubles, as exactly as doubles can hold them.
//
// The C library does this with 128-bit floats, which WebAssembly has to emulate: 5 KB (gzip) for a rare call.
#pragma once

#include <string_view>

namespace nearfield {

// The double nearest to `number`, and of two that are equally near the one with an even last bit; an infinity where it
// is beyond the largest. REQUIRES: `number` is spelled as in JSON: -12.5e+3. Complexity: linear in the digits; about a
// microsecond where more than 15 of them count.
double read_decimal(std::string_view number);

}  // namespace nearfield
