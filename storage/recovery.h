// Recovery: from the files of a volume to collections in memory.
//
// The newest manifest counts whose listed files all check out; its log is replayed up to the first bad record. Derived
// state that does not check out is built again. Nothing is written. An answer of the host that is an error, other than
// "no such file", ends recovery with that error: a disk that cannot be read is not a damaged database.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/base/effect.h"
#include "core/base/task.h"
#include "core/collection/collection.h"
#include "storage/database.h"
#include "storage/manifest.h"
#include "storage/rows.h"

namespace nearfield {

// A frame of a segment, and the first of its rows.
struct StoredFrame {
  FramePlace place;
  RowId first = 0;
};

// Between two eras of a collection its rows get other numbers.
struct Era {};

// A collection in memory and how much of it segments hold.
struct LiveCollection {
  LiveCollection(std::string name, Schema schema, uint64_t collection_number = 0)
      : memory(std::move(name), std::move(schema)), number(collection_number) {}

  Collection memory;
  uint64_t number;  // in the manifest
  // Calls that wait hold the era in which they began, and compare.
  std::shared_ptr<const Era> era = std::make_shared<Era>();
  size_t rows_stored = 0;         // segments hold the rows before this one, as they were at the last commit...
  std::set<std::string> deleted;  // ...and these ids were deleted since
  size_t indexed_stored = 0;      // rows of the index when derived state was saved last
  bool rewrite = false;           // rows were renumbered: the segments no longer fit and must be replaced

  // Where the rows stand, for collections that keep parts on demand; the others need none of it.
  std::map<uint64_t, std::vector<FramePlace>> frames;  // by file
  std::vector<StoredFrame> places;                     // in order of rows
  uint64_t places_changed = 0;                         // so many times

  // What goes on in the background.
  bool compacting = false;         // on demand: rows are read and written again
  size_t rows_copied = 0;          // of these, so far
  uint64_t cancellations = 0;      // whoever works compares with when it began
  bool compaction_failed = false;  // and is not tried again by itself
  bool indexing_failed = false;    // nor this, until there is something new to index

  // REQUIRES: segments hold the row.
  const StoredFrame& frame_of(RowId row) const;
  // After the segments of `entry` came to hold all rows: what is on demand leaves memory.
  void all_stored(const CollectionEntry& entry);
  // Applies a batch that is durable in a log. Answers how many of its deletes existed.
  size_t apply(Batch batch);
  bool has_unstored_changes() const { return rewrite || rows_stored < memory.row_count() || !deleted.empty(); }
};

struct Recovered {
  Manifest manifest;  // generation 0: a new database
  std::map<std::string, std::unique_ptr<LiveCollection>, std::less<>> collections;
  uint64_t newest = 0;          // greatest generation on the volume, sound or not: what a commit must expect
  uint64_t next_number = 1;     // no file has this number or a greater one
  std::set<std::string> files;  // files that commits may make obsolete
  uint64_t log_length = 0;
  bool log_usable = true;  // false: appending behind what is there would be lost
  RecoveryReport report;
};

// Fails with kStorageCorrupt, kVersionError or what the host answered. `beside_writer`: somebody else may commit, and
// so remove files, at the same time; a generation that has gone by then is not damage, and the next one is loaded.
Task<Result<Recovered>> recover(EffectQueue& effects, bool beside_writer);

// Brings what a reader holds up to what the volume holds by now. Answers whether anything changed. One commit and the
// log are followed by reading only what is new; where that cannot be done everything is loaded again, and pointers to
// collections become invalid. Fails like recover(); `now` is then still a state the database once had.
Task<Result<bool>> catch_up(EffectQueue& effects, Recovered& now);

// Applies what one segment holds. Fails with kFormatError and may then have applied a part.
Status apply_segment(const CollectionEntry& entry, const SegmentEntry& segment, ByteView bytes, Collection& memory);

// A schema as a manifest holds it. Reading fails with kFormatError.
std::string write_schema(const Schema& schema);
Result<Schema> read_schema(std::string_view text);

// The first `length` bytes of a file; fewer where it ends earlier. Read in pieces. Passes the host's errors on.
Task<Result<Bytes>> read_file(EffectQueue& effects, std::string name, uint64_t length);

// A host's error with the operation and the file in front of its message.
Error host_error(const Status& status, std::string_view operation, std::string_view name);

}  // namespace nearfield
