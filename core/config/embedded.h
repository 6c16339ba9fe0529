// Settings as the embedded engine takes them.
#pragma once

#include <string>

#include "core/config/settings.h"

namespace nearfield {

// The schema of the collection, JSON text as core/collection/schema.h reads it; without "dimension" where the settings
// do not say it. REQUIRES: settings.backend is embedded.
std::string embedded_schema(const Settings& settings);

}  // namespace nearfield
