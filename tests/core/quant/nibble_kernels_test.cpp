#include "core/quant/nibble_kernels.h"

#include <catch_amalgamated.hpp>
#include <vector>

#include "core/base/random.h"
#include "core/quant/byte_kernels.h"

using namespace nearfield;

TEST_CASE("nibbles are summed as they were packed, at every alignment and batch size") {
  Random random(1);
  for (size_t count = 0; count <= 416; count += 32) {
    for (size_t offset = 0; offset < 4; ++offset) {
      const size_t row_count = (count / 32 + offset * 3) % 11 + 1;
      std::vector<std::vector<uint8_t>> numbers(row_count, std::vector<uint8_t>(count));
      // Each row in an allocation of its own, so that the sanitizer sees a read past its end.
      std::vector<std::vector<uint8_t>> memory(row_count, std::vector<uint8_t>(count / 2 + offset));
      std::vector<const uint8_t*> rows;
      for (size_t i = 0; i < row_count; ++i) {
        for (uint8_t& number : numbers[i]) number = static_cast<uint8_t>(random.below(16));
        pack_nibbles(numbers[i], memory[i].data() + offset);
        rows.push_back(memory[i].data() + offset);
      }
      std::vector<int16_t> query(count);
      for (int16_t& component : query) component = static_cast<int16_t>(random.next());
      std::vector<int32_t> with_query(row_count), with_first(row_count);
      for (size_t i = 0; i < row_count; ++i) {
        for (size_t j = 0; j < count; ++j) {
          with_query[i] += query[j] * numbers[i][j];
          with_first[i] += numbers[0][j] * numbers[i][j];
        }
      }
      std::vector<int32_t> plain(row_count), fast(row_count);
      plain_nibble_sums(query, rows, plain);
      nibble_sums(query, rows, fast);
      REQUIRE(plain == with_query);
      REQUIRE(fast == with_query);
      plain_nibble_sums_between(rows[0], count, rows, plain);
      nibble_sums_between(rows[0], count, rows, fast);
      REQUIRE(plain == with_first);
      REQUIRE(fast == with_first);
    }
  }
}

TEST_CASE("nibble kernels hold the largest sums") {
  constexpr size_t kCount = 65'536;
  const std::vector<uint8_t> row(kCount / 2, 0xFF);
  const uint8_t* const rows[] = {row.data()};
  std::vector<int16_t> query(kCount);
  int32_t left = kMostQuerySum;
  for (int16_t& component : query) {
    component = static_cast<int16_t>(std::min(left, 32'767));
    left -= component;
  }
  int32_t sum = 0;
  nibble_sums(query, rows, {&sum, 1});
  CHECK(sum == 15 * kMostQuerySum);
  nibble_sums_between(row.data(), kCount, rows, {&sum, 1});
  CHECK(sum == 225 * static_cast<int32_t>(kCount));
}
