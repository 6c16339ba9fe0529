// Derived state: keeping the postings and the graph in step with the rows, and carrying them as sections.
#include <nlohmann/json.hpp>

#include "core/base/hash.h"
#include "core/base/random.h"
#include "core/collection/collection.h"
#include "core/collection/state.h"

namespace nearfield {

namespace {

// The section that says which rows the others belong to: u64 version, rows, hash of the live rows and of those with a
// vector, the kind of index and the code (0: there is none), rows in it, the effort and the candidates it was tuned to
// and the rows it then had, and the live rows when it was learned.
constexpr std::string_view kRowsSection = "derived.rows";
constexpr size_t kRowsValues = 11;
// Raise it when the analyzer or an index changes what it makes of a row, so that older sections are rebuilt.
constexpr uint64_t kDerivedVersion = 3;

// What a partitioned index is tuned to where the schema does not say.
constexpr double kDefaultRecall = 0.95;
// A hundred questions, and a thousand neighbours: the recall that is measured is right within a point.
constexpr size_t kTuningQuestions = 100;

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

std::string_view Collection::State::reason() const {
  return gave_up ? "there was no memory for an index; optimize() tries again" : std::string_view(choice.reason);
}

void Collection::State::choose_index() {
  if (deferred || stale || index || gave_up) return;
  if (schema.dimension == 0) {
    choice = {IndexKind::kFlat, "the collection stores no vectors"};
    return;
  }
  choice = plan_index(schema.kind, live_vector_count, schema.dimension, schema.vectors_on_demand);
  const IndexOptions options = index_options();
  if (options.kind == IndexKind::kFlat && options.code == CodeKind::kF32) return;
  if (!learns(options)) {
    index = make_index(options, index_place());
    unindexed = 0;
  } else if (live_vector_count < kLeastRowsToLearn) {
    choice.reason += "; " + std::to_string(live_vector_count) + " rows are too few to learn from, and are scanned";
  }
}

bool Collection::State::wants_training() const {
  return !deferred && !stale && !index && !gave_up && schema.dimension > 0 && learns(index_options()) &&
         live_vector_count >= kLeastRowsToLearn;
}

double Collection::State::recall_target() const {
  const bool graph = choice.kind == IndexKind::kHnsw, flat = choice.kind == IndexKind::kFlat;
  return flat ? 0 : schema.recall.value_or(graph ? 0 : kDefaultRecall);
}

bool Collection::State::wants_tuning() const {
  return !deferred && !stale && index && unindexed == rows.count() && recall_target() > 0 &&
         live_vector_count >= kLeastRowsToLearn && index->count() >= 2 * tuned_rows;
}

RowId Collection::State::next_unindexed(RowId row) const {
  const auto end = static_cast<RowId>(rows.count());
  while (row < end && (!live.contains(row) || !with_vector.contains(row) || index->rows().contains(row))) ++row;
  return row;
}

RowId Collection::State::next_unshown(RowId row) const {
  const auto end = static_cast<RowId>(rows.count());
  while (row < end && (!live.contains(row) || !with_vector.contains(row))) ++row;
  return row;
}

IndexStep Collection::State::advance_index(size_t rows_left) {
  if (deferred || stale) return IndexStep::kDone;
  if (index) {
    index->expect(live_vector_count);
    for (; (unindexed = next_unindexed(unindexed)) < rows.count(); --rows_left) {
      const std::span<const float> vector = view(unindexed).vector;
      if (vector.empty()) return IndexStep::kAway;
      if (rows_left == 0) return IndexStep::kMore;
      index->add(unindexed, vector);
    }
  }
  if (!wants_training() && !wants_tuning()) return IndexStep::kDone;
  if (rows_left == 0) return IndexStep::kMore;
  if (training) {
    if (!training->advance()) index = training->take(), training.reset(), unindexed = 0;
  } else if (tuning) {
    RowId row = next_unshown(tuning->next());
    if (row < rows.count()) {
      for (size_t left = tuning->rows_at_once(); left > 0 && row < rows.count(); --left) {
        const std::span<const float> vector = view(row).vector;
        if (vector.empty()) return IndexStep::kAway;
        tuning->show(row, vector);
        row = next_unshown(row + 1);
      }
    } else if (!tuning->advance(*index, live)) {
      effort = tuning->effort();
      rescored_rows = tuning->rescore();
      tuned_rows = index->count();
      tuning.reset();
    }
  } else if (schema.vectors_on_demand) {
    return IndexStep::kAway;
  } else {
    const RowSet rows_of_it = sample_rows();
    std::vector<float> sample;
    sample.reserve(rows_of_it.count() * schema.dimension);
    rows_of_it.for_each([&](RowId row) {
      const std::span<const float> vector = vectors->row(row);
      sample.insert(sample.end(), vector.begin(), vector.end());
    });
    take_sample(std::move(sample));
  }
  return IndexStep::kMore;
}

RowSet Collection::State::random_rows(size_t count, uint64_t seed) const {
  RowSet drawn(rows.count());
  std::vector<RowId> candidates;
  live.for_each([&](RowId row) {
    if (with_vector.contains(row)) candidates.push_back(row);
  });
  // The first places of a shuffle.
  Random random(seed);
  for (size_t i = 0; i < std::min(count, candidates.size()); ++i) {
    std::swap(candidates[i], candidates[i + random.below(candidates.size() - i)]);
    drawn.insert(candidates[i]);
  }
  return drawn;
}

RowSet Collection::State::sample_rows() const {
  const size_t count = wants_training() ? rows_to_learn(index_options(), schema.dimension, live_vector_count)
                                        : kTuningQuestions * rows_a_question(index->kind());
  return random_rows(count, schema.hnsw.seed);
}

void Collection::State::take_sample(std::vector<float> sample) {
  if (wants_training() && !training && !sample.empty()) {
    training = std::make_unique<IndexTraining>(index_options(), index_place(), std::move(sample), live_vector_count);
    learned_rows = live_vector_count;
  } else if (wants_tuning() && !tuning && !sample.empty()) {
    const MatrixView drawn(sample, schema.dimension);
    const size_t rows_each = std::min(rows_a_question(index->kind()), drawn.count());
    tuning =
        std::make_unique<Tuning>(schema.metric, schema.dimension, questions_between(schema.metric, drawn, rows_each),
                                 recall_target(), std::min(most_effort(*index), index->count()));
  }
}

void Collection::State::adopt_choice(const State& other) {
  choice = other.choice;
  if (other.index && !learns(other.index_options())) index = make_index(index_options(), index_place());
  unindexed = 0;
}

void Collection::State::drop_index() {
  index.reset();
  training.reset();
  tuning.reset();
  effort = rescored_rows = tuned_rows = learned_rows = 0;
  unindexed = 0;
  gave_up = false;
}

void Collection::State::rebuild() {
  postings = Bm25();
  drop_index();
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
                             state.index ? static_cast<uint64_t>(state.index->kind()) : 0,
                             state.index ? static_cast<uint64_t>(state.index->code()) : 0,
                             state.index ? state.index->count() : 0,
                             state.effort,
                             state.rescored_rows,
                             state.tuned_rows,
                             state.learned_rows};
  StateSections sections;
  sections.push_back(copy_state<uint64_t>(kRowsSection, header));
  const auto take = [&](StateSections more) { std::move(more.begin(), more.end(), std::back_inserter(sections)); };
  if (state.analyzer) take(state.postings.sections());
  if (state.index) take(state.index->sections(state.schema.vectors_on_demand));
  return sections;
}

bool Collection::attach_derived(const SectionViews& sections) {
  State& state = *state_;
  const auto header = section_elements<uint64_t>(sections, kRowsSection);
  if (!header.ok() || header->size() != kRowsValues) return false;
  const Elements<uint64_t> values = *header;
  if (values[0] != kDerivedVersion || values[1] != row_count() || values[2] != hash_rows(state.live) ||
      values[3] != hash_rows(state.with_vector)) {
    return false;
  }
  const bool has_index = values[4] != 0;
  if (has_index) {
    // What the schema asks for, or what the planner may have chosen once.
    const IndexOptions asked = state.schema.index(state.schema.kind.value_or(IndexKind::kHnsw));
    if (state.schema.dimension == 0 || values[4] != static_cast<uint64_t>(asked.kind) ||
        values[5] != static_cast<uint64_t>(asked.code)) {
      return false;
    }
  }

  Bm25 postings;
  if (state.analyzer) {
    auto read = Bm25::from_sections(sections, row_count());
    if (!read.ok()) return false;
    postings = std::move(read).value();
  }
  std::unique_ptr<VectorIndex> index;
  if (has_index) {
    const auto kind = static_cast<IndexKind>(values[4]);
    auto read = load_index(sections, state.schema.index(kind), state.index_place(), row_count());
    if (!read.ok() || read.value()->count() != values[6]) return false;
    index = std::move(read).value();
  }

  cancel_compaction();
  state.postings = std::move(postings);
  state.drop_index();
  state.index = std::move(index);
  if (state.index) state.effort = static_cast<size_t>(std::min<uint64_t>(values[7], most_effort(*state.index)));
  state.rescored_rows = static_cast<size_t>(std::min<uint64_t>(values[8], Tuning::kMostRescored));
  state.tuned_rows = static_cast<size_t>(std::min<uint64_t>(values[9], state.index ? state.index->count() : 0));
  state.learned_rows = static_cast<size_t>(std::min<uint64_t>(values[10], row_count()));
  state.stale = false;
  // The sentence for info(); where there is no index, also the chance to begin one that the planner wants by now.
  if (state.index) {
    state.choice =
        plan_index(state.schema.kind, state.live_vector_count, state.schema.dimension, state.schema.vectors_on_demand);
    if (state.choice.kind != state.index->kind()) {
      state.choice = {state.index->kind(), "the collection was larger when its index was built"};
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
