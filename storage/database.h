// Database: collections that survive the process.
//
// Every method that touches storage is a Task over effects (core/base/effect.h); the host performs them on a volume. A
// write is first checked, then made durable, then applied: what a search sees is always durable (or, for relaxed
// writes, handed to the host), and a write that fails changes nothing. Writes are carried out in the order they were
// started; those that wait for the same disk share one append (group commit). Searches never wait, except for what
// their collection keeps on demand, and never for writes.
//
// One database writes; others on the same volume read, each at a generation, and follow it with refresh().
//
// The files are described in storage/FORMAT.md.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/async_lock.h"
#include "core/base/effect.h"
#include "core/base/task.h"
#include "core/collection/collection.h"

namespace nearfield {

inline constexpr size_t kDefaultCacheBytes = 16 << 20;

struct OpenOptions {
  bool read_only = false;  // takes no lock and refuses writes with kReadOnly
  // The most that is kept of what collections keep on demand.
  size_t cache_bytes = kDefaultCacheBytes;
};

// Which parts of a point a call wants. Parts that are in memory come anyway.
struct PointParts {
  bool strings = true;  // payload and text
  bool vector = true;
};

// What opening found and did.
struct RecoveryReport {
  uint64_t generation = 0;           // of the manifest that was used; 0: a new database
  uint64_t generations_skipped = 0;  // newer manifests that did not check out
  uint64_t log_batches = 0;          // replayed
  uint64_t log_bytes_discarded = 0;  // after the last sound record
  std::vector<std::string> rebuilt;  // collections whose derived state was built again from rows
};

struct CollectionBatch {
  std::string collection;  // must exist
  Batch batch;
};

struct BackupReport;
struct RestoredBackup;

class Database {
 public:
  // Fails with kDatabaseLocked, kStorageCorrupt (no sound generation, though files are there), kVersionError, or what
  // the volume answered. An empty volume is a new database; nothing is written until the first write.
  // `effects` must outlive the database.
  static Task<Result<std::unique_ptr<Database>>> open(EffectQueue& effects, OpenOptions options);
  ~Database();

  // The collection of that name, created if it is not there. Fails with kSchemaMismatch, naming each difference, when
  // it exists with another schema; kReadOnly when it would have to be created in a read-only database.
  // The pointer stays valid until drop_collection, refresh, promote or the database's end.
  Task<Result<Collection*>> collection(std::string name, Schema schema);
  const Collection* find(std::string_view name) const;
  std::vector<std::string> collection_names() const;
  // Answers whether it existed.
  Task<Result<bool>> drop_collection(std::string name);

  // All batches become durable together, or none does. Answers how many of the deletes existed, in all.
  // A write of more than about a megabyte goes straight into a segment instead of the log.
  Task<Result<size_t>> write(std::vector<CollectionBatch> batches, Durability durability);
  // The same for a write that depends on what is there: `plan` is called when every earlier write has been applied, and
  // nothing comes between it and its own. No batches: nothing is written.
  using Plan = std::function<Task<Result<std::vector<CollectionBatch>>>()>;
  Task<Result<size_t>> write_planned(Plan plan, Durability durability);
  // Removes every point. Answers how many there were.
  Task<Result<size_t>> clear(std::string collection);

  // Collection's methods of these names, for any collection, in particular where payloads or vectors are on demand
  // (Collection::on_demand()). The answer is that of one moment between the call's start and its end, and its views
  // stay valid until the next effect is asked for. Memory is bounded by the answer, the cache and a few reads; a filter
  // over payloads on demand reads all of them, and a search among vectors on demand all that are allowed.
  //
  // Fail like Collection's methods, with kNotFound where there is no such collection, kStorageCorrupt, naming the file,
  // where a file that is needed is damaged, kConflict where the collection is rewritten again and again meanwhile, and
  // what the host answers. `filter` (null: none) and what `request` points to must outlive the task.
  Task<Result<SearchResult>> search(std::string collection, const SearchRequest& request, PointParts parts);
  Task<Result<std::vector<Point>>> get(std::string collection, std::vector<std::string> ids, PointParts parts);
  Task<Result<std::vector<Point>>> scroll(std::string collection, const Filter* filter, std::string after, size_t limit,
                                          PointParts parts);
  Task<Result<size_t>> count(std::string collection, const Filter* filter);
  Task<Result<std::vector<std::string>>> matching_ids(std::string collection, const Filter* filter);

  // Moves what the log holds, and the derived state, into files and starts a new log. A no-op when nothing changed
  // since the last one. Happens by itself when the log passes 8 MiB.
  Task<Status> checkpoint();
  // Puts the rows that the collection's index does not have yet into it, learning it anew where it was learned from too
  // few, then drops the dead rows, in steps of a few
  // milliseconds with a pause of the host's between them; searches and writes go on meanwhile. Ends with a commit where
  // rows were dropped. Happens by itself (maintain): the first as soon as rows are missing, the second once half of the
  // rows are dead. Fails with kAborted after cancel_compaction(), and when the collection is cleared or dropped
  // meanwhile; with kConflict while another call is under way.
  Task<Status> compact(std::string collection);
  void cancel_compaction(std::string_view collection);
  // Rows indexed, then rows looked at, of how many; {0, 0} where nothing is left or under way.
  std::pair<size_t, size_t> compaction_progress(std::string_view collection) const;
  // Whether maintain() would do something.
  bool wants_maintenance() const;
  // Indexes and compacts what wants it; a reader only indexes. Ends early when the database is closed.
  Task<Status> maintain();

  // For readers: takes over what the writer committed and appended since. Answers whether anything changed. In the
  // database that writes it does nothing.
  Task<Result<bool>> refresh();
  // Turns a reader into the writer: takes the lock, or fails with kDatabaseLocked, and catches up.
  Task<Status> promote();

  // A checkpoint, then the lock is given back; later calls fail with kClosed. A second close is a no-op.
  Task<Status> close();

  // Sends the whole database as it is now to `stream`, see storage/backup.h. Writes go on meanwhile and are not in it;
  // files that it needs are not removed before it ends.
  Task<Result<BackupReport>> backup(uint64_t stream);
  // Replaces all collections by those that receive_backup answered, in one commit (a new database makes an empty one
  // first), or changes nothing. All pointers to collections end.
  Task<Status> restore(RestoredBackup backup);

  bool read_only() const;
  uint64_t generation() const;
  const RecoveryReport& recovery() const;
  // What is kept of parts on demand, and the most that may be.
  size_t cached_bytes() const;
  size_t cache_limit() const;

 private:
  Database(EffectQueue& effects, OpenOptions options);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield
