// SearchRequest: one search, checked.
//
// In a message, where every search costs its reading, it is binary: little-endian, a string being its length in bytes
// (u32) and UTF-8, empty where nothing was given.
//
//   u32 flags: bits 0 and 1 the mode (SearchMode); 2 payload, 3 text, 4 vector: to be included; 5 exact; 6 explain;
//       7 the fusion is convex
//   u32 k | u32 offset | u32 ef | u32 nprobe | u32 rescore | f64 minScore, NaN: none
//   f64 x 3, the fusion: k, weight of the dense leg, of the text leg; or alpha and two that are ignored
//   u32 components of the vector
//   text | filter, JSON text | zero bytes to a multiple of 4 | components, f32 each
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/bytes.h"
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

// The vector stays where it is: a view into what `message` reads.
// Fails with kFormatError on a malformed message, kInvalidArgument on values out of range, kLimitExceeded on a text
// that is too long, kConfigError on unknown keys of fusion, kFilterError on a bad filter; the value is named. REQUIRES:
// the message starts at an address for floats.
Result<SearchRequest> read_search_request(ByteReader& message);

// A filter from its JSON text; none where that is empty. Fails as Filter::parse and parse_json do.
Result<std::optional<Filter>> parse_filter(std::string_view text);

}  // namespace nearfield
