#include "core/quant/byte_kernels.h"

#include <catch_amalgamated.hpp>
#include <vector>

#include "core/base/random.h"

using namespace nearfield;

TEST_CASE("byte kernels agree with the plain loops at every alignment and batch size") {
  Random random(1);
  for (size_t size = 0; size <= 400; size += 16) {
    for (size_t offset = 0; offset < 4; ++offset) {
      const size_t count = (size / 16 + offset * 3) % 11;
      // Each row in an allocation of its own, so that the sanitizer sees a read past its end.
      std::vector<std::vector<uint8_t>> memory(count + 1, std::vector<uint8_t>(size + offset));
      std::vector<const uint8_t*> rows;
      for (auto& row : memory) {
        for (uint8_t& byte : row) byte = static_cast<uint8_t>(random.next());
        rows.push_back(row.data() + offset);
      }
      const uint8_t* const self = rows.back();
      rows.pop_back();
      std::vector<int16_t> query(size);
      for (int16_t& lane : query) lane = static_cast<int16_t>(random.next());
      std::vector<int32_t> plain(count), fast(count);
      plain_byte_sums(query, rows, plain);
      byte_sums(query, rows, fast);
      REQUIRE(plain == fast);
      plain_byte_sums_between(self, size, rows, plain);
      byte_sums_between(self, size, rows, fast);
      REQUIRE(plain == fast);
    }
  }
}

TEST_CASE("byte kernels hold the largest sums") {
  constexpr size_t kSize = 65'536;
  const std::vector<uint8_t> row(kSize, 0x80);
  const uint8_t* const rows[] = {row.data()};
  // As many as may be: 511 of the greatest.
  std::vector<int16_t> query(kSize);
  int32_t left = kMostQuerySum;
  for (int16_t& lane : query) {
    lane = static_cast<int16_t>(std::min(left, 32'767));
    left -= lane;
  }
  REQUIRE(left == 0);
  int32_t sum = 0;
  byte_sums(query, rows, {&sum, 1});
  CHECK(sum == -128 * kMostQuerySum);
  byte_sums_between(row.data(), kSize, rows, {&sum, 1});
  CHECK(sum == 128 * 128 * static_cast<int32_t>(kSize));
}
