// How what is in memory becomes the next generation.
#include <algorithm>
#include <functional>

#include "core/base/hash.h"
#include "storage/body_scan.h"
#include "storage/database_state.h"

namespace nearfield {

namespace {

// When a commit also saves derived state. Rows that came after the saved state are added again at the next opening, to
// the postings at once and to the graph in the background; saving costs writing all of it, an eighth to a tenth of what
// the rows take. Waiting until half as many rows have come as are covered keeps everything that is ever written within
// three times the final size; a database that is being closed may as well spare its next opening the work, once saving
// costs no more than the new rows did.
bool index_is_stale(const LiveCollection& live, uint64_t covered, Occasion occasion) {
  const uint64_t rows = live.memory.row_count() - covered;
  const uint64_t indexed = live.memory.indexed() - std::min(live.memory.indexed(), live.indexed_stored);
  return std::max(rows, indexed) > covered / (occasion == Occasion::kRunning ? 2 : 8);
}

// A new segment counts as at least this large when it is decided which earlier ones to merge into it: below this, the
// number of files costs more than the bytes.
constexpr uint64_t kMinSegmentBytes = 32 << 10;

size_t size_of(const RowView& row) {
  return row.id.size() + row.text.size() + row.payload.size() + row.vector.size_bytes();
}

bool is_manifest(const std::string& name) {
  const auto named = parse_file_name(name);
  return named && named->kind == FileKind::kManifest;
}

}  // namespace

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

SegmentBuilder Database::State::new_segment(const Collection& memory, const CollectionEntry& entry) {
  return {entry.number, now.next_number++, memory.on_demand() ? kOnDemandFrameBytes : kFrameBytes};
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

  SegmentBuilder builder = new_segment(memory, entry);
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

Task<Status> Database::checkpoint() {
  State& state = *state_;
  const AsyncLock::Held held = co_await state.turn.acquire();
  CO_RETURN_IF_ERROR(state.check_writable());
  if (!state.needs_commit(Occasion::kRunning)) co_return Status();
  CO_ASSIGN_OR_RETURN(Manifest next, co_await state.draft(Occasion::kRunning));
  co_return co_await state.publish(std::move(next));
}

}  // namespace nearfield
