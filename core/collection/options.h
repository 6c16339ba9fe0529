// Reading option objects: the checks that the JSON forms of schemas and requests share.
//
// `path` names the object in messages ("search", "schema.index"); `key` is one of its keys.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/json.h"
#include "core/base/status.h"

namespace nearfield {

// Fails with kConfigError when `json` is not an object, and on the first key that is not in `known`; the message lists
// those.
Status check_keys(const Json& json, std::string_view path, std::span<const std::string_view> known);

// The value of `key`, or nullptr.
const Json* find_option(const Json& json, std::string_view key);

// "path.key expected, got value" with the value shown.
Error option_error(Code code, std::string_view path, std::string_view key, std::string_view expected,
                   const Json& value);

// A whole number from `low` to `high`, also when written 1e3.
// Fails with `wrong_type` on another type, kInvalidArgument on fractions and numbers outside.
Result<size_t> read_size(const Json& value, std::string_view path, std::string_view key, size_t low, size_t high,
                         Code wrong_type);

// "a, b, c"
std::string comma_list(std::span<const std::string_view> names);

}  // namespace nearfield
