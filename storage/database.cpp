#include "storage/database.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>

#include "core/base/hash.h"
#include "storage/backup.h"
#include "storage/body_scan.h"
#include "storage/log.h"
#include "storage/query.h"
#include "storage/recovery.h"

namespace nearfield {

namespace {

// When a commit also saves derived state. Rows that came after the saved state are added again at the next opening, to
// the postings at once and to the graph in the background; saving costs writing all of it, an eighth to a tenth of what
// the rows take. Waiting until half as many rows have come as are covered keeps everything that is ever written within
// three times the final size; a database that is being closed may as well spare its next opening the work, once saving
// costs no more than the new rows did.
enum class Occasion { kRunning, kClosing };

// A new segment counts as at least this large when it is decided which earlier ones to merge into it: below this, the
// number of files costs more than the bytes.
constexpr uint64_t kMinSegmentBytes = 32 << 10;

bool index_is_stale(const LiveCollection& live, uint64_t covered, Occasion occasion) {
  const uint64_t rows = live.memory.row_count() - covered;
  const uint64_t indexed = live.memory.indexed() - std::min(live.memory.indexed(), live.indexed_stored);
  return std::max(rows, indexed) > covered / (occasion == Occasion::kRunning ? 2 : 8);
}

size_t size_of(const RowView& row) {
  return row.id.size() + row.text.size() + row.payload.size() + row.vector.size_bytes();
}

// A step of a compaction copies about so many bytes; where every row is also put into a graph, which takes up to a
// millisecond, so many rows. Between steps the host does other things for this long.
constexpr size_t kCompactionStepBytes = 256 << 10;
constexpr size_t kCompactionStepRows = 256;
constexpr size_t kCompactionStepGraphRows = 8;
constexpr uint64_t kCompactionPauseMs = 0;
// Closing waits for a compaction of at most so many rows without a graph: a tenth of a second.
constexpr size_t kMaxRowsCompactedOnClose = 20'000;

// Queries that find their collection rewritten begin again so many times.
constexpr int kQueryAttempts = 3;

SegmentBuilder new_segment(const Collection& memory, const CollectionEntry& entry, uint64_t number) {
  return {entry.number, number, memory.on_demand() ? kOnDemandFrameBytes : kFrameBytes};
}

bool is_manifest(const std::string& name) {
  const auto named = parse_file_name(name);
  return named && named->kind == FileKind::kManifest;
}

bool is_compacting(const LiveCollection& live) { return live.compacting || live.memory.compacting(); }

}  // namespace

// A call of write() that waits for its turn or is being carried out.
struct PendingWrite {
  std::vector<CollectionBatch> batches;
  Durability durability;
  uint64_t era;
  std::vector<LiveCollection*> targets;
  Bytes record;  // for the log; empty: too large for it
  std::optional<Result<size_t>> answer;
};

struct Database::State {
  State(EffectQueue& host, OpenOptions how) : effects(host), options(how), cache(host, how.cache_bytes) {}

  EffectQueue& effects;
  OpenOptions options;
  AsyncLock turn;  // held by whoever writes
  // Writes that wait for the turn. Whoever has it takes those behind it along, in order, up to the next operation of
  // another kind, which starts a new era.
  std::deque<PendingWrite*> waiting;
  uint64_t era = 0;
  Recovered now;  // what is committed, and what is in memory
  FrameCache cache;
  bool closed = false;
  // A commit failed, and its manifest may or may not stand on the volume: hash64 of its bytes.
  std::optional<uint64_t> doubtful_manifest;
  std::set<std::string> optimizing;  // collections that a call of compact() is about
  // Files that backups under way read; a file stands here once for each.
  std::multiset<std::string> pinned;

  Status check_writable() const;
  LiveCollection* find(std::string_view name) const;
  bool log_takes(size_t record_bytes) const;
  bool needs_commit(Occasion occasion) const;

  // A commit is: draft (files for all rows that only the log holds), the caller's own changes to the manifest, publish.
  // The rows of `leaving` are not written.
  Task<Result<Manifest>> draft(Occasion occasion, const LiveCollection* leaving = nullptr);
  Task<Status> publish(Manifest next);

