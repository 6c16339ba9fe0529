// Seeded random points, batches, filters and searches, made so that ties, overwrites and deletes are common, and the
// comparison of a collection with its model (collection_model.h).
#pragma once

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "tests/support/collection_model.h"

namespace nearfield {

inline size_t below(Random& random, size_t bound) { return static_cast<size_t>(random.below(bound)); }

inline constexpr size_t kRandomDim = 3;

inline std::string random_words(Random& random, size_t most) {
  static constexpr const char* kWords[] = {"login", "logins", "user", "getUserName", "token", "req-1.2", "the", "検索"};
  std::string text;
  for (size_t i = below(random, most + 1); i > 0; --i) text += std::string(kWords[below(random, 8)]) + " ";
  return text;
}

// Few values, so that equal scores are common.
inline std::vector<float> random_coarse_vector(Random& random) {
  std::vector<float> vector(kRandomDim);
  for (float& component : vector) component = 0.5f * static_cast<float>(below(random, 5)) - 1;
  return vector;
}

inline Point random_point(Random& random, const Schema& schema) {
  Point point;
  point.id = "id" + std::to_string(below(random, 60));
  if (schema.dimension > 0 && below(random, 6) != 0) point.vector = random_coarse_vector(random);
  point.text = random_words(random, 5);
  if (below(random, 4) != 0) {
    Json payload = {{"n", below(random, 4)}, {"tags", Json::array()}};
    if (below(random, 2) == 0) payload["title"] = random_words(random, 2);
    for (size_t i = below(random, 3); i > 0; --i) payload["tags"].push_back(random_words(random, 1));
    point.payload = payload.dump();
  }
  return point;
}

inline Batch random_batch(Random& random, const Schema& schema) {
  Batch batch;
  for (size_t i = below(random, 3); i > 0; --i) batch.deletes.push_back("id" + std::to_string(below(random, 60)));
  std::map<std::string, Point> upserts;
  for (size_t i = below(random, 7); i > 0; --i) {
    Point point = random_point(random, schema);
    upserts[point.id] = point;
  }
  for (auto& [id, point] : upserts) batch.upserts.push_back(point);
  // Not by id.
  for (size_t i = batch.upserts.size(); i > 1; --i) std::swap(batch.upserts[i - 1], batch.upserts[below(random, i)]);
  return batch;
}

inline std::optional<Filter> random_filter(Random& random) {
  static constexpr const char* kFilters[] = {R"({"n": 1})", R"({"n": {"$ne": 2}})", R"({"tags": {"$exists": false}})",
                                             R"({"$or": [{"n": {"$gt": 2}}, {"title": {"$exists": true}}]})"};
  const size_t which = below(random, 8);
  if (which >= 4) return std::nullopt;
  return std::move(Filter::parse(Json::parse(kFilters[which]))).value();
}

// Holds the query's vector, which a request only views.
struct RandomRequest {
  std::vector<float> vector;
  SearchRequest request;
};

inline RandomRequest random_request(Random& random, const Schema& schema) {
  RandomRequest out;
  const bool can_dense = schema.dimension > 0;
  const bool can_text = schema.text.has_value();
  const bool dense = can_dense && (!can_text || below(random, 3) != 0);
  const bool text = can_text && (!dense || below(random, 2) == 0);
  if (dense) out.vector = random_coarse_vector(random);
  if (text) out.request.text = random_words(random, 3) + "user";
  if (dense && text) out.request.mode = static_cast<SearchMode>(below(random, 4));
  out.request.vector = out.vector;
  out.request.k = 1 + below(random, below(random, 3) == 0 ? 100 : 8);
  out.request.offset = below(random, 3) == 0 ? below(random, 12) : 0;
  out.request.filter = random_filter(random);
  out.request.exact = true;
  if (below(random, 2) == 0) out.request.fusion = Convex{random.unit()};
  if (below(random, 5) == 0) out.request.min_score = random.unit() - 0.5;
  return out;
}

inline bool same_score(double a, double b) { return std::abs(a - b) <= 1e-9 * (1 + std::abs(b)); }

// How the answer to `request` differs from the model's, or empty. REQUIRES: request.exact.
inline std::string hits_difference(const Collection& collection, const Model& model, const SearchRequest& request) {
  const auto result = collection.search(request);
  if (!result.ok()) return "the search fails: " + result.error().message;
  const std::vector<Model::Found> expected = model.search(request);
  if (result->hits.size() != expected.size()) {
    return std::to_string(result->hits.size()) + " hits instead of " + std::to_string(expected.size());
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    const Hit& hit = result->hits[i];
    const std::string where = "hit " + std::to_string(i) + " (" + std::string(hit.row.id) + "): ";
    if (i > 0) {
      const Hit& before = result->hits[i - 1];
      const bool in_order = before.score > hit.score || (before.score == hit.score && before.row.id < hit.row.id);
      if (!in_order) return where + "out of order";
    }
    if (!same_score(hit.score, expected[i].score)) {
      return where + "score " + std::to_string(hit.score) + " instead of " + std::to_string(expected[i].score);
    }
    // The model adds in another order, so scores that tie there may differ in the last bit here, and the other way
    // round.
    // One that is not expected at all ties across an end of the page.
    const auto same = std::ranges::find(expected, hit.row.id, &Model::Found::id);
    const bool ties = same != expected.end() ? same_score(hit.score, same->score)
                                             : same_score(hit.score, expected.front().score) ||
                                                   same_score(hit.score, expected.back().score);
    if (!ties) return where + "instead of " + expected[i].id;
    if (!model.points().contains(std::string(hit.row.id)) ||
        hit.row.text != model.points().at(std::string(hit.row.id)).text)
      return where + "another text";
    if (!hit.dense && !hit.text) return where + "from no leg";
    if (hit.dense && hit.row.vector.empty()) return where + "a dense hit without a vector";
  }
  const size_t allowed = model.matching(request.filter ? &*request.filter : nullptr).size();
  if (result->plan.rows_allowed != allowed || result->plan.reason.empty()) return "the plan is not what was done";
  return "";
}

// The same, but for a hybrid search whose words rank two points that tie, up to the last bit, the other way round: a
// rank is a whole number, so the fused scores then differ by more than rounding.
inline std::string search_difference(const Collection& collection, const Model& model, const SearchRequest& request) {
  const std::string difference = hits_difference(collection, model, request);
  if (difference.empty() || request.vector.empty() || request.text.empty()) return difference;
  SearchRequest words;
  words.text = request.text;
  words.k = kMaxK;
  if (!hits_difference(collection, model, words).empty()) return difference;
  const auto result = collection.search(words);
  const std::vector<Model::Found> expected = model.search(words);
  const bool same_order = std::ranges::equal(
      result->hits, expected, {}, [](const Hit& hit) { return hit.row.id; },
      [](const Model::Found& found) { return std::string_view(found.id); });
  return same_order ? difference : "";
}

// How count, get and scroll differ from the model's, or empty.
inline std::string points_difference(const Collection& collection, const Model& model, Random& random) {
  if (collection.count() != model.points().size()) return "count";
  const std::string id = "id" + std::to_string(below(random, 60));
  const auto found = collection.find(id);
  const auto expected = model.points().find(id);
  if (found.has_value() != (expected != model.points().end())) return id + " is there, or not";
  if (collection.contains(id) != found.has_value()) return id + " is contained, or not";
  if (found) {
    const bool same = found->id == id && found->text == expected->second.text &&
                      found->payload == expected->second.payload &&
                      std::ranges::equal(found->vector, expected->second.vector);
    if (!same) return id + " is another point";
  }
  const auto filter = random_filter(random);
  const Filter* asked = filter ? &*filter : nullptr;
  const std::vector<std::string> matching = model.matching(asked);
  if (collection.count_matching(asked) != matching.size()) return "count by filter";
  std::vector<std::string> scrolled;
  const size_t limit = 1 + below(random, 9);
  for (std::string after;;) {
    const std::vector<RowView> page = collection.scroll(asked, after, limit);
    for (const RowView& row : page) scrolled.emplace_back(row.id);
    if (page.size() > limit) return "a page is too long";
    if (page.size() < limit) break;
    after = scrolled.back();
  }
  return scrolled == matching ? "" : "scroll";
}

}  // namespace nearfield
