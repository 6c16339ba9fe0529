// Bytes in pieces, as a file's parts bring them.
#pragma once

#include <algorithm>
#include <vector>

#include "core/base/bytes.h"

namespace nearfield {

// Pieces of `most` bytes; the last may be shorter. REQUIRES: most >= 1.
inline std::vector<Bytes> cut(ByteView bytes, size_t most) {
  std::vector<Bytes> pieces;
  for (size_t begin = 0; begin < bytes.size(); begin += most) {
    const ByteView piece = bytes.subspan(begin, std::min(most, bytes.size() - begin));
    pieces.emplace_back(piece.begin(), piece.end());
  }
  return pieces;
}

}  // namespace nearfield
