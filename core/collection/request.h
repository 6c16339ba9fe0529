// SearchRequest: one search, checked.
//
// JSON form (options of collection.search, without the vector, which travels as floats):
//   { "text": "words", "mode": "auto" | "dense" | "text" | "hybrid", "k": 10, "offset": 0, "filter": {...},
//     "minScore": 0.2, "include": ["payload", "text", "vector"], "exact": false, "ef": 128, "nprobe": 8,
//     "rescore": 100,
//     "fusion": { "kind": "rrf", "k": 60, "weights": [1, 1] } | { "kind": "convex", "alpha": 0.35 },
//     "explain": false }
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/base/json.h"
#include "core/base/status.h"
#include "core/filter/filter.h"

namespace nearfield {

inline constexpr size_t kMaxK = 10'000;  // the greatest offset + k
inline constexpr size_t kMaxQueryTextBytes = 1 << 20;

enum class SearchMode : uint8_t { kAuto, kDense, kText, kHybrid };

// Reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR 2009): sum of weight / (k + rank) over the legs.
struct ReciprocalRank {
  double k = 60;            // > 0
  double dense_weight = 1;  // >= 0
  double text_weight = 1;   // >= 0
};
// alpha * dense + (1 - alpha) * text, each leg scaled to 0..1 over its best candidates (Bruch, Gai, Ingber, TOIS 2023).
struct Convex {
  double alpha = 0.35;  // 0 (text only) .. 1 (dense only)
};
using Fusion = std::variant<ReciprocalRank, Convex>;

struct SearchRequest {
  std::span<const float> vector;        // empty: none
  std::string text;                     // empty: none
  SearchMode mode = SearchMode::kAuto;  // auto: every leg there is a query for
  size_t k = 10;                        // 1..kMaxK; may be more than there are points
  size_t offset = 0;
  std::optional<Filter> filter;
  std::optional<double> min_score;
  bool include_payload = true;
  bool include_text = true;
  bool include_vector = false;
  bool exact = false;  // never approximate
  // 0: as the collection is tuned, or else 128 for graphs and an eighth of the partitions.
  size_t ef = 0;       // breadth of a graph search, 1..10,000; raised to k
  size_t nprobe = 0;   // partitions to look at, 1..65,536
  size_t rescore = 0;  // candidates that get exact scores, 1..10,000; raised to k; 0: as the code needs
  Fusion fusion = ReciprocalRank{};
  bool explain = false;
};

// Fails with kConfigError on unknown keys, kInvalidArgument on values out of range, kFilterError on a bad filter; the
// value is named.
Result<SearchRequest> parse_search_request(const Json& json);

}  // namespace nearfield
