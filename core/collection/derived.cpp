// Derived state: keeping the postings and the graph in step with the rows, and carrying them as sections.
#include <nlohmann/json.hpp>

#include "core/base/hash.h"
#include "core/collection/collection.h"
#include "core/collection/state.h"

namespace nearfield {

namespace {

// The section that says which rows the others belong to: u64 version, rows, hash of the live rows and of those with a
// vector, 1 if there is a graph, rows in it.
constexpr std::string_view kRowsSection = "derived.rows";
// Raise it when the analyzer or an index changes what it makes of a row, so that older sections are rebuilt.
constexpr uint64_t kDerivedVersion = 1;

uint64_t hash_rows(const RowSet& rows) {
  Bytes bits((rows.size() + 7) / 8);
  rows.for_each([&](RowId row) { bits[row / 8] |= static_cast<uint8_t>(1u << (row % 8)); });
  return hash64(bits);
}

// Appends the strings that a dotted path leads to, each with a newline before it. Recursion is bounded by the payload's
// nesting, which parse_json bounds.
void append_strings(const Json& value, std::string_view path, bool at_end, std::string& out) {
  if (value.is_array()) {
    for (const Json& element : value) append_strings(element, path, at_end, out);
  } else if (at_end) {
    if (value.is_string()) out.append("\n").append(value.get_ref<const std::string&>());
  } else if (value.is_object()) {
    const size_t dot = path.find('.');
    const auto member = value.find(path.substr(0, dot));
    if (member == value.end()) return;
    const bool last = dot == std::string_view::npos;
    append_strings(*member, last ? std::string_view() : path.substr(dot + 1), last, out);
  }
}

}  // namespace

void Collection::State::derive_added(RowId row) {
  if (deferred || stale) {
    stale = true;
    return;
  }
  if (analyzer) postings.add(row, terms_of(row));
}

void Collection::State::derive_removed(RowId row) {
  if (deferred || stale) {
    stale = true;
    return;
  }
  if (!analyzer) return;
  if (schema.payload_on_demand) {
    postings.remove(row);
  } else {
    postings.remove(row, terms_of(row));
  }
}

void Collection::State::choose_index() {
  if (deferred || stale) return;
  if (!vectors) {
    choice = {IndexKind::kFlat, schema.vectors_on_demand
                                    ? "the vectors are read from storage on every query: exact, in little memory, slow"
                                    : "the collection stores no vectors"};
    return;
  }
  if (graph) return;
  choice = plan_index(schema.kind, live_vector_count, schema.dimension);
  switch (choice.kind) {
    case IndexKind::kFlat: return;
    case IndexKind::kHnsw: break;
  }
  graph = std::make_unique<Hnsw>(*vectors, schema.metric, schema.hnsw);
  unindexed = 0;
}

bool Collection::State::advance_index(size_t rows_left) {
  if (!graph || deferred || stale) return false;
  for (;; --rows_left, graph->add(unindexed)) {
    const auto wanted = [&] {
      return live.contains(unindexed) && with_vector.contains(unindexed) && !graph->rows().contains(unindexed);
    };
    while (unindexed < rows.count() && !wanted()) ++unindexed;
    if (unindexed == rows.count()) return false;
    if (rows_left == 0) return true;
  }
}

void Collection::State::adopt_choice(const State& other) {
  choice = other.choice;
  if (other.graph) graph = std::make_unique<Hnsw>(*vectors, schema.metric, schema.hnsw);
  unindexed = 0;
}

void Collection::State::rebuild() {
  postings = Bm25();
  graph.reset();
  stale = false;
  const bool was_deferred = std::exchange(deferred, false);
  if (analyzer) live.for_each([&](RowId row) { postings.add(row, terms_of(row)); });
  choose_index();
  deferred = was_deferred;
}

std::span<const std::string_view> Collection::State::terms_of(RowId row) {
  analyzer->analyze(indexed_text(row), term_scratch_);
  term_views_.assign(term_scratch_.size(), {});
  for (size_t i = 0; i < term_scratch_.size(); ++i) term_views_[i] = term_scratch_[i].text;
  return term_views_;
}

std::string_view Collection::State::indexed_text(RowId row) {
  const std::vector<std::string>& fields = schema.text->fields;
  const RowView body = view(row);
  if (fields.size() == 1 && fields.front() == "text") return body.text;
  const std::string_view payload = body.payload;
  Json json;
  if (!payload.empty()) json = read_checked_json(payload);
  text_scratch_.clear();
  for (const std::string& field : fields) {
    if (field == "text") {
      text_scratch_.append("\n").append(body.text);
    } else {
      append_strings(json, field, /*at_end=*/false, text_scratch_);
    }
  }
  return text_scratch_;
}

StateSections Collection::derived() const {
  const State& state = *state_;
  assert(!state.stale);
  const uint64_t header[] = {kDerivedVersion,
                             row_count(),
                             hash_rows(state.live),
                             hash_rows(state.with_vector),
                             state.graph ? uint64_t{1} : 0,
                             state.graph ? state.graph->count() : 0};
  StateSections sections;
  sections.push_back(copy_state<uint64_t>(kRowsSection, header));
  const auto take = [&](StateSections more) { std::move(more.begin(), more.end(), std::back_inserter(sections)); };
  if (state.analyzer) take(state.postings.sections());
  if (state.graph) take(state.graph->sections());
  return sections;
}

bool Collection::attach_derived(const SectionViews& sections) {
  State& state = *state_;
  const auto header = section_elements<uint64_t>(sections, kRowsSection);
  if (!header.ok() || header->size() != 6) return false;
  const Elements<uint64_t> values = *header;
  if (values[0] != kDerivedVersion || values[1] != row_count() || values[2] != hash_rows(state.live) ||
      values[3] != hash_rows(state.with_vector)) {
    return false;
  }
  const bool has_graph = values[4] != 0;
  if (has_graph && (!state.vectors || state.schema.kind == IndexKind::kFlat)) return false;

  Bm25 postings;
  if (state.analyzer) {
    auto read = Bm25::from_sections(sections, row_count());
    if (!read.ok()) return false;
    postings = std::move(read).value();
  }
  std::unique_ptr<Hnsw> graph;
  if (has_graph) {
    auto read = Hnsw::from_sections(sections, *state.vectors, state.schema.metric, state.schema.hnsw);
    if (!read.ok() || read.value()->count() != values[5]) return false;
    graph = std::move(read).value();
  }

  cancel_compaction();
  state.postings = std::move(postings);
  state.graph = std::move(graph);
  state.unindexed = 0;
  state.stale = false;
  // The sentence for info(); where there is no graph, also the chance to begin one that the planner wants by now.
  if (state.graph) {
    state.choice = plan_index(state.schema.kind, state.live_vector_count, state.schema.dimension);
    if (state.choice.kind == IndexKind::kFlat) {
      state.choice = {IndexKind::kHnsw, "the collection was larger when its graph was built"};
    }
  }
  const bool was_deferred = std::exchange(state.deferred, false);
  state.choose_index();
  state.advance_index(0);
  state.deferred = was_deferred;
  return true;
}

void Collection::defer_derived(bool defer) { state_->deferred = defer; }

void Collection::rebuild_derived() {
  cancel_compaction();
  state_->rebuild();
}

}  // namespace nearfield
