// What servers say, as JSON trees: bounded, and never trusted.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"
#include "core/remote/http_client.h"

namespace nearfield {

// The body of an answer with a good status, as it was read.
struct Reply {
  HttpResponse response;  // its body is cut: what messages show of it
  Json json;
};
Reply make_reply(HttpResponse response, Json json);

// The body of an answer with a good status. Fails with kRemoteProtocolError where it is not JSON, repeats a key, or is
// nested deeper than a payload of ours in an envelope.
Result<Json> read_answer(const HttpClient& http, const HttpResponse& response);

// The member of an object; null where there is none, or `json` is no object.
const Json* json_member(const Json& json, std::string_view name);
// A member of a member, and so on.
const Json* json_at(const Json& json, std::initializer_list<std::string_view> names);
// The same of a member that is a string, or a whole number from 0 on.
const std::string* string_member(const Json& json, std::string_view name);
std::optional<uint64_t> unsigned_member(const Json& json, std::string_view name);
// Whether there is one, and it is true.
bool is_true(const Json* json);

// For messages: a string as it is, anything else as JSON, "(not told)" for null.
std::string text_of(const Json* json);

// What a part of an answer has that it must not; HttpClient::protocol_error makes it a message: "the answer has
// <what>".
Error answer_has(std::string what);

// Whether a payload's text is one: a JSON object.
bool is_object_text(const std::string& text);

// A vector: finite numbers. Fails as answer_has() says it.
Result<std::vector<float>> read_floats(const Json& json);

// What stands in a server's words: the number that begins at `begin`, and the one after the first `mark`.
std::optional<uint64_t> told_number(std::string_view words, size_t begin);
std::optional<uint64_t> number_after(std::string_view words, std::string_view mark);

}  // namespace nearfield
