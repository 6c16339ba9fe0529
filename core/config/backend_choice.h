// Which backend a configuration means.
//
// A name with a local path is the embedded engine; a name with an address or host is the real server. Where two files
// say one each, the later one decides; within one file the address does.
#pragma once

#include <string>

#include "core/config/layers.h"
#include "core/config/settings.h"

namespace nearfield {

struct BackendChoice {
  Backend backend = Backend::kEmbedded;
  std::string name;     // as it is written: "lancedb", "docarray"
  bool memory = false;  // by its name, such as "memory"
  // The first layer from which on the choice is this one: keys of earlier layers were written for another one.
  size_t since = 0;
};

// Whether the name means a backend that is built in.
bool is_built_in(std::string_view name);

// What is wrong with the names is added to `problems`; the choice is then the nearest that makes sense.
BackendChoice choose_backend(const Layers& layers, const Json& message, std::vector<ConfigProblem>& problems);

}  // namespace nearfield
