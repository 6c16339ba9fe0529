#include "storage/recovery.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/json.h"
#include "core/base/sort.h"
#include "storage/log.h"

namespace nearfield {

namespace {

// Nothing we write is larger: a sealed file passes kSegmentBytes by at most one point (kMaxTextBytes and more).
constexpr uint64_t kMaxSealedBytes = 64 << 20;
// What is asked for at once: a segment is closed when it has passed kSegmentBytes, and should still come whole.
constexpr uint64_t kReadBytes = kSegmentBytes + 2 * kFrameBytes;

// The files of a volume that are ours.
struct Listing {
  std::map<std::string, uint64_t, std::less<>> lengths;  // by name
  std::vector<uint64_t> generations;                     // of manifests, newest first
  uint64_t next_number = 1;                              // no segment or index has this number or a greater one

  const uint64_t* length_of(std::string_view name) const {
    const auto found = lengths.find(name);
    return found == lengths.end() ? nullptr : &found->second;
  }
};

// A reader's files may be removed under it by a writer's commit; it then looks again, so many times, after a pause that
// doubles from the first one.
constexpr int kReaderAttempts = 8;
constexpr uint64_t kReaderPauseMs = 5;

// More than this in segments that a commit added is not taken over row by row; loading everything costs about as much.
constexpr uint64_t kMaxAdoptedBytes = 64 << 20;

Error damaged(std::string what) { return {Code::kFormatError, std::move(what), ""}; }

// What lets an older generation, or a rebuild, stand in. All other errors are not the data's fault.
bool is_damage(Code code) { return code == Code::kFormatError || code == Code::kNotFound; }

// Missing files and wrong lengths show without reading anything.
Status check_listed(const Listing& listing, FileKind kind, const SealedFile& file) {
  const std::string name = file_name(kind, file.number);
  const uint64_t* length = listing.length_of(name);
  if (length == nullptr) return damaged(name + " is missing");
  // Where the host does not know the length, reading the file tells.
  const bool fits = *length == file.length || *length == kUnknownLength;
  if (!fits || file.length > kMaxSealedBytes) return damaged(name + " has the wrong length");
  return {};
}

Task<Result<Bytes>> read_listed(EffectQueue& effects, const Listing& listing, FileKind kind, SealedFile file) {
  CO_RETURN_IF_ERROR(check_listed(listing, kind, file));
  const std::string name = file_name(kind, file.number);
  // One byte more than there should be shows a file that is too long.
  CO_ASSIGN_OR_RETURN(Bytes bytes, co_await read_file(effects, name, file.length + 1));
  if (bytes.size() != file.length) co_return damaged(name + " has the wrong length");
  co_return bytes;
}

// Reads sealed files in the order in which they were given, and has the next ones on their way while the caller looks
// at one.
class ReadAhead {
 public:
  ReadAhead(EffectQueue& effects, const Listing& listing, FileKind kind)
      : effects_(effects), listing_(listing), kind_(kind) {}
  void add(const SealedFile& file) { files_.push_back(file); }

  // The bytes of the next file. REQUIRES: there is one.
  Task<Result<Bytes>> next() {
    ask(1);
    Task<Result<Bytes>> first = std::move(asked_.front());
    asked_.pop_front();
    ask(kFilesAhead);
    co_return co_await first.finished();
  }

 private:
  // Beside the file that is looked at: memory for so many more is taken.
  static constexpr size_t kFilesAhead = 2;

  void ask(size_t wanted) {
    for (; asked_.size() < wanted && next_ < files_.size(); ++next_) {
      asked_.push_back(read_listed(effects_, listing_, kind_, files_[next_]));
      asked_.back().start();
    }
  }

