// Named sections: how state leaves a part of the engine.
//
// A section is a name, an element type, a shape and the bytes. A part writes its state as a list of sections and can
// be rebuilt from them; storage packs sections into checked files and never learns what they mean. A reader looks its
// sections up by name, so a later version may add one without moving the others.
//
// State is large, so it is copied as little as possible: on the way out its bytes are gathered from where they lie
// while a file is filled (StateSections, SectionStream), on the way in they are looked at in the file's own bytes
// (SectionViews), which are let go of as soon as they were read (PiecedBytes).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/status.h"

namespace nearfield {

// Persisted: numbers are explicit and only ever appended to.
enum class ElementType : uint8_t { kU8 = 1, kU16 = 2, kU32 = 3, kU64 = 4, kI32 = 5, kF32 = 6, kF64 = 7 };

// Width in bytes; 0 for a number that is not an ElementType.
size_t element_size(ElementType type);

struct Section {
  std::string name;  // at most 64 bytes, unique within a list
  ElementType type = ElementType::kU8;
  std::vector<uint64_t> shape;  // outermost first, at most 4; the product times the element size is bytes.size()
  Bytes bytes;
};

using Sections = std::vector<Section>;

template <FixedWidth T>
constexpr ElementType element_type_of() {
  if constexpr (std::is_same_v<T, uint8_t>) return ElementType::kU8;
  if constexpr (std::is_same_v<T, uint16_t>) return ElementType::kU16;
  if constexpr (std::is_same_v<T, uint32_t>) return ElementType::kU32;
  if constexpr (std::is_same_v<T, uint64_t>) return ElementType::kU64;
  if constexpr (std::is_same_v<T, int32_t>) return ElementType::kI32;
  if constexpr (std::is_same_v<T, float>) return ElementType::kF32;
  if constexpr (std::is_same_v<T, double>) return ElementType::kF64;
}

// A one-dimensional section that holds a copy of `values`.
template <FixedWidth T>
Section make_section(std::string_view name, std::span<const T> values) {
  const auto* first = reinterpret_cast<const uint8_t*>(values.data());
  return {std::string(name), element_type_of<T>(), {values.size()}, Bytes(first, first + values.size_bytes())};
}

// Appends `sections` to `out`: count, then per section its name, type, shape and bytes.
void write_sections(const Sections& sections, Bytes& out);

// A section of live state: its bytes lie in pieces wherever the state keeps them, or in `made` where they exist only
// for the file. Holds as long as the state does not change.
struct StateSection {
  std::string_view name;  // a literal
  ElementType type = ElementType::kU8;
  uint64_t count = 0;                 // elements: the one extent of its shape
  std::vector<ByteView> pieces;       // one behind the other
  std::unique_ptr<const Bytes> made;  // pieces may lie in it
};

using StateSections = std::vector<StateSection>;

// A section that views `values`, or holds a copy of them.
StateSection view_state(std::string_view name, ElementType type, size_t count, ByteView bytes);
StateSection copy_state(std::string_view name, ElementType type, size_t count, ByteView bytes);
template <FixedWidth T>
StateSection view_state(std::string_view name, std::span<const T> values) {
  return view_state(name, element_type_of<T>(), values.size(), view_bytes(values));
}
template <FixedWidth T>
StateSection copy_state(std::string_view name, std::span<const T> values) {
  return copy_state(name, element_type_of<T>(), values.size(), view_bytes(values));
}

// What write_sections would write of `sections`, a piece at a time.
class SectionStream {
 public:
  explicit SectionStream(StateSections sections);
  SectionStream(const SectionStream&) = delete;
  SectionStream& operator=(const SectionStream&) = delete;
  // Appends the next bytes to `out`, `most` of them unless the end comes earlier.
  void read(size_t most, Bytes& out);
  bool done() const;
  // Bytes that were not read yet.
  size_t remaining() const { return remaining_; }

 private:
  // Makes `rest_` the next bytes that were not read, if there are any.
  void advance();

