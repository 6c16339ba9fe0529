#include "storage/database.h"

#include <optional>

#include "storage/backup.h"
#include "storage/database_state.h"
#include "storage/query.h"

namespace nearfield {

namespace {

// Closing waits for a compaction of at most so many rows without a graph: a tenth of a second.
constexpr size_t kMaxRowsCompactedOnClose = 20'000;

}  // namespace

Status Database::State::check_writable() const {
  if (closed) return Error{Code::kClosed, "the database was closed", ""};
  if (options.read_only) return Error{Code::kReadOnly, "the database was opened for reading only", ""};
  return {};
}

LiveCollection* Database::State::find(std::string_view name) const {
  const auto found = now.collections.find(name);
  return found == now.collections.end() ? nullptr : found->second.get();
}

Database::Database(EffectQueue& effects, OpenOptions options) : state_(std::make_unique<State>(effects, options)) {}

Database::~Database() = default;

Task<Result<std::unique_ptr<Database>>> Database::open(EffectQueue& effects, OpenOptions options) {
  std::unique_ptr<Database> database(new Database(effects, options));
  if (!options.read_only) {
    const EffectAnswer answer = co_await effects.request(LockEffect{});
    if (!answer.status.ok()) co_return host_error(answer.status, "lock", "database");
  }
  Result<Recovered> recovered = co_await recover(effects, /*beside_writer=*/options.read_only);
  if (!recovered.ok()) {
    if (!options.read_only) co_await effects.request(UnlockEffect{});
    co_return std::move(recovered).failure();
  }
  database->state_->now = std::move(recovered).value();
  co_return database;
}

Task<Result<Collection*>> Database::collection(std::string name, Schema schema) {
  State& state = *state_;
  ++state.era;
  const AsyncLock::Held held = co_await state.turn.acquire();
  if (state.closed) co_return state.check_writable().error();
  CO_RETURN_IF_ERROR(check_collection_name(name));
  if (LiveCollection* live = state.find(name)) {
    const std::string difference = schema_difference(live->memory.schema(), schema);
    if (difference.empty()) co_return &live->memory;
    co_return Error{Code::kSchemaMismatch, "collection " + shown(name) + " exists with another schema: " + difference,
                    shown(name)};
  }
  CO_RETURN_IF_ERROR(state.check_writable());
  CO_ASSIGN_OR_RETURN(Manifest next, co_await state.draft(Occasion::kRunning));
  CollectionEntry entry;
  entry.number = state.now.next_number++;
  entry.name = name;
  entry.schema = write_schema(schema);
  next.collections.push_back(std::move(entry));
  CO_RETURN_IF_ERROR(co_await state.publish(std::move(next)));
  auto& live = state.now.collections[name];
  live = std::make_unique<LiveCollection>(name, std::move(schema), state.now.manifest.find(name)->number);
  co_return &live->memory;
}

const Collection* Database::find(std::string_view name) const {
  const LiveCollection* live = state_->find(name);
  return live != nullptr ? &live->memory : nullptr;
}

std::vector<std::string> Database::collection_names() const {
  std::vector<std::string> names;
  for (const auto& [name, live] : state_->now.collections) names.push_back(name);
  return names;
}

Task<Result<bool>> Database::drop_collection(std::string name) {
  State& state = *state_;
  ++state.era;
  const AsyncLock::Held held = co_await state.turn.acquire();
  CO_RETURN_IF_ERROR(state.check_writable());
  const LiveCollection* live = state.find(name);
  if (live == nullptr) co_return false;
  CO_ASSIGN_OR_RETURN(Manifest next, co_await state.draft(Occasion::kRunning, live));
  std::erase_if(next.collections, [&](const CollectionEntry& entry) { return entry.name == name; });
  CO_RETURN_IF_ERROR(co_await state.publish(std::move(next)));
  state.now.collections.erase(name);
  co_return true;
}

Task<Result<size_t>> Database::clear(std::string collection) {
  State& state = *state_;
  ++state.era;
  const AsyncLock::Held held = co_await state.turn.acquire();
  CO_RETURN_IF_ERROR(state.check_writable());
  LiveCollection* live = state.find(collection);
  if (live == nullptr) co_return unknown_collection(collection);
  const size_t count = live->memory.count();
  CO_ASSIGN_OR_RETURN(Manifest next, co_await state.draft(Occasion::kRunning, live));
  CollectionEntry& entry = *next.find(collection);
  entry.segments.clear();
  entry.index.reset();
  CO_RETURN_IF_ERROR(co_await state.publish(std::move(next)));
  live->memory.clear();
  live->era = std::make_shared<Era>();
  live->rows_stored = live->memory.row_count();
  co_return count;
}

Task<Result<bool>> Database::refresh() {
  State& state = *state_;
  const AsyncLock::Held held = co_await state.turn.acquire();
  if (state.closed) co_return state.check_writable().error();
  if (!state.options.read_only) co_return false;
  co_return co_await catch_up(state.effects, state.now);
}

Task<Status> Database::promote() {
  State& state = *state_;
  const AsyncLock::Held held = co_await state.turn.acquire();
  if (state.closed) co_return state.check_writable();
  if (!state.options.read_only) co_return Status();
  const EffectAnswer answer = co_await state.effects.request(LockEffect{});
  if (!answer.status.ok()) co_return host_error(answer.status, "lock", "database");
  Result<bool> caught_up = co_await catch_up(state.effects, state.now);
  if (!caught_up.ok()) {
    co_await state.effects.request(UnlockEffect{});
    co_return std::move(caught_up).failure();
  }
  state.options.read_only = false;
  co_return Status();
}

Task<Status> Database::close() {
  State& state = *state_;
  ++state.era;
  for (const auto& [name, live] : state.now.collections) ++live->cancellations;
  const AsyncLock::Held held = co_await state.turn.acquire();
  if (state.closed) co_return Status();
  Status status;
  if (!state.options.read_only) {
    for (const auto& [name, live] : state.now.collections) {
      live->memory.cancel_compaction();
      // Left to the background of the next opening where it takes long, but not for ever.
      if (!live->memory.wants_compaction() || live->memory.on_demand()) continue;
      const size_t rows = live->memory.row_count();
      const bool quick = !live->memory.has_graph() && rows <= kMaxRowsCompactedOnClose;
      if (!quick && live->memory.count() > rows / 3) continue;
      live->memory.compact();
      live->rewrite = true;
    }
    // What a failed checkpoint leaves undone is still in the log, so the lock is given back all the same.
    if (state.needs_commit(Occasion::kClosing)) {
      Result<Manifest> next = co_await state.draft(Occasion::kClosing);
      status = next.ok() ? co_await state.publish(std::move(next).value()) : Status(std::move(next).failure());
    }
    const EffectAnswer answer = co_await state.effects.request(UnlockEffect{});
    if (status.ok() && !answer.status.ok()) status = host_error(answer.status, "unlock", "database");
  }
  state.closed = true;
  co_return status;
}

Task<Result<BackupReport>> Database::backup(uint64_t stream) {
  State& state = *state_;
  struct Pin {
    explicit Pin(State& owner) : state(owner), names(owner.now.manifest.file_names()) {
      state.pinned.insert(names.begin(), names.end());
    }
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    ~Pin() {
      for (const std::string& name : names) state.pinned.erase(state.pinned.find(name));
    }
    State& state;
    std::vector<std::string> names;
  };
  std::optional<Pin> pin;
  Manifest manifest;
  uint64_t log_length = 0;
  uint64_t rows = 0;
  {
    const AsyncLock::Held held = co_await state.turn.acquire();
    if (state.closed) co_return state.check_writable().error();
    pin.emplace(state);
    manifest = state.now.manifest;
    log_length = state.now.log_length;
    for (const auto& [name, live] : state.now.collections) rows += live->memory.count();
  }
  CO_ASSIGN_OR_RETURN(BackupReport report,
                      co_await send_backup(state.effects, std::move(manifest), log_length, stream));
  report.rows = rows;
  co_return report;
}

Task<Status> Database::restore(RestoredBackup backup) {
  State& state = *state_;
  ++state.era;
  const AsyncLock::Held held = co_await state.turn.acquire();
  CO_RETURN_IF_ERROR(state.check_writable());
  CO_RETURN_IF_ERROR(co_await state.settle_doubt());
  if (state.now.manifest.generation == 0) {
    // Should the host stop before the end, files without a manifest would be damage to whoever opens them.
    Manifest empty;
    empty.generation = state.now.newest + 1;
    CO_RETURN_IF_ERROR(co_await state.publish(std::move(empty)));
  }
  Manifest next;
  // No link: readers load all of it.
  next.previous = state.now.manifest.generation;
  next.generation = state.now.newest + 1;
  for (const auto& [name, live] : backup.collections) {
    CollectionEntry entry;
    entry.number = state.now.next_number++;
    entry.name = name;
    entry.schema = write_schema(live->memory.schema());
    if (live->memory.wants_compaction()) live->memory.compact();
    CO_RETURN_IF_ERROR(co_await state.store_rows(*live, entry, 0));
    if (live->memory.row_count() > 0) CO_RETURN_IF_ERROR(co_await state.store_index(live->memory, entry));
    next.collections.push_back(std::move(entry));
  }
  CO_RETURN_IF_ERROR(co_await state.publish(std::move(next)));
  for (const auto& [name, live] : backup.collections) {
    live->rows_stored = live->memory.row_count();
    live->deleted.clear();
    live->rewrite = false;
    live->number = state.now.manifest.find(name)->number;
    live->all_stored(*state.now.manifest.find(name));
  }
  state.now.collections = std::move(backup.collections);
  co_return Status();
}

size_t Database::cached_bytes() const { return state_->cache.bytes(); }
size_t Database::cache_limit() const { return state_->cache.limit(); }

bool Database::read_only() const { return state_->options.read_only; }

uint64_t Database::generation() const { return state_->now.manifest.generation; }

const RecoveryReport& Database::recovery() const { return state_->now.report; }

}  // namespace nearfield
