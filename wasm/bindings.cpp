// The names JavaScript calls. Nothing is decided here: verbs live in engine*.cpp, conversions in marshal.cpp.
//
// A leading underscore says: private to the package.
#include <emscripten/bind.h>

#include <cassert>
#include <iterator>

#include "wasm/engine.h"

namespace nearfield {

namespace {

// Four modules are made of these sources, and this one has only the verbs that are in its list: what nothing else
// calls is left out when it is linked. Of the words of verbs.def, Engine and All stand for more than one.
enum Modules {
  kPlain = 1,
  kSpecs = 2,
  kDoctor = 4,
  kConnect = 8,
  kEngine = kPlain | kSpecs | kConnect,
  kAll = kEngine | kDoctor
};

constexpr Engine::Verb kVerbs[] = {
#define NEARFIELD_VERB(name, member, module) (k##module & NEARFIELD_MODULE) != 0 ? &Engine::member : nullptr,
#include "wasm/verbs.def"
#undef NEARFIELD_VERB
};

// One shape for every verb: its number in verbs.def and the length of the message in the input buffer go in, the
// outcome is read from memory. A function for each verb would cost its name and its types. REQUIRES: the number is one
// of the list.
void call(Engine& engine, uint32_t verb, uint32_t length) {
  assert(verb < std::size(kVerbs));
  engine.call(kVerbs[verb], length);
}

}  // namespace

EMSCRIPTEN_BINDINGS(nearfield) {
  emscripten::class_<Engine>("Engine")
      .constructor<>()
      .function("_input", &Engine::input)      // bytes wanted -> offset in memory, 0: none to be had
      .function("_outcome", &Engine::outcome)  // offset of code, offset and length of the last answer
      .function("_call", &call);
}

}  // namespace nearfield
