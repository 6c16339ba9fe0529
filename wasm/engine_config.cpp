// Configuration.
#include "core/config/configuration.h"
#include "wasm/engine.h"
#include "wasm/marshal.h"

namespace nearfield {

Engine::Answer Engine::config(Message& message) {
  ASSIGN_OR_RETURN(const Configuration made, read_configuration(message.options));
  return configuration_json(made);
}

}  // namespace nearfield
