// How batches become durable, and are then applied.
#include <algorithm>

#include "storage/database_state.h"
#include "storage/log.h"
#include "storage/query.h"

namespace nearfield {

bool Database::State::log_takes(size_t record_bytes) const {
  return now.log_usable && !doubtful_manifest && now.newest == now.manifest.generation &&
         now.log_length + kFileHeaderBytes + frame_size(record_bytes) <= kMaxLogBytes;
}

// Everything that can be wrong with a write. False: it has its answer already.
bool Database::State::prepare(PendingWrite& write) const {
  const auto check = [&]() -> Status {
    RETURN_IF_ERROR(check_writable());
    std::erase_if(write.batches, [](const CollectionBatch& each) { return each.batch.empty(); });
    size_t size = 0;
    for (const auto& [name, batch] : write.batches) {
      write.targets.push_back(find(name));
      if (write.targets.back() == nullptr) return unknown_collection(name);
      RETURN_IF_ERROR(write.targets.back()->memory.check(batch));
      size += encoded_size(batch);
    }
    if (size > kMaxLogRecordBytes) return {};
    LogRecordBuilder record;
    for (const auto& [name, batch] : write.batches) record.add(now.manifest.find(name)->number, batch);
    if (record.payload().size() <= kMaxLogRecordBytes) write.record = record.payload();
    return {};
  };
  Status status = check();
  if (!status.ok()) {
    write.answer = std::move(status).failure();
  } else if (write.batches.empty()) {
    write.answer = size_t{0};
  }
  return !write.answer.has_value();
}

// The write whose turn it is, and those behind it that go into the log with it. Each gets its answer: these from
// carry_out(), any that are wrong right here. Empty: `first` is wrong.
std::vector<PendingWrite*> Database::State::take_group(PendingWrite& first) {
  std::vector<PendingWrite*> group;
  size_t bytes = 0;
  while (!waiting.empty()) {
    PendingWrite& next = *waiting.front();
    if (next.era != first.era) break;
    if (next.record.empty() && !prepare(next)) {
      waiting.pop_front();
      continue;
    }
    // A large write goes alone, into segments.
    const bool fits = !next.record.empty() && bytes + next.record.size() <= kMaxLogRecordBytes;
    if (!group.empty() && !fits) break;
    waiting.pop_front();
    group.push_back(&next);
    if (!fits) break;
    bytes += next.record.size();
  }
  return group;
}

Task<Status> Database::State::append(std::span<const ByteView> records, Durability durability) {
  const FileIdentity log = log_identity(now.manifest.generation, now.manifest.checksum);
  const std::string name = file_name(FileKind::kLog, log.number);
  Bytes bytes = log_append(log, now.log_length, records);
  const size_t length = bytes.size();
  now.files.insert(name);
  const EffectAnswer answer =
      co_await effects.request(AppendEffect{name, now.log_length, now.newest, std::move(bytes), durability});
  if (!answer.status.ok()) {
    // Part of the records, or all of them, may be there. Behind a torn record nothing would be found, so the next write
    // starts a new log; its commit also takes back a record that arrived although it was reported as failed.
    if (answer.status.code() != Code::kConflict) now.log_usable = false;
    co_return host_error(answer.status, "append", name);
  }
  now.log_length += length;
  co_return Status();
}

// Writes a batch that is too large for the log.
Task<Status> Database::State::store_batch(const Batch& batch, CollectionEntry& entry) {
  LiveCollection& live = *find(entry.name);
  SegmentBuilder builder = new_segment(live.memory, entry);
  for (const std::string& id : batch.deletes) {
    builder.add_delete(id);
    if (builder.full()) CO_RETURN_IF_ERROR(co_await write_segment(builder, entry, live));
  }
  for (const Point& point : batch.upserts) {
    builder.add_row(row_view(point), false);
    if (builder.full()) CO_RETURN_IF_ERROR(co_await write_segment(builder, entry, live));
  }
  if (!builder.empty()) CO_RETURN_IF_ERROR(co_await write_segment(builder, entry, live));
  co_return Status();
}

// Makes the writes of a group durable.
Task<Status> Database::State::store(std::span<PendingWrite* const> group) {
  const bool logged = !group.front()->record.empty();
  std::vector<ByteView> records;
  size_t bytes = 0;
  Durability durability = Durability::kRelaxed;
  for (const PendingWrite* write : group) {
    records.push_back(write->record);
    bytes += frame_size(write->record.size());
    if (write->durability == Durability::kStrict) durability = Durability::kStrict;
  }
  if (!logged || !log_takes(bytes)) {
    CO_ASSIGN_OR_RETURN(Manifest next, co_await draft(Occasion::kRunning));
    if (!logged) {
      for (const auto& [name, batch] : group.front()->batches) {
        CO_RETURN_IF_ERROR(co_await store_batch(batch, *next.find(name)));
      }
    }
    CO_RETURN_IF_ERROR(co_await publish(std::move(next)));
  }
  if (logged) CO_RETURN_IF_ERROR(co_await append(records, durability));
  co_return Status();
}

// REQUIRES: the caller holds the turn; every write of the group was prepared. Gives each its answer.
Task<Status> Database::State::carry_out(std::span<PendingWrite* const> group) {
  const bool logged = !group.front()->record.empty();
  const Status status = co_await store(group);
  for (PendingWrite* write : group) {
    if (!status.ok()) {
      write->answer = Error(status.error());
      continue;
    }
    size_t deleted = 0;
    for (size_t i = 0; i < write->batches.size(); ++i) {
      LiveCollection& target = *write->targets[i];
      deleted += target.apply(std::move(write->batches[i].batch));
      if (logged) continue;
      target.rows_stored = target.memory.row_count();
      target.deleted.clear();
      target.memory.evict();
    }
    write->answer = deleted;
  }
  co_return Status();
}

Task<Result<size_t>> Database::write(std::vector<CollectionBatch> batches, Durability durability) {
  State& state = *state_;
  PendingWrite self{std::move(batches), durability, state.era, {}, {}, {}};
  state.waiting.push_back(&self);
  // A call that is dropped while it waits waits no longer.
  struct Leave {
    std::deque<PendingWrite*>& waiting;
    PendingWrite* self;
    ~Leave() {
      if (!self->answer) std::erase(waiting, self);
    }
  } const leave{state.waiting, &self};
  const AsyncLock::Held held = co_await state.turn.acquire();
  if (!self.answer) {
    const std::vector<PendingWrite*> group = state.take_group(self);
    if (!group.empty()) CO_RETURN_IF_ERROR(co_await state.carry_out(group));
  }
  // Whoever took it along ran out of memory on the way.
  if (!self.answer) co_return Error{Code::kOutOfMemory, "a write was given up together with the one before it", ""};
  co_return std::move(*self.answer);
}

Task<Result<size_t>> Database::write_planned(Plan plan, Durability durability) {
  State& state = *state_;
  ++state.era;
  const AsyncLock::Held held = co_await state.turn.acquire();
  CO_RETURN_IF_ERROR(state.check_writable());
  PendingWrite self{{}, durability, state.era, {}, {}, {}};
  CO_ASSIGN_OR_RETURN(self.batches, co_await plan());
  PendingWrite* const group[] = {&self};
  if (state.prepare(self)) CO_RETURN_IF_ERROR(co_await state.carry_out(group));
  co_return std::move(*self.answer);
}

}  // namespace nearfield
