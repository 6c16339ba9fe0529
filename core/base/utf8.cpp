#include "core/base/utf8.h"

#include <cstring>

namespace nearfield {

char32_t decode_utf8(std::string_view text, size_t& position) {
  const auto byte = [&](size_t at) -> uint32_t {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;  // 0 is never a continuation byte
  };
  const uint32_t lead = byte(position++);
  if (lead < 0x80) return lead;
  const size_t extra = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  if (lead < 0xC2 || lead > 0xF4) return kReplacementCharacter;
  uint32_t character = lead & (0x3Fu >> extra);
  for (size_t i = 0; i < extra; ++i) {
    const uint32_t next = byte(position + i);
    if ((next & 0xC0) != 0x80) return kReplacementCharacter;
    character = character << 6 | (next & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  if (character < kSmallest[extra] || character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF)) {
    return kReplacementCharacter;
  }
  position += extra;
  return character;
}

void append_utf8(char32_t character, std::string& out) {
  if (character < 0x80) {
    out += static_cast<char>(character);
  } else if (character < 0x800) {
    out += static_cast<char>(0xC0 | character >> 6);
    out += static_cast<char>(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    out += static_cast<char>(0xE0 | character >> 12);
    out += static_cast<char>(0x80 | (character >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (character & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | character >> 18);
    out += static_cast<char>(0x80 | (character >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (character >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (character & 0x3F));
  }
}

bool is_utf8(std::string_view text) {
  for (size_t position = 0; position < text.size();) {
    // Most text is ASCII: eight characters at a time while that lasts.
    uint64_t eight;
    if (text.size() - position >= sizeof eight) {
      std::memcpy(&eight, text.data() + position, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        position += sizeof eight;
        continue;
      }
    }
    const size_t before = position;
    // A genuine U+FFFD takes three bytes, a bad byte one.
    if (decode_utf8(text, position) == kReplacementCharacter && position - before == 1) return false;
  }
  return true;
}

std::string to_utf8(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string out;
  out.reserve(text.size() + 16);
  for (size_t position = 0; position < text.size();) append_utf8(decode_utf8(text, position), out);
  return out;
}

size_t utf16_length(std::string_view text) {
  size_t length = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    length += (byte & 0xC0) != 0x80;  // one unit for each character
    length += byte >= 0xF0;           // two for those above U+FFFF
  }
  return length;
}

}  // namespace nearfield
