#include "core/remote/hits.h"

#include <unordered_map>
#include <utility>

#include "core/base/sort.h"

namespace nearfield {

bool comes_first(double score, std::string_view id, double other_score, std::string_view other_id) {
  return score != other_score ? score > other_score : id < other_id;
}

void sort_hits(std::vector<StoreHit>& hits) {
  heap_sort(hits,
            [](const StoreHit& a, const StoreHit& b) { return comes_first(a.score, a.point.id, b.score, b.point.id); });
}

void set_leg(std::vector<StoreHit>& hits, std::optional<LegScore> StoreHit::* leg) {
  for (size_t i = 0; i < hits.size(); ++i) hits[i].*leg = LegScore{hits[i].score, i + 1};
}

void drop_below(std::vector<StoreHit>& hits, const std::optional<double>& min_score) {
  if (!min_score) return;
  std::erase_if(hits, [&](const StoreHit& hit) { return hit.score < *min_score; });
}

std::vector<StorePoint> in_order_of(const std::vector<std::string>& ids, const std::vector<StorePoint>& points) {
  std::unordered_map<std::string_view, const StorePoint*> by_id;
  for (const StorePoint& point : points) by_id.emplace(point.id, &point);
  std::vector<StorePoint> out;
  for (const std::string& id : ids) {
    if (const auto point = by_id.find(id); point != by_id.end()) out.push_back(*point->second);
  }
  return out;
}

std::vector<std::string> ids_of(const std::vector<StoreHit>& hits) {
  std::vector<std::string> ids;
  for (const StoreHit& hit : hits) ids.push_back(hit.point.id);
  return ids;
}

void set_points(std::vector<StoreHit>& hits, std::vector<StorePoint> points) {
  size_t next = 0;
  std::erase_if(hits, [&](StoreHit& hit) {
    if (next == points.size() || points[next].id != hit.point.id) return true;
    hit.point = std::move(points[next++]);
    return false;
  });
}

Task<Status> load_parts(VectorStore& store, std::vector<StoreHit>& hits, StoreParts parts) {
  if (hits.empty() || !wants_any(parts)) co_return Status();
  CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points, co_await store.get(ids_of(hits), parts));
  set_points(hits, std::move(points));
  co_return Status();
}

}  // namespace nearfield