  EffectQueue& effects_;
  const Listing& listing_;
  FileKind kind_;
  std::vector<SealedFile> files_;
  size_t next_ = 0;  // of files_, to be asked for
  std::deque<Task<Result<Bytes>>> asked_;
};

// Notes where the rows of a segment stand. REQUIRES: `frames` are those of the file.
Status note_frames(const SegmentEntry& segment, std::span<const Frame> frames, LiveCollection& live) {
  if (!live.memory.on_demand()) return {};
  std::vector<FramePlace> places;
  uint64_t offset = kFileHeaderBytes;
  uint64_t rows = 0;
  for (const Frame& frame : frames) {
    ASSIGN_OR_RETURN(const RowColumns columns, view_rows(frame.payload));
    places.push_back({segment.file.number, offset, frame.checksum, static_cast<uint32_t>(frame.size),
                      static_cast<uint32_t>(columns.rows())});
    offset += frame.size;
    rows += columns.rows();
  }
  if (rows != segment.rows) return damaged("a segment has another number of rows than its manifest says");
  live.frames[segment.file.number] = std::move(places);
  return {};
}

// `live`: what is on demand is let go at once, and where it stands is noted; null: all of it stays in memory.
Status apply_frames(const CollectionEntry& entry, const SegmentEntry& segment, ByteView bytes, Collection& memory,
                    LiveCollection* live) {
  const FileIdentity identity = {FileKind::kSegment, segment.file.number, entry.number};
  ASSIGN_OR_RETURN(const std::vector<Frame> frames, read_sealed(identity, segment.file, bytes));
  uint64_t rows = 0;
  uint64_t deletes = 0;
  for (const Frame& frame : frames) {
    if (frame.type != FrameType::kRows) return damaged(file_name(identity.kind, identity.number) + ": unknown frame");
    ASSIGN_OR_RETURN(const RowColumns columns, view_rows(frame.payload));
    if (const Status status = memory.check(columns); !status.ok()) {
      return damaged(file_name(identity.kind, identity.number) + ": " + status.error().message);
    }
    rows += columns.rows();
    deletes += columns.deletes.size();
    memory.apply(columns);
    if (live != nullptr) memory.evict();
  }
  if (rows != segment.rows || deletes != segment.deletes) {
    return damaged(file_name(identity.kind, identity.number) + " has another number of rows than its manifest says");
  }
  return live != nullptr ? note_frames(segment, frames, *live) : Status();
}

Status apply_segment(const CollectionEntry& entry, const SegmentEntry& segment, ByteView bytes, LiveCollection& live) {
  return apply_frames(entry, segment, bytes, live.memory, &live);
}

}  // namespace

Status apply_segment(const CollectionEntry& entry, const SegmentEntry& segment, ByteView bytes, Collection& memory) {
  return apply_frames(entry, segment, bytes, memory, nullptr);
}

namespace {

// The packed sections of an index, a piece a file, or damage.
Task<Result<std::vector<Bytes>>> read_index(EffectQueue& effects, const Listing& listing,
                                            const CollectionEntry& entry) {
  ReadAhead files(effects, listing, FileKind::kIndex);
  for (const SealedFile& part : entry.index->parts) {
    CO_RETURN_IF_ERROR(check_listed(listing, FileKind::kIndex, part));
    files.add(part);
  }
  std::vector<Bytes> packed;
  for (const SealedFile& part : entry.index->parts) {
    CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await files.next());
    CO_ASSIGN_OR_RETURN(const std::vector<Frame> frames,
                        read_sealed({FileKind::kIndex, part.number, entry.number}, part, bytes));
    Bytes& piece = packed.emplace_back();
    piece.reserve(bytes.size());
    for (const Frame& frame : frames) {
      if (frame.type != FrameType::kIndexPart) co_return damaged("an index holds another kind of frame");
      piece.insert(piece.end(), frame.payload.begin(), frame.payload.end());
    }
  }
  co_return packed;
}

bool attach_index(std::vector<Bytes> packed, Collection& memory) {
  const Result<SectionViews> sections = SectionViews::read(std::move(packed));
  return sections.ok() && memory.attach_derived(sections.value());
}

Result<std::unique_ptr<LiveCollection>> empty_collection(const CollectionEntry& entry) {
  if (!check_collection_name(entry.name).ok()) return damaged("a collection has an impossible name");
  ASSIGN_OR_RETURN(Schema schema, read_schema(entry.schema));
  return std::make_unique<LiveCollection>(entry.name, std::move(schema), entry.number);
}

// One collection from its segments. An index that cannot be used is dropped from `entry` and its collection named in
// `report`.
Task<Result<std::unique_ptr<LiveCollection>>> load_collection(EffectQueue& effects, const Listing& listing,
                                                              CollectionEntry& entry, RecoveryReport& report) {
  CO_ASSIGN_OR_RETURN(std::unique_ptr<LiveCollection> live, empty_collection(entry));
  Collection& memory = live->memory;

  const uint64_t covered = entry.index ? entry.index->segments : 0;
  if (covered > 0) memory.defer_derived(true);
  ReadAhead files(effects, listing, FileKind::kSegment);
  for (const SegmentEntry& segment : entry.segments) files.add(segment.file);
  for (size_t i = 0; i < entry.segments.size(); ++i) {
    {
      CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await files.next());
      CO_RETURN_IF_ERROR(apply_segment(entry, entry.segments[i], bytes, *live));
    }
    if (i + 1 != covered) continue;
    // From here on rows are added to the saved graph and postings like any others.
    Result<std::vector<Bytes>> packed = co_await read_index(effects, listing, entry);
    if (!packed.ok() && !is_damage(packed.code())) co_return std::move(packed).failure();
    if (!packed.ok() || !attach_index(std::move(packed).value(), memory)) {
      report.rebuilt.push_back(entry.name);
      entry.index.reset();
      // What postings are made of has left memory again: once more from the start, now with every row.
      if (memory.on_demand()) co_return co_await load_collection(effects, listing, entry, report);
      memory.rebuild_derived();
    }
    memory.defer_derived(false);
    if (entry.index) live->indexed_stored = memory.indexed();
  }
  live->rows_stored = memory.row_count();
  live->all_stored(entry);
  co_return live;
}

