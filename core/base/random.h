// Seeded random numbers: the same sequence on every platform, unlike the standard distributions.
//
// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). Not for secrets.
#pragma once

#include <concepts>
#include <cstdint>

namespace nearfield {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // Uniform in [0, bound), in the bound's own type. REQUIRES: bound > 0. The bias is below bound / 2^64.
  template <std::integral T>
  T below(T bound) {
    return static_cast<T>(next() % static_cast<uint64_t>(bound));
  }
  // Uniform in [0, 1), 53 bits.
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // Uniform in [low, high).
  float between(float low, float high) { return low + static_cast<float>(unit()) * (high - low); }

 private:
  uint64_t state_;
};

}  // namespace nearfield
