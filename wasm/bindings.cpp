// The names JavaScript calls. Nothing is decided here: verbs live in engine.cpp, conversions in marshal.cpp.
//
// A leading underscore says: private to the package.
#include <emscripten/bind.h>

#include "wasm/engine.h"

namespace nearfield {

// One shape for every verb: the length of the message in the input buffer goes in, the outcome is read from memory.
template <Engine::Verb verb>
void call(Engine& engine, uint32_t length) {
  engine.call(verb, length);
}

EMSCRIPTEN_BINDINGS(nearfield) {
  emscripten::class_<Engine>("Engine")
      .constructor<>()
      .function("_input", &Engine::input)      // bytes wanted -> offset in memory, 0: none to be had
      .function("_outcome", &Engine::outcome)  // offset of code, offset and length of the last answer
      .function("_takeEffects", &call<&Engine::take_effects>)
      .function("_answer", &call<&Engine::answer>)
      .function("_open", &call<&Engine::open>)
      .function("_close", &call<&Engine::close>)
      .function("_checkpoint", &call<&Engine::checkpoint>)
      .function("_createCollection", &call<&Engine::create_collection>)
      .function("_dropCollection", &call<&Engine::drop_collection>)
      .function("_upsert", &call<&Engine::upsert>)
      .function("_remove", &call<&Engine::remove>)
      .function("_clear", &call<&Engine::clear>)
      .function("_probe", &call<&Engine::probe>)
      .function("_optimize", &call<&Engine::optimize>)
      .function("_cancelOptimize", &call<&Engine::cancel_optimize>)
      .function("_backup", &call<&Engine::backup>)
      .function("_restore", &call<&Engine::restore>)
      .function("_doctor", &call<&Engine::doctor>)
      .function("_refresh", &call<&Engine::refresh>)
      .function("_promote", &call<&Engine::promote>)
      .function("_info", &call<&Engine::info>)
      .function("_describe", &call<&Engine::describe>)
      .function("_search", &call<&Engine::search>)
      .function("_get", &call<&Engine::get>)
      .function("_count", &call<&Engine::count>)
      .function("_scroll", &call<&Engine::scroll>)
      .function("_loadEmbedder", &call<&Engine::load_embedder>)
      .function("_embed", &call<&Engine::embed>)
      .function("_openSpecs", &call<&Engine::open_specs>)
      .function("_indexFiles", &call<&Engine::index_files>)
      .function("_removeMissing", &call<&Engine::remove_missing>);
}

}  // namespace nearfield
