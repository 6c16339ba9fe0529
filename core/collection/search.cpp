// Search: legs (dense, text) over one set of allowed rows, fused into one ranking.
#include <algorithm>
#include <optional>
#include <unordered_set>

#include "core/collection/collection.h"
#include "core/collection/fusion.h"
#include "core/collection/point_check.h"
#include "core/collection/state.h"
#include "core/index/flat.h"
#include "core/index/ranking.h"
#include "core/index/rescoring.h"

namespace nearfield {

namespace {

// Fusion looks at this many of each leg even where fewer hits are wanted; min-max scaling is defined over them.
constexpr size_t kMinCandidates = 100;

// A word that more than this share of the rows hold says little about a hit.
constexpr double kCommonShare = 0.25;

// So many vectors are scored sooner than an index is asked.
constexpr size_t kFewRows = 1'000;

struct Legs {
  bool dense = false;
  bool text = false;
};

Error missing(std::string_view mode, std::string_view what) {
  return {Code::kInvalidArgument, "a search of mode " + std::string(mode) + " needs a " + std::string(what),
          shown(mode)};
}

Result<Legs> choose_legs(const SearchRequest& request) {
  const bool has_vector = !request.vector.empty();
  const bool has_text = !request.text.empty();
  if (!has_vector && !has_text) return Error{Code::kInvalidArgument, "a search needs a vector, a text or both", ""};
  switch (request.mode) {
    case SearchMode::kAuto: return Legs{has_vector, has_text};
    case SearchMode::kDense:
      if (!has_vector) return missing("dense", "vector");
      return Legs{true, false};
    case SearchMode::kText:
      if (!has_text) return missing("text", "text");
      return Legs{false, true};
    case SearchMode::kHybrid:
      if (!has_vector) return missing("hybrid", "vector");
      if (!has_text) return missing("hybrid", "text");
      return Legs{true, true};
  }
  return Legs{};
}

// Keeps the best `limit` of `ranked` (anything with row and score), by score, then by id. A leg hands over every row
// that shares the last score, so what is kept does not depend on the order of rows.
template <typename Ranked>
void keep_best(std::vector<Ranked>& ranked, size_t limit, const RowStore& rows) {
  const auto better = [&](const Ranked& a, const Ranked& b) {
    return a.score != b.score ? a.score > b.score : rows.id(a.row) < rows.id(b.row);
  };
  const auto end = ranked.begin() + static_cast<ptrdiff_t>(std::min(limit, ranked.size()));
  std::partial_sort(ranked.begin(), end, ranked.end(), better);
  ranked.erase(end, ranked.end());
}

// A lone leg is its own ranking, with its raw scores.
std::vector<FusedRow> alone(const std::vector<Scored>& leg, std::optional<LegScore> FusedRow::* side) {
  std::vector<FusedRow> rows(leg.size());
  for (size_t i = 0; i < leg.size(); ++i) {
    rows[i].row = leg[i].row;
    rows[i].score = leg[i].score;
    rows[i].*side = LegScore{leg[i].score, i + 1};
  }
  return rows;
}

using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

// Where `terms` (in order of `begin`) are among `wanted`, merged.
Ranges matching_ranges(const std::vector<Term>& terms, const std::unordered_set<std::string_view>& wanted) {
  Ranges ranges;
  for (const Term& term : terms) {
    if (wanted.count(term.text) == 0) continue;
    if (!ranges.empty() && term.begin <= ranges.back().second) {
      ranges.back().second = std::max(ranges.back().second, term.end);
    } else {
      ranges.emplace_back(term.begin, term.end);
    }
  }
  return ranges;
}

// Whether scoring the vectors of `allowed` of the `total` rows takes less than asking the index. A walk of a graph that
// keeps ef allowed rows meets about ef / share nodes, with m new neighbours each, where `share` of the graph's rows are
// allowed. Other kinds compare codes for less than a tenth of what vectors take, and vectors of the best again.
bool scan_is_cheaper(const VectorIndex& index, const HnswOptions& graph, size_t allowed, size_t total, size_t ef) {
  if (index.kind() != IndexKind::kHnsw) return allowed <= kFewRows;
  const auto rows = static_cast<double>(allowed);
  return rows * rows <= static_cast<double>(ef) * static_cast<double>(graph.m) * static_cast<double>(total);
}

}  // namespace

// The rows to score by their vectors: those that the index names and those that it does not have, or all.
std::optional<std::vector<Scored>> Collection::State::ask_index(const SearchRequest& request, const RowSet& searchable,
                                                                size_t limit, LegResult& leg) const {
  leg.strategy = index_kind_name(IndexKind::kFlat);
  leg.reason = reason();
  if (wants_training()) leg.reason += "; the index is still being learned, and rows are scanned";
  if (!index || stale) return std::nullopt;
  if (request.exact) {
    leg.reason = "the request asks for exact results";
    return std::nullopt;
  }
  const bool graph = index->kind() == IndexKind::kHnsw;
  const size_t asked = graph ? request.ef : request.nprobe;
  const size_t own = effort > 0 ? effort : default_effort(*index);
  const size_t spent = std::max(asked > 0 ? asked : own, graph ? limit : 1);
  const size_t wanted = request.filter ? searchable.count() : live_vector_count;
  // What is read from storage costs more than any scan of codes.
  const bool few = schema.vectors_on_demand ? wanted <= limit
                                            : wanted < live_vector_count && scan_is_cheaper(*index, schema.hnsw, wanted,
                                                                                            live_vector_count, spent);
  if (few) {
    leg.reason = request.filter ? "the filter leaves " + std::to_string(wanted) + " rows, few enough to scan"
                                : "there are no more rows than are asked for";
    return std::nullopt;
  }
  const bool whole = !request.filter && unindexed >= rows.count();
  const size_t available = whole ? live_vector_count : searchable.count_common(index->rows());
  if (index->count() > 0) leg.strategy = index_kind_name(index->kind());
  if (available < wanted) {
    leg.reason += "; " + std::to_string(wanted - available) + " rows it has yet to take in are scanned";
  }
  std::vector<Scored> candidates;
  if (limit > 0 && available > 0) {
    const size_t named = request.rescore > 0 ? std::max(request.rescore, limit) : default_rescore(limit);
    index->find({request.vector, searchable, available, limit, named, spent}, candidates, leg.scored);
  }
  return candidates;
}

size_t Collection::State::default_rescore(size_t limit) const {
  // As many candidates a hit as tuning found for ten.
  const size_t tuned = limit < kMaxK ? rescored_rows * std::max(limit, Tuning::kLimit) / Tuning::kLimit : 0;
  return std::max(rescored(index->code(), limit), std::min(tuned, kMaxK));
}

LegResult Collection::State::search_dense(const SearchRequest& request, const RowSet& allowed, size_t limit) const {
  RowSet narrowed;
  const RowSet& searchable = with_vectors(allowed, narrowed);
  LegResult leg;
  const std::optional<std::vector<Scored>> candidates = ask_index(request, searchable, limit, leg);
  if (!candidates) {
    leg.scored = searchable.count();
    leg.rows = flat_search(*vectors, schema.metric, request.vector, searchable, limit);
    return leg;
  }
  leg.rows = rescore(*vectors, schema.metric, request.vector, *candidates, limit);
  if (unindexed < rows.count()) {
    RowSet tail = searchable;
    tail.subtract(index->rows());
    for (const Scored& found : flat_search(*vectors, schema.metric, request.vector, tail, limit)) {
      leg.rows.push_back(found);
    }
    rank(leg.rows, limit);
    leg.scored += tail.count();
  }
  return leg;
}

RowSet Collection::rows_to_score(const SearchRequest& request, const SearchShape& shape, const RowSet& allowed,
                                 LegResult& leg) const {
  const State& state = *state_;
  RowSet narrowed;
  const RowSet& searchable = state.with_vectors(allowed, narrowed);
  const auto candidates = state.ask_index(request, searchable, shape.candidates, leg);
  RowSet rows = searchable;
  if (candidates) {
    rows.subtract(state.index->rows());
    for (const Scored& candidate : *candidates) rows.insert(candidate.row);
  }
  leg.scored += rows.count();
  return rows;
}

const RowSet& Collection::State::with_vectors(const RowSet& allowed, RowSet& narrowed) const {
  // Rows that are allowed are live.
  if (live_vector_count == live_count) return allowed;
  narrowed = allowed;
  narrowed.intersect(with_vector);
  return narrowed;
}

LegResult Collection::State::search_text(const SearchRequest& request, const RowSet& allowed, size_t limit) const {
  assert(!stale);
  std::vector<Term> terms;
  analyzer->analyze(request.text, terms);
  std::vector<std::string_view> words(terms.size());
  for (size_t i = 0; i < terms.size(); ++i) words[i] = terms[i].text;
  LegResult leg;
  leg.strategy = "text";
  leg.reason = "only the text is asked for";
  leg.rows = postings.search(words, allowed, limit, &leg.scored);
  keep_best(leg.rows, limit, rows);
  return leg;
}

Result<SearchShape> Collection::shape(const SearchRequest& request) const {
  const State& state = *state_;
  ASSIGN_OR_RETURN(const Legs legs, choose_legs(request));
  if (!request.vector.empty()) {
    RETURN_IF_ERROR(check_vector(request.vector, state.schema.dimension, "the query vector"));
  }
  if (legs.text && !state.schema.text) {
    return Error{Code::kInvalidArgument,
                 "collection " + state.name + " has no text index; create it with the schema option text, or search " +
                     "with a vector alone",
                 shown(request.text)};
  }
  if (request.k == 0) return Error{Code::kInvalidArgument, "search.k must be at least 1, got 0", "0"};
  const bool partitioned = state.schema.kind && is_partitioned(*state.schema.kind);
  if (partitioned ? request.ef > 0 : request.nprobe > 0) {
    return Error{Code::kUnsupported,
                 partitioned ? "search.ef is for graphs; this collection's index is partitioned and takes nprobe"
                             : "search.nprobe is for partitioned indexes; this collection's index takes ef",
                 shown(static_cast<int64_t>(partitioned ? request.ef : request.nprobe))};
  }

  // Offset first: the sum of two unchecked sizes may not fit.
  const size_t offset = std::min(request.offset, kMaxK);
  const size_t limit = std::min(offset + std::min(request.k, kMaxK), kMaxK);
  const bool hybrid = legs.dense && legs.text;
  return SearchShape{legs.dense, legs.text, offset, limit, hybrid ? std::max(limit, kMinCandidates) : limit};
}

Result<SearchResult> Collection::search(const SearchRequest& request) const {
  ASSIGN_OR_RETURN(const SearchShape wanted, shape(request));
  RowSet matched;
  if (request.filter) matched = matching(&*request.filter);
  const RowSet& allowed = request.filter ? matched : state_->live;
  return search(request, wanted, allowed, wanted.dense ? search_dense(request, wanted, allowed) : LegResult());
}

LegResult Collection::search_dense(const SearchRequest& request, const SearchShape& shape,
                                   const RowSet& allowed) const {
  return state_->search_dense(request, allowed, shape.candidates);
}

SearchResult Collection::search(const SearchRequest& request, const SearchShape& shape, const RowSet& allowed,
                                LegResult dense) const {
  const State& state = *state_;
  const bool hybrid = shape.dense && shape.text;
  LegResult text;
  if (shape.text) text = state.search_text(request, allowed, shape.candidates);
  keep_best(dense.rows, shape.candidates, state.rows);

  std::vector<FusedRow> ranking;
  SearchResult result;
  if (hybrid) {
    ranking = fuse(request.fusion, dense.rows, text.rows);
    keep_best(ranking, shape.limit, state.rows);
    result.plan.strategy = "hybrid(" + std::string(dense.strategy) + ", text)";
    result.plan.reason = std::move(dense.reason);
  } else {
    LegResult& leg = shape.dense ? dense : text;
    ranking = alone(leg.rows, shape.dense ? &FusedRow::dense : &FusedRow::text);
    result.plan.strategy = leg.strategy;
    result.plan.reason = std::move(leg.reason);
  }
  result.plan.rows_allowed = request.filter ? allowed.count() : state.live_count;
  result.plan.rows_scored = dense.scored + text.scored;

  result.hits.reserve(ranking.size() - std::min(shape.offset, ranking.size()));
  for (size_t i = shape.offset; i < ranking.size(); ++i) {
    const FusedRow& ranked = ranking[i];
    if (request.min_score && ranked.score < *request.min_score) break;
    result.hits.push_back({ranked.row, state.view(ranked.row), ranked.score, ranked.dense, ranked.text});
  }
  return result;
}

std::vector<std::pair<uint32_t, uint32_t>> Collection::highlights(std::string_view query, std::string_view text) const {
  if (!state_->analyzer) return {};
  std::vector<Term> query_terms;
  state_->analyzer->analyze(query, query_terms);
  std::unordered_set<std::string_view> rare;
  std::unordered_set<std::string_view> common;
  for (const Term& term : query_terms) {
    (state_->postings.share_of_rows(term.text) > kCommonShare ? common : rare).insert(term.text);
  }
  std::vector<Term> text_terms;
  state_->analyzer->analyze(text, text_terms);
  Ranges ranges = matching_ranges(text_terms, rare);
  return ranges.empty() ? matching_ranges(text_terms, common) : ranges;
}

}  // namespace nearfield
