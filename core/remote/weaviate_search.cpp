#include <cmath>
#include <set>

#include "core/base/utf8.h"
#include "core/collection/point_check.h"
#include "core/remote/hits.h"
#include "core/remote/query_check.h"
#include "core/remote/scaled.h"
#include "core/remote/score.h"
#include "core/remote/weaviate_parts.h"

namespace nearfield {

namespace {

// From this many objects on a search with a filter is not exact, where the class does not tell.
constexpr uint64_t kFlatCutoff = 40'000;

ServerScale scale_of(Metric metric) {
  switch (metric) {
    case Metric::kCosine: return ServerScale::kOneMinus;
    case Metric::kDot: return ServerScale::kNegated;
    case Metric::kEuclidean: return ServerScale::kSquaredDistance;
    case Metric::kManhattan: break;
  }
  return ServerScale::kDistance;
}

}  // namespace

Result<NativeFusion> native_fusion(const Fusion& fusion) {
  if (const auto* convex = std::get_if<Convex>(&fusion)) {
    return NativeFusion{"relativeScoreFusion", convex->alpha, 1};
  }
  const auto& ranks = std::get<ReciprocalRank>(fusion);
  if (ranks.k != 60) return unsupported("search.fusion.k: Weaviate's is 60", shown(ranks.k));
  const double sum = ranks.dense_weight + ranks.text_weight;
  if (!(sum > 0)) return unsupported("search.fusion: Weaviate takes no two weights of 0", shown(sum));
  return NativeFusion{"rankedFusion", ranks.dense_weight / sum, sum};
}

// One query as it is sent.
struct WeaviateStore::Leg {
  enum class Kind : uint8_t { kDense, kText, kHybrid };
  Kind kind = Kind::kDense;
  double scale = 1;  // of the server's scores
  size_t limit = 0;
  StoreParts parts;
  std::string text;
};

Result<WeaviateStore::Leg> WeaviateStore::leg_of(const StoreQuery& query, const WeaviateCondition& where,
                                                 bool lean) const {
  const bool has_vector = !query.vector.empty(), has_text = !query.text.empty();
  if (!query.sparse.empty()) {
    return unsupported("search.sparse: Weaviate has no sparse vectors; it searches texts by BM25");
  }
  RETURN_IF_ERROR(check_mode(query));
  const bool dense = has_vector && query.mode != SearchMode::kText;
  const bool text = has_text && query.mode != SearchMode::kDense;
  if (text && !options_.text_search) return no_text_search(options_.collection, query.text);
  if (text && !is_utf8(query.text)) return invalid("search.text is not UTF-8", shown(query.text));
  if (query.text.size() > kMaxQueryTextBytes) {
    return Error{Code::kLimitExceeded, "search.text has at most " + std::to_string(kMaxQueryTextBytes) + " bytes",
                 std::to_string(query.text.size())};
  }
  if (has_vector) {
    RETURN_IF_ERROR(check_vector(query.vector, dimension_ > 0 ? dimension_ : query.vector.size(), "the query vector"));
    RETURN_IF_ERROR(check_length(query.vector, options_.metric, "the query vector"));
  }
  RETURN_IF_ERROR(check_range(query));
  if (query.ef > 0 && query.ef != options_.ef) {
    return unsupported("search.ef: Weaviate's is one for the whole collection (index_config.ef)",
                       std::to_string(query.ef));
  }
  if (query.nprobe > 0 || query.rescore > 0) {
    return unsupported(query.nprobe > 0 ? "search.nprobe is for partitioned indexes"
                                        : "search.rescore: Weaviate decides itself how many candidates it scores again",
                       std::to_string(query.nprobe > 0 ? query.nprobe : query.rescore));
  }

  Leg leg;
  leg.limit = query.k;
  leg.parts = lean ? kNoParts : query.parts;
  std::string& out = leg.text;
  out = "{Get{" + class_ + '(';
  const auto add_vector = [&] {
    out += "vector:";
    append_weaviate_vector(out, query.vector, options_.metric);
  };
  const auto add_words = [&] {
    out += "query:";
    append_json_string(out, query.text);
    out += ",properties:[\"" + options_.text_field + "\"]";
  };
  if (dense && text) {
    leg.kind = Leg::Kind::kHybrid;
    ASSIGN_OR_RETURN(const NativeFusion fusion, native_fusion(query.fusion.value_or(options_.fusion)));
    leg.scale = fusion.scale;
    out += "hybrid:{";
    add_words();
    out += ',';
    add_vector();
    out += ",targetVectors:[\"default\"],alpha:";
    append_json_double(out, fusion.alpha);
    out += ",fusionType:" + std::string(fusion.type) + '}';
  } else if (dense) {
    out += "nearVector:{";
    add_vector();
    out += '}';
  } else {
    leg.kind = Leg::Kind::kText;
    out += "bm25:{";
    add_words();
    out += '}';
  }
  // With a filter, however wide, the server looks at every object that passes, if they are not too many.
  const bool exact = query.exact && dense && options_.payload_index;
  if (exact || where.kind != WeaviateCondition::Kind::kAll) out += ",where:" + where.graphql();
  out += ",limit:" + std::to_string(query.k);
  out += ')' + weaviate_selection(options_, leg.parts, leg.kind == Leg::Kind::kDense ? "distance" : "score") + "}}";
  return leg;
}

// Fails where the server will not look at every object that passes; answers whether it does so with any filter.
Task<Result<bool>> WeaviateStore::check_exact(const WeaviateCondition& where) {
  if (!options_.payload_index) {
    co_return unsupported("search.exact: Weaviate takes it with a filter alone, and collection " +
                          shown(options_.collection) +
                          " was configured without an index of payloads (enable_payload_index)");
  }
  CO_ASSIGN_OR_RETURN(const Reply there, co_await described());
  uint64_t cutoff = kFlatCutoff;
  const Json* told = json_at(there.json, {"vectorConfig", "default", "vectorIndexConfig", "flatSearchCutoff"});
  if (told != nullptr && told->is_number_unsigned()) cutoff = told->get<uint64_t>();
  CO_ASSIGN_OR_RETURN(uint64_t count, co_await count_matching({}));
  if (count < cutoff) co_return true;
  if (where.kind != WeaviateCondition::Kind::kAll) {
    CO_ASSIGN_OR_RETURN(count, co_await count_matching(where));
  }
  if (count < cutoff) co_return false;
  co_return unsupported("search.exact: Weaviate compares fewer than " + std::to_string(cutoff) +
                            " points one by one, and these are " + std::to_string(count),
                        std::to_string(count));
}

Result<std::vector<StoreHit>> WeaviateStore::read_hits(const Reply& reply, const Json& answer, const Leg& leg) const {
  ASSIGN_OR_RETURN(const Json* list, found(reply, answer, "Get"));
  if (list->size() > leg.limit) return bad(reply, "more objects than were asked for");
  std::vector<StoreHit> hits;
  std::set<std::string> uuids;
  for (const Json& object : *list) {
    Result<WeaviateRecord> read = read_weaviate_object(object, options_, leg.parts, dimension_);
    if (!read.ok()) return bad(reply, read.error().message);
    if (!uuids.insert(read->uuid).second) return bad(reply, "an object twice");
    const Json& additional = *json_member(object, "_additional");
    double value = 0;
    if (leg.kind == Leg::Kind::kDense) {
      const Json* distance = json_member(additional, "distance");
      if (distance == nullptr || !distance->is_number()) return bad(reply, "a `distance` that is no number");
      value = score_of(options_.metric, scale_of(options_.metric), distance->get<double>());
    } else {
      // A number, as text.
      const std::string* text = string_member(additional, "score");
      const Result<Json> score = parse_json(text == nullptr ? "" : *text, "score");
      if (!score.ok() || !score->is_number()) return bad(reply, "a `score` that is no number in a string");
      value = score->get<double>() * leg.scale;
    }
    if (!std::isfinite(value)) return bad(reply, "a score that is not finite");
    StoreHit hit;
    hit.point = std::move(read->point);
    hit.score = value;
    hits.push_back(std::move(hit));
  }
  sort_hits(hits);
  if (leg.kind == Leg::Kind::kHybrid) return hits;
  set_leg(hits, leg.kind == Leg::Kind::kDense ? &StoreHit::dense : &StoreHit::text);
  return hits;
}

Task<Result<StoreHits>> WeaviateStore::search(std::vector<StoreQuery> queries) {
  return search_in_order(
      *this,
      [](VectorStore& store, const std::vector<StoreQuery>& asked) {
        return static_cast<WeaviateStore&>(store).find(asked);
      },
      std::move(queries));
}

// Without offsets, and equal scores at the end are any.
Task<Result<StoreHits>> WeaviateStore::find(const std::vector<StoreQuery>& queries) {
  CO_RETURN_IF_ERROR(open());
  StoreHits out(queries.size());
  std::vector<Leg> legs;
  std::vector<bool> lean(queries.size(), false);
  bool few = false;  // in all
  for (size_t i = 0; i < queries.size(); ++i) {
    const StoreQuery& query = queries[i];
    if (query.parts.vector) CO_RETURN_IF_ERROR(co_await learn_dimension());
    CO_ASSIGN_OR_RETURN(const WeaviateFilter filter, co_await compile(query.filter ? &*query.filter : nullptr));
    // Too much for one answer: the parts of hits come later, some at a time.
    lean[i] = query.parts.vector && query.k * point_bytes(query.parts, dimension_) > kAnswerBytes;
    CO_ASSIGN_OR_RETURN(Leg leg, leg_of(query, filter.condition, lean[i]));
    if (query.exact && leg.kind != Leg::Kind::kText && !few) {
      CO_ASSIGN_OR_RETURN(few, co_await check_exact(filter.condition));
    }
    legs.push_back(std::move(leg));
  }
  size_t at_once = options_.search_batch;
  for (size_t first = 0; first < legs.size();) {
    size_t bytes = 0, answer_bytes = 0, last = first;
    std::vector<std::string> some;
    while (last < legs.size() && some.size() < at_once) {
      const Leg& leg = legs[last];
      const size_t expected = leg.limit * point_bytes(leg.parts, dimension_);
      if (!some.empty() &&
          (bytes + leg.text.size() > options_.batches.max_bytes || answer_bytes + expected > kAnswerBytes)) {
        break;
      }
      bytes += leg.text.size();
      answer_bytes += expected;
      some.push_back(leg.text);
      ++last;
    }
    const size_t count = some.size();
    Result<Reply> answered = co_await ask(std::move(some));
    if (!answered.ok()) {
      if (ask_fewer(answered.code(), count, at_once)) continue;
      if (answered.code() != Code::kLimitExceeded || lean[first]) co_return std::move(answered).failure();
      const StoreQuery& query = queries[first];
      CO_ASSIGN_OR_RETURN(const WeaviateFilter filter, co_await compile(query.filter ? &*query.filter : nullptr));
      lean[first] = true;
      CO_ASSIGN_OR_RETURN(legs[first], leg_of(query, filter.condition, true));
      continue;
    }
    for (size_t i = first; i < last; ++i) {
      const Json& answer = count > 1 ? answered->json[i - first] : answered->json;
      CO_ASSIGN_OR_RETURN(out[i], read_hits(*answered, answer, legs[i]));
      drop_below(out[i], queries[i].min_score);
    }
    first = last;
  }
  for (size_t i = 0; i < queries.size(); ++i) {
    if (lean[i]) CO_RETURN_IF_ERROR(co_await load_parts(*this, out[i], queries[i].parts));
  }
  co_return std::move(out);
}

}  // namespace nearfield
