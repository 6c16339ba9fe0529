#include "core/remote/answer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/remote/ids.h"

namespace nearfield {

Reply make_reply(HttpResponse response, Json json) {
  constexpr size_t kKeptBytes = 2'000;  // more than a message shows
  if (response.body.size() > kKeptBytes) {
    response.body.resize(kKeptBytes);
    response.body.shrink_to_fit();
  }
  return {std::move(response), std::move(json)};
}

Result<Json> read_answer(const HttpClient& http, const HttpResponse& response) {
  JsonLimits limits;
  limits.max_bytes = response.body.size();  // HttpClient has bounded it
  limits.max_depth = JsonLimits().max_depth + 8;
  limits.max_values = 16 << 20;
  Result<Json> json = parse_json(response.body, "it", limits);
  if (json.ok()) return json;
  // The parser's own words would quote the body, and with it what the server may have echoed.
  return http.protocol_error(
      response, json.code() == Code::kFormatError ? "a body that is not JSON" : "JSON of too many values or levels");
}

const Json* json_member(const Json& json, std::string_view name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(name);
  return found == json.end() ? nullptr : &*found;
}

const Json* json_at(const Json& json, std::initializer_list<std::string_view> names) {
  const Json* at = &json;
  for (const std::string_view name : names) {
    at = json_member(*at, name);
    if (at == nullptr) break;
  }
  return at;
}

const std::string* string_member(const Json& json, std::string_view name) {
  const Json* member = json_member(json, name);
  return member != nullptr && member->is_string() ? &member->get_ref<const std::string&>() : nullptr;
}

std::optional<uint64_t> unsigned_member(const Json& json, std::string_view name) {
  const Json* member = json_member(json, name);
  return member != nullptr && member->is_number_unsigned() ? std::optional(member->get<uint64_t>()) : std::nullopt;
}

bool is_true(const Json* json) { return json != nullptr && *json == true; }

std::string text_of(const Json* json) {
  if (json == nullptr) return "(not told)";
  return json->is_string() ? json->get_ref<const std::string&>() : shown_json(*json);
}

Error answer_has(std::string what) { return {Code::kRemoteProtocolError, std::move(what), ""}; }

bool is_object_text(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string::npos && text[first] == '{' && check_json(text, "payload").ok();
}

Result<std::vector<float>> read_floats(const Json& json) {
  std::vector<float> out;
  if (!json.is_array()) return answer_has("a vector that is no array");
  out.reserve(json.size());
  for (const Json& component : json) {
    if (!component.is_number()) return answer_has("a vector's component that is no number");
    const auto value = static_cast<float>(component.get<double>());
    if (!std::isfinite(value)) return answer_has("a vector's component that is too large");
    out.push_back(value);
  }
  return out;
}

std::optional<uint64_t> told_number(std::string_view words, size_t begin) {
  const size_t end = std::min(words.find_first_not_of("0123456789", begin), words.size());
  return parse_u64(words.substr(begin, end - begin));
}

std::optional<uint64_t> number_after(std::string_view words, std::string_view mark) {
  const size_t at = words.find(mark);
  return at == std::string_view::npos ? std::nullopt : told_number(words, at + mark.size());
}

}  // namespace nearfield
