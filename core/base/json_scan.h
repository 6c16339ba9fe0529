// A quick look at JSON text: most of what comes is plain, and needs no parser to be found good.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/base/json.h"

namespace nearfield {

// True only for text that check_json accepts. False says nothing: a fault, or something rare that is left to the parser
// (escapes in keys, \u escapes, deep nesting, objects with many keys, numbers with many digits). Allocates nothing.
bool is_plain_json(std::string_view text, const JsonLimits& limits = {});

}  // namespace nearfield
