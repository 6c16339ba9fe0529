// JSON from outside: one bounded parse function over nlohmann/json.
//
// A first pass without a tree checks size, depth, the number of values and repeated keys, so hostile text costs no
// memory; only then is the tree built. NaN and Infinity are not JSON and are refused, as is text that is not UTF-8.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "core/base/status.h"

namespace nearfield {

using Json = nlohmann::json;

struct JsonLimits {
  size_t max_bytes = 16 << 20;
  size_t max_depth = 64;        // nesting of arrays and objects; nlohmann's destructor and dump recurse
  size_t max_values = 1 << 20;  // scalars, arrays, objects and keys together
};

// The tree. Fails with kFormatError (malformed, repeated key; the message names the byte) or kLimitExceeded; `what`
// names the text in messages ("filter", "payload of \"a\"").
// Complexity: two linear passes.
Result<Json> parse_json(std::string_view text, std::string_view what, const JsonLimits& limits = {});

// The first pass alone: the same failures, no tree.
Status check_json(std::string_view text, std::string_view what, const JsonLimits& limits = {});

// The second pass alone, for text that passed check_json() before; null where it did not.
Json read_checked_json(std::string_view text);

// Compact text. Strings that are not UTF-8 are written with U+FFFD in place of bad bytes, so this never throws.
std::string write_json(const Json& json);

// A value for Error::value: its text, or a string of the text's start where that is longer than about 200 bytes.
std::string shown_json(const Json& json);

}  // namespace nearfield
