// Half-precision floats (IEEE 754 binary16): both ways, in integers and exact multiplications, so that every platform
// gives the same bits.
#pragma once

#include <bit>
#include <cstdint>

namespace nearfield {

// The nearest half, ties to even; infinite from 65,520 on. REQUIRES: not NaN.
inline uint16_t half_of_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude >= 0x477FF000) return sign | 0x7C00;
  if (magnitude < 0x38800000) {
    // Below the least normal half. Beside 1/2 a float keeps 24 places behind the point, as a half does here, so the
    // addition rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f)));
  }
  // Half of the last place, and the odd bit, so that ties go to even; then the exponent's other bias.
  const uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | ((rounded >> 13) - (112u << 10)));
}

// Exact. Infinities and NaN become finite numbers; nothing here stores them.
inline float float_of_half(uint16_t half) {
  // The exponent's bias differs by 112; a multiplication by 2^112 also makes numbers below the least normal one right.
  const float magnitude = std::bit_cast<float>((half & 0x7FFFu) << 13) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | (half & 0x8000u) << 16);
}

}  // namespace nearfield
