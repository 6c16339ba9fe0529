#include "core/collection/collection.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/hash.h"
#include "core/base/json_scan.h"
#include "core/base/utf8.h"
#include "core/collection/point_check.h"
#include "core/collection/state.h"
#include "core/filter/payload_filter.h"

namespace nearfield {

namespace {

constexpr size_t kMaxRows = size_t{1} << 30;  // as many as the postings can number
constexpr size_t kCompactionDeadRows = 1'000;

// Rows that are put into an index in one go: some eight milliseconds' worth. Of 384 components a graph takes 32, and of
// what only makes a code, or looks for a partition as well, 40 and 8 times as many go into that.
size_t rows_indexed_at_once(IndexKind kind, size_t dimension) {
  const size_t times = kind == IndexKind::kHnsw ? 1 : kind == IndexKind::kFlat ? 40 : 8;
  return std::clamp<size_t>(times * 12'288 / std::max<size_t>(dimension, 1), 1, times * 32);
}

Error limit_error(const std::string& what, size_t size, size_t limit) {
  return {Code::kLimitExceeded,
          what + " has " + std::to_string(size) + " bytes; at most " + std::to_string(limit) + " are allowed",
          shown(static_cast<int64_t>(size))};
}

Status check_payload(std::string_view id, std::string_view payload) {
  if (payload.empty()) return {};
  JsonLimits limits;
  limits.max_bytes = kMaxPayloadBytes;
  const size_t first = payload.find_first_not_of(" \t\r\n");
  // Text for messages is made only where there is something to say.
  const bool object = first != std::string_view::npos && payload[first] == '{';
  if (object && is_plain_json(payload, limits)) return {};
  const std::string what = "payload of " + shown(id);
  RETURN_IF_ERROR(check_json(payload, what, limits));
  if (object) return {};
  return Error{Code::kFormatError, what + ": must be a JSON object", shown(payload)};
}

Status check_count(size_t points, size_t rows_before, size_t rows_added) {
  if (points > kMaxBatchPoints) {
    return Error{
        Code::kLimitExceeded,
        "a batch of " + std::to_string(points) + " points; at most " + std::to_string(kMaxBatchPoints) + " are allowed",
        shown(static_cast<int64_t>(points))};
  }
  if (rows_before + rows_added > kMaxRows) {
    return Error{Code::kLimitExceeded, "the collection has no row numbers left; compact it first",
                 shown(static_cast<int64_t>(rows_before))};
  }
  return {};
}

// REQUIRES: count <= kMaxBatchPoints. `id_of(i)` answers views that hold.
template <typename IdOf>
Status check_distinct(size_t count, IdOf id_of) {
  std::vector<uint32_t> slots(std::bit_ceil(2 * count + 1));  // open addressing: position + 1, or 0
  for (uint32_t i = 0; i < count; ++i) {
    const std::string_view id = id_of(i);
    size_t slot = static_cast<size_t>(hash64(as_bytes(id))) & (slots.size() - 1);
    for (; slots[slot] != 0; slot = (slot + 1) & (slots.size() - 1)) {
      if (id_of(slots[slot] - 1) != id) continue;
      return Error{Code::kInvalidArgument, "the id " + shown(id) + " stands twice in one batch", shown(id)};
    }
    slots[slot] = i + 1;
  }
  return {};
}

Status check_dimension(size_t found, size_t expected) {
  if (found == expected) return {};
  return Error{Code::kDimensionMismatch,
               "Vector dimension mismatch: expected " + std::to_string(expected) + ", got " + std::to_string(found),
               shown(static_cast<int64_t>(found))};
}

}  // namespace

Status check_id(std::string_view id) {
  if (id.empty()) return Error{Code::kInvalidArgument, "an id is empty", shown(id)};
  if (id.size() > kMaxIdBytes) return limit_error("the id " + shown(id), id.size(), kMaxIdBytes);
  if (!is_utf8(id)) return Error{Code::kInvalidArgument, "an id is not UTF-8", shown(to_utf8(id))};
  if (id.find('\0') != std::string_view::npos) {
    return Error{Code::kInvalidArgument, "the id " + shown(id) + " holds a NUL character", shown(id)};
  }
  return {};
}

Status check_strings(std::string_view id, std::string_view text, std::string_view payload) {
  RETURN_IF_ERROR(check_id(id));
  if (text.size() > kMaxTextBytes) return limit_error("text of " + shown(id), text.size(), kMaxTextBytes);
  if (!is_utf8(text)) return Error{Code::kInvalidArgument, "text of " + shown(id) + " is not UTF-8", shown(id)};
  return check_payload(id, payload);
}

Status check_vector(std::span<const float> vector, size_t dimension, std::string_view what) {
  RETURN_IF_ERROR(check_dimension(vector.size(), dimension));
  if (all_finite(Elements<float>(view_bytes(vector)))) return {};
  for (size_t i = 0; i < vector.size(); ++i) {
    if (std::isfinite(vector[i])) continue;
    std::string value = shown(static_cast<double>(vector[i]));
    std::string message = std::string(what) + ": component " + std::to_string(i) + " is not finite: ";
    message += value;
    return Error{Code::kInvalidArgument, std::move(message), std::move(value)};
  }
  return {};
}

Collection::State::State(std::string collection_name, Schema collection_schema)
    : name(std::move(collection_name)), schema(std::move(collection_schema)) {
  if (schema.dimension > 0 && !schema.vectors_on_demand) {
    vectors = std::make_unique<VectorTable>(schema.dimension);
    no_vector_.resize(schema.dimension);
  }
  if (schema.text) analyzer = std::make_unique<Analyzer>(AnalyzerOptions{schema.text->stemming});
  choose_index();
}

std::optional<RowId> Collection::State::live_row(std::string_view id) const {
  const std::optional<RowId> row = rows.find(id);
  return row && live.contains(*row) ? row : std::nullopt;
}

RowId Collection::State::append_row(std::string_view id, std::span<const float> vector, std::string_view text,
                                    std::string_view payload) {
  if (vectors) vectors->append(vector.empty() ? std::span<const float>(no_vector_) : vector);
  const RowId row = append_body(id, text, payload, Elements<float>(view_bytes(vector)));
  add_live(row, !vector.empty());
  return row;
}

RowId Collection::State::append_body(std::string_view id, std::string_view text, std::string_view payload,
                                     Elements<float> vector) {
  if (!schema.on_demand()) return rows.append(id, text, payload);
  ResidentRows::Row body;
  if (schema.payload_on_demand) {
    body.text = std::exchange(text, {});
    body.payload = std::exchange(payload, {});
  }
  if (schema.vectors_on_demand) body.vector = vector.copy();
  resident.append(std::move(body));
  return rows.append(id, text, payload);
}

void Collection::State::add_live(RowId row, bool has_vector) {
  live.grow(rows.count());
  live.insert(row);
  ++live_count;
  with_vector.grow(rows.count());
  if (has_vector) {
    with_vector.insert(row);
    ++live_vector_count;
  }
}

void Collection::State::append_vectors(const RowColumns& columns) {
  if (!vectors) return;
  size_t begin = 0;  // in columns.vectors
  for (size_t row = 0; row < columns.rows();) {
    if (!columns.has_vector(row)) {
      vectors->append(no_vector_);
      ++row;
      continue;
    }
    size_t run = 1;
    while (row + run < columns.rows() && columns.has_vector(row + run)) ++run;
    vectors->append_all(columns.vectors.subspan(begin, run * columns.dimension));
    begin += run * columns.dimension;
    row += run;
  }
}

RowView Collection::State::view(RowId row) const {
  RowView out{rows.id(row), rows.text(row), rows.payload(row), {}};
  if (vectors && with_vector.contains(row)) out.vector = vectors->row(row);
  if (!schema.on_demand()) return out;
  if (const ResidentRows::Row* body = resident.find(row)) {
    if (schema.payload_on_demand) out.text = body->text, out.payload = body->payload;
    if (schema.vectors_on_demand) out.vector = body->vector;
  }
  return out;
}

bool Collection::State::remove(std::string_view id) {
  const std::optional<RowId> row = live_row(id);
  if (!row) return false;
  derive_removed(*row);
  live.erase(*row);
  --live_count;
  if (with_vector.contains(*row)) --live_vector_count;
  return true;
}

Collection::Collection(std::string name, Schema schema)
    : state_(std::make_unique<State>(std::move(name), std::move(schema))) {}
Collection::~Collection() = default;
Collection::Collection(Collection&&) noexcept = default;
Collection& Collection::operator=(Collection&&) noexcept = default;

const std::string& Collection::name() const { return state_->name; }
const Schema& Collection::schema() const { return state_->schema; }
size_t Collection::count() const { return state_->live_count; }

Status Collection::check(const Batch& batch) const {
  RETURN_IF_ERROR(check_count(std::max(batch.deletes.size(), batch.upserts.size()), row_count(), batch.upserts.size()));
  for (const std::string& id : batch.deletes) RETURN_IF_ERROR(check_id(id));
  for (const Point& point : batch.upserts) {
    RETURN_IF_ERROR(check_strings(point.id, point.text, point.payload));
    if (point.vector.empty()) continue;
    if (point.vector.size() == state_->schema.dimension && all_finite(Elements<float>(view_bytes<float>(point.vector))))
      continue;
    return check_vector(point.vector, state_->schema.dimension, "vector of " + shown(point.id));
  }
  return check_distinct(batch.upserts.size(), [&](size_t i) { return std::string_view(batch.upserts[i].id); });
}

Status Collection::check(const RowColumns& columns) const {
  const size_t count = columns.rows();
  RETURN_IF_ERROR(check_count(std::max(columns.deletes.size(), count), row_count(), count));
  for (size_t i = 0; i < columns.deletes.size(); ++i) RETURN_IF_ERROR(check_id(columns.deletes[i]));
  if (columns.dimension != 0) RETURN_IF_ERROR(check_dimension(columns.dimension, state_->schema.dimension));
  if (!all_finite(columns.vectors)) {
    return Error{Code::kInvalidArgument, "the component of a vector is not finite", ""};
  }
  for (size_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(check_strings(columns.ids[i], columns.texts[i], columns.payloads[i]));
  }
  return check_distinct(count, [&](size_t i) { return columns.ids[i]; });
}

// Rows that come are copied to the state to be when their turn comes; rows that go may be there already.
bool Collection::remove(std::string_view id) {
  if (next_) next_->remove(id);
  return state_->remove(id);
}

size_t Collection::apply(Batch batch) {
  State& state = *state_;
  size_t removed = 0;
  for (const std::string& id : batch.deletes) removed += remove(id) ? 1 : 0;
  for (Point& next : batch.upserts) {
    const Point point = std::move(next);  // its memory goes back before the next one is copied
    remove(point.id);
    const RowId row = state.append_row(point.id, point.vector, point.text, point.payload);
    state.derive_added(row);
  }
  state.choose_index();
  advance_index();
  return removed;
}

size_t Collection::apply(const RowColumns& columns) {
  State& state = *state_;
  size_t removed = 0;
  for (size_t i = 0; i < columns.deletes.size(); ++i) removed += remove(columns.deletes[i]) ? 1 : 0;
  const auto first = static_cast<RowId>(row_count());
  state.append_vectors(columns);
  size_t next_vector = 0;
  for (size_t i = 0; i < columns.rows(); ++i) {
    const std::string_view id = columns.ids[i];
    remove(id);
    const size_t components = columns.has_vector(i) ? columns.dimension : 0;
    const RowId row =
        state.append_body(id, columns.texts[i], columns.payloads[i], columns.vectors.subspan(next_vector, components));
    next_vector += components;
    state.add_live(row, components > 0);
  }
  // After the rows, as none of a batch replaces another.
  for (RowId row = first; row < row_count(); ++row) state.derive_added(row);
  state.choose_index();
  advance_index();
  return removed;
}

void Collection::clear() {
  cancel_compaction();
  auto fresh = std::make_unique<State>(state_->name, state_->schema);
  fresh->deferred = state_->deferred;
  state_ = std::move(fresh);
}

bool Collection::contains(std::string_view id) const { return state_->live_row(id).has_value(); }

std::optional<RowView> Collection::find(std::string_view id) const {
  const std::optional<RowId> row = state_->live_row(id);
  if (!row) return std::nullopt;
  return state_->view(*row);
}

std::optional<RowId> Collection::find_row(std::string_view id) const { return state_->live_row(id); }

RowSet Collection::matching(const Filter* filter) const {
  if (filter == nullptr) return state_->live;
  RowSet out(row_count());
  assert(!state_->schema.payload_on_demand);
  const PayloadFilter payload_filter(*filter);
  state_->live.for_each([&](RowId row) {
    if (payload_filter.matches(state_->rows.payload(row))) out.insert(row);
  });
  return out;
}

size_t Collection::count_matching(const Filter* filter) const {
  return filter == nullptr ? count() : matching(filter).count();
}

RowView Collection::row(RowId row) const {
  assert(row < row_count());
  return state_->view(row);
}

std::vector<RowView> Collection::scroll(const Filter* filter, std::string_view after, size_t limit) const {
  assert(filter == nullptr || !state_->schema.payload_on_demand);
  std::optional<PayloadFilter> payload_filter;
  if (filter != nullptr) payload_filter.emplace(*filter);
  std::vector<RowView> page;
  for (const RowId row : state_->page(after, limit, [&](RowId row) {
         return !payload_filter || payload_filter->matches(state_->rows.payload(row));
       })) {
    page.push_back(state_->view(row));
  }
  return page;
}

std::vector<RowId> Collection::page(const RowSet& allowed, std::string_view after, size_t limit) const {
  // Few rows are looked through faster than all of them are put in order.
  if (allowed.count() < state_->live_count) return first_by_id(state_->rows, allowed, after, limit);
  return state_->page(after, limit, [&](RowId row) { return allowed.contains(row); });
}

CollectionInfo Collection::info() const {
  const State& state = *state_;
  CollectionInfo info;
  info.count = state.live_count;
  info.tombstones = state.rows.count() - state.live_count;
  info.kind = state.index ? state.index->kind() : IndexKind::kFlat;
  if (state.index) info.code = state.index->code();
  info.reason = state.reason();
  info.unindexed = unindexed();
  if (state.index) {
    info.effort = state.effort > 0 ? state.effort : default_effort(*state.index);
    info.rescore = state.default_rescore(10);
  }
  info.index_bytes = state.postings.memory_bytes() + (state.index ? state.index->memory_bytes() : 0);
  info.vector_bytes = state.vectors ? state.vectors->memory_bytes() : 0;
  info.payload_bytes = state.rows.memory_bytes() + state.resident.memory_bytes();
  return info;
}

size_t Collection::row_count() const { return state_->rows.count(); }
bool Collection::is_live(RowId row) const { return state_->live.contains(row); }
bool Collection::has_vector(RowId row) const { return state_->with_vector.contains(row); }
const RowSet& Collection::live() const { return state_->live; }
bool Collection::on_demand() const { return state_->schema.on_demand(); }
RowId Collection::first_resident() const { return on_demand() ? state_->resident.first() : 0; }

void Collection::evict() {
  if (on_demand()) state_->resident.evict(static_cast<RowId>(row_count()));
}

bool Collection::wants_compaction() const {
  const size_t dead = row_count() - count();
  return dead > kCompactionDeadRows && dead > row_count() / 2;
}

void Collection::compact() {
  cancel_compaction();
  if (start_compaction()) finish_compaction();
}

bool Collection::start_compaction() {
  const State& old = *state_;
  assert(first_resident() == 0);
  if (next_ || old.live_count == old.rows.count()) return false;
  next_ = std::make_unique<State>(old.name, old.schema);
  next_->deferred = old.deferred;
  next_->stale = old.deferred || old.stale;
  next_->adopt_choice(old);
  copied_ = 0;
  return true;
}

bool Collection::compacting() const { return next_ != nullptr; }

bool Collection::advance_compaction(size_t rows, size_t bytes) {
  const State& old = *state_;
  // The planner wanted a graph meanwhile: start again, so that it need not be built in one go at the end.
  if (old.index && !next_->index && !learns(old.index_options())) {
    next_.reset();
    start_compaction();
    if (!next_) return false;
  }
  for (; copied_ < old.rows.count() && rows > 0; ++copied_) {
    const auto row = static_cast<RowId>(copied_);
    if (!old.live.contains(row)) continue;
    const RowView view = old.view(row);
    next_->derive_added(next_->append_row(view.id, view.vector, view.text, view.payload));
    if (next_->index) next_->advance_index(1);
    --rows;
    const size_t size = view.text.size() + view.payload.size() + view.vector.size_bytes();
    bytes -= std::min(bytes, size);
    if (bytes == 0) rows = 0;
  }
  return copied_ < old.rows.count();
}

void Collection::finish_compaction() {
  while (advance_compaction(SIZE_MAX, SIZE_MAX)) {
  }
  if (!next_) return;
  next_->choose_index();
  state_ = std::move(next_);
}

void Collection::cancel_compaction() { next_.reset(); }

std::pair<size_t, size_t> Collection::compaction_progress() const {
  if (!next_) return {0, 0};
  return {copied_, state_->rows.count()};
}

bool Collection::has_graph() const { return state_->index && state_->index->kind() == IndexKind::kHnsw; }

IndexStep Collection::advance_index() {
  try {
    return state_->advance_index(rows_indexed_at_once(state_->choice.kind, state_->schema.dimension));
  } catch (const std::bad_alloc&) {
    give_up_index();
    return IndexStep::kDone;
  }
}

void Collection::give_up_index() {
  state_->drop_index();
  state_->gave_up = true;
}

bool Collection::gave_up_index() const { return state_->gave_up; }

bool Collection::indexing() const { return state_->wants_training() || state_->wants_tuning() || unindexed() > 0; }

size_t Collection::indexed() const { return state_->index ? state_->index->count() : 0; }

size_t Collection::unindexed() const {
  const State& state = *state_;
  if (state.deferred || state.stale) return 0;
  if (state.wants_training()) return state.rows.count();
  return state.index ? state.rows.count() - state.unindexed : 0;
}

void Collection::renew_index() {
  State& state = *state_;
  if (state.deferred || state.stale) return;
  const bool outgrown = state.learned_rows > 0 && state.live_vector_count > state.learned_rows / 4 * 5;
  if (!outgrown && !state.gave_up) return;
  state.drop_index();
  state.choose_index();
}

bool Collection::wants_sample() const {
  return (state_->wants_training() && !state_->training) || (state_->wants_tuning() && !state_->tuning);
}
RowSet Collection::sample_rows() const { return state_->sample_rows(); }
RowSet Collection::random_rows(size_t count, uint64_t seed) const { return state_->random_rows(count, seed); }
void Collection::take_sample(std::vector<float> sample) {
  try {
    state_->take_sample(std::move(sample));
  } catch (const std::bad_alloc&) {
    give_up_index();
  }
}

RowSet Collection::rows_to_index() const {
  const State& state = *state_;
  RowSet rows(row_count());
  if (state.tuning) {
    size_t left = state.tuning->rows_at_once();
    for (RowId row = state.next_unshown(state.tuning->next()); row < row_count() && left > 0; --left) {
      rows.insert(row);
      row = state.next_unshown(row + 1);
    }
    return rows;
  }
  size_t left = rows_indexed_at_once(state.choice.kind, state.schema.dimension);
  for (RowId row = state.unindexed; state.index && left > 0; ++row, --left) {
    row = state.next_unindexed(row);
    if (row == row_count()) break;
    rows.insert(row);
  }
  return rows;
}

void Collection::index_row(RowId row, std::span<const float> vector) {
  State& state = *state_;
  const bool there =
      state.index && !state.deferred && !state.stale && state.live.contains(row) && state.with_vector.contains(row);
  if (!there) return;
  try {
    if (state.tuning && row >= state.tuning->next()) state.tuning->show(row, vector);
    if (!state.index->rows().contains(row)) state.index->add(row, vector);
  } catch (const std::bad_alloc&) {
    give_up_index();
  }
}

}  // namespace nearfield
