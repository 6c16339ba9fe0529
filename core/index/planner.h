// The planner: picks an index kind where the user left it to us.
#pragma once

#include <optional>
#include <string>

#include "core/index/kinds.h"

namespace nearfield {

struct Choice {
  IndexKind kind = IndexKind::kFlat;
  std::string reason;  // one sentence for info()
};

// From this many components (rows * dim) on, a flat scan reads so much that `auto` builds a graph: 20 million are
// 80 MB and about 8 ms a query at the 10 GB/s measured for a scan in WebAssembly; 80,000 rows of 256.
constexpr uint64_t kGraphComponents = 20'000'000;

// The same where every scan reads the vectors from storage: some 8 MB.
constexpr uint64_t kStoredGraphComponents = 2'000'000;

// The kind for `rows` live rows: `wanted` if there is one, else flat while its exact scan is fast enough, else HNSW.
// `stored`: the vectors are not in memory.
Choice plan_index(std::optional<IndexKind> wanted, size_t rows, size_t dim, bool stored = false);

}  // namespace nearfield