Task<Result<Manifest>> read_manifest(EffectQueue& effects, uint64_t generation) {
  const std::string name = file_name(FileKind::kManifest, generation);
  // Cut behind a byte that is no whole frame, a longer one is damage.
  CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_file(effects, name, kMaxManifestBytes + 1));
  co_return decode_manifest(generation, bytes);
}

// Everything but the log.
Task<Status> load_generation(EffectQueue& effects, const Listing& listing, uint64_t generation, Recovered& out) {
  CO_ASSIGN_OR_RETURN(out.manifest, co_await read_manifest(effects, generation));
  // All lengths first: cheaper than loading half a database only to step back.
  for (const CollectionEntry& entry : out.manifest.collections) {
    for (const SegmentEntry& segment : entry.segments) {
      CO_RETURN_IF_ERROR(check_listed(listing, FileKind::kSegment, segment.file));
    }
  }
  for (CollectionEntry& entry : out.manifest.collections) {
    CO_ASSIGN_OR_RETURN(out.collections[entry.name], co_await load_collection(effects, listing, entry, out.report));
  }
  co_return Status();
}

// Applies one record, or nothing of it.
Status apply_record(ByteView payload, Recovered& out) {
  ASSIGN_OR_RETURN(LogRecord record, decode_log_record(payload));
  std::vector<LiveCollection*> targets;
  for (const auto& [number, batch] : record) {
    const auto entry = std::ranges::find(out.manifest.collections, number, &CollectionEntry::number);
    if (entry == out.manifest.collections.end()) return damaged("a log record names an unknown collection");
    targets.push_back(out.collections.at(entry->name).get());
    RETURN_IF_ERROR(targets.back()->memory.check(batch));
  }
  for (size_t i = 0; i < record.size(); ++i) targets[i]->apply(std::move(record[i].second));
  return {};
}

