// What servers say, as JSON trees: bounded, and never trusted.
#pragma once

#include <string_view>

#include "core/base/json.h"
#include "core/remote/http_client.h"

namespace nearfield {

// The body of an answer with a good status. Fails with kRemoteProtocolError where it is not JSON, repeats a key, or is
// nested deeper than a payload of ours in an envelope.
Result<Json> read_answer(const HttpClient& http, const HttpResponse& response);

// The member of an object; null where there is none, or `json` is no object.
const Json* json_member(const Json& json, std::string_view name);

}  // namespace nearfield
