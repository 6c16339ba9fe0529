// What a Database is made of. Included by database*.cpp only; each of them has the functions of one group below.
//
// Whoever changes what is committed, or writes an index down, holds `turn`. Everybody looks a collection up again after
// each wait without it, because it may be gone by then.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "storage/database.h"
#include "storage/frame_cache.h"
#include "storage/recovery.h"

namespace nearfield {

// A database that is being closed may save what the next opening would otherwise have to make.
enum class Occasion { kRunning, kClosing };

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

  // database.cpp: opening, the list of collections, closing, backups.
  Status check_writable() const;
  LiveCollection* find(std::string_view name) const;

  // database_commit.cpp: from memory to files. A commit is: draft (files for all rows that only the log holds), the
  // caller's own changes to the manifest, publish.
  bool needs_commit(Occasion occasion) const;
  // The rows of `leaving` are not written.
  Task<Result<Manifest>> draft(Occasion occasion, const LiveCollection* leaving = nullptr);
  Task<Status> publish(Manifest next);
  Task<Status> settle_doubt();
  Task<Status> store_rows(LiveCollection& live, CollectionEntry& entry, size_t segments_kept);
  Task<Status> store_index(const Collection& memory, CollectionEntry& entry);
  SegmentBuilder new_segment(const Collection& memory, const CollectionEntry& entry);
  Task<Status> write_segment(SegmentBuilder& builder, CollectionEntry& entry, LiveCollection& live);
  Task<Status> write_file(std::string name, Bytes bytes);

  // database_write.cpp: batches, into the log or straight into segments.
  bool log_takes(size_t record_bytes) const;
  bool prepare(PendingWrite& write) const;
  std::vector<PendingWrite*> take_group(PendingWrite& first);
  Task<Status> append(std::span<const ByteView> records, Durability durability);
  Task<Status> store_batch(const Batch& batch, CollectionEntry& entry);
  Task<Status> store(std::span<PendingWrite* const> group);
  Task<Status> carry_out(std::span<PendingWrite* const> group);

  // database_upkeep.cpp: what goes on in the background.
  bool compaction_is_due(const LiveCollection& live) const;
  // Puts the rows that the collection's index does not have yet into it, a few at a time.
  Task<Status> finish_index(std::string name);
  Task<Status> index_stored(std::string name, uint64_t cancellations);
  Task<Status> compact(std::string name);
  Task<Status> compact_on_demand(std::string name);

  // database_query.cpp: runs a query, and runs it again where the collection, or the file it read, was replaced
  // meanwhile.
  template <typename T, typename Start>
  Task<Result<T>> query(Start start);
};

}  // namespace nearfield
