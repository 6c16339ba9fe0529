#include "core/base/hash.h"

// In WebAssembly xxHash would reach for Emscripten's NEON emulation; its scalar loop is what we want.
#undef __wasm_simd128__
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace nearfield {

uint64_t hash64(ByteView bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace nearfield
