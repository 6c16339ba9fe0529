#include "core/base/bytes.h"

#include <catch_amalgamated.hpp>

using namespace nearfield;

TEST_CASE("what a writer puts, a reader gets, at known places") {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.put(uint8_t{7});
  writer.put(uint32_t{0x01020304});
  writer.put_string("ab");
  writer.align(8);
  writer.put(-1.5);
  writer.put_array<uint16_t>(std::vector<uint16_t>{1, 2, 3});
  CHECK(Bytes(bytes.begin() + 1, bytes.begin() + 5) == Bytes{4, 3, 2, 1});
  REQUIRE(bytes.size() == 16 + 8 + 6);

  ByteReader reader(bytes);
  CHECK(reader.get<uint8_t>() == 7);
  CHECK(reader.get<uint32_t>() == 0x01020304);
  CHECK(reader.get_string() == "ab");
  reader.align(8);
  CHECK(reader.position() == 16);
  CHECK(reader.get<double>() == -1.5);
  CHECK(reader.get_array<uint16_t>(3) == std::vector<uint16_t>{1, 2, 3});
  CHECK(reader.at_end());
}

TEST_CASE("a reader never goes past its end, and stays failed") {
  const Bytes bytes = {1, 2, 3};
  ByteReader reader(bytes);
  CHECK(reader.get<uint32_t>() == 0);
  CHECK_FALSE(reader.ok());
  // What would have fitted is refused too: the caller asks once, at the end.
  CHECK(reader.get<uint8_t>() == 0);
  CHECK(reader.get_string().empty());
  CHECK_FALSE(reader.at_end());
}

TEST_CASE("a hostile count is refused before memory is asked for") {
  const Bytes bytes(16, 0xFF);
  const uint64_t count = GENERATE(uint64_t{3}, uint64_t{1} << 61, (uint64_t{1} << 61) + 1, UINT64_MAX);
  ByteReader reader(bytes);
  CHECK(reader.get_array<double>(count).empty());
  CHECK_FALSE(reader.ok());
  ByteReader text(bytes);
  CHECK(text.get_string().empty());
  CHECK_FALSE(text.ok());
  ByteReader view(bytes);
  CHECK(view.get_bytes(UINT64_MAX).empty());
  CHECK_FALSE(view.ok());
}

TEST_CASE("no bytes at all are a fine input") {
  ByteReader reader({});
  CHECK(reader.at_end());
  CHECK(reader.get_array<float>(0).empty());
  CHECK(reader.get_bytes(0).empty());
  CHECK(reader.at_end());
}
