// The names of an enumeration's values, as users write them: a table, which its .def file fills.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"

namespace nearfield {

template <typename Enum>
struct Spelling {
  Enum value;
  std::string_view name;
};

// Empty where the table does not have the value.
template <typename Enum, size_t count>
std::string_view name_in(const Spelling<Enum> (&table)[count], Enum value) {
  for (const Spelling<Enum>& each : table) {
    if (each.value == value) return each.name;
  }
  return "";
}

// Fails with kInvalidArgument, listing the known names; `what` is what the table has.
template <typename Enum, size_t count>
Result<Enum> parse_by(const Spelling<Enum> (&table)[count], std::string_view what, std::string_view name) {
  std::string known;
  for (const Spelling<Enum>& each : table) {
    if (each.name == name) return each.value;
    if (!known.empty()) known += ", ";
    known += each.name;
  }
  return Error{Code::kInvalidArgument, "unknown " + std::string(what) + " " + shown(name) + "; known are " + known,
               shown(name)};
}

}  // namespace nearfield