// Replays the log, in pieces, from where `out` already is to its first bad record.
Task<Status> replay_log(EffectQueue& effects, const Listing& listing, Recovered& out) {
  const FileIdentity identity = log_identity(out.manifest.generation, out.manifest.checksum);
  const std::string name = file_name(FileKind::kLog, identity.number);
  const uint64_t* listed = listing.length_of(name);
  uint64_t length = listed != nullptr ? *listed : 0;  // may be kUnknownLength
  Bytes buffer;                                       // what was read and not yet replayed...
  uint64_t position = out.log_length;                 // ...starts here in the file
  uint64_t sound = position;                          // the log is good up to here
  bool bad = length < position;
  while (!bad && position + buffer.size() < length) {
    const uint64_t wanted = std::min<uint64_t>(kSegmentBytes, length - position - buffer.size());
    const EffectAnswer answer = co_await effects.request(ReadEffect{name, position + buffer.size(), wanted});
    if (!answer.status.ok() && !is_damage(answer.status.code())) co_return host_error(answer.status, "read", name);
    if (answer.bytes.empty() || answer.bytes.size() > wanted) break;
    buffer.insert(buffer.end(), answer.bytes.begin(), answer.bytes.end());
    if (answer.bytes.size() < wanted && length == kUnknownLength) length = position + buffer.size();

    size_t used = 0;
    if (position == 0) {
      Result<FileIdentity> header = read_file_header(buffer, identity.kind, identity.number);
      if (header.code() == Code::kVersionError) co_return std::move(header).failure();
      bad = !header.ok() || header.value().link != identity.link;
      if (bad) break;
      used = sound = kFileHeaderBytes;
    }
    while (buffer.size() - used >= kFrameHeaderBytes) {
      const ByteView rest = ByteView(buffer).subspan(used);
      const auto payload_bytes = ByteReader(rest).get<uint32_t>();
      const bool too_long = payload_bytes > kMaxLogRecordBytes;
      if (!too_long && frame_size(payload_bytes) > rest.size()) break;  // the next piece may complete it
      const Result<Frame> frame = read_frame(identity, position + used, rest);
      bad = too_long || !frame.ok() || frame.value().type != FrameType::kLogRecord ||
            !apply_record(frame.value().payload, out).ok();
      if (bad) break;
      ++out.report.log_batches;
      used += frame.value().size;
      sound = position + used;
    }
    buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(used));
    position += used;
  }
  // At least what was read is there.
  if (length == kUnknownLength) length = position + buffer.size();
  out.log_length = sound;
  out.log_usable = sound == length;
  out.report.log_bytes_discarded = length > sound ? length - sound : 0;
  co_return Status();
}

}  // namespace

Error host_error(const Status& status, std::string_view operation, std::string_view name) {
  Error error = status.error();
  error.message = std::string(operation) + " " + std::string(name) + ": " + error.message;
  return error;
}

std::string write_schema(const Schema& schema) { return write_json(schema_json(schema)); }

Result<Schema> read_schema(std::string_view text) {
  const Result<Json> json = parse_json(text, "schema");
  if (!json.ok()) return damaged(json.error().message);
  Result<Schema> schema = parse_schema(json.value());
  if (!schema.ok()) return damaged("schema: " + schema.error().message);
  return schema;
}

Task<Result<Bytes>> read_file(EffectQueue& effects, std::string name, uint64_t length) {
  Bytes bytes;
  while (bytes.size() < length) {
    const uint64_t wanted = std::min<uint64_t>(kReadBytes, length - bytes.size());
    EffectAnswer answer = co_await effects.request(ReadEffect{name, bytes.size(), wanted});
    if (!answer.status.ok()) co_return host_error(answer.status, "read", name);
    if (answer.bytes.size() > wanted) {
      co_return Error{Code::kStorageFailed, "read " + name + ": the host answered more bytes than were asked for", ""};
    }
    const bool ends = answer.bytes.size() < wanted;
    if (bytes.empty()) {
      bytes = std::move(answer.bytes);
    } else {
      bytes.insert(bytes.end(), answer.bytes.begin(), answer.bytes.end());
    }
    if (ends) break;
  }
  co_return bytes;
}

