#include "core/quant/code_table.h"

#include <catch_amalgamated.hpp>
#include <cstring>

#include "core/base/random.h"

using namespace nearfield;

namespace {

std::unique_ptr<VectorCode> made(size_t dim) {
  return VectorCode::make(CodeKind::kRq8, Metric::kCosine, dim, 1).value();
}

CodeTable table_of(const VectorCode& code, size_t rows) {
  CodeTable table(code.code_bytes());
  Random random(5);
  CodeScratch scratch;
  std::vector<float> vector(code.dim());
  for (size_t row = 0; row < rows; ++row) {
    for (float& component : vector) component = random.between(-1, 1);
    code.encode(vector, table.append(), scratch);
  }
  return table;
}

}  // namespace

TEST_CASE("codes stay where they were put") {
  for (const size_t dim : {1, 384, 65'536}) {
    CAPTURE(dim);
    CodeTable table(made(dim)->code_bytes());
    const size_t rows = 2 * table.block_rows() + 1;
    std::vector<const uint8_t*> places;
    for (size_t row = 0; row < rows; ++row) {
      const std::span<uint8_t> added = table.append();
      REQUIRE(added.size() == table.code_bytes());
      REQUIRE(std::ranges::all_of(added, [](uint8_t byte) { return byte == 0; }));
      std::memcpy(added.data(), &row, sizeof row);
      places.push_back(added.data());
    }
    REQUIRE(table.count() == rows);
    REQUIRE(table.block_count() == 3);
    for (size_t row = 0; row < rows; ++row) {
      REQUIRE(table.row(static_cast<RowId>(row)) == places[row]);
      REQUIRE(std::memcmp(places[row], &row, sizeof row) == 0);
    }
    size_t in_blocks = 0;
    for (size_t i = 0; i < table.block_count(); ++i) {
      REQUIRE(reinterpret_cast<uintptr_t>(table.block(i).data()) % 64 == 0);
      REQUIRE(table.block(i).data() == places[in_blocks]);
      in_blocks += table.block(i).size() / table.code_bytes();
    }
    CHECK(in_blocks == rows);
    CHECK(table.memory_bytes() >= rows * table.code_bytes());
  }
}

TEST_CASE("a table comes back from its section and from nothing else") {
  const auto code = made(100);
  const CodeTable table = table_of(*code, 3000);
  StateSections state;
  state.push_back(table.section("test.codes"));
  Sections written = gathered(state);
  const auto read = [&](size_t rows) { return CodeTable::from_section(written, "test.codes", *code, rows); };

  const Result<CodeTable> back = read(3000);
  REQUIRE(back.ok());
  REQUIRE(back->count() == 3000);
  for (RowId row = 0; row < 3000; ++row) {
    REQUIRE(std::memcmp(back->row(row), table.row(row), table.code_bytes()) == 0);
  }
  CHECK(read(2999).code() == Code::kFormatError);
  CHECK(read(3001).code() == Code::kFormatError);
  CHECK(CodeTable::from_section(written, "other", *code, 3000).code() == Code::kFormatError);

  // A factor that is not a number, in the last row's tail.
  Bytes& bytes = written[0].bytes;
  const Bytes kept = bytes;
  std::memset(bytes.data() + bytes.size() - 16, 0xFF, 4);
  CHECK(read(3000).code() == Code::kFormatError);
  bytes = kept;
  bytes.pop_back();
  CHECK(read(3000).code() == Code::kFormatError);
  bytes.clear();
  REQUIRE(read(0).ok());
  CHECK(read(0)->count() == 0);
}
