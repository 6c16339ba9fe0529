#include "core/base/section.h"

#include <optional>
#include <unordered_set>

namespace nearfield {

namespace {

constexpr size_t kMaxNameBytes = 64;
constexpr size_t kMaxRank = 4;

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

void write_sections(const Sections& sections, Bytes& out) {
  ByteWriter writer(out);
  writer.put(static_cast<uint32_t>(sections.size()));
  for (const Section& section : sections) {
    assert(section.name.size() <= kMaxNameBytes && section.shape.size() <= kMaxRank);
    assert(bytes_of_shape(section.type, section.shape) == section.bytes.size());
    writer.put_string(section.name);
    writer.put(static_cast<uint8_t>(section.type));
    writer.put(static_cast<uint8_t>(section.shape.size()));
    for (const uint64_t extent : section.shape) writer.put(extent);
    writer.put_bytes(section.bytes);
  }
}

Result<Sections> read_sections(ByteView bytes) {
  ByteReader reader(bytes);
  const auto count = reader.get<uint32_t>();
  Sections sections;
  std::unordered_set<std::string> names;
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    Section section;
    section.name = reader.get_string();
    section.type = static_cast<ElementType>(reader.get<uint8_t>());
    const auto rank = reader.get<uint8_t>();
    if (!reader.ok()) break;
    if (section.name.empty() || section.name.size() > kMaxNameBytes) return malformed("a name has a wrong length");
    if (!names.insert(section.name).second) return malformed("the name " + section.name + " stands twice");
    if (element_size(section.type) == 0) return malformed(section.name + " has an unknown element type");
    if (rank > kMaxRank) return malformed(section.name + " has too many dimensions");
    section.shape = reader.get_array<uint64_t>(rank);
    const auto length = bytes_of_shape(section.type, section.shape);
    if (!length) return malformed(section.name + " has an impossible shape");
    const ByteView content = reader.get_bytes(*length);
    section.bytes.assign(content.begin(), content.end());
    sections.push_back(std::move(section));
  }
  if (!reader.at_end()) return malformed(reader.ok() ? "bytes follow the last one" : "the bytes end too early");
  return sections;
}

const Section* find_section(const Sections& sections, std::string_view name) {
  for (const Section& section : sections) {
    if (section.name == name) return &section;
  }
  return nullptr;
}

}  // namespace nearfield
