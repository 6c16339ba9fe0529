// Layers: what files, environment and options give for each key, before it is looked at.
//
// Included by source files only: it needs all of nlohmann/json, which is slow to compile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/config/configuration.h"
#include "core/config/keys.h"

namespace nearfield {

struct Given {
  Json value;
  std::string odd;  // how it was written, where JSON has no spelling for it
  size_t layer = 0;
  std::string source;
  uint64_t line = 0;
};

// A key that no row of keys.def has.
struct Unknown {
  std::string path;
  Given given;
};

struct Layers {
  // By row of keys.def and full path; of each the values of all layers that have one, in order.
  std::map<std::pair<const Key*, std::string>, std::vector<Given>> known;
  std::vector<Unknown> unknown;
  // Tables of registered backends, merged, by name; and where they were first seen.
  std::map<std::string, std::pair<Json, Given>, std::less<>> custom;
  size_t count = 0;  // of layers
  std::string dialect;

  // The value of the last layer before `end` that has one; nullptr where there is none.
  const Given* find(std::string_view path, size_t end) const;
  const Given* find(std::string_view path) const { return find(path, count); }
};

// Fails with kFormatError, as read_configuration(). `problems` gets what is wrong with the shape of a layer.
Result<Layers> read_layers(const Json& message, std::vector<ConfigProblem>& problems);

}  // namespace nearfield
