// Lists of hits, as every store answers them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/task.h"
#include "core/store/vector_store.h"

namespace nearfield {

inline constexpr StoreParts kNoParts{.payload = false, .text = false, .vector = false};
inline bool wants_any(StoreParts parts) { return parts.payload || parts.text || parts.vector; }

// By score, and equal ones by id.
bool comes_first(double score, std::string_view id, double other_score, std::string_view other_id);
void sort_hits(std::vector<StoreHit>& hits);

// Tells each hit's score and its rank as those of one leg: `&StoreHit::dense`.
void set_leg(std::vector<StoreHit>& hits, std::optional<LegScore> StoreHit::* leg);

void drop_below(std::vector<StoreHit>& hits, const std::optional<double>& min_score);

// Those of the points that `ids` name, in the order of `ids`.
std::vector<StorePoint> in_order_of(const std::vector<std::string>& ids, const std::vector<StorePoint>& points);

// For hits of which only the ids are known: their ids, and their points, which come in the same order. One that was
// removed in between is a hit no more.
std::vector<std::string> ids_of(const std::vector<StoreHit>& hits);
void set_points(std::vector<StoreHit>& hits, std::vector<StorePoint> points);
// The same, by the store's get(). `store` and `hits` outlive the task.
Task<Status> load_parts(VectorStore& store, std::vector<StoreHit>& hits, StoreParts parts);

}  // namespace nearfield
