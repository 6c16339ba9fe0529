// How much one request asks for, so that its answer is not too long.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/base/status.h"
#include "core/store/vector_store.h"

namespace nearfield {

inline constexpr size_t kIdsAtOnce = 1'000;
// What an answer may have by our own doing, well below what HttpClient takes.
inline constexpr size_t kAnswerBytes = 16 << 20;

// About how many bytes of an answer a point is; its payload may be longer. `dimension`: 0, if it is not known.
inline size_t point_bytes(StoreParts parts, size_t dimension) { return 500 + (parts.vector ? 12 * dimension : 0); }

// How many points one request asks for by their ids.
inline size_t points_at_once(StoreParts parts, size_t dimension) {
  return std::clamp<size_t>(kAnswerBytes / point_bytes(parts, dimension), 1, kIdsAtOnce);
}

// Whether a request for `asked` of something that failed so may be made for fewer, because payloads are longer than was
// thought: `at_once` is half of them then.
inline bool ask_fewer(Code code, size_t asked, size_t& at_once) {
  if (code != Code::kLimitExceeded || asked < 2) return false;
  at_once = asked / 2;
  return true;
}

}  // namespace nearfield