  Task<Status> settle_doubt();
  Task<Status> store_rows(LiveCollection& live, CollectionEntry& entry, size_t segments_kept);
  Task<Status> store_index(const Collection& memory, CollectionEntry& entry);
  Task<Status> store_batch(const Batch& batch, CollectionEntry& entry);
  Task<Status> write_segment(SegmentBuilder& builder, CollectionEntry& entry, LiveCollection& live);
  Task<Status> write_file(std::string name, Bytes bytes);
  Task<Status> append(std::span<const ByteView> records, Durability durability);

  bool prepare(PendingWrite& write) const;
  std::vector<PendingWrite*> take_group(PendingWrite& first);
  Task<Status> store(std::span<PendingWrite* const> group);
  Task<Status> carry_out(std::span<PendingWrite* const> group);

  bool compaction_is_due(const LiveCollection& live) const;
  // Puts the rows that the collection's index does not have yet into it, a few at a time.
  Task<Status> finish_index(std::string name);
  Task<Status> index_stored(std::string name, uint64_t cancellations);
  Task<Status> compact(std::string name);
  Task<Status> compact_on_demand(std::string name);

  // Runs a query, and runs it again where the collection, or the file it read, was replaced meanwhile.
  template <typename T, typename Start>
  Task<Result<T>> query(Start start);
};

Status Database::State::check_writable() const {
  if (closed) return Error{Code::kClosed, "the database was closed", ""};
  if (options.read_only) return Error{Code::kReadOnly, "the database was opened for reading only", ""};
  return {};
}

LiveCollection* Database::State::find(std::string_view name) const {
  const auto found = now.collections.find(name);
  return found == now.collections.end() ? nullptr : found->second.get();
}

bool Database::State::log_takes(size_t record_bytes) const {
  return now.log_usable && !doubtful_manifest && now.newest == now.manifest.generation &&
         now.log_length + kFileHeaderBytes + frame_size(record_bytes) <= kMaxLogBytes;
}

bool Database::State::needs_commit(Occasion occasion) const {
  if (doubtful_manifest || !now.log_usable || now.log_length > 0) return true;
  for (const auto& [name, live] : now.collections) {
    if (live->has_unstored_changes()) return true;
    const CollectionEntry& entry = *now.manifest.find(name);
    const uint64_t covered = entry.index ? entry.index->rows : 0;
    if (index_is_stale(*live, covered, occasion)) return true;
  }
  return false;
}

// After a failed commit: did its manifest come to stand on the volume all the same? If so it is skipped over, by a
// commit that expects it. What it said was reported as failed and must not come back.
Task<Status> Database::State::settle_doubt() {
  if (!doubtful_manifest) co_return Status();
  const EffectAnswer answer = co_await effects.request(ListEffect{});
  if (!answer.status.ok()) co_return host_error(answer.status, "list", "files");
  uint64_t newest = 0;
  for (const FileEntry& file : answer.files) {
    const auto named = parse_file_name(file.name);
    if (named && named->kind == FileKind::kManifest) newest = std::max(newest, named->number);
  }
  if (newest == now.newest + 1) {
    const std::string name = file_name(FileKind::kManifest, newest);
    CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_file(effects, name, kMaxManifestBytes + 1));
    if (hash64(bytes) == *doubtful_manifest) now.newest = newest;
  }
  if (newest != now.newest) {
    co_return Error{Code::kConflict,
                    "another writer published generation " + std::to_string(newest) + "; reopen the database",
                    shown(static_cast<int64_t>(newest))};
  }
  doubtful_manifest.reset();
  co_return Status();
}

Task<Status> Database::State::write_file(std::string name, Bytes bytes) {
  // Before the answer: a failed write may leave a piece, for a later commit to remove.
  now.files.insert(name);
  const EffectAnswer answer = co_await effects.request(WriteEffect{name, std::move(bytes)});
  if (!answer.status.ok()) co_return host_error(answer.status, "write", name);
  co_return Status();
}

Task<Status> Database::State::write_segment(SegmentBuilder& builder, CollectionEntry& entry, LiveCollection& live) {
  const SegmentEntry segment = builder.seal();
  CO_RETURN_IF_ERROR(co_await write_file(file_name(FileKind::kSegment, segment.file.number), builder.take()));
  entry.segments.push_back(segment);
  if (live.memory.on_demand()) live.frames[segment.file.number] = builder.frames();
  builder.restart(now.next_number++);
  co_return Status();
}

