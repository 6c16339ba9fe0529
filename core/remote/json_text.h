// Pieces of JSON text, appended: bodies of requests are built without a tree, because most of them is numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace nearfield {

// In quotes. REQUIRES: is_utf8(text).
void append_json_string(std::string& out, std::string_view text);
std::string json_quoted(std::string_view text);
// ["a","b"]
std::string json_strings(std::span<const std::string> texts);

// The shortest decimal that reads back as the same float; for less than one in a hundred a longer one of at most 9
// digits. REQUIRES: finite.
void append_json_float(std::string& out, float value);

// [0.5,1,-2e-7]. REQUIRES: all finite.
void append_json_floats(std::string& out, std::span<const float> values);

// The same of a double.
void append_json_double(std::string& out, double value);

// Whether `value` has at most 15 digits and a small exponent: then every reader, however simple, reads its shortest
// decimal as the same double.
bool is_short_decimal(double value);

// `text` for a URL's path or query: all but [A-Za-z0-9_~-] and "." as %XX.
std::string percent_encoded(std::string_view text);

}  // namespace nearfield
