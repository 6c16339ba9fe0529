// ${NAME} in texts of a configuration, replaced by what an environment says.
#pragma once

#include <string>
#include <string_view>

#include "core/base/json.h"
#include "core/base/status.h"

namespace nearfield {

// Once: what is put in is not looked at again. $${ is a literal ${; any other $ stands for itself. A name is a letter
// or
// _, then letters, digits and _. `environment` is an object of strings.
// Fails with kInvalidConfig on a variable that is not there, naming it, and on a ${ without a name and a }; messages
// hold no value.
Result<std::string> expand(std::string_view text, const Json& environment);

// Whether expand() would look something up, or fail.
bool has_variable(std::string_view text);

}  // namespace nearfield
