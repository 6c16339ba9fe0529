#include <algorithm>
#include <cmath>
#include <map>

#include "core/collection/point_check.h"
#include "core/remote/chroma_parts.h"
#include "core/remote/hits.h"
#include "core/remote/query_check.h"
#include "core/remote/scaled.h"
#include "core/remote/score.h"

namespace nearfield {

namespace {

constexpr size_t kMostScoredHere = 100'000;

ServerScale scale_of(Metric metric) {
  return metric == Metric::kEuclidean ? ServerScale::kSquaredDistance : ServerScale::kOneMinus;
}

}  // namespace

// One query of a request.
struct ChromaStore::Asked {
  size_t query = 0;  // of the call
  std::string vector;
  std::string where;  // empty: none
  StoreParts parts;
  size_t limit = 0;
};

Status ChromaStore::check_query(const StoreQuery& query) const {
  const bool has_vector = !query.vector.empty(), has_text = !query.text.empty();
  const bool has_sparse = !query.sparse.indices.empty() || !query.sparse.values.empty();
  if (!has_vector && !has_text && !has_sparse) return invalid("a search needs a vector", "");
  const bool dense_only = query.mode == SearchMode::kDense;
  if (!dense_only && (has_text || query.mode == SearchMode::kText || query.mode == SearchMode::kHybrid)) {
    return unsupported(
        "search.text: a Chroma server of one node searches by vectors alone; search by mode dense, or keep the texts "
        "in "
        "an embedded collection",
        shown(query.text));
  }
  if (!dense_only && has_sparse) return unsupported("search.sparse: a Chroma server of one node has no sparse vectors");
  if (!has_vector) return invalid("a search of mode dense needs a vector", shown(std::string_view("dense")));
  RETURN_IF_ERROR(check_vector(query.vector, options_.dimension > 0 ? options_.dimension : query.vector.size(),
                               "the query vector"));
  RETURN_IF_ERROR(check_length(query.vector, options_.metric, "the query vector"));
  RETURN_IF_ERROR(check_range(query));
  if (query.ef > 0) {
    return unsupported("search.ef: Chroma has it as a setting of the collection (ef), not of a search",
                       std::to_string(query.ef));
  }
  if (query.nprobe > 0) return unsupported("search.nprobe is for partitioned indexes", std::to_string(query.nprobe));
  if (query.rescore > 0) {
    return unsupported("search.rescore: Chroma compares whole vectors", std::to_string(query.rescore));
  }
  return {};
}

// Hits from the first on, in any order, become those that the query asked for.
void ChromaStore::finish(std::vector<StoreHit>& hits, const StoreQuery& query) const {
  sort_hits(hits);
  hits.resize(std::min(hits.size(), query.k));
  set_leg(hits, &StoreHit::dense);
  drop_below(hits, query.min_score);
}

// One request for queries that differ in their vectors alone, or several where its answer is too long.
Task<Status> ChromaStore::search_some(std::vector<Asked>& asked, StoreHits& out) {
  const StoreParts parts = asked[0].parts;
  const size_t hit_bytes = point_bytes(parts, std::max(options_.dimension, dimension_));
  size_t at_once = options_.search_batch;
  for (size_t first = 0; first < asked.size();) {
    size_t last = first, most = 0, bytes = 0;
    std::string vectors;
    while (last < asked.size() && last - first < at_once) {
      const size_t limit = std::max(most, asked[last].limit);
      const bool fits = bytes + asked[last].vector.size() <= options_.batches.max_bytes &&
                        (last - first + 1) * limit * hit_bytes <= kAnswerBytes;
      if (last > first && !fits) break;
      if (last > first) vectors += ',';
      most = limit;
      bytes += asked[last].vector.size();
      vectors += asked[last++].vector;
    }
    std::string body = "{\"query_embeddings\":[" + vectors + "],\"n_results\":" + std::to_string(most);
    if (!asked[0].where.empty()) body += ",\"where\":" + asked[0].where;
    const std::string wanted = include(parts);
    body += ",\"include\":[\"distances\"" + (wanted.empty() ? "" : ',' + wanted) + "]}";
    Result<Reply> answered = co_await post("/query", std::move(body));
    if (!answered.ok()) {
      if (ask_fewer(answered.code(), last - first, at_once)) continue;
      co_return std::move(answered).failure();
    }
    const Reply& reply = *answered;
    const Json* ids = json_member(reply.json, "ids");
    const Json* distances = json_member(reply.json, "distances");
    if (ids == nullptr || !ids->is_array() || ids->size() != last - first || distances == nullptr ||
        !distances->is_array() || distances->size() != ids->size()) {
      co_return bad(reply, "not one list of `ids` and `distances` for each query");
    }
    for (size_t i = first; i < last; ++i) {
      CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points, read_points(reply, parts, most, i - first));
      const Json& row = (*distances)[i - first];
      if (!row.is_array() || row.size() != points.size()) co_return bad(reply, "not one distance for each point");
      std::vector<StoreHit>& hits = out[asked[i].query];
      for (size_t j = 0; j < points.size(); ++j) {
        if (!row[j].is_number()) co_return bad(reply, "a distance that is no number");
        const auto distance = row[j].get<double>();
        if (!std::isfinite(distance)) co_return bad(reply, "a distance that is not finite");
        StoreHit hit;
        hit.point = std::move(points[j]);
        hit.score = score_of(options_.metric, scale_of(options_.metric), distance);
        hits.push_back(std::move(hit));
      }
    }
    first = last;
  }
  co_return Status();
}

