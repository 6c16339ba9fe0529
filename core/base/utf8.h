// UTF-8: checking and decoding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nearfield {

constexpr char32_t kReplacementCharacter = 0xFFFD;

// Decodes the character at text[position] and moves `position` past it. Bytes that are not UTF-8 (also overlong forms,
// surrogates and numbers above U+10FFFF) give U+FFFD and move by one. REQUIRES: position < text.size().
char32_t decode_utf8(std::string_view text, size_t& position);

void append_utf8(char32_t character, std::string& out);

bool is_utf8(std::string_view text);

// The text itself if it is UTF-8; else a copy with each bad byte replaced by U+FFFD.
std::string to_utf8(std::string_view text);

// UTF-16 length: what JavaScript's String.length will say. REQUIRES: is_utf8(text).
size_t utf16_length(std::string_view text);

}  // namespace nearfield
