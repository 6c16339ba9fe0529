// How many candidates of an index get an exact score, so that the best `limit` are among them.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/quant/code.h"

namespace nearfield {

// By the width of a component, measured on text embeddings of 384 components: codes of 8 bits have the true 10 among
// their best 20, of 4 bits among their best 50, the product quantiser with a byte for four components among its best
// 27, codes of one bit among their best 100, for all but one row in 200.
inline size_t rescored(CodeKind code, size_t limit) {
  switch (code) {
    case CodeKind::kF32:
    case CodeKind::kF16:
    case CodeKind::kSq8:
    case CodeKind::kRq8: return std::max(2 * limit, limit + 10);
    case CodeKind::kRq4:
    case CodeKind::kPq8: return std::max(4 * limit, limit + 40);
    case CodeKind::kPq4:
    case CodeKind::kRaBitQ: break;
  }
  return std::max(10 * limit, limit + 90);
}

}  // namespace nearfield
