// Named sections: how state leaves a part of the engine.
//
// A section is a name, an element type, a shape and the bytes. A part writes its state as a list of sections and can
// be rebuilt from them; storage packs sections into checked files and never learns what they mean. A reader looks its
// sections up by name, so a later version may add one without moving the others.
#pragma once

#include <cstdint>
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

// Reads what write_sections wrote. Fails with kFormatError on anything malformed: truncation, trailing bytes, unknown
// types, shapes whose product overflows or disagrees with the bytes, repeated names.
Result<Sections> read_sections(ByteView bytes);

// The section of that name, or nullptr.
const Section* find_section(const Sections& sections, std::string_view name);

// A copy of a section's elements. Fails with kFormatError, naming the section, when it is missing or of another type.
template <FixedWidth T>
Result<std::vector<T>> section_values(const Sections& sections, std::string_view name) {
  const Section* section = find_section(sections, name);
  if (section == nullptr || section->type != element_type_of<T>()) {
    return Error{Code::kFormatError, "section " + std::string(name) + " is missing or has another element type",
                 shown(name)};
  }
  return ByteReader(section->bytes).get_array<T>(section->bytes.size() / sizeof(T));
}

}  // namespace nearfield
