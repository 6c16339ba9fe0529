// What may be shown of a configuration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/config/layers.h"
#include "core/config/settings.h"

namespace nearfield {

// Replaces secrets wherever they stand, as they may also have been written where they do not belong.
class Mask {
 public:
  // Shorter ones would hit words that happen to be the same.
  static constexpr size_t kLeastBytes = 6;

  void add(std::string_view secret);
  void apply(std::string& text) const;

 private:
  std::vector<std::string> secrets_;
};

// JSON text of a value as it was written: variables not looked up, secrets as "***", of addresses what follows // only
// where nobody can have hidden a key in it.
std::string shown_value(const Key& key, const Given& given);

// JSON text of an object: what the settings became. Keys are camelCase; secrets are "***" or null.
std::string show_settings(const Settings& settings, const Mask& mask);

}  // namespace nearfield
