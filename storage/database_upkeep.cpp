// Indexing and compaction, in steps between which searches and writes go on.
#include <algorithm>

#include "storage/body_scan.h"
#include "storage/database_state.h"
#include "storage/query.h"

namespace nearfield {

namespace {

// A step of a compaction copies about so many bytes; where every row is also put into a graph, which takes up to a
// millisecond, so many rows. Between steps the host does other things for this long.
constexpr size_t kCompactionStepBytes = 256 << 10;
constexpr size_t kCompactionStepRows = 256;
constexpr size_t kCompactionStepGraphRows = 8;
constexpr uint64_t kCompactionPauseMs = 0;

bool is_compacting(const LiveCollection& live) { return live.compacting || live.memory.compacting(); }

}  // namespace

bool Database::State::compaction_is_due(const LiveCollection& live) const {
  return !closed && !options.read_only && !live.compaction_failed && live.memory.wants_compaction();
}

Task<Status> Database::State::finish_index(std::string name) {
  LiveCollection* live = find(name);
  if (live == nullptr) co_return unknown_collection(name);
  const uint64_t cancellations = live->cancellations;
  bool away = false;
  for (;;) {
    {
      // Whoever writes the index down has the turn; it must not change under them.
      const AsyncLock::Held held = co_await turn.acquire();
      // Looked up anew after each pause: the collection may be gone.
      live = find(name);
      if (closed || live == nullptr || live->cancellations != cancellations) {
        co_return Error{Code::kAborted, "the indexing of " + shown(name) + " was stopped", ""};
      }
      const IndexStep step = live->memory.advance_index();
      if (live->memory.gave_up_index()) {
        co_return Error{Code::kOutOfMemory,
                        "there is no memory for the index of " + shown(name) + "; its points are scanned instead", ""};
      }
      if (step == IndexStep::kDone) co_return Status();
      away = step == IndexStep::kAway;
    }
    if (away) {
      const Status status = co_await index_stored(name, cancellations);
      // Rows that were renumbered meanwhile are looked for again.
      if (!status.ok() && status.code() != Code::kConflict) co_return Error(status.error());
    }
    const EffectAnswer answer = co_await effects.request(SleepEffect{kCompactionPauseMs});
    if (!answer.status.ok()) co_return host_error(answer.status, "pause", "indexing");
  }
}

// Reads vectors that the index has to learn from, or the next ones it has to take in.
Task<Status> Database::State::index_stored(std::string name, uint64_t cancellations) {
  LiveCollection* live = find(name);
  if (live == nullptr) co_return unknown_collection(name);
  const bool learning = live->memory.wants_sample();
  std::vector<float> sample, vector;
  RowSet wanted = learning ? live->memory.sample_rows() : live->memory.rows_to_index();
  if (learning) {
    // The largest piece of memory that is asked for at once.
    try {
      sample.reserve(wanted.count() * live->memory.schema().dimension);
    } catch (const std::bad_alloc&) {
      live->memory.give_up_index();
      co_return Status();
    }
  }
  // The next rows are likely to lie in the same frame.
  BodyScan scan(now, cache, *live, std::move(wanted), learning ? FrameCache::Use::kOnce : FrameCache::Use::kAgain);
  for (;;) {
    BodyScan::Step step = BodyScan::Step::kEnd;
    {
      const AsyncLock::Held held = co_await turn.acquire();
      live = find(name);
      if (closed || live == nullptr || live->cancellations != cancellations) {
        co_return Error{Code::kAborted, "the indexing of " + shown(name) + " was stopped", ""};
      }
      for (;;) {
        CO_ASSIGN_OR_RETURN(step, scan.next());
        if (step != BodyScan::Step::kRows) break;
        scan.for_each([&](RowId row, const Body& body) {
          if (body.vector.size() != live->memory.schema().dimension) return;
          vector.resize(body.vector.size());
          body.vector.copy_to(vector);
          if (learning) {
            sample.insert(sample.end(), vector.begin(), vector.end());
          } else {
            live->memory.index_row(row, vector);
          }
        });
      }
      if (step == BodyScan::Step::kEnd && learning) {
        if (sample.empty()) co_return Error{Code::kStorageCorrupt, "the vectors of " + shown(name) + " are gone", ""};
        live->memory.take_sample(std::move(sample));
      }
    }
    if (step == BodyScan::Step::kEnd) co_return Status();
    CO_RETURN_IF_ERROR(co_await scan.arrival());
  }
}

Task<Status> Database::State::compact(std::string name) {
  const LiveCollection* started = find(name);
  if (started == nullptr) co_return unknown_collection(name);
  if (started->memory.on_demand()) co_return co_await compact_on_demand(std::move(name));
  const uint64_t number = now.manifest.find(name)->number;
  // Looked up anew after each pause: the collection may be gone.
  const auto still_there = [&]() -> Collection* {
    const CollectionEntry* entry = now.manifest.find(name);
    if (closed || entry == nullptr || entry->number != number) return nullptr;
    LiveCollection& live = *find(name);
    return live.memory.compacting() ? &live.memory : nullptr;
  };
  const auto stopped = [&] { return Error{Code::kAborted, "the compaction of " + shown(name) + " was stopped", ""}; };

  if (!find(name)->memory.start_compaction()) co_return Status();
  for (;;) {
    Collection* memory = still_there();
    if (memory == nullptr) co_return stopped();
    const size_t rows = memory->has_graph() ? kCompactionStepGraphRows : kCompactionStepRows;
    if (!memory->advance_compaction(rows, kCompactionStepBytes)) break;
    const EffectAnswer answer = co_await effects.request(SleepEffect{kCompactionPauseMs});
    if (!answer.status.ok()) {
      if (Collection* left = still_there()) left->cancel_compaction();
      co_return host_error(answer.status, "pause", "compaction");
    }
  }
  const AsyncLock::Held held = co_await turn.acquire();
  Collection* memory = still_there();
  if (memory == nullptr) co_return stopped();
  // What was written while the turn was waited for, then the change-over. It holds even if the commit fails: what a
  // search sees does not change, and the next commit writes all rows.
  memory->finish_compaction();
  find(name)->rewrite = true;
  CO_ASSIGN_OR_RETURN(Manifest next, co_await draft(Occasion::kRunning));
  co_return co_await publish(std::move(next));
}

// Live rows are read and written again, a segment at a time. Writes wait; searches go on.
Task<Status> Database::State::compact_on_demand(std::string name) {
  const uint64_t cancellations = find(name)->cancellations;
  const AsyncLock::Held held = co_await turn.acquire();
  CO_RETURN_IF_ERROR(check_writable());
  LiveCollection* found = find(name);
  if (found == nullptr) co_return unknown_collection(name);
  // It stays: whoever drops it has to wait for the turn.
  LiveCollection& live = *found;
  if (live.memory.count() == live.memory.row_count()) co_return Status();
  struct Running {
    LiveCollection& live;
    explicit Running(LiveCollection& of) : live(of) { live.compacting = live.compaction_failed = true; }
    ~Running() { live.compacting = false, live.rows_copied = 0; }
  } const running(live);

  CO_ASSIGN_OR_RETURN(Manifest next, co_await draft(Occasion::kRunning, &live));
  CollectionEntry& entry = *next.find(name);
  entry.segments.clear();
  entry.index.reset();
  Collection fresh(name, live.memory.schema());
  SegmentBuilder builder = new_segment(fresh, entry);
  BodyScan scan(now, cache, live, live.memory.live(), FrameCache::Use::kOnce);
  const auto stopped = [&] {
    live.compaction_failed = false;
    return Error{Code::kAborted, "the compaction of " + shown(name) + " was stopped", ""};
  };
  for (;;) {
    CO_ASSIGN_OR_RETURN(const BodyScan::Step step, scan.next());
    if (live.cancellations != cancellations) co_return stopped();
    if (step == BodyScan::Step::kEnd) break;
    if (step == BodyScan::Step::kWait) {
      CO_RETURN_IF_ERROR(co_await scan.arrival());
      continue;
    }
    Batch batch;
    scan.for_each([&](RowId row, const Body& body) {
      batch.upserts.push_back(
          {std::string(body.id), body.vector.copy(), std::string(body.text), std::string(body.payload)});
      builder.add_row(row_view(batch.upserts.back()), false);
      live.rows_copied = row + 1;
    });
    fresh.apply(std::move(batch));
    while (fresh.advance_index() == IndexStep::kMore) {
      const EffectAnswer answer = co_await effects.request(SleepEffect{kCompactionPauseMs});
      if (!answer.status.ok()) co_return host_error(answer.status, "pause", "compaction");
    }
    fresh.evict();
    if (builder.full()) CO_RETURN_IF_ERROR(co_await write_segment(builder, entry, live));
  }
  if (!builder.empty()) CO_RETURN_IF_ERROR(co_await write_segment(builder, entry, live));
  CO_RETURN_IF_ERROR(co_await store_index(fresh, entry));
  if (live.cancellations != cancellations) co_return stopped();
  CO_RETURN_IF_ERROR(co_await publish(std::move(next)));
  live.compaction_failed = false;
  live.memory = std::move(fresh);
  live.era = std::make_shared<Era>();
  live.rows_stored = live.memory.row_count();
  co_return Status();
}

Task<Status> Database::compact(std::string collection) {
  State& state = *state_;
  CO_RETURN_IF_ERROR(state.check_writable());
  const LiveCollection* live = state.find(collection);
  if ((live != nullptr && is_compacting(*live)) || state.optimizing.contains(collection)) {
    co_return Error{Code::kConflict, "the collection " + shown(collection) + " is being compacted already", ""};
  }
  struct Running {
    std::set<std::string>& all;
    std::set<std::string>::iterator self;
    ~Running() { all.erase(self); }
  } const running{state.optimizing, state.optimizing.insert(collection).first};
  if (live != nullptr) state.find(collection)->memory.renew_index();
  CO_RETURN_IF_ERROR(co_await state.finish_index(collection));
  CO_RETURN_IF_ERROR(co_await state.compact(collection));
  // What learns from rows begins anew with those that are left.
  co_return co_await state.finish_index(std::move(collection));
}

void Database::cancel_compaction(std::string_view collection) {
  LiveCollection* live = state_->find(collection);
  if (live == nullptr) return;
  live->memory.cancel_compaction();
  ++live->cancellations;
}

std::pair<size_t, size_t> Database::compaction_progress(std::string_view collection) const {
  const LiveCollection* live = state_->find(collection);
  if (live == nullptr) return {0, 0};
  if (live->compacting) return {live->rows_copied, live->memory.row_count()};
  if (const size_t left = live->memory.unindexed(); left > 0)
    return {live->memory.row_count() - left, live->memory.row_count()};
  return live->memory.compaction_progress();
}

bool Database::wants_maintenance() const {
  for (const auto& [name, live] : state_->now.collections) {
    if (is_compacting(*live)) continue;
    const bool indexes = live->memory.indexing() && !live->indexing_failed;
    if (indexes || state_->compaction_is_due(*live)) return true;
  }
  return false;
}

Task<Status> Database::maintain() {
  State& state = *state_;
  for (const std::string& name : collection_names()) {
    LiveCollection* live = state.find(name);
    if (live == nullptr || is_compacting(*live)) continue;
    Status status;
    if (live->memory.indexing() && !live->indexing_failed) status = co_await state.finish_index(name);
    live = state.find(name);
    if (live != nullptr && !status.ok() && status.code() != Code::kAborted) live->indexing_failed = true;
    if (live == nullptr || !state.compaction_is_due(*live) || is_compacting(*live)) continue;
    if (status.ok()) status = co_await state.compact(name);
    if (!status.ok() && status.code() != Code::kAborted) co_return status;
  }
  co_return Status();
}

}  // namespace nearfield
