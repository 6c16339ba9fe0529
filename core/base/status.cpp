#include "core/base/status.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/json.h"
#include "core/base/json_escape.h"

namespace nearfield {

namespace {

constexpr size_t kShownBytes = 200;

constexpr std::string_view kNames[] = {
    "Ok",
#define NEARFIELD_CODE(name, retryable, meaning) #name,
#include "core/base/status.def"
#undef NEARFIELD_CODE
};

}  // namespace

std::string_view code_name(Code code) { return kNames[static_cast<size_t>(code)]; }

Failure make_failure(Error&& error) {
  assert(error.code != Code::kOk);
  return std::make_unique<Error>(std::move(error));
}

std::string shown(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // A cut falls on a character boundary; bytes that are not UTF-8 become U+FFFD at the JavaScript side.
    if (i >= kShownBytes && (byte & 0xC0) != 0x80) {
      out += "\\u2026";
      break;
    }
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += static_cast<char>(byte);
    } else if (byte < 0x20 || byte == 0x7F) {
      char escape[6];
      out.append(escape, write_json_escapes(escape, byte));
    } else {
      out += static_cast<char>(byte);
    }
  }
  return out + '"';
}

std::string shown(double number) {
  // JSON has no spelling for these three; a string names them.
  if (std::isnan(number)) return "\"NaN\"";
  if (std::isinf(number)) return number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  return write_json(number);
}

std::string shown(int64_t number) { return std::to_string(number); }

}  // namespace nearfield
