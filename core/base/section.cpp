#include "core/base/section.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace nearfield {

namespace {

constexpr size_t kMaxNameBytes = 64;
constexpr size_t kMaxRank = 4;
constexpr size_t kMaxHeaderBytes = sizeof(uint32_t) + kMaxNameBytes + 2 + kMaxRank * sizeof(uint64_t);
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
  if (section != nullptr && section->type == type) {
    return section->pieces ? section->pieces->bytes.whole() : section->bytes;
  }
  return Error{Code::kFormatError, "section " + std::string(name) + " is missing or has another element type",
               shown(name)};
}

Result<PiecedBytes> take_bytes(const SectionViews& sections, std::string_view name) {
  const SectionView* section = sections.find(name);
  if (section != nullptr && section->type == ElementType::kU8 && section->pieces) {
    return std::exchange(section->pieces->bytes, {});
  }
  ASSIGN_OR_RETURN(const ByteView bytes, section_bytes(sections, name));
  return PiecedBytes(bytes);
}

PiecedBytes::PiecedBytes(std::vector<Bytes> pieces) : pieces_(std::move(pieces)) {
  for (const Bytes& piece : pieces_) left_ += piece.size();
}

ByteView PiecedBytes::rest() {
  assert(left_ > 0);
  if (pieces_.empty()) return view_;
  for (; begin_ == pieces_[piece_].size(); begin_ = 0) pieces_[piece_++] = Bytes();
  return ByteView(pieces_[piece_]).subspan(begin_);
}

void PiecedBytes::skip(size_t count) {
  while (count > 0) {
    const size_t taken = std::min(count, rest().size());
    if (pieces_.empty()) view_ = view_.subspan(taken);
    begin_ += taken;
    left_ -= taken;
    count -= taken;
  }
}

ByteView PiecedBytes::peek(size_t count) {
  count = std::min(count, left_);
  if (count == 0) return {};
  const ByteView first = rest();
  if (first.size() >= count) return first.first(count);
  joined_.assign(first.begin(), first.end());
  for (size_t i = piece_ + 1; joined_.size() < count; ++i) {
    const ByteView more = ByteView(pieces_[i]).first(std::min(count - joined_.size(), pieces_[i].size()));
    joined_.insert(joined_.end(), more.begin(), more.end());
  }
  return joined_;
}

ByteView PiecedBytes::next(size_t count) {
  const ByteView bytes = peek(count);
  skip(bytes.size());
  return bytes;
}

PiecedBytes PiecedBytes::split(size_t count) {
  assert(count <= left_);
  std::vector<Bytes> out;
  while (count > 0) {
    const ByteView taken = rest().first(std::min(count, rest().size()));
    if (taken.size() == pieces_[piece_].size()) {
      out.push_back(std::move(pieces_[piece_++]));
      left_ -= taken.size();
    } else {
      out.emplace_back(taken.begin(), taken.end());
      skip(taken.size());
    }
    count -= taken.size();
  }
  return PiecedBytes(std::move(out));
}

ByteView PiecedBytes::whole() {
  if (left_ == 0) return {};
  if (rest().size() < left_) {
    Bytes all;
    all.reserve(left_);
    for (const size_t end = left_; all.size() < end;) {
      const ByteView taken = rest();
      all.insert(all.end(), taken.begin(), taken.end());
      skip(taken.size());
    }
    *this = PiecedBytes(std::vector<Bytes>());
    left_ = all.size();
    pieces_.push_back(std::move(all));
  }
  return rest();
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
    sections_.push_back({section.name, section.type, section.shape, section.bytes, nullptr});
  }
}

Result<uint64_t> SectionViews::add_header(ByteReader& reader) {
  SectionView section;
  section.name = reader.get_string();
  section.type = static_cast<ElementType>(reader.get<uint8_t>());
  const auto rank = reader.get<uint8_t>();
  if (!reader.ok()) return malformed("the bytes end too early");
  if (section.name.empty() || section.name.size() > kMaxNameBytes) return malformed("a name has a wrong length");
  const std::string name(section.name);
  if (sections_.size() == kMaxSections) return malformed("there are more than " + std::to_string(kMaxSections));
  if (find(name) != nullptr) return malformed("the name " + name + " stands twice");
  if (element_size(section.type) == 0) return malformed(name + " has an unknown element type");
  if (rank > kMaxRank) return malformed(name + " has too many dimensions");
  section.shape = reader.get_array<uint64_t>(rank);
  const auto length = bytes_of_shape(section.type, section.shape);
  if (!length) return malformed(name + " has an impossible shape");
  sections_.push_back(std::move(section));
  return *length;
}

Result<SectionViews> SectionViews::read(ByteView bytes) {
  ByteReader reader(bytes);
  const auto count = reader.get<uint32_t>();
  SectionViews sections;
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    ASSIGN_OR_RETURN(const uint64_t length, sections.add_header(reader));
    sections.sections_.back().bytes = reader.get_bytes(length);
  }
  if (!reader.at_end()) return malformed(reader.ok() ? "bytes follow the last one" : "the bytes end too early");
  return sections;
}

Result<SectionViews> SectionViews::read(std::vector<Bytes> pieces) {
  PiecedBytes bytes(std::move(pieces));
  if (bytes.left() < sizeof(uint32_t)) return malformed("the bytes end too early");
  const auto count = ByteReader(bytes.next(sizeof(uint32_t))).get<uint32_t>();
  SectionViews sections;
  for (uint32_t i = 0; i < count; ++i) {
    ByteReader reader(bytes.peek(kMaxHeaderBytes));
    ASSIGN_OR_RETURN(const uint64_t length, sections.add_header(reader));
    SectionView& section = sections.sections_.back();
    section.pieces = std::make_unique<SectionView::Pieces>();
    section.pieces->name = section.name;
    section.name = section.pieces->name;
    bytes.next(reader.position());
    if (!reader.ok() || length > bytes.left()) return malformed("the bytes end too early");
    section.pieces->bytes = bytes.split(static_cast<size_t>(length));
  }
  if (bytes.left() > 0) return malformed("bytes follow the last one");
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
