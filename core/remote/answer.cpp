#include "core/remote/answer.h"

#include <nlohmann/json.hpp>

namespace nearfield {

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

}  // namespace nearfield
