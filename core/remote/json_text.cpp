#include "core/remote/json_text.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstring>
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

constexpr double kPowers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10,
                              1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21};

constexpr uint32_t kWholePowers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

// What is written below may reach this far, although fewer characters count.
constexpr size_t kComponentRoom = 40;

// Nine digits, the first of them at `out`; eight at once, by halves of a word.
void write_nine(char* out, uint32_t value) {
  *out = static_cast<char>('0' + value / 100000000);
  value %= 100000000;
  uint64_t word = value / 10000 | static_cast<uint64_t>(value % 10000) << 32;
  const uint64_t hundreds = (word * 5243 >> 19) & 0x0000007F0000007F;
  word = hundreds | (word - hundreds * 100) << 16;
  const uint64_t tens = (word * 103 >> 10) & 0x000F000F000F000F;
  word = (tens | (word - tens * 10) << 8) | 0x3030303030303030;
  std::memcpy(out + 1, &word, sizeof(word));
}

// Writes digits * 10^-places, where 0 < digits < 10^9 and its last one is not 0. Returns the end.
char* write_decimal(char* out, uint32_t digits, int places) {
  static_assert(std::endian::native == std::endian::little);
  char nine[17];  // and eight zeros
  write_nine(nine, digits);
  std::memcpy(nine + 9, "00000000", 8);
  int count = (std::bit_width(digits) * 1233 >> 12) + 1;
  count -= digits < kWholePowers[count - 1] ? 1 : 0;
  const char* first = nine + 9 - count;
  const int whole = count - places;  // digits before the point
  // Nine bytes, for a number of digits that is not known: one copy in place of a loop.
  if (whole <= 0) {
    std::memcpy(out, "0.00000000000", 13);
    std::memcpy(out + 2 - whole, first, 9);
    return out + 2 - whole + count;
  }
  std::memcpy(out, first, 9);
  if (whole >= count) return out + whole;
  out[whole] = '.';
  std::memcpy(out + whole + 1, first + whole, 9);
  return out + count + 1;
}

// The fewest digits that read back as `value`, for numbers as components of vectors are; null for others. About twice
// as fast as what is right for all: bodies are made of these.
char* write_component(char* out, float value) {
  const double size = std::abs(static_cast<double>(value));
  if (!(size >= 1e-9 && size < 1e9)) return nullptr;
  // Signs, and whether eight digits are enough, are as good as random: choices are made without a jump.
  *out = '-';
  out += value < 0 ? 1 : 0;
  const auto bits = std::bit_cast<uint64_t>(size);
  const uint64_t exponent = bits >> 52;
  // Nine digits are always enough. log10(2) is about 1233 / 4096.
  int places = 8 - ((static_cast<int>(exponent) - 1023) * 1233 >> 12);
  const double about = size * kPowers[places];
  places += (about < 1e8 ? 1 : 0) - (about >= 1e9 ? 1 : 0);
  const double scaled = size * kPowers[places];
  // Whoever reads a number this near reads `value`: half of what lies between it and the next float, a quarter where
  // that is a power of two, less what `scaled` may be off by: that is below 1.2e-7, and this above 1.4.
  const bool power_of_two = (bits & ((uint64_t{1} << 52) - 1)) == 0;
  const double half_gap = std::bit_cast<double>((exponent - (power_of_two ? 25 : 24)) << 52);
  const double reach = half_gap * kPowers[places] * (1 - 1e-6);
  auto digits = static_cast<uint32_t>(scaled + 0.5);
  const auto near = [&](uint32_t fewer, int64_t unit) {
    return std::abs(static_cast<double>(fewer * unit) - scaled) < reach;
  };
  const uint32_t eight = (digits + 5) / 10;
  const bool fits = near(eight, 10);
  digits = fits ? eight : digits;
  places -= fits ? 1 : 0;
  // Seldom: where seven are enough, so are eight.
  if (near((eight + 5) / 10, 100)) {
    for (int64_t unit = 100; digits >= 10; unit *= 10) {
      const uint32_t fewer = (digits + 5) / 10;
      if (!near(fewer, unit)) break;
      digits = fewer;
      --places;
    }
  }
  return write_decimal(out, digits, places);
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

std::string json_quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string json_strings(std::span<const std::string> texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ',';
    append_json_string(out, text);
  }
  return out += ']';
}

void append_json_float(std::string& out, float value) {
  char buffer[kComponentRoom];
  if (char* const end = write_component(buffer, value); end != nullptr) {
    out.append(static_cast<const char*>(buffer), static_cast<size_t>(end - buffer));
  } else if (value == 0 && !std::signbit(value)) {
    out += '0';
  } else {
    append_number(out, value);
  }
}

void append_json_double(std::string& out, double value) { append_number(out, value); }

void append_json_floats(std::string& out, std::span<const float> values) {
  out += '[';
  char buffer[1024];
  char* next = buffer;
  const auto flush = [&] {
    out.append(static_cast<const char*>(buffer), static_cast<size_t>(next - buffer));
    next = buffer;
  };
  for (size_t i = 0; i < values.size(); ++i) {
    if (next + 1 + kComponentRoom > buffer + sizeof(buffer)) flush();
    if (i > 0) *next++ = ',';
    char* const end = write_component(next, values[i]);
    if (end == nullptr) {
      flush();
      append_json_float(out, values[i]);
    } else {
      next = end;
    }
  }
  flush();
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
