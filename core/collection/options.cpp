#include "core/collection/options.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace nearfield {

namespace {

// The value as a double that is a whole number of at least `low`.
Result<double> read_whole(const Json& value, std::string_view path, std::string_view key, size_t low,
                          std::string_view expected, Code wrong_type) {
  if (!value.is_number()) return option_error(wrong_type, path, key, expected, value);
  const double number = value.get<double>();
  if (!(number >= static_cast<double>(low)) || number != std::trunc(number)) {
    return option_error(Code::kInvalidArgument, path, key, expected, value);
  }
  return number;
}

}  // namespace

Status check_keys(const Json& json, std::string_view path, std::span<const std::string_view> known) {
  if (!json.is_object()) {
    return Error{Code::kConfigError, std::string(path) + " must be an object", shown_json(json)};
  }
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return Error{Code::kConfigError,
                   std::string(path) + " has no option " + shown(key) + "; known are " + comma_list(known), shown(key)};
    }
  }
  return {};
}

const Json* find_option(const Json& json, std::string_view key) {
  const auto found = json.find(key);
  return found == json.end() ? nullptr : &*found;
}

Error option_error(Code code, std::string_view path, std::string_view key, std::string_view expected,
                   const Json& value) {
  std::string value_shown = shown_json(value);
  std::string message = std::string(path) + "." + std::string(key) + " must be " + std::string(expected) + ", got ";
  message += value_shown;
  return {code, std::move(message), std::move(value_shown)};
}

Result<size_t> read_size(const Json& value, std::string_view path, std::string_view key, size_t low, size_t high,
                         Code wrong_type) {
  const std::string expected = "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  ASSIGN_OR_RETURN(const double number, read_whole(value, path, key, low, expected, wrong_type));
  if (number > static_cast<double>(high)) return option_error(Code::kInvalidArgument, path, key, expected, value);
  return static_cast<size_t>(number);
}

std::string comma_list(std::span<const std::string_view> names) {
  std::string list;
  for (const std::string_view name : names) {
    if (!list.empty()) list += ", ";
    list += name;
  }
  return list;
}

}  // namespace nearfield