// Writes the rows and deletes that no segment holds. Small last segments are written again together with them, so that
// each is at least twice as large as the next and their number stays logarithmic, but not the first `segments_kept`.
Task<Status> Database::State::store_rows(LiveCollection& live, CollectionEntry& entry, size_t segments_kept) {
  const Collection& memory = live.memory;
  if (!live.has_unstored_changes()) co_return Status();
  const auto rows = static_cast<RowId>(memory.row_count());
  auto first = static_cast<RowId>(live.rows_stored);
  bool all_deletes = false;
  if (live.rewrite) {
    entry.segments.clear();
    entry.index.reset();
    first = 0;
    all_deletes = true;
  }
  uint64_t bytes = 0;
  for (RowId row = first; row < rows && bytes < kSegmentBytes; ++row) bytes += size_of(memory.row(row));
  for (const std::string& id : live.deleted) bytes += id.size();
  bytes = std::max(bytes, kMinSegmentBytes);
  const std::vector<SegmentEntry> segments_before = entry.segments;
  while (entry.segments.size() > segments_kept) {
    const SegmentEntry& last = entry.segments.back();
    if (last.file.length > 2 * bytes || bytes + last.file.length > kSegmentBytes) break;
    bytes += last.file.length;
    first -= static_cast<RowId>(last.rows);
    entry.segments.pop_back();
    all_deletes =
        true;  // those the merged segments held are not told apart from older ones; repeating them is harmless
  }

  // An id that was written again needs no delete: its later row supersedes the earlier one when it is read.
  std::set<std::string> deletes;
  if (all_deletes) {
    for (RowId row = 0; row < rows; ++row) {
      if (!memory.is_live(row) && !memory.contains(memory.row(row).id)) deletes.emplace(memory.row(row).id);
    }
  } else {
    std::ranges::copy_if(live.deleted, std::inserter(deletes, deletes.end()),
                         [&](const std::string& id) { return !memory.contains(id); });
  }

  SegmentBuilder builder = new_segment(memory, entry, now.next_number++);
  // Dead rows too: derived state counts rows as they are in memory.
  if (first < memory.first_resident()) {
    RowSet wanted(rows);
    for (RowId row = first; row < rows; ++row) wanted.insert(row);
    BodyScan scan(now, cache, live, std::move(wanted), FrameCache::Use::kOnce);
    std::vector<float> components;
    for (;;) {
      Result<BodyScan::Step> step = scan.next();
      if (step.code() == Code::kStorageCorrupt) {
        // A damaged segment stays as it is, for a repair. It must not keep new rows from being stored.
        entry.segments = segments_before;
        co_return co_await store_rows(live, entry, entry.segments.size());
      }
      if (!step.ok()) co_return std::move(step).failure();
      if (step.value() == BodyScan::Step::kEnd) break;
      if (step.value() == BodyScan::Step::kWait) {
        CO_RETURN_IF_ERROR(co_await scan.arrival());
        continue;
      }
      scan.for_each([&](RowId row, const Body& body) { builder.add_row(body.view(components), !memory.is_live(row)); });
      if (builder.full()) CO_RETURN_IF_ERROR(co_await write_segment(builder, entry, live));
    }
  } else {
    for (RowId row = first; row < rows; ++row) {
      builder.add_row(memory.row(row), !memory.is_live(row));
      if (builder.full()) CO_RETURN_IF_ERROR(co_await write_segment(builder, entry, live));
    }
  }
  for (const std::string& id : deletes) {
    builder.add_delete(id);
    if (builder.full()) CO_RETURN_IF_ERROR(co_await write_segment(builder, entry, live));
  }
  if (!builder.empty()) CO_RETURN_IF_ERROR(co_await write_segment(builder, entry, live));
  co_return Status();
}

// Writes the derived state of all rows, which `entry.segments` hold, a part at a time from where it lies in memory:
// until the last one is written, nothing may change `memory`. Whoever writes holds `turn`, and searches change nothing.
Task<Status> Database::State::store_index(const Collection& memory, CollectionEntry& entry) {
  SectionStream sections(memory.derived());
  IndexEntry index = {entry.segments.size(), memory.row_count(), {}};
  Bytes piece;
  while (!sections.done()) {
    const uint64_t number = now.next_number++;
    SealedWriter part({FileKind::kIndex, number, entry.number});
    part.reserve(std::min(sections.remaining(), kSegmentBytes + kFrameBytes));
    while (!sections.done() && part.size() < kSegmentBytes) {
      piece.clear();
      sections.read(kFrameBytes, piece);
      part.add(FrameType::kIndexPart, piece);
    }
    index.parts.push_back(part.seal());
    CO_RETURN_IF_ERROR(co_await write_file(file_name(FileKind::kIndex, number), part.take()));
  }
  entry.index = std::move(index);
  co_return Status();
}

