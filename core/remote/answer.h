// What servers say, as JSON trees: bounded, and never trusted.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"
#include "core/remote/http_client.h"

namespace nearfield {

// The body of an answer with a good status. Fails with kRemoteProtocolError where it is not JSON, repeats a key, or is
// nested deeper than a payload of ours in an envelope.
Result<Json> read_answer(const HttpClient& http, const HttpResponse& response);

// The member of an object; null where there is none, or `json` is no object.
const Json* json_member(const Json& json, std::string_view name);
// The same of a member that is a string.
const std::string* string_member(const Json& json, std::string_view name);

// What a part of an answer has that it must not; HttpClient::protocol_error makes it a message: "the answer has
// <what>".
Error answer_has(std::string what);

// A vector: finite numbers. Fails as answer_has() says it.
Result<std::vector<float>> read_floats(const Json& json);

}  // namespace nearfield
