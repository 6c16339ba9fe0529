// Registers of 128 bits: four floats, or integers, worked on at once.
//
// One source for WebAssembly and for native builds: the compilers' vector types, which they translate to SIMD128, SSE2
// or NEON, and the one instruction that has no operator. Each operation is exactly what the plain loop does lane by
// lane, so results do not depend on where they are computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__SSSE3__)
#include <tmmintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace nearfield {

typedef float F32x4 __attribute__((vector_size(16)));
typedef int32_t I32x4 __attribute__((vector_size(16)));
typedef int16_t I16x8 __attribute__((vector_size(16)));
typedef uint16_t U16x8 __attribute__((vector_size(16)));
typedef int16_t I16x4 __attribute__((vector_size(8)));
typedef int8_t I8x8 __attribute__((vector_size(8)));
typedef int8_t I8x16 __attribute__((vector_size(16)));
typedef uint8_t U8x16 __attribute__((vector_size(16)));

// From any address that holds enough of them.
template <typename Lanes>
inline Lanes load_lanes(const void* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

template <typename Lanes>
inline void store_lanes(void* to, Lanes lanes) {
  std::memcpy(to, &lanes, sizeof lanes);
}

inline F32x4 splat_lanes(float value) { return F32x4{value, value, value, value}; }

// Whether a comparison is true in any lane.
inline bool any_lane(I32x4 compared) {
  typedef int64_t I64x2 __attribute__((vector_size(16)));
  const I64x2 halves = reinterpret_cast<I64x2>(compared);
  return (halves[0] | halves[1]) != 0;
}

// Eight signed bytes, widened.
inline I16x8 load_bytes_widened(const uint8_t* from) {
#if defined(__wasm_simd128__)
  return reinterpret_cast<I16x8>(wasm_i16x8_load8x8(from));
#elif defined(__SSE4_1__)
  return __builtin_convertvector(load_lanes<I8x8>(from), I16x8);
#elif defined(__SSE2__)
  // SSE2 has no widening move: each byte is put in the upper half of its lane and shifted down with its sign.
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  return reinterpret_cast<I16x8>(_mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8));
#else
  return __builtin_convertvector(load_lanes<I8x8>(from), I16x8);
#endif
}

// Lane i is a[2i] b[2i] + a[2i + 1] b[2i + 1]. Wraps only where all four are -32,768.
inline I32x4 dot_pairs(I16x8 a, I16x8 b) {
#if defined(__wasm_simd128__)
  return reinterpret_cast<I32x4>(wasm_i32x4_dot_i16x8(reinterpret_cast<v128_t>(a), reinterpret_cast<v128_t>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<I32x4>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  const auto even = [](I16x8 x) { return __builtin_convertvector(__builtin_shufflevector(x, x, 0, 2, 4, 6), I32x4); };
  const auto odd = [](I16x8 x) { return __builtin_convertvector(__builtin_shufflevector(x, x, 1, 3, 5, 7), I32x4); };
  return even(a) * even(b) + odd(a) * odd(b);
#endif
}

// Lane i is table[at[i]]. REQUIRES: all of `at` are below 16.
inline U8x16 look_up(U8x16 table, U8x16 at) {
#if defined(__wasm_simd128__)
  return reinterpret_cast<U8x16>(wasm_i8x16_swizzle(reinterpret_cast<v128_t>(table), reinterpret_cast<v128_t>(at)));
#elif defined(__SSSE3__)
  return reinterpret_cast<U8x16>(_mm_shuffle_epi8(reinterpret_cast<__m128i>(table), reinterpret_cast<__m128i>(at)));
#else
  U8x16 found;
  for (size_t i = 0; i < 16; ++i) found[i] = table[at[i]];
  return found;
#endif
}

// Rows become columns.
template <typename Lanes>
inline void transpose(Lanes& a, Lanes& b, Lanes& c, Lanes& d) {
  const Lanes ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Lanes cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

}  // namespace nearfield
