// XXH3, 64 bits: the checksum of every stored byte and the content hash of indexed files. Not for secrets.
#pragma once

#include "core/base/bytes.h"

namespace nearfield {

uint64_t hash64(ByteView bytes);

}  // namespace nearfield
