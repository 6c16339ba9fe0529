#include "core/base/section.h"

#include <algorithm>
#include <optional>

namespace nearfield {

namespace {

constexpr size_t kMaxNameBytes = 64;
constexpr size_t kMaxRank = 4;
// Far more than any part writes; each name is compared with all before it.
constexpr size_t kMaxSections = 256;

Error malformed(std::string what) { return {Code::kFormatError, "sections: " + std::move(what), ""}; }

// The number of bytes a shape asks for, or nullopt where that overflows.
std::optional<uint64_t> bytes_of_shape(ElementType type, const std::vector<uint64_t>& shape) {
  uint64_t bytes = element_size(type);
  for (const uint64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
  }
  return bytes;
}

}  // namespace

StateSection view_state(std::string_view name, ElementType type, size_t count, ByteView bytes) {
  return {name, type, count, {bytes}, nullptr};
}

StateSection copy_state(std::string_view name, ElementType type, size_t count, ByteView bytes) {
  auto made = std::make_unique<const Bytes>(bytes.begin(), bytes.end());
  const ByteView piece = *made;
  return {name, type, count, {piece}, std::move(made)};
}

Result<ByteView> section_bytes(const SectionViews& sections, std::string_view name, ElementType type) {
  const SectionView* section = sections.find(name);
  if (section != nullptr && section->type == type) return section->bytes;
  return Error{Code::kFormatError, "section " + std::string(name) + " is missing or has another element type",
               shown(name)};
}

size_t element_size(ElementType type) {
  switch (type) {
    case ElementType::kU8: return 1;
    case ElementType::kU16: return 2;
    case ElementType::kU32:
    case ElementType::kI32:
    case ElementType::kF32: return 4;
    case ElementType::kU64:
    case ElementType::kF64: return 8;
  }
  return 0;
}

namespace {

void write_header(std::string_view name, ElementType type, std::span<const uint64_t> shape, Bytes& out) {
  assert(name.size() <= kMaxNameBytes && shape.size() <= kMaxRank);
  ByteWriter writer(out);
  writer.put_string(name);
  writer.put(static_cast<uint8_t>(type));
  writer.put(static_cast<uint8_t>(shape.size()));
  writer.put_array(shape);
}

}  // namespace

void write_sections(const Sections& sections, Bytes& out) {
  ByteWriter writer(out);
  writer.put(static_cast<uint32_t>(sections.size()));
  for (const Section& section : sections) {
    assert(bytes_of_shape(section.type, section.shape) == section.bytes.size());
    write_header(section.name, section.type, section.shape, out);
    writer.put_bytes(section.bytes);
  }
}

SectionStream::SectionStream(StateSections sections) : sections_(std::move(sections)) {
  for (const StateSection& section : sections_) {
    write_header(section.name, section.type, {&section.count, 1}, header_);
    remaining_ += header_.size() + element_size(section.type) * static_cast<size_t>(section.count);
    header_.clear();
  }
  ByteWriter(header_).put(static_cast<uint32_t>(sections_.size()));
  remaining_ += header_.size();
  rest_ = header_;
}

bool SectionStream::done() const { return rest_.empty(); }

void SectionStream::advance() {
  while (rest_.empty()) {
    if (section_ > 0 && piece_ < sections_[section_ - 1].pieces.size()) {
      rest_ = sections_[section_ - 1].pieces[piece_++];
    } else if (section_ < sections_.size()) {
      const StateSection& section = sections_[section_++];
      piece_ = 0;
      header_.clear();
      write_header(section.name, section.type, {&section.count, 1}, header_);
      rest_ = header_;
    } else {
      return;
    }
  }
}

void SectionStream::read(size_t most, Bytes& out) {
  while (most > 0 && !done()) {
    const ByteView taken = rest_.first(std::min(most, rest_.size()));
    out.insert(out.end(), taken.begin(), taken.end());
    most -= taken.size();
    remaining_ -= taken.size();
    rest_ = rest_.subspan(taken.size());
    advance();
  }
}

Sections gathered(const StateSections& sections) {
  Sections out;
  for (const StateSection& section : sections) {
    Section& next = out.emplace_back();
    next.name = section.name;
    next.type = section.type;
    next.shape = {section.count};
    for (const ByteView piece : section.pieces) next.bytes.insert(next.bytes.end(), piece.begin(), piece.end());
  }
  return out;
}

SectionViews::SectionViews(const Sections& sections) {
  for (const Section& section : sections) {
    sections_.push_back({section.name, section.type, section.shape, section.bytes});
  }
}

Result<SectionViews> SectionViews::read(ByteView bytes) {
  ByteReader reader(bytes);
  const auto count = reader.get<uint32_t>();
  SectionViews sections;
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    SectionView section;
    section.name = reader.get_string();
    section.type = static_cast<ElementType>(reader.get<uint8_t>());
    const auto rank = reader.get<uint8_t>();
    if (!reader.ok()) break;
    if (section.name.empty() || section.name.size() > kMaxNameBytes) return malformed("a name has a wrong length");
    const std::string name(section.name);
    if (i == kMaxSections) return malformed("there are more than " + std::to_string(kMaxSections));
    if (sections.find(name) != nullptr) return malformed("the name " + name + " stands twice");
    if (element_size(section.type) == 0) return malformed(name + " has an unknown element type");
    if (rank > kMaxRank) return malformed(name + " has too many dimensions");
    section.shape = reader.get_array<uint64_t>(rank);
    const auto length = bytes_of_shape(section.type, section.shape);
    if (!length) return malformed(name + " has an impossible shape");
    section.bytes = reader.get_bytes(*length);
    sections.sections_.push_back(std::move(section));
  }
  if (!reader.at_end()) return malformed(reader.ok() ? "bytes follow the last one" : "the bytes end too early");
  return sections;
}

const SectionView* SectionViews::find(std::string_view name) const {
  for (const SectionView& section : sections_) {
    if (section.name == name) return &section;
  }
  return nullptr;
}

Result<Sections> read_sections(ByteView bytes) {
  ASSIGN_OR_RETURN(const SectionViews views, SectionViews::read(bytes));
  Sections sections;
  for (const SectionView& view : views) {
    sections.push_back({std::string(view.name), view.type, view.shape, Bytes(view.bytes.begin(), view.bytes.end())});
  }
  return sections;
}

}  // namespace nearfield