const StoredFrame& LiveCollection::frame_of(RowId row) const {
  const auto after = std::ranges::upper_bound(places, row, {}, &StoredFrame::first);
  assert(after != places.begin());
  return *std::prev(after);
}

void LiveCollection::all_stored(const CollectionEntry& entry) {
  if (!memory.on_demand()) return;
  memory.evict();
  places.clear();
  RowId first = 0;
  std::map<uint64_t, std::vector<FramePlace>> kept;
  for (const SegmentEntry& segment : entry.segments) {
    auto& of_file = kept[segment.file.number] = std::move(frames[segment.file.number]);
    for (const FramePlace& place : of_file) {
      if (place.rows == 0) continue;
      places.push_back({place, first});
      first += place.rows;
    }
  }
  frames = std::move(kept);
  ++places_changed;
}

size_t LiveCollection::apply(Batch batch) {
  indexing_failed = false;
  for (const std::string& id : batch.deletes) {
    if (memory.contains(id)) deleted.insert(id);
  }
  return memory.apply(std::move(batch));
}

namespace {

Task<Result<Listing>> list_files(EffectQueue& effects) {
  EffectAnswer answer = co_await effects.request(ListEffect{});
  if (!answer.status.ok()) co_return host_error(answer.status, "list", "files");
  Listing listing;
  for (FileEntry& file : answer.files) {
    const auto named = parse_file_name(file.name);
    if (!named) continue;  // not ours: never read, never deleted
    if (named->kind == FileKind::kManifest) listing.generations.push_back(named->number);
    const bool counted = named->kind == FileKind::kSegment || named->kind == FileKind::kIndex;
    if (counted && named->number < kMaxNextNumber) {
      listing.next_number = std::max(listing.next_number, named->number + 1);
    }
    listing.lengths.emplace(std::move(file.name), file.length);
  }
  heap_sort(listing.generations, std::greater<>());
  co_return listing;
}

// What a writer needs to know of the volume besides the data.
void note_files(const Listing& listing, Recovered& out) {
  out.newest = listing.generations.empty() ? 0 : listing.generations.front();
  out.next_number = std::max({out.next_number, listing.next_number, out.manifest.next_number});
  out.files.clear();
  if (out.report.generations_skipped == 0) {
    for (const auto& [name, length] : listing.lengths) out.files.insert(name);
  } else {
    // What a damaged newer generation is made of stays, for whoever comes to look.
    for (std::string& name : out.manifest.file_names()) out.files.insert(std::move(name));
  }
}

Task<Result<Recovered>> load_newest(EffectQueue& effects, const Listing& listing) {
  if (listing.generations.empty()) {
    if (listing.lengths.empty()) co_return Recovered();
    const std::string& first = listing.lengths.begin()->first;
    co_return Error{Code::kStorageCorrupt,
                    "the folder holds " + std::to_string(listing.lengths.size()) +
                        " database files but no manifest, such as " + first,
                    shown(first)};
  }
  std::optional<Error> first_damage;
  uint64_t skipped = 0;
  bool readable = false;  // a manifest is sound, though not what it names
  for (const uint64_t generation : listing.generations) {
    Recovered out;
    Status status = co_await load_generation(effects, listing, generation, out);
    if (!status.ok()) {
      if (!is_damage(status.code())) co_return std::move(status).failure();
      if (!first_damage) first_damage = status.error();
      readable = readable || out.manifest.generation != 0;
      ++skipped;
      continue;
    }
    CO_RETURN_IF_ERROR(co_await replay_log(effects, listing, out));
    out.report.generation = generation;
    out.report.generations_skipped = skipped;
    note_files(listing, out);
    co_return out;
  }
  if (listing.lengths.size() == listing.generations.size() && !readable) {
    // The first commit writes nothing but its manifest, and nothing else is written before it. So rows were never
    // acknowledged here: commits were torn.
    Recovered out;
    out.report.generations_skipped = skipped;
    note_files(listing, out);
    co_return out;
  }
  co_return Error{Code::kStorageCorrupt, "no generation of the database is sound: " + first_damage->message,
                  shown(file_name(FileKind::kManifest, listing.generations.front()))};
}

// How many of the entry's segments hold what memory holds already, given that all of the log before it was replayed;
// nullopt where that cannot be told. Row numbers stay as they are from one generation to the next unless the rows were
// compacted or cleared, and then no segment stays. So the first segment tells, where there was one.
std::optional<size_t> segments_in_memory(const CollectionEntry& before, const CollectionEntry& after, size_t rows) {
  if (before.segments.empty() || after.segments.empty() || before.segments[0] != after.segments[0]) {
    if (rows == 0 && after.segments.empty()) return size_t{0};
    return std::nullopt;
  }
  uint64_t held = 0;
  for (size_t i = 0; i < after.segments.size(); ++i) {
    held += after.segments[i].rows;
    // Segments of deletes alone that follow were made by the same commit. Repeating them is harmless.
    if (held == rows) return i + 1;
    if (held > rows) return std::nullopt;
  }
  return std::nullopt;
}

// Follows one commit: from `now`, at the generation before, to the one that `next` describes. Answers false, with
// nothing changed but more of the log replayed, where that takes loading everything.
Task<Result<bool>> adopt(EffectQueue& effects, const Listing& listing, Manifest next, Recovered& now) {
  // The rest of the old log first: the new generation starts where it ended.
  CO_RETURN_IF_ERROR(co_await replay_log(effects, listing, now));
  if (!now.log_usable || next.previous != now.manifest.generation || next.previous_checksum != now.manifest.checksum) {
    co_return false;
  }
  struct Added {
    const CollectionEntry* entry;
    const SegmentEntry* segment;
    Bytes bytes;
    bool held = false;  // rows that are there, in a segment that is not
  };
  std::vector<Added> added;
  uint64_t bytes = 0;
  for (const CollectionEntry& entry : next.collections) {
    const auto before = std::ranges::find(now.manifest.collections, entry.number, &CollectionEntry::number);
    if (before == now.manifest.collections.end()) {
      if (!entry.segments.empty()) co_return false;
      continue;
    }
    const auto held = segments_in_memory(*before, entry, now.collections.at(entry.name)->memory.row_count());
    if (!held) co_return false;
    const LiveCollection& live = *now.collections.at(entry.name);
    for (size_t i = 0; i < entry.segments.size(); ++i) {
      // Rows on demand leave memory, so it must be known where they stand.
      const bool place_wanted = live.memory.on_demand() && !live.frames.contains(entry.segments[i].file.number);
      if (i < *held && !place_wanted) continue;
      bytes += entry.segments[i].file.length;
      if (bytes > kMaxAdoptedBytes) co_return false;
      added.push_back({&entry, &entry.segments[i], {}, i < *held});
    }
  }
  // All of them before the first is applied, so that a search between two effects sees all of the commit or nothing.
  for (Added& each : added) {
    CO_ASSIGN_OR_RETURN(each.bytes, co_await read_listed(effects, listing, FileKind::kSegment, each.segment->file));
    const FileIdentity identity = {FileKind::kSegment, each.segment->file.number, each.entry->number};
    CO_ASSIGN_OR_RETURN(const auto frames, read_sealed(identity, each.segment->file, each.bytes));
    if (!each.held) continue;
    CO_RETURN_IF_ERROR(note_frames(*each.segment, frames, *now.collections.at(each.entry->name)));
    each.bytes = Bytes();
  }
  std::map<std::string, std::unique_ptr<LiveCollection>, std::less<>> collections;
  for (const CollectionEntry& entry : next.collections) {
    if (std::ranges::find(now.manifest.collections, entry.number, &CollectionEntry::number) !=
        now.manifest.collections.end())
      continue;
    CO_ASSIGN_OR_RETURN(collections[entry.name], empty_collection(entry));
  }
  for (const CollectionEntry& entry : next.collections) {
    auto& live = collections[entry.name];
    if (live == nullptr) live = std::move(now.collections.at(entry.name));
  }
  now.collections = std::move(collections);
  for (const Added& each : added) {
    if (each.held) continue;
    CO_RETURN_IF_ERROR(apply_segment(*each.entry, *each.segment, each.bytes, *now.collections.at(each.entry->name)));
  }
  now.manifest = std::move(next);
  for (const auto& [name, live] : now.collections) {
    live->rows_stored = live->memory.row_count();
    live->deleted.clear();
    live->all_stored(*now.manifest.find(name));
  }
  now.log_length = 0;
  CO_RETURN_IF_ERROR(co_await replay_log(effects, listing, now));
  co_return true;
}

Task<Status> pause(EffectQueue& effects, int attempt) {
  const EffectAnswer answer = co_await effects.request(SleepEffect{kReaderPauseMs << attempt});
  if (!answer.status.ok()) co_return host_error(answer.status, "wait", "for the writer");
  co_return Status();
}

}  // namespace

