#include "core/base/section.h"

#include <algorithm>
#include <catch_amalgamated.hpp>

#include "tests/support/pieces.h"

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

TEST_CASE("state that is streamed in pieces of any size is what write_sections writes") {
  const std::vector<uint32_t> ends = {1, 5, 9};
  const std::string texts = "some bytes in a place of their own";
  const auto state = [&] {
    StateSections sections;
    sections.push_back(view_state<uint32_t>("ends", ends));
    sections.push_back({"none", ElementType::kU8, 0, {}, nullptr});
    // In three pieces, one of them empty.
    const ByteView bytes = as_bytes(texts);
    sections.push_back(
        {"texts", ElementType::kU8, texts.size(), {bytes.first(5), bytes.first(0), bytes.subspan(5)}, nullptr});
    sections.push_back(copy_state<uint64_t>("copied", std::vector<uint64_t>{7, 8}));
    return sections;
  };
  const Bytes expected = packed(gathered(state()));
  REQUIRE(*section_values<uint64_t>(*read_sections(expected), "copied") == std::vector<uint64_t>{7, 8});
  for (size_t most = 1; most <= expected.size() + 1; ++most) {
    SectionStream stream(state());
    Bytes out;
    while (!stream.done()) {
      const size_t before = out.size();
      stream.read(most, out);
      REQUIRE(out.size() == std::min(before + most, expected.size()));
      REQUIRE(stream.remaining() == expected.size() - out.size());
    }
    CHECK(out == expected);
  }
  SectionStream empty{StateSections()};
  Bytes out;
  empty.read(100, out);
  CHECK(empty.done());
  CHECK(out == packed({}));
}

TEST_CASE("sections are looked at where they lie") {
  const Bytes bytes = packed(some_sections());
  const auto views = SectionViews::read(bytes);
  REQUIRE(views.ok());
  const SectionView* ends = views->find("ends");
  REQUIRE(ends != nullptr);
  CHECK(ends->bytes.data() > bytes.data());
  CHECK(ends->bytes.data() < bytes.data() + bytes.size());
  const auto elements = section_elements<uint32_t>(*views, "ends");
  REQUIRE(elements->size() == 3);
  CHECK((*elements)[2] == 9);
  CHECK(elements->subspan(1, 2).copy() == std::vector<uint32_t>{5, 9});
  CHECK(views->find("absent") == nullptr);
  Sections many;
  for (int i = 0; i < 300; ++i) many.push_back({std::to_string(i), ElementType::kU8, {0}, {}});
  CHECK(SectionViews::read(packed(many)).code() == Code::kFormatError);
}

TEST_CASE("sections that come in pieces of any size are the same") {
  Sections sections = some_sections();
  Section& texts = sections.emplace_back();
  texts = {"texts", ElementType::kU8, {50}, {}};
  for (uint8_t i = 0; i < 50; ++i) texts.bytes.push_back(i);
  sections.push_back({"last", ElementType::kU8, {1}, {7}});
  const Bytes bytes = packed(sections);
  for (size_t most = 1; most <= bytes.size() + 1; ++most) {
    CAPTURE(most);
    const auto views = SectionViews::read(cut(bytes, most));
    REQUIRE(views.ok());
    for (const Section& section : sections) {
      REQUIRE(views->find(section.name) != nullptr);
      CHECK(views->find(section.name)->shape == section.shape);
    }
    CHECK(*section_values<uint32_t>(*views, "ends") == std::vector<uint32_t>{1, 5, 9});
    CHECK(*section_values<uint32_t>(*views, "ends") == std::vector<uint32_t>{1, 5, 9});
    CHECK(take_bytes(*views, "ends").code() == Code::kFormatError);
    CHECK(take_bytes(*views, "absent").code() == Code::kFormatError);
    CHECK(section_bytes(*views, "none")->empty());

    auto read = take_bytes(*views, "texts");
    REQUIRE(read.ok());
    Bytes out;
    for (size_t step = 1; read->left() > 0; ++step) {
      const ByteView next = read->next(step);
      CHECK(next.size() == std::min(step, texts.bytes.size() - out.size()));
      out.insert(out.end(), next.begin(), next.end());
      CHECK(read->left() == texts.bytes.size() - out.size());
    }
    CHECK(out == texts.bytes);
    CHECK(section_bytes(*views, "last")->front() == 7);
    for (size_t length = 0; length < bytes.size(); length += most) {
      const Bytes begin(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
      CHECK(SectionViews::read(cut(begin, most)).code() == Code::kFormatError);
    }
    Bytes more = bytes;
    more.push_back(0);
    CHECK(SectionViews::read(cut(more, most)).code() == Code::kFormatError);
  }
}
