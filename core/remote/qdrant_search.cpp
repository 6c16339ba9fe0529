#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "core/base/sort.h"
#include "core/collection/fusion.h"
#include "core/collection/point_check.h"
#include "core/remote/hits.h"
#include "core/remote/json_text.h"
#include "core/remote/qdrant_parts.h"
#include "core/remote/query_check.h"
#include "core/remote/scaled.h"
#include "core/remote/score.h"

namespace nearfield {

namespace {

constexpr size_t kMinCandidates = 100;  // as a search of Collection

ServerScale scale_of(Metric metric) {
  return metric == Metric::kCosine || metric == Metric::kDot ? ServerScale::kSimilarity : ServerScale::kDistance;
}

}  // namespace

// One query of a request.
struct QdrantStore::Leg {
  enum class Kind : uint8_t { kDense, kText, kSparse };
  Kind kind = Kind::kDense;
  size_t query = 0;    // of the call
  bool alone = false;  // its hits are the answer
  size_t limit = 0;
  std::string body;
  StoreParts parts;
};

// What a leg found, best first.
struct QdrantStore::Ranked {
  std::vector<StoreHit> hits;
};

// What a query asks the server: one leg, or two that are fused.
Result<std::vector<QdrantStore::Leg>> QdrantStore::legs_of(const StoreQuery& query, const QdrantFilter& filter) {
  const QdrantLayout& layout = options_.layout;
  const bool has_vector = !query.vector.empty(), has_text = !query.text.empty(), has_sparse = !query.sparse.empty();
  RETURN_IF_ERROR(check_mode(query));
  const bool dense = has_vector && query.mode != SearchMode::kText;
  const bool text = has_text && query.mode != SearchMode::kDense;
  const bool sparse = has_sparse && (query.mode == SearchMode::kAuto || query.mode == SearchMode::kHybrid);
  if (text && sparse) {
    return unsupported("a search takes a text or a sparse vector beside its vector, not both");
  }
  if (text && layout.text_vector.empty()) return no_text_search(options_.collection, query.text);
  if (has_vector) {
    const size_t dimension = layout.dimension > 0 ? layout.dimension : query.vector.size();
    RETURN_IF_ERROR(check_vector(query.vector, dimension, "the query vector"));
    RETURN_IF_ERROR(check_length(query.vector, layout.metric, "the query vector"));
  }
  RETURN_IF_ERROR(check_sparse(query.sparse, "the query's sparse vector"));
  RETURN_IF_ERROR(check_range(query));
  if (query.nprobe > 0 || query.rescore > 0) {
    return unsupported(query.nprobe > 0 ? "search.nprobe is for partitioned indexes; Qdrant's takes ef"
                                        : "search.rescore: Qdrant decides itself how many candidates it scores again",
                       std::to_string(query.nprobe > 0 ? query.nprobe : query.rescore));
  }

  const bool hybrid = dense && (text || sparse);
  const size_t limit = hybrid ? std::max(query.k, kMinCandidates) : query.k;
  std::vector<Leg> legs;
  const auto add = [&](Leg::Kind kind, std::string_view what, std::string_view name) {
    Leg leg{.kind = kind,
            .query = 0,
            .alone = !hybrid,
            .limit = limit,
            .body = {},
            .parts = hybrid ? kNoParts : query.parts};
    leg.body = "{\"query\":" + std::string(what);
    if (!name.empty()) {
      leg.body += ",\"using\":";
      append_json_string(leg.body, name);
    }
    leg.body += ",\"limit\":" + std::to_string(limit);
    if (!filter.everything) leg.body += ",\"filter\":" + filter.text;
    const size_t ef = query.ef > 0 ? query.ef : options_.ef;
    if (kind == Leg::Kind::kDense && query.exact) {
      leg.body += ",\"params\":{\"exact\":true}";
    } else if (kind == Leg::Kind::kDense && ef > 0) {
      leg.body += ",\"params\":{\"hnsw_ef\":" + std::to_string(std::max(ef, limit)) + '}';
    }
    leg.body += ',' + qdrant_selection(layout, leg.parts) + '}';
    legs.push_back(std::move(leg));
  };
  if (dense) {
    std::string what;
    append_dense(what, query.vector, layout.metric);
    add(Leg::Kind::kDense, what, layout.vector);
  }
  if (text) {
    const SparseVector words = query_weights(*analyzer_, query.text, layout.sparse_dimension);
    std::string what;
    append_sparse(what, words);
    if (!words.empty()) add(Leg::Kind::kText, what, layout.text_vector);
  }
  if (sparse) {
    std::string what;
    append_sparse(what, query.sparse);
    add(Leg::Kind::kSparse, what, layout.sparse_vector);
  }
  return legs;
}

// One request for all of the legs, and what each found.
Task<Result<std::vector<QdrantStore::Ranked>>> QdrantStore::run(const std::vector<Leg>& legs) {
  std::string body;
  for (const Leg& leg : legs) {
    body += body.empty() ? "" : ",";
    body += leg.body;
  }
  const bool batch = legs.size() > 1;
  if (batch) body = "{\"searches\":[" + body + "]}";
  CO_ASSIGN_OR_RETURN(const Reply reply,
                      co_await post(batch ? "/points/query/batch" : "/points/query", std::move(body)));
  if (batch && (!reply.json.is_array() || reply.json.size() != legs.size())) {
    co_return bad(reply, "not one result for each query");
  }
  std::vector<Ranked> out;
  for (size_t i = 0; i < legs.size(); ++i) {
    const Leg& leg = legs[i];
    const Json* points = json_member(batch ? reply.json[i] : reply.json, "points");
    if (points == nullptr || !points->is_array()) co_return bad(reply, "no `points`");
    if (points->size() > leg.limit) co_return bad(reply, "more points than were asked for");
    Ranked ranked;
    std::set<std::string> keys;
    for (const Json& hit : *points) {
      Result<QdrantRecord> read = read_qdrant_point(hit, options_.layout, leg.parts);
      if (!read.ok()) co_return bad(reply, read.error().message);
      if (!keys.insert(read->key).second) co_return bad(reply, "a point twice");
      const Json* score = json_member(hit, "score");
      if (score == nullptr || !score->is_number()) co_return bad(reply, "a `score` that is no number");
      const auto value = score->get<double>();  // finite: parse_json takes nothing else for a number
      StoreHit found;
      found.point = std::move(read->point);
      found.score = leg.kind == Leg::Kind::kDense
                        ? score_of(options_.layout.metric, scale_of(options_.layout.metric), value)
                        : value;
      ranked.hits.push_back(std::move(found));
    }
    sort_hits(ranked.hits);
    out.push_back(std::move(ranked));
  }
  co_return std::move(out);
}

Task<Result<StoreHits>> QdrantStore::search(std::vector<StoreQuery> queries) {
  return search_in_order(
      *this,
      [](VectorStore& store, const std::vector<StoreQuery>& asked) {
        return static_cast<QdrantStore&>(store).find(asked);
      },
      std::move(queries));
}

// Without offsets, and equal scores at the end are any.
Task<Result<StoreHits>> QdrantStore::find(const std::vector<StoreQuery>& queries) {
  CO_RETURN_IF_ERROR(open());
  StoreHits out(queries.size());
  std::vector<Leg> legs;
  for (size_t i = 0; i < queries.size(); ++i) {
    const StoreQuery& query = queries[i];
    if (query.parts.vector) CO_RETURN_IF_ERROR(co_await learn_dimension());
    CO_ASSIGN_OR_RETURN(const QdrantFilter filter, co_await compile(query.filter ? &*query.filter : nullptr));
    CO_ASSIGN_OR_RETURN(std::vector<Leg> asked, legs_of(query, filter));
    for (Leg& leg : asked) {
      leg.query = i;
      legs.push_back(std::move(leg));
    }
  }
  std::vector<Ranked> found;
  for (size_t first = 0; first < legs.size();) {
    size_t bytes = 0;
    std::vector<Leg> some;
    while (first < legs.size() && some.size() < options_.search_batch &&
           (some.empty() || bytes + legs[first].body.size() <= options_.batches.max_bytes)) {
      bytes += legs[first].body.size();
      some.push_back(legs[first++]);
    }
    CO_ASSIGN_OR_RETURN(std::vector<Ranked> ranked, co_await run(some));
    std::move(ranked.begin(), ranked.end(), std::back_inserter(found));
  }

  for (size_t at = 0; at < legs.size();) {
    const size_t i = legs[at].query;
    const StoreQuery& query = queries[i];
    std::vector<StoreHit>& hits = out[i];
    if (legs[at].alone) {
      hits = std::move(found[at].hits);
      set_leg(hits, legs[at].kind == Leg::Kind::kDense  ? &StoreHit::dense
                    : legs[at].kind == Leg::Kind::kText ? &StoreHit::text
                                                        : &StoreHit::sparse);
      ++at;
    } else {
      // The rows of the fusion are numbers of `ids`.
      std::map<std::string, RowId> rows;
      std::vector<std::string> ids;
      const auto scored = [&](const Ranked& ranked) {
        std::vector<Scored> list;
        for (const StoreHit& hit : ranked.hits) {
          const auto [row, fresh] = rows.emplace(hit.point.id, static_cast<RowId>(ids.size()));
          if (fresh) ids.push_back(hit.point.id);
          list.push_back({row->second, hit.score});
        }
        return list;
      };
      const bool paired = at + 1 < legs.size() && legs[at + 1].query == i;
      const std::vector<Scored> dense = scored(found[at]);
      const std::vector<Scored> other = paired ? scored(found[at + 1]) : std::vector<Scored>();
      const bool sparse = paired && legs[at + 1].kind == Leg::Kind::kSparse;
      std::vector<FusedRow> fused = fuse(query.fusion.value_or(options_.fusion), dense, other);
      heap_sort(fused, [&](const FusedRow& a, const FusedRow& b) {
        return comes_first(a.score, ids[a.row], b.score, ids[b.row]);
      });
      for (size_t rank = 0; rank < std::min(fused.size(), query.k); ++rank) {
        StoreHit hit;
        hit.point.id = ids[fused[rank].row];
        hit.score = fused[rank].score;
        hit.dense = fused[rank].dense;
        (sparse ? hit.sparse : hit.text) = fused[rank].text;
        hits.push_back(std::move(hit));
      }
      at += paired ? 2 : 1;
    }
    drop_below(hits, query.min_score);
  }
  for (size_t at = 0; at < legs.size(); ++at) {
    const bool first = at == 0 || legs[at - 1].query != legs[at].query;
    const size_t i = legs[at].query;
    if (first && !legs[at].alone) CO_RETURN_IF_ERROR(co_await load_parts(*this, out[i], queries[i].parts));
  }
  co_return std::move(out);
}

}  // namespace nearfield
