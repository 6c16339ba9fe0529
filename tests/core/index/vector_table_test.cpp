#include "core/index/vector_table.h"

#include <catch_amalgamated.hpp>
#include <cmath>
#include <limits>

#include "tests/support/vectors.h"

using namespace nearfield;

TEST_CASE("a table returns what was appended, wherever it lies") {
  // Short rows in large blocks, rows that do not divide a block, and rows longer than a block.
  for (const size_t dim : {1, 3, 256, 384, 65'536, 100'000}) {
    const size_t rows = dim < 1000 ? 1500 : 5;
    Random random(dim);
    VectorTable table(dim);
    std::vector<std::vector<float>> expected;
    for (size_t i = 0; i < rows; ++i) {
      expected.push_back(random_vector(random, dim));
      REQUIRE(table.append(expected.back()) == i);
    }
    REQUIRE(table.count() == rows);
    size_t in_blocks = 0;
    for (size_t block = 0; block < table.block_count(); ++block) {
      const MatrixView view = table.block(block);
      REQUIRE(reinterpret_cast<uintptr_t>(view.data().data()) % 16 == 0);
      for (size_t i = 0; i < view.count(); ++i) {
        REQUIRE(view.row(i).data() == table.row(static_cast<RowId>(in_blocks + i)).data());
      }
      in_blocks += view.count();
    }
    CHECK(in_blocks == rows);
    for (RowId row = 0; row < rows; ++row) {
      const auto stored = table.row(row);
      REQUIRE(std::equal(stored.begin(), stored.end(), expected[row].begin(), expected[row].end()));
      REQUIRE(table.norm(row) == static_cast<float>(vector_norm(expected[row])));
    }
    CHECK(table.memory_bytes() >= rows * dim * sizeof(float));
  }
}

TEST_CASE("rows do not move when a table grows") {
  VectorTable table(300);
  const std::vector<float> vector(300, 1.f);
  table.append(vector);
  const float* first = table.row(0).data();
  while (table.block_count() < 5) table.append(vector);
  CHECK(table.row(0).data() == first);
}

TEST_CASE("norms at the ends of the range") {
  VectorTable table(2);
  table.append(std::vector<float>{0, -0.0f});
  table.append(std::vector<float>{std::numeric_limits<float>::denorm_min(), 0});
  table.append(std::vector<float>{std::numeric_limits<float>::max(), std::numeric_limits<float>::max()});
  CHECK(table.norm(0) == 0);
  CHECK(table.norm(1) == std::numeric_limits<float>::denorm_min());
  CHECK(std::isinf(table.norm(2)));
}
