#include "core/base/section.h"

#include <catch_amalgamated.hpp>

using namespace nearfield;

namespace {

Sections some_sections() {
  Sections sections;
  sections.push_back(make_section<uint32_t>("ends", std::vector<uint32_t>{1, 5, 9}));
  sections.push_back({"vectors", ElementType::kF32, {2, 3}, Bytes(24, 1)});
  sections.push_back({"none", ElementType::kU8, {0}, {}});
  sections.push_back({"scalar", ElementType::kU64, {}, Bytes(8, 2)});
  return sections;
}

Bytes packed(const Sections& sections) {
  Bytes bytes;
  write_sections(sections, bytes);
  return bytes;
}

}  // namespace

TEST_CASE("sections come back as they were written") {
  const Result<Sections> read = read_sections(packed(some_sections()));
  REQUIRE(read.ok());
  REQUIRE(read.value().size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(read.value()[i].name == some_sections()[i].name);
    CHECK(read.value()[i].type == some_sections()[i].type);
    CHECK(read.value()[i].shape == some_sections()[i].shape);
    CHECK(read.value()[i].bytes == some_sections()[i].bytes);
  }
  CHECK(*section_values<uint32_t>(read.value(), "ends") == std::vector<uint32_t>{1, 5, 9});
  CHECK(section_values<float>(read.value(), "ends").code() == Code::kFormatError);
  CHECK(section_values<float>(read.value(), "absent").error().value == "\"absent\"");
  CHECK(read_sections(packed({})).value().empty());
}

TEST_CASE("every truncation and every extra byte is noticed") {
  Bytes bytes = packed(some_sections());
  for (size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    CHECK(read_sections(ByteView(bytes).first(length)).code() == Code::kFormatError);
  }
  bytes.push_back(0);
  CHECK(read_sections(bytes).code() == Code::kFormatError);
}

TEST_CASE("impossible sections are refused") {
  // Layout of one section: u32 count, u32 name length, name, u8 type, u8 rank, u64 extents.
  const Bytes good = packed({{"ab", ElementType::kF32, {2, 3}, Bytes(24)}});
  const size_t type = 4 + 4 + 2;
  const auto with = [&](size_t position, std::vector<uint8_t> bytes) {
    Bytes out = good;
    std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(position));
    return read_sections(out).code();
  };
  REQUIRE(read_sections(good).ok());
  CHECK(with(0, {0xFF, 0xFF, 0xFF, 0xFF}) == Code::kFormatError);  // four billion sections
  CHECK(with(4, {0xFF, 0xFF, 0xFF, 0xFF}) == Code::kFormatError);  // a name of four gigabytes
  CHECK(with(type, {0}) == Code::kFormatError);
  CHECK(with(type, {8}) == Code::kFormatError);
  CHECK(with(type + 1, {5}) == Code::kFormatError);
  // 2^62 * 3 * 4 overflows to a small number.
  CHECK(with(type + 2, {0, 0, 0, 0, 0, 0, 0, 0x40}) == Code::kFormatError);
  const Section twice = {"a", ElementType::kU8, {1}, {1}};
  CHECK(read_sections(packed({twice, twice})).code() == Code::kFormatError);
}