// Writes a batch that is too large for the log.
Task<Status> Database::State::store_batch(const Batch& batch, CollectionEntry& entry) {
  LiveCollection& live = *find(entry.name);
  SegmentBuilder builder = new_segment(live.memory, entry, now.next_number++);
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

Task<Result<Manifest>> Database::State::draft(Occasion occasion, const LiveCollection* leaving) {
  CO_RETURN_IF_ERROR(co_await settle_doubt());
  Manifest next = now.manifest;
  next.previous = now.manifest.generation;
  // 0 tells readers that the old log does not end where this generation starts.
  next.previous_checksum = now.log_usable ? now.manifest.checksum : 0;
  next.generation = now.newest + 1;
  for (CollectionEntry& entry : next.collections) {
    LiveCollection& live = *find(entry.name);
    if (&live == leaving) continue;
    const uint64_t covered = entry.index && !live.rewrite ? entry.index->rows : 0;
    const bool stale = index_is_stale(live, covered, occasion);
    const size_t kept = !stale && entry.index ? static_cast<size_t>(entry.index->segments) : 0;
    CO_RETURN_IF_ERROR(co_await store_rows(live, entry, kept));
    if (!stale) continue;
    CO_RETURN_IF_ERROR(co_await store_index(live.memory, entry));
    live.indexed_stored = live.memory.indexed();
  }
  co_return next;
}

Task<Status> Database::State::publish(Manifest next) {
  next.next_number = now.next_number;
  const Bytes bytes = encode_manifest(next);
  const std::string name = file_name(FileKind::kManifest, next.generation);
  if (bytes.size() > kMaxManifestBytes) {
    // Nobody would read it.
    co_return Error{Code::kLimitExceeded,
                    "the list of collections and files takes " + std::to_string(bytes.size()) + " bytes; at most " +
                        std::to_string(kMaxManifestBytes) + " are allowed. Drop collections",
                    shown(static_cast<int64_t>(bytes.size()))};
  }
  now.files.insert(name);
  // The generation this one was made from stays whole, with its log: it is what opening falls back to.
  std::set<std::string> obsolete = now.files;
  for (const std::string& kept : next.file_names()) obsolete.erase(kept);
  for (const std::string& kept : now.manifest.file_names()) obsolete.erase(kept);
  for (const std::string& kept : pinned) obsolete.erase(kept);

  // Always strict: a strict append to the new log promises that the manifest which names the log is there too, and
  // files are removed only after the generation that does without them is safe.
  // Manifests first: whoever lists and reads beside us must never find one whose log has gone already, which would look
  // as if nothing had been written to it.
  std::vector<std::string> removals;
  std::ranges::copy_if(obsolete, std::back_inserter(removals), is_manifest);
  std::ranges::copy_if(obsolete, std::back_inserter(removals), std::not_fn(is_manifest));
  const EffectAnswer answer =
      co_await effects.request(CommitEffect{now.newest, bytes, std::move(removals), Durability::kStrict});
  if (!answer.status.ok()) {
    if (answer.status.code() != Code::kConflict) doubtful_manifest = hash64(bytes);
    co_return host_error(answer.status, "commit", name);
  }
  for (const std::string& removed : obsolete) now.files.erase(removed);
  now.newest = next.generation;
  now.manifest = std::move(next);
  now.log_length = 0;
  now.log_usable = true;
  for (const auto& [unused, live] : now.collections) {
    live->rows_stored = live->memory.row_count();
    live->deleted.clear();
    live->rewrite = false;
    // One that is being dropped or replaced has no entry any more.
    const CollectionEntry* entry = now.manifest.find(live->memory.name());
    if (entry != nullptr && entry->number == live->number) live->all_stored(*entry);
  }
  co_return Status();
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
  if (learning) sample.reserve(wanted.count() * live->memory.schema().dimension);
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
  find(name)->cancelled = false;
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
  SegmentBuilder builder = new_segment(fresh, entry, now.next_number++);
  BodyScan scan(now, cache, live, live.memory.live(), FrameCache::Use::kOnce);
  const auto stopped = [&] {
    live.compaction_failed = false;
    return Error{Code::kAborted, "the compaction of " + shown(name) + " was stopped", ""};
  };
  for (;;) {
    CO_ASSIGN_OR_RETURN(const BodyScan::Step step, scan.next());
    if (live.cancelled) co_return stopped();
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
  if (live.cancelled) co_return stopped();
  CO_RETURN_IF_ERROR(co_await publish(std::move(next)));
  live.compaction_failed = false;
  live.memory = std::move(fresh);
  live.era = std::make_shared<Era>();
  live.rows_stored = live.memory.row_count();
  co_return Status();
}

template <typename T, typename Start>
Task<Result<T>> Database::State::query(Start start) {
  for (int attempt = 0;; ++attempt) {
    if (closed) co_return check_writable().error();
    Result<T> answer = co_await start();
    const Code code = answer.code();
    const bool gone = code == Code::kStorageCorrupt && options.read_only && !closed;
    const bool again = code == Code::kConflict || gone;
    if (!again || attempt == kQueryAttempts) co_return answer;
    if (!gone) continue;
    // The writer may have replaced the file that a reader looked for.
    const AsyncLock::Held held = co_await turn.acquire();
    CO_ASSIGN_OR_RETURN(const bool changed, co_await catch_up(effects, now));
    if (!changed) co_return answer;
  }
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

Task<Status> Database::checkpoint() {
  State& state = *state_;
  const AsyncLock::Held held = co_await state.turn.acquire();
  CO_RETURN_IF_ERROR(state.check_writable());
  if (!state.needs_commit(Occasion::kRunning)) co_return Status();
  CO_ASSIGN_OR_RETURN(Manifest next, co_await state.draft(Occasion::kRunning));
  co_return co_await state.publish(std::move(next));
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
  live->cancelled = true;
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
  for (const auto& [name, live] : state.now.collections) live->cancelled = true, ++live->cancellations;
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

Task<Result<SearchResult>> Database::search(std::string collection, const SearchRequest& request, PointParts parts) {
  const QuerySource source{state_->now, state_->cache, collection};
  co_return co_await state_->query<SearchResult>([&] { return find_hits(source, request, parts); });
}

Task<Result<std::vector<Point>>> Database::get(std::string collection, std::vector<std::string> ids, PointParts parts) {
  const QuerySource source{state_->now, state_->cache, collection};
  co_return co_await state_->query<std::vector<Point>>([&] { return find_points(source, ids, parts); });
}

Task<Result<std::vector<Point>>> Database::scroll(std::string collection, const Filter* filter, std::string after,
                                                  size_t limit, PointParts parts) {
  const QuerySource source{state_->now, state_->cache, collection};
  co_return co_await state_->query<std::vector<Point>>([&] { return find_page(source, filter, after, limit, parts); });
}

Task<Result<size_t>> Database::count(std::string collection, const Filter* filter) {
  const QuerySource source{state_->now, state_->cache, collection};
  CO_ASSIGN_OR_RETURN(const RowSet rows, co_await state_->query<RowSet>([&] { return find_matching(source, filter); }));
  co_return rows.count();
}

Task<Result<std::vector<std::string>>> Database::matching_ids(std::string collection, const Filter* filter) {
  const QuerySource source{state_->now, state_->cache, collection};
  CO_ASSIGN_OR_RETURN(const RowSet rows, co_await state_->query<RowSet>([&] { return find_matching(source, filter); }));
  std::vector<std::string> ids;
  const Collection& memory = state_->find(collection)->memory;
  rows.for_each([&](RowId row) { ids.emplace_back(memory.row(row).id); });
  co_return ids;
}

size_t Database::cached_bytes() const { return state_->cache.bytes(); }
size_t Database::cache_limit() const { return state_->cache.limit(); }

bool Database::read_only() const { return state_->options.read_only; }

uint64_t Database::generation() const { return state_->now.manifest.generation; }

const RecoveryReport& Database::recovery() const { return state_->now.report; }

}  // namespace nearfield