Task<Result<Recovered>> recover(EffectQueue& effects, bool beside_writer) {
  for (int attempt = 0;; ++attempt) {
    CO_ASSIGN_OR_RETURN(const Listing listing, co_await list_files(effects));
    Result<Recovered> out = co_await load_newest(effects, listing);
    // A writer that commits twice while the files are listed can make every one of them vanish from the list.
    const bool clean = out.ok() && out.value().report.generations_skipped == 0 && !listing.generations.empty();
    const bool maybe_moved = !clean && (out.ok() || out.code() == Code::kStorageCorrupt);
    if (!beside_writer || !maybe_moved || attempt == kReaderAttempts) co_return out;
    CO_ASSIGN_OR_RETURN(const Listing later, co_await list_files(effects));
    if (later.generations == listing.generations) co_return out;
    CO_RETURN_IF_ERROR(co_await pause(effects, attempt));
  }
}

Task<Result<bool>> catch_up(EffectQueue& effects, Recovered& now) {
  CO_ASSIGN_OR_RETURN(const Listing listing, co_await list_files(effects));
  const uint64_t newest = listing.generations.empty() ? 0 : listing.generations.front();
  const uint64_t generation = now.manifest.generation;
  const uint64_t length = now.log_length;
  if (newest == now.newest && now.report.generations_skipped > 0) {
    // Nothing moved since it was seen that the newest ones are damaged.
    CO_RETURN_IF_ERROR(co_await replay_log(effects, listing, now));
    co_return now.log_length != length;
  }
  if (newest == generation) {
    if (generation > 0) CO_RETURN_IF_ERROR(co_await replay_log(effects, listing, now));
    note_files(listing, now);
    co_return now.log_length != length;
  }
  if (newest == generation + 1 && generation > 0) {
    Result<Manifest> next = co_await read_manifest(effects, newest);
    if (!next.ok() && !is_damage(next.code())) co_return std::move(next).failure();
    if (next.ok()) {
      Result<bool> adopted = co_await adopt(effects, listing, std::move(next).value(), now);
      if (!adopted.ok() && !is_damage(adopted.code())) co_return std::move(adopted).failure();
      if (adopted.ok() && adopted.value()) {
        note_files(listing, now);
        co_return true;
      }
    }
  }
  CO_ASSIGN_OR_RETURN(Recovered found, co_await recover(effects, /*beside_writer=*/true));
  if (found.manifest.generation == 0 && generation > 0) {
    co_return Error{Code::kStorageFailed, "the files of the database are gone, or could not be listed", ""};
  }
  now = std::move(found);
  co_return true;
}

}  // namespace nearfield
