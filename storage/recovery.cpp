#include "storage/recovery.h"

#include <algorithm>
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

using Listing = std::map<std::string, uint64_t, std::less<>>;  // name, length

Error damaged(std::string what) { return {Code::kFormatError, std::move(what), ""}; }

// What lets an older generation, or a rebuild, stand in. All other errors are not the data's fault.
bool is_damage(Code code) { return code == Code::kFormatError || code == Code::kNotFound; }

// Missing files and wrong lengths show without reading anything.
Status check_listed(const Listing& listing, FileKind kind, const SealedFile& file) {
  const std::string name = file_name(kind, file.number);
  const auto found = listing.find(name);
  if (found == listing.end()) return damaged(name + " is missing");
  if (found->second != file.length || file.length > kMaxSealedBytes) return damaged(name + " has the wrong length");
  return {};
}

Task<Result<Bytes>> read_listed(EffectQueue& effects, const Listing& listing, FileKind kind, SealedFile file) {
  CO_RETURN_IF_ERROR(check_listed(listing, kind, file));
  co_return co_await read_file(effects, file_name(kind, file.number), file.length);
}

// Applies what one segment holds.
Status apply_segment(const CollectionEntry& entry, const SegmentEntry& segment, ByteView bytes, Collection& memory) {
  const FileIdentity identity = {FileKind::kSegment, segment.file.number, entry.number};
  ASSIGN_OR_RETURN(const std::vector<Frame> frames, read_sealed(identity, segment.file, bytes));
  uint64_t rows = 0;
  uint64_t deletes = 0;
  for (const Frame& frame : frames) {
    if (frame.type != FrameType::kRows) return damaged(file_name(identity.kind, identity.number) + ": unknown frame");
    ASSIGN_OR_RETURN(Batch batch, decode_rows(frame.payload));
    if (const Status status = memory.check(batch); !status.ok()) {
      return damaged(file_name(identity.kind, identity.number) + ": " + status.error().message);
    }
    rows += batch.upserts.size();
    deletes += batch.deletes.size();
    memory.apply(std::move(batch));
  }
  if (rows != segment.rows || deletes != segment.deletes) {
    return damaged(file_name(identity.kind, identity.number) + " has another number of rows than its manifest says");
  }
  return {};
}

// The sections of an index, or damage.
Task<Result<Sections>> read_index(EffectQueue& effects, const Listing& listing, const CollectionEntry& entry) {
  Bytes packed;
  for (const SealedFile& part : entry.index->parts) {
    CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_listed(effects, listing, FileKind::kIndex, part));
    CO_ASSIGN_OR_RETURN(const std::vector<Frame> frames,
                        read_sealed({FileKind::kIndex, part.number, entry.number}, part, bytes));
    for (const Frame& frame : frames) {
      if (frame.type != FrameType::kIndexPart) co_return damaged("an index holds another kind of frame");
      packed.insert(packed.end(), frame.payload.begin(), frame.payload.end());
    }
  }
  co_return read_sections(packed);
}

// One collection from its segments. An index that cannot be used is dropped from `entry` and its collection named in
// `report`.
Task<Result<std::unique_ptr<LiveCollection>>> load_collection(EffectQueue& effects, const Listing& listing,
                                                              CollectionEntry& entry, RecoveryReport& report) {
  if (!check_collection_name(entry.name).ok()) co_return damaged("a collection has an impossible name");
  CO_ASSIGN_OR_RETURN(Schema schema, read_schema(entry.schema));
  auto live = std::make_unique<LiveCollection>(entry.name, std::move(schema));
  Collection& memory = live->memory;

  const uint64_t covered = entry.index ? entry.index->segments : 0;
  if (covered > 0) memory.defer_derived(true);
  for (size_t i = 0; i < entry.segments.size(); ++i) {
    const SegmentEntry segment = entry.segments[i];
    CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_listed(effects, listing, FileKind::kSegment, segment.file));
    CO_RETURN_IF_ERROR(apply_segment(entry, segment, bytes, memory));
    if (i + 1 != covered) continue;
    // From here on rows are added to the saved graph and postings like any others.
    Result<Sections> sections = co_await read_index(effects, listing, entry);
    if (!sections.ok() && !is_damage(sections.code())) co_return std::move(sections).failure();
    if (!sections.ok() || !memory.attach_derived(sections.value())) {
      memory.rebuild_derived();
      report.rebuilt.push_back(entry.name);
      entry.index.reset();
    }
    memory.defer_derived(false);
  }
  live->rows_stored = memory.row_count();
  co_return live;
}

