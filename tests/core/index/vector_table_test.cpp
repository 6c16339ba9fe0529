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

TEST_CASE("many rows at once are the same as one after the other") {
  for (const size_t dim : {1u, 3u, 384u, 70'000u}) {
    CAPTURE(dim);
    VectorTable one_by_one(dim), at_once(dim);
    const size_t per_block = one_by_one.block_rows();
    Random random(dim);
    size_t count = 0;
    for (const size_t rows : {size_t{0}, size_t{1}, std::min<size_t>(per_block - 1, 200), size_t{2}, per_block + 1}) {
      if (rows * dim > 300'000) continue;
      const std::vector<float> values = random_vector(random, rows * dim);
      // From an odd address, as in a file.
      Bytes bytes(values.size() * sizeof(float) + 1);
      if (!values.empty()) std::memcpy(bytes.data() + 1, values.data(), bytes.size() - 1);
      at_once.append_all(Elements<float>(ByteView(bytes).subspan(1)));
      for (size_t row = 0; row < rows; ++row) one_by_one.append(std::span(values).subspan(row * dim, dim));
      count += rows;
    }
    REQUIRE(at_once.count() == count);
    REQUIRE(at_once.block_count() == one_by_one.block_count());
    for (RowId row = 0; row < count; ++row) {
      REQUIRE(std::ranges::equal(at_once.row(row), one_by_one.row(row)));
      REQUIRE(at_once.norm(row) == one_by_one.norm(row));
    }
  }
}

TEST_CASE("a component that is not finite is found wherever it stands") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values(600, std::numeric_limits<float>::max());
  const auto finite = [&] { return all_finite(Elements<float>(view_bytes<float>(values))); };
  CHECK(finite());
  CHECK(all_finite({}));
  for (size_t i = 0; i < values.size(); ++i) {
    for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
      const float kept = std::exchange(values[i], bad);
      REQUIRE(!finite());
      values[i] = kept;
    }
  }
}
