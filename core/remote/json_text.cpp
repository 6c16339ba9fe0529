#include "core/remote/json_text.h"

#include <cassert>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/json_escape.h"

namespace nearfield {

namespace {

// nlohmann carries the algorithm for shortest digits already (Grisu2); std::to_chars would bring another one of 20 KB.
template <typename Float>
void append_number(std::string& out, Float value) {
  assert(std::isfinite(value));
  char buffer[64];
  char* end = nlohmann::detail::to_chars(buffer, buffer + sizeof(buffer), value);
  if (end - buffer > 2 && end[-1] == '0' && end[-2] == '.') end -= 2;
  out.append(buffer, end);
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  size_t copied = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text, copied, i - copied);
    copied = i + 1;
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += static_cast<char>(byte);
    } else {
      char escape[6];
      write_json_escapes(escape, static_cast<uint16_t>(byte));
      out.append(escape, sizeof(escape));
    }
  }
  out.append(text, copied);
  out += '"';
}

void append_json_float(std::string& out, float value) { append_number(out, value); }
void append_json_double(std::string& out, double value) { append_number(out, value); }

void append_json_floats(std::string& out, std::span<const float> values) {
  out += '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    append_number(out, values[i]);
  }
  out += ']';
}

bool is_short_decimal(double value) {
  // A whole number of 53 bits over or times a power of ten that is a double itself is rounded once.
  constexpr double kLargest = 1e22, kLeast = 1e-7;
  if (value == 0) return true;
  if (!(std::abs(value) >= kLeast && std::abs(value) <= kLargest)) return false;
  std::string text;
  append_json_double(text, value);
  const std::string_view mantissa = std::string_view(text).substr(0, text.find('e'));
  size_t digits = 0;
  for (const char c : mantissa) {
    if (c >= '0' && c <= '9' && (digits > 0 || c != '0')) ++digits;
  }
  return digits <= 15;
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
                       c == '-' || c == '~' || c == '.';
    if (plain) {
      out += c;
      continue;
    }
    out += '%';
    out += "0123456789ABCDEF"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789ABCDEF"[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

}  // namespace nearfield
