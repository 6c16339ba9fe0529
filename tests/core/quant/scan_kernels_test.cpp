#include "core/quant/scan_kernels.h"

#include <algorithm>
#include <array>
#include <catch_amalgamated.hpp>
#include <vector>

#include "core/base/random.h"

using namespace nearfield;

TEST_CASE("scan sums agree with the plain loop at every length and alignment") {
  Random random(1);
  for (const size_t groups : {0, 4, 8, 64, 96, 1020, 1024, 1028, 4096, 16'384}) {
    for (size_t offset = 0; offset < 3; ++offset) {
      std::vector<uint8_t> numbers(groups * 16 + offset), tables(groups * 16 + offset);
      for (uint8_t& number : numbers) number = static_cast<uint8_t>(random.next());
      // The largest entries everywhere, and any.
      for (uint8_t& entry : tables) entry = offset == 0 ? kMostEntry : static_cast<uint8_t>(random.below(64));
      std::array<uint32_t, kScanRows> plain{}, fast{};
      plain_scan_sums(std::span(numbers).subspan(offset), std::span(tables).subspan(offset), plain);
      scan_sums(std::span(numbers).subspan(offset), std::span(tables).subspan(offset), fast);
      REQUIRE(plain == fast);
      if (offset == 0) REQUIRE(fast[7] == groups * kMostEntry);
    }
  }
}

TEST_CASE("a table holds the sums of its group's weights") {
  const int16_t weights[] = {-20, 5, -1, 31};
  std::array<uint8_t, 16> table{};
  write_table(weights, 21, table.data());
  for (size_t number = 0; number < 16; ++number) {
    int sum = 21;
    for (size_t k = 0; k < 4; ++k) {
      if ((number >> k & 1) != 0) sum += weights[k];
    }
    CHECK(table[number] == sum);
  }
}
