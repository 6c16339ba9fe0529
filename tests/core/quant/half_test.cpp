#include "core/quant/half.h"

#include <catch_amalgamated.hpp>
#include <cmath>

#include "core/base/random.h"

using namespace nearfield;

namespace {

double value_of(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

}  // namespace

TEST_CASE("every half is read as what it stands for and written as itself") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if ((half & 0x7C00) == 0x7C00) continue;
    REQUIRE(static_cast<double>(float_of_half(half)) == value_of(half));
    REQUIRE(std::signbit(float_of_half(half)) == ((half & 0x8000) != 0));
    REQUIRE(half_of_float(float_of_half(half)) == half);
  }
}

TEST_CASE("floats become the nearest half, ties to even") {
  for (uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const auto below = static_cast<uint16_t>(bits), above = static_cast<uint16_t>(bits + 1);
    // Exact: two halves side by side and the place between them are floats.
    const float middle = (float_of_half(below) + float_of_half(above)) / 2;
    REQUIRE(half_of_float(middle) == (bits % 2 == 0 ? below : above));
    REQUIRE(half_of_float(std::nextafter(middle, 0.f)) == below);
    REQUIRE(half_of_float(std::nextafter(middle, INFINITY)) == above);
    REQUIRE(half_of_float(-middle) == (half_of_float(middle) | 0x8000));
  }
  CHECK(half_of_float(65'519.996f) == 0x7BFF);
  CHECK(half_of_float(65'520.f) == 0x7C00);
  CHECK(half_of_float(-INFINITY) == 0xFC00);
  CHECK(half_of_float(std::ldexp(1.f, -140)) == 0);
}
