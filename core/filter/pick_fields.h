// A few fields out of a payload's text, without building a tree of the rest: a filter names one or two fields, and
// payloads have many.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/base/json.h"

namespace nearfield {

// The members of `object` that `names` lists, as an object. REQUIRES: check_json(object).ok(), and it is an object.
// Complexity: linear in the text, once.
Json pick_fields(std::string_view object, std::span<const std::string> names);

}  // namespace nearfield