Task<Result<std::vector<StoreHit>>> ChromaStore::search_exactly(const StoreQuery& query, const ChromaFilter& filter) {
  constexpr StoreParts kVector{.payload = false, .text = false, .vector = true};
  CO_ASSIGN_OR_RETURN(std::vector<std::string> ids, co_await all_matching(filter, kMostScoredHere));
  std::vector<StoreHit> hits;
  for (size_t first = 0; first < ids.size(); first += kMaxPage) {
    const auto some = std::span(ids).subspan(first, std::min(kMaxPage, ids.size() - first));
    CO_ASSIGN_OR_RETURN(const std::vector<StorePoint> points, co_await records({some.begin(), some.end()}, kVector));
    for (const StorePoint& point : points) {
      if (point.vector.empty()) continue;
      if (point.vector.size() != query.vector.size()) {
        co_return dimension_mismatch(Code::kDimensionMismatch, point.vector.size(), query.vector.size());
      }
      StoreHit hit;
      hit.point.id = point.id;
      hit.score = exact_score(options_.metric, query.vector, point.vector);
      hits.push_back(std::move(hit));
    }
  }
  finish(hits, query);
  if (hits.empty() || !wants_any(query.parts)) co_return std::move(hits);
  CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points, co_await in_order(ids_of(hits), query.parts));
  set_points(hits, std::move(points));
  co_return std::move(hits);
}

Task<Result<StoreHits>> ChromaStore::search(std::vector<StoreQuery> queries) {
  return search_in_order(
      *this,
      [](VectorStore& store, const std::vector<StoreQuery>& asked) {
        return static_cast<ChromaStore&>(store).find(asked);
      },
      std::move(queries), true);
}

// Without offsets, and equal scores at the end are any.
Task<Result<StoreHits>> ChromaStore::find(const std::vector<StoreQuery>& queries) {
  CO_RETURN_IF_ERROR(open());
  StoreHits out(queries.size());
  if (queries.empty()) co_return std::move(out);
  for (const StoreQuery& query : queries) CO_RETURN_IF_ERROR(check_query(query));
  CO_RETURN_IF_ERROR(co_await resolve());
  std::map<std::string, std::vector<Asked>> groups;
  for (size_t i = 0; i < queries.size(); ++i) {
    const StoreQuery& query = queries[i];
    CO_ASSIGN_OR_RETURN(ChromaFilter filter, co_await compile(query.filter ? &*query.filter : nullptr));
    if (query.exact) {
      CO_ASSIGN_OR_RETURN(out[i], co_await search_exactly(query, filter));
    } else if (!filter.nothing) {
      Asked asked{i, {}, std::move(filter.where), query.parts, query.k};
      append_chroma_vector(asked.vector, query.vector, options_.metric);
      const char parts = static_cast<char>('0' + (query.parts.payload ? 1 : 0) + (query.parts.text ? 2 : 0) +
                                           (query.parts.vector ? 4 : 0));
      groups[parts + asked.where].push_back(std::move(asked));
    }
  }
  for (auto& [alike, asked] : groups) CO_RETURN_IF_ERROR(co_await search_some(asked, out));
  for (size_t i = 0; i < queries.size(); ++i) {
    if (!queries[i].exact) finish(out[i], queries[i]);
  }
  co_return std::move(out);
}

}  // namespace nearfield