  StateSections sections_;
  size_t remaining_ = 0;
  size_t section_ = 0;  // whose header was begun last, from 1
  size_t piece_ = 0;    // of it, that comes next
  Bytes header_;
  ByteView rest_;  // of the header or piece that is being read
};

// The same as a list in memory.
Sections gathered(const StateSections& sections);

// Bytes that are read from their beginning. Of those that came in pieces each is freed once it was read, so that
// whoever copies them does not need their memory twice.
class PiecedBytes {
 public:
  PiecedBytes() = default;
  // In someone else's memory.
  explicit PiecedBytes(ByteView bytes) : left_(bytes.size()), view_(bytes) {}
  explicit PiecedBytes(std::vector<Bytes> pieces);

  size_t left() const { return left_; }
  // The next bytes, `count` or, where fewer are left, these; they stay where they are until the next call.
  ByteView peek(size_t count);
  ByteView next(size_t count);
  // The same, to be read on their own. REQUIRES: they came in pieces; count <= left().
  PiecedBytes split(size_t count);
  // All that are left, in one piece, until the next call.
  ByteView whole();

 private:
  // What is left of the first piece of which anything is. REQUIRES: left() > 0.
  ByteView rest();
  void skip(size_t count);

  size_t left_ = 0;
  ByteView view_;              // someone else's...
  std::vector<Bytes> pieces_;  // ...or these
  size_t piece_ = 0;           // that is read, from...
  size_t begin_ = 0;           // ...this byte on
  Bytes joined_;               // what was answered last and lies in more than one
};

// A section in someone else's memory. Its bytes stand at any address: elements are copied out, not pointed at.
struct SectionView {
  std::string_view name;
  ElementType type = ElementType::kU8;
  std::vector<uint64_t> shape;
  ByteView bytes;
  // Where the section came in pieces: what `bytes` would be, and its name.
  struct Pieces {
    std::string name;
    PiecedBytes bytes;
  };
  std::unique_ptr<Pieces> pieces;
};

class SectionViews {
 public:
  SectionViews() = default;
  SectionViews(const Sections& sections);

  // Views into what write_sections wrote. Fails with kFormatError on anything malformed: truncation, trailing bytes,
  // unknown types, shapes whose product overflows or disagrees with the bytes, repeated names.
  static Result<SectionViews> read(ByteView bytes);
  // The same of what came in pieces, which it keeps.
  static Result<SectionViews> read(std::vector<Bytes> pieces);

  // The section of that name, or nullptr.
  const SectionView* find(std::string_view name) const;
  auto begin() const { return sections_.begin(); }
  auto end() const { return sections_.end(); }

 private:
  // All of the next section but its bytes, which are so many.
  Result<uint64_t> add_header(ByteReader& reader);

  std::vector<SectionView> sections_;
};

// SectionViews::read, copied.
Result<Sections> read_sections(ByteView bytes);

// A section's elements where they lie. Fails with kFormatError, naming the section, when it is missing or of another
// type.
Result<ByteView> section_bytes(const SectionViews& sections, std::string_view name, ElementType type);
template <FixedWidth T>
Result<Elements<T>> section_elements(const SectionViews& sections, std::string_view name) {
  ASSIGN_OR_RETURN(const ByteView bytes, section_bytes(sections, name, element_type_of<T>()));
  return Elements<T>(bytes);
}

// The bytes of a section of bytes.
inline Result<ByteView> section_bytes(const SectionViews& sections, std::string_view name) {
  return section_bytes(sections, name, ElementType::kU8);
}

// The same to be read piece by piece; where it came in pieces, once.
Result<PiecedBytes> take_bytes(const SectionViews& sections, std::string_view name);

// A copy of its elements.
template <FixedWidth T>
Result<std::vector<T>> section_values(const SectionViews& sections, std::string_view name) {
  ASSIGN_OR_RETURN(const Elements<T> elements, section_elements<T>(sections, name));
  return elements.copy();
}

}  // namespace nearfield