// Everything but the log.
Task<Status> load_generation(EffectQueue& effects, const Listing& listing, uint64_t generation, Recovered& out) {
  const std::string name = file_name(FileKind::kManifest, generation);
  const uint64_t length = listing.find(name)->second;
  if (length > kMaxManifestBytes) co_return damaged(name + " is too large");
  CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_file(effects, name, length));
  CO_ASSIGN_OR_RETURN(out.manifest, decode_manifest(generation, bytes));
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

// Replays the log, in pieces, up to its first bad record.
Task<Status> replay_log(EffectQueue& effects, uint64_t length, Recovered& out) {
  const FileIdentity identity = log_identity(out.manifest.generation, out.manifest.checksum);
  const std::string name = file_name(FileKind::kLog, identity.number);
  Bytes buffer;           // what was read and not yet replayed...
  uint64_t position = 0;  // ...starts here in the file
  uint64_t sound = 0;     // the log is good up to here
  bool bad = false;
  while (!bad && position + buffer.size() < length) {
    const uint64_t wanted = std::min<uint64_t>(kSegmentBytes, length - position - buffer.size());
    const EffectAnswer answer = co_await effects.request(ReadEffect{name, position + buffer.size(), wanted});
    if (!answer.status.ok() && !is_damage(answer.status.code())) co_return host_error(answer.status, "read", name);
    if (answer.bytes.empty() || answer.bytes.size() > wanted) break;
    buffer.insert(buffer.end(), answer.bytes.begin(), answer.bytes.end());

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
  out.log_length = sound;
  out.log_usable = sound == length;
  out.report.log_bytes_discarded = length - sound;
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
    const uint64_t wanted = std::min<uint64_t>(kSegmentBytes, length - bytes.size());
    EffectAnswer answer = co_await effects.request(ReadEffect{name, bytes.size(), wanted});
    if (!answer.status.ok()) co_return host_error(answer.status, "read", name);
    if (answer.bytes.empty()) break;
    if (answer.bytes.size() > wanted) {
      co_return Error{Code::kStorageFailed, "read " + name + ": the host answered more bytes than were asked for", ""};
    }
    if (bytes.empty()) {
      bytes = std::move(answer.bytes);
    } else {
      bytes.insert(bytes.end(), answer.bytes.begin(), answer.bytes.end());
    }
  }
  co_return bytes;
}

size_t LiveCollection::apply(Batch batch) {
  for (const std::string& id : batch.deletes) {
    if (memory.contains(id)) deleted.insert(id);
  }
  return memory.apply(std::move(batch));
}

Task<Result<Recovered>> recover(EffectQueue& effects) {
  EffectAnswer answer = co_await effects.request(ListEffect{});
  if (!answer.status.ok()) co_return host_error(answer.status, "list", "files");
  Listing listing;
  std::vector<uint64_t> generations;
  uint64_t next_number = 1;
  for (FileEntry& file : answer.files) {
    const auto named = parse_file_name(file.name);
    if (!named) continue;  // not ours: never read, never deleted
    if (named->kind == FileKind::kManifest) generations.push_back(named->number);
    if (named->kind == FileKind::kSegment || named->kind == FileKind::kIndex) {
      next_number = std::max(next_number, named->number + 1);
    }
    listing.emplace(std::move(file.name), file.length);
  }
  heap_sort(generations, std::greater<>());

  if (generations.empty()) {
    if (listing.empty()) co_return Recovered();
    co_return Error{Code::kStorageCorrupt,
                    "the folder holds " + std::to_string(listing.size()) + " database files but no manifest, such as " +
                        listing.begin()->first,
                    shown(listing.begin()->first)};
  }
  std::optional<Error> first_damage;
  uint64_t skipped = 0;
  for (const uint64_t generation : generations) {
    Recovered out;
    Status status = co_await load_generation(effects, listing, generation, out);
    if (!status.ok()) {
      if (!is_damage(status.code())) co_return std::move(status).failure();
      if (!first_damage) first_damage = status.error();
      ++skipped;
      continue;
    }
    const auto log = listing.find(file_name(FileKind::kLog, generation));
    if (log != listing.end()) CO_RETURN_IF_ERROR(co_await replay_log(effects, log->second, out));
    out.newest = generations.front();
    out.next_number = std::max(next_number, out.manifest.next_number);
    out.report.generation = generation;
    out.report.generations_skipped = skipped;
    if (skipped == 0) {
      for (const auto& [name, length] : listing) out.files.insert(name);
    } else {
      // What a damaged newer generation is made of stays, for whoever comes to look.
      for (std::string& name : out.manifest.file_names()) out.files.insert(std::move(name));
    }
    co_return out;
  }
  co_return Error{Code::kStorageCorrupt, "no generation of the database is sound: " + first_damage->message,
                  shown(file_name(FileKind::kManifest, generations.front()))};
}

}  // namespace nearfield
