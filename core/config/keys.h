// Keys: what a configuration may say, as keys.def lists it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/config/settings.h"

namespace nearfield {

enum class KeyType : uint8_t { kText, kPath, kSecret, kUrl, kHost, kHosts, kWhole, kNumber, kFlag, kChoice, kWindow };

using Target =
    std::variant<std::monostate, std::string Settings::*, Secret Settings::*, double Settings::*, uint64_t Settings::*,
                 bool Settings::*, std::vector<std::string> Settings::*, Metric Settings::*, IndexChoice Settings::*>;

enum class Handling : uint8_t { kImplemented, kReported, kRejected, kLater };

struct Key {
  std::string_view path;
  KeyType type;
  double low, high;  // of numbers
  std::string_view unit;
  std::string_view fallback;  // as keys.def has it; see fallback_on()
  Target target;
  std::string_view cells[4];  // by Backend
  std::string_view meaning;

  // What becomes of it on a backend. A custom one is handed everything that is not for later.
  Handling handling(Backend backend) const;
  // The default as JSON text; empty: none.
  std::string_view fallback_on(Backend backend) const;
  // How it is implemented, or why it is not; may be empty.
  std::string_view note(Backend backend) const;
  // What to use where it is rejected; may be empty.
  std::string_view alternative(Backend backend) const;
  // Of a kChoice, in order.
  std::vector<std::string_view> choices() const;
  // The backend whose table, or flat key, of [vectordb] it stands in; empty: of none.
  std::string_view owner() const;
};

std::span<const Key> keys();

// nullptr where there is none. A part of a path that a row leaves open matches any name.
const Key* find_key(std::string_view path);
// Whether keys stand below it.
bool is_table(std::string_view path);

// The full path of the known key or table that was probably meant; empty where none is near. A path with the same last
// part counts as near.
std::string suggest_key(std::string_view path);

// The name that is at most about a third of its letters away from `word`; empty where there is none. Letters' case
// does not count. O(|word| |name|) each; words of more than 64 bytes are near nothing.
std::string_view nearest_name(std::string_view word, std::span<const std::string_view> names);

}  // namespace nearfield
