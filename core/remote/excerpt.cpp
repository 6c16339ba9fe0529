#include "core/remote/excerpt.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/json.h"
#include "core/base/json_escape.h"
#include "core/base/utf8.h"

namespace nearfield {

namespace {

constexpr size_t kMaxCharacters = 200;
// A body that is longer than this is no message.
constexpr size_t kMaxErrorBytes = 64 << 10;
constexpr uint64_t kMaxWaitMs = uint64_t{1} << 53;

// Characters that steer a terminal or a line instead of being seen.
bool is_hidden(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

const std::string* string_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get_ptr<const std::string*>() : nullptr;
}

// A string, or what the first of a list of objects says.
const std::string* words_of(const Json& object, const char* name) {
  if (const std::string* text = string_of(object, name)) return text;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array() || found->empty() || !found->front().is_object()) return nullptr;
  return string_of(found->front(), "message");
}

std::optional<uint64_t> number(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t out = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    out = std::min(kMaxWaitMs, out * 10 + static_cast<uint64_t>(c - '0'));
  }
  return out;
}

// Since 1970, of a date of the Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  const int64_t era = year / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

}  // namespace

std::string excerpt(std::string_view text, const Secret& key) {
  std::string out;
  size_t characters = 0;
  while (!text.empty()) {
    if (characters == kMaxCharacters) return out + "...";
    // The key first: whatever is cut, no part of it is left.
    if (!key.empty() && text.starts_with(key.expose())) {
      out += Secret::kMask;
      text.remove_prefix(key.expose().size());
      characters += Secret::kMask.size();
      characters = std::min(characters, kMaxCharacters);
      continue;
    }
    size_t length = 0;
    const char32_t c = decode_utf8(text, length);
    if (is_hidden(c)) {
      char escape[6];
      out.append(escape, write_json_escapes(escape, static_cast<uint16_t>(c)));
    } else {
      append_utf8(c, out);
    }
    text.remove_prefix(length);
    ++characters;
  }
  return out;
}

std::string server_words(std::string_view body, const Secret& key) {
  if (body.size() <= kMaxErrorBytes) {
    const Result<Json> parsed = parse_json(body, "answer");
    if (parsed.ok() && parsed.value().is_object()) {
      const Json& object = parsed.value();
      const std::string* words = nullptr;
      if (const auto status = object.find("status"); status != object.end() && status->is_object()) {
        words = string_of(*status, "error");
      }
      for (const char* name : {"message", "error", "errors"}) {
        if (words == nullptr) words = words_of(object, name);
      }
      if (words != nullptr) return excerpt(*words, key);
    }
  }
  return excerpt(body, key);
}

std::optional<uint64_t> retry_after_ms(std::string_view value, uint64_t now_ms) {
  while (value.starts_with(' ')) value.remove_prefix(1);
  while (value.ends_with(' ')) value.remove_suffix(1);
  if (const std::optional<uint64_t> seconds = number(value)) return std::min(kMaxWaitMs, *seconds * 1'000);
  constexpr std::string_view kDays = "Sun,Mon,Tue,Wed,Thu,Fri,Sat,", kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (value.size() != 29 || kDays.find(value.substr(0, 4)) % 4 != 0 || value[4] != ' ' || value[7] != ' ' ||
      value[11] != ' ' || value[16] != ' ' || value[19] != ':' || value[22] != ':' || value.substr(25) != " GMT") {
    return std::nullopt;
  }
  const size_t month = kMonths.find(value.substr(8, 3));
  const auto day = number(value.substr(5, 2)), year = number(value.substr(12, 4)), hour = number(value.substr(17, 2)),
             minute = number(value.substr(20, 2)), second = number(value.substr(23, 2));
  if (month == std::string_view::npos || month % 3 != 0 || !day || !year || !hour || !minute || !second)
    return std::nullopt;
  if (*day < 1 || *day > 31 || *year < 1970 || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const int64_t days =
      days_from_civil(static_cast<int64_t>(*year), static_cast<int64_t>(month / 3) + 1, static_cast<int64_t>(*day));
  const uint64_t at = ((static_cast<uint64_t>(days) * 24 + *hour) * 60 + *minute) * 60 + *second;
  return at * 1'000 > now_ms ? at * 1'000 - now_ms : 0;
}

}  // namespace nearfield
