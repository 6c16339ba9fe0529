#include "storage/doctor.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include "core/base/hash.h"
#include "core/base/sort.h"
#include "storage/log.h"
#include "storage/recovery.h"

namespace nearfield {

namespace {

// Nothing we write is larger (see recovery.cpp).
constexpr uint64_t kMaxExaminedBytes = 64 << 20;
constexpr size_t kMaxNamedIds = 100;
// How often an examination starts anew because a writer removed files under it.
constexpr int kAttempts = 3;

using Listing = std::map<std::string, uint64_t, std::less<>>;
using ById = std::map<uint64_t, std::unique_ptr<LiveCollection>>;  // by collection number

std::string text(uint64_t number) { return std::to_string(number); }

std::string counted(uint64_t count, std::string_view what) {
  return text(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

std::string region_text(const std::vector<Region>& regions) {
  uint64_t bytes = 0;
  for (const Region& region : regions) bytes += region.length;
  std::string out = counted(bytes, "byte") + " from byte " + text(regions.front().offset) + " on";
  if (regions.size() > 1) out += ", in " + text(regions.size()) + " places,";
  return out;
}

// One place where a manifest names a file.
struct Use {
  uint64_t generation;
  uint64_t collection;
  std::string collection_name;
  SealedFile file;
};

struct Volume {
  Listing listing;
  std::map<uint64_t, Manifest> manifests;  // those that check out, by generation
  std::set<uint64_t> generations;          // of all manifests
  std::set<uint64_t> newer;                // those of a newer version
  std::set<uint64_t> logs;
  std::map<std::string, std::vector<Use>, std::less<>> uses;
  std::vector<uint64_t> collection_numbers;

  const Manifest* manifest(uint64_t generation) const {
    const auto found = manifests.find(generation);
    return found == manifests.end() ? nullptr : &found->second;
  }
};

// Reads a listed file; one that is longer than any of ours only up to there.
Task<Result<Bytes>> read_listed(EffectQueue& effects, const Listing& listing, std::string name) {
  const uint64_t length = listing.find(name)->second;
  co_return co_await read_file(effects, std::move(name), std::min(length, kMaxExaminedBytes + 1));
}

Task<Result<Listing>> list_files(EffectQueue& effects) {
  EffectAnswer answer = co_await effects.request(ListEffect{});
  if (!answer.status.ok()) co_return host_error(answer.status, "list", "files");
  Listing listing;
  for (FileEntry& file : answer.files) {
    if (file.length == kUnknownLength) {
      // Of files that are not ours nothing is read.
      file.length = 0;
      if (parse_file_name(file.name)) {
        CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_file(effects, file.name, kMaxExaminedBytes + 1));
        file.length = bytes.size();
      }
    }
    listing.emplace(std::move(file.name), file.length);
  }
  co_return listing;
}

void note_uses(const Manifest& manifest, Volume& volume) {
  for (const CollectionEntry& entry : manifest.collections) {
    const auto note = [&](FileKind kind, const SealedFile& file) {
      volume.uses[file_name(kind, file.number)].push_back({manifest.generation, entry.number, entry.name, file});
    };
    for (const SegmentEntry& segment : entry.segments) note(FileKind::kSegment, segment.file);
    if (entry.index) {
      for (const SealedFile& part : entry.index->parts) note(FileKind::kIndex, part);
    }
    if (std::ranges::find(volume.collection_numbers, entry.number) == volume.collection_numbers.end()) {
      volume.collection_numbers.push_back(entry.number);
    }
  }
}

// Lists the files and reads the manifests.
Task<Result<Volume>> look(EffectQueue& effects, std::vector<FileFinding>& findings) {
  Volume volume;
  CO_ASSIGN_OR_RETURN(volume.listing, co_await list_files(effects));
  for (const auto& [name, length] : volume.listing) {
    const auto named = parse_file_name(name);
    if (!named) {
      findings.push_back({name, FileState::kForeign, length, {}, {}, "not a file of this database; never touched"});
      continue;
    }
    if (named->kind == FileKind::kLog) volume.logs.insert(named->number);
    if (named->kind != FileKind::kManifest) continue;
    volume.generations.insert(named->number);
    CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_listed(effects, volume.listing, name));
    FileFinding finding = {
        name, FileState::kSound, length, {}, {}, "lists the files of generation " + text(named->number)};
    Result<Manifest> manifest = decode_manifest(named->number, bytes);
    if (manifest.ok()) {
      finding.generations = {named->number};
      note_uses(manifest.value(), volume);
      volume.manifests.emplace(named->number, std::move(manifest).value());
    } else if (manifest.code() == Code::kVersionError) {
      finding.state = FileState::kNewer;
      finding.meaning = manifest.error().message;
      volume.newer.insert(named->number);
    } else {
      finding.state = FileState::kDamaged;
      finding.damage = {{0, length}};
      finding.meaning = "the list of what makes up generation " + text(named->number) + " is damaged (" +
                        manifest.error().message + "), so that generation cannot be opened";
    }
    findings.push_back(std::move(finding));
  }
  co_return volume;
}

// --- examining files ---

bool is_as_named(const Use& use, const Scan& scan, ByteView bytes) {
  return scan.link == use.collection && bytes.size() == use.file.length &&
         scan.frames.back().frame.checksum == use.file.checksum;
}

void judge_sealed(FileKind kind, const Volume& volume, const Scan& scan, bool sealed, ByteView bytes,
                  FileFinding& finding) {
  const auto uses = volume.uses.find(finding.name);
  finding.damage = scan.damage;
  if (scan.header.code() == Code::kVersionError) {
    finding.state = FileState::kNewer;
    finding.meaning = scan.header.error().message;
    return;
  }
  if (uses == volume.uses.end()) {
    finding.state = FileState::kOrphan;
    finding.meaning =
        volume.manifests.size() < volume.generations.size()
            ? "no sound manifest names it; it may belong to a generation whose manifest is damaged"
            : "no manifest names it: left over from a write that did not get as far as its commit, or kept from "
              "before a repair";
    return;
  }
  for (const Use& use : uses->second) finding.generations.push_back(use.generation);
  const std::string& collection = uses->second.back().collection_name;
  const bool as_named =
      sealed && std::ranges::all_of(uses->second, [&](const Use& use) { return is_as_named(use, scan, bytes); });
  if (as_named) {
    finding.meaning =
        (kind == FileKind::kSegment ? "rows of collection " : "search index of collection ") + shown(collection);
    return;
  }
  finding.state = FileState::kDamaged;
  finding.meaning = !scan.damage.empty() ? region_text(scan.damage) + " do not check out"
                    : sealed             ? "it is whole, but not the file that the manifest names"
                                         : "its end is missing, or what stands there does not close it";
  finding.meaning += kind == FileKind::kSegment
                         ? "; rows of collection " + shown(collection) + " that stand there are lost from this file"
                         : "; only the search index of collection " + shown(collection) +
                               " is affected, and that is built again from the rows";
}

void judge_log(uint64_t generation, const Volume& volume, const Scan& scan, ByteView bytes, FileFinding& finding) {
  finding.damage = scan.damage;
  finding.meaning = "the writes since generation " + text(generation) + ": " + counted(scan.frames.size(), "record");
  if (scan.header.code() == Code::kVersionError) {
    finding.state = FileState::kNewer;
    finding.meaning = scan.header.error().message;
    return;
  }
  const Manifest* manifest = volume.manifest(generation);
  if (manifest == nullptr) {
    if (!volume.generations.contains(generation)) {
      finding.state = FileState::kOrphan;
      finding.meaning = "a log whose manifest is not there; nothing reads it";
      return;
    }
    finding.meaning += "; its manifest is damaged, so that nothing reads it";
  } else {
    finding.generations = {generation};
    if (scan.link && *scan.link != manifest->checksum) {
      finding.state = FileState::kDamaged;
      finding.damage = {{0, bytes.size()}};
      finding.meaning = "a log of another database or history, which does not belong to manifest " + text(generation);
      return;
    }
  }
  if (scan.damage.empty()) return;
  const Region& first = scan.damage.front();
  if (is_unfinished_tail(scan, bytes)) {
    finding.state = FileState::kUnfinished;
    finding.meaning += "; the last " + counted(first.length, "byte") +
                       " are a write that was cut by a crash: it was never acknowledged as durable, and is left out";
    return;
  }
  finding.state = FileState::kDamaged;
  uint64_t behind = 0;
  for (const PlacedFrame& each : scan.frames) behind += each.offset > first.offset ? 1 : 0;
  finding.meaning += "; " + region_text(scan.damage) + " do not check out";
  finding.meaning += behind > 0
                         ? ": damage in the middle, with " + counted(behind, "sound record") +
                               " behind it that opening does not read and a repair can apply"
                         : ": the last record is there but damaged, or a crash tore it before it was acknowledged";
}

Task<Status> examine_files(EffectQueue& effects, Volume& volume, std::vector<FileFinding>& findings) {
  for (const auto& [name, length] : volume.listing) {
    const auto named = parse_file_name(name);
    if (!named || named->kind == FileKind::kManifest) continue;
    CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_listed(effects, volume.listing, name));
    FileFinding finding = {name, FileState::kSound, length, {}, {}, ""};
    if (length > kMaxExaminedBytes) {
      finding.state = FileState::kDamaged;
      finding.damage = {{0, length}};
      finding.meaning = "longer than any file of a database";
    } else if (named->kind == FileKind::kLog) {
      std::vector<uint64_t> links;
      if (const Manifest* manifest = volume.manifest(named->number)) links = {manifest->checksum};
      judge_log(named->number, volume, scan_file(named->kind, named->number, links, bytes), bytes, finding);
    } else {
      const Scan scan = scan_file(named->kind, named->number, volume.collection_numbers, bytes);
      judge_sealed(named->kind, volume, scan, is_sealed(named->kind, named->number, scan, bytes), bytes, finding);
    }
    findings.push_back(std::move(finding));
  }
  for (const auto& [name, uses] : volume.uses) {
    if (volume.listing.contains(name)) continue;
    FileFinding finding = {name, FileState::kMissing, 0, {}, {}, ""};
    for (const Use& use : uses) finding.generations.push_back(use.generation);
    const std::string collection = shown(uses.back().collection_name);
    finding.meaning = name.starts_with("segment-")
                          ? "rows of collection " + collection + " are gone with it"
                          : "the search index of collection " + collection + " is built again from the rows";
    findings.push_back(std::move(finding));
  }
  co_return Status();
}

// --- generations in memory ---

// The rows of a generation exactly as its manifest names them, without derived state. Fails with kFormatError.
Task<Result<ById>> load_exactly(EffectQueue& effects, const Volume& volume, const Manifest& manifest,
                                std::vector<std::string>* bad_indexes) {
  ById out;
  for (const CollectionEntry& entry : manifest.collections) {
    const Status named = check_collection_name(entry.name);
    if (!named.ok()) co_return Error{Code::kFormatError, named.error().message, named.error().value};
    CO_ASSIGN_OR_RETURN(Schema schema, read_schema(entry.schema));
    auto live = std::make_unique<LiveCollection>(entry.name, std::move(schema));
    live->memory.defer_derived(true);
    for (size_t i = 0; i < entry.segments.size(); ++i) {
      const SegmentEntry segment = entry.segments[i];
      const std::string name = file_name(FileKind::kSegment, segment.file.number);
      if (!volume.listing.contains(name)) co_return Error{Code::kFormatError, name + " is missing", shown(name)};
      CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_listed(effects, volume.listing, name));
      CO_RETURN_IF_ERROR(apply_segment(entry, segment, bytes, live->memory));
      if (bad_indexes == nullptr || !entry.index || entry.index->segments != i + 1) continue;
      Bytes packed;
      for (const SealedFile& part : entry.index->parts) {
        const std::string part_name = file_name(FileKind::kIndex, part.number);
        if (!volume.listing.contains(part_name)) break;
        CO_ASSIGN_OR_RETURN(const Bytes part_bytes, co_await read_listed(effects, volume.listing, part_name));
        auto frames = read_sealed({FileKind::kIndex, part.number, entry.number}, part, part_bytes);
        if (frames.code() == Code::kVersionError) co_return std::move(frames).failure();
        if (!frames.ok()) break;
        for (const Frame& frame : frames.value()) {
          packed.insert(packed.end(), frame.payload.begin(), frame.payload.end());
        }
      }
      const Result<Sections> sections = read_sections(packed);
      if (!sections.ok() || !live->memory.attach_derived(sections.value())) bad_indexes->push_back(entry.name);
    }
    out.emplace(entry.number, std::move(live));
  }
  co_return out;
}

// Applies one record, or nothing of it. Calls `took` with the collection's number and each batch.
template <typename Took>
Status apply_record(ByteView payload, const ById& collections, const Took& took) {
  ASSIGN_OR_RETURN(LogRecord record, decode_log_record(payload));
  for (const auto& [number, batch] : record) {
    const auto target = collections.find(number);
    if (target == collections.end()) {
      return Error{Code::kFormatError, "it writes to a collection that is not there", ""};
    }
    RETURN_IF_ERROR(target->second->memory.check(batch));
  }
  for (auto& [number, batch] : record) {
    took(number, batch);
    collections.find(number)->second->memory.apply(std::move(batch));
  }
  return {};
}

Task<Result<Bytes>> read_log(EffectQueue& effects, const Volume& volume, uint64_t generation) {
  if (!volume.logs.contains(generation)) co_return Bytes();
  co_return co_await read_listed(effects, volume.listing, file_name(FileKind::kLog, generation));
}

// A commit removes what neither its generation nor the one before it needs. Where a crash stopped that, a manifest may
// still be there whose files are not.
void forgive_removed(const Volume& volume, DoctorReport& report) {
  const Manifest* newest = volume.manifest(report.newest);
  if (newest == nullptr) return;
  const auto kept = [&](uint64_t generation) { return generation >= newest->previous; };
  std::erase_if(report.files, [&](const FileFinding& each) {
    return each.state == FileState::kMissing && std::ranges::none_of(each.generations, kept);
  });
  for (GenerationFinding& each : report.generations) {
    if (!each.sound && !kept(each.generation)) each.meaning = "no longer needed, and removed in part: " + each.meaning;
  }
}

Task<Status> examine_generations(EffectQueue& effects, const Volume& volume, DoctorReport& report) {
  bool refused = false;  // opening ends at what is of a newer version
  for (auto at = volume.generations.rbegin(); at != volume.generations.rend(); ++at) {
    GenerationFinding finding;
    finding.generation = *at;
    const Manifest* manifest = volume.manifest(*at);
    if (manifest == nullptr) {
      finding.meaning = "its manifest does not check out";
      refused |= report.opens == 0 && volume.newer.contains(*at);
      report.generations.push_back(std::move(finding));
      continue;
    }
    std::vector<std::string> bad_indexes;
    Result<ById> loaded = co_await load_exactly(effects, volume, *manifest, &bad_indexes);
    if (!loaded.ok()) {
      const bool newer = loaded.code() == Code::kVersionError;
      if (loaded.code() != Code::kFormatError && !newer) co_return std::move(loaded).failure();
      refused |= report.opens == 0 && newer;
      finding.meaning = loaded.error().message;
      report.generations.push_back(std::move(finding));
      continue;
    }
    finding.sound = true;
    CO_ASSIGN_OR_RETURN(const Bytes log, co_await read_log(effects, volume, *at));
    const Scan scan = scan_file(FileKind::kLog, *at, {}, log);
    uint64_t sound = kFileHeaderBytes;
    bool stopped = scan.link != manifest->checksum;
    for (const PlacedFrame& each : scan.frames) {
      stopped = stopped || each.offset != sound ||
                !apply_record(each.frame.payload, loaded.value(), [](uint64_t, const Batch&) {}).ok();
      if (stopped) break;
      sound += each.frame.size;
      ++finding.log_records;
    }
    for (const auto& [number, live] : loaded.value()) {
      finding.collections.push_back({live->memory.name(), live->memory.count()});
    }
    finding.meaning = "sound; its log adds " + counted(finding.log_records, "record");
    refused |= report.opens == 0 && scan.header.code() == Code::kVersionError;
    if (report.opens == 0 && !refused) {
      report.opens = *at;
      for (const std::string& name : bad_indexes) {
        report.problems.push_back("the search index of collection " + shown(name) +
                                  " cannot be used; opening builds it again from the rows");
      }
      const bool harmless = log.empty() || scan.damage.empty() || is_unfinished_tail(scan, log);
      if (!harmless || (!log.empty() && scan.damage.empty() && stopped)) {
        report.problems.push_back("opening replays " + counted(finding.log_records, "record") +
                                  " of the log and leaves out the last " +
                                  counted(log.size() - (log.size() < sound ? log.size() : sound), "byte"));
      }
    }
    report.generations.push_back(std::move(finding));
  }
  report.newest = volume.generations.empty() ? 0 : *volume.generations.rbegin();
  if (report.opens == report.newest) forgive_removed(volume, report);
  if (refused) {
    report.problems.push_back("opening fails with VersionError: a file was written by a newer version");
  } else if (report.opens == 0) {
    report.problems.push_back("opening fails with StorageCorrupt: no generation is sound");
  } else if (report.opens < report.newest) {
    report.problems.push_back("opening falls back to generation " + text(report.opens) +
                              "; what was written to later ones is not found");
  }
  co_return Status();
}

// --- repair ---

// Everything that tells one row from another.
uint64_t row_hash(const RowView& row) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.put_string(row.id);
  writer.put_string(row.text);
  writer.put_string(row.payload);
  writer.put_array(row.vector);
  return hash64(bytes);
}

// Goes through the generations from the oldest to the newest and keeps the best that can be had of each.
class Salvager {
 public:
  Salvager(EffectQueue& effects, const Volume& volume) : effects_(effects), volume_(volume) {}

  Task<Status> run() {
    std::set<uint64_t> generations = volume_.generations;
    generations.insert(volume_.logs.begin(), volume_.logs.end());
    for (const uint64_t generation : generations) CO_RETURN_IF_ERROR(co_await add_generation(generation));
    co_return Status();
  }

  const ById& collections() const { return collections_; }
  uint64_t base() const { return base_; }
  Repair report() const {
    Repair repair;
    for (const auto& [number, live] : collections_) {
      Rescue rescue = {live->memory.name(), live->memory.count(), 0, {}};
      const auto found = rescued_.find(number);
      if (found != rescued_.end()) {
        for (const std::string& id : found->second) {
          if (!live->memory.contains(id)) continue;
          ++rescue.rescued;
          if (rescue.ids.size() < kMaxNamedIds) rescue.ids.push_back(id);
        }
      }
      repair.collections.push_back(std::move(rescue));
    }
    repair.lost = lost_;
    return repair;
  }

 private:
  Task<Status> add_generation(uint64_t generation) {
    const Manifest* manifest = volume_.manifest(generation);
    if (manifest != nullptr) {
      Result<ById> exact = co_await load_exactly(effects_, volume_, *manifest, nullptr);
      if (exact.ok()) {
        collections_ = std::move(exact).value();
        rescued_.clear();
        lost_.clear();
        base_ = generation;
      } else if (exact.code() == Code::kFormatError) {
        CO_RETURN_IF_ERROR(co_await overlay(*manifest));
      } else {
        co_return std::move(exact).failure();
      }
      next_number_ = manifest->next_number;
    } else if (volume_.generations.contains(generation)) {
      lose(file_name(FileKind::kManifest, generation) +
           " is damaged: collections that were created or dropped, or emptied, in generation " + text(generation) +
           " are as they were before");
      CO_RETURN_IF_ERROR(co_await overlay_unnamed());
    } else {
      // A log that was left behind when its manifest was removed.
      co_return Status();
    }
    co_return co_await add_log(generation, manifest);
  }

  // A generation of which something does not check out: what does is laid over the generations before. Its segments
  // repeat the rows of those and add others. Rows that are known already, alive or dead, stay as they are: it is the
  // earlier generation's log that knows which of them is the latest.
  Task<Status> overlay(const Manifest& manifest) {
    std::erase_if(collections_, [&](const auto& each) {
      return std::ranges::find(manifest.collections, each.first, &CollectionEntry::number) ==
             manifest.collections.end();
    });
    for (const CollectionEntry& entry : manifest.collections) {
      auto& live = collections_[entry.number];
      if (live == nullptr) {
        Result<Schema> schema = read_schema(entry.schema);
        if (!schema.ok() || !check_collection_name(entry.name).ok()) {
          lose("collection " + shown(entry.name) + ": its schema cannot be read");
          collections_.erase(entry.number);
          continue;
        }
        live = std::make_unique<LiveCollection>(entry.name, std::move(schema).value());
        live->memory.defer_derived(true);
      }
      const std::unordered_set<uint64_t> known = rows_of(live->memory);
      for (const SegmentEntry& segment : entry.segments) {
        const std::string name = file_name(FileKind::kSegment, segment.file.number);
        if (!volume_.listing.contains(name)) {
          lose(name + " is missing: " + counted(segment.rows, "row") + " of collection " + shown(entry.name) +
               ", but for those that older files hold");
          continue;
        }
        CO_RETURN_IF_ERROR(
            co_await overlay_segment(segment.file.number, segment.file.checksum, entry.number, known, *live));
      }
    }
    co_return Status();
  }

  // The manifest is damaged: its segments are those that no other manifest names and that are newer than the last.
  Task<Status> overlay_unnamed() {
    std::map<uint64_t, std::unordered_set<uint64_t>> known;
    for (const auto& [number, live] : collections_) known[number] = rows_of(live->memory);
    for (const auto& [name, length] : volume_.listing) {
      const auto named = parse_file_name(name);
      if (!named || named->kind != FileKind::kSegment || volume_.uses.contains(name)) continue;
      if (named->number < next_number_) continue;
      CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_listed(effects_, volume_.listing, name));
      const Scan scan = scan_file(FileKind::kSegment, named->number, volume_.collection_numbers, bytes);
      const auto target = scan.link ? collections_.find(*scan.link) : collections_.end();
      if (target == collections_.end()) {
        lose(name + " belongs to a collection that no sound manifest describes");
        continue;
      }
      CO_RETURN_IF_ERROR(
          co_await overlay_segment(named->number, {}, target->first, known.at(target->first), *target->second));
    }
    co_return Status();
  }

  // `checksum` is the footer's, where a manifest says it: a file whose footer is another's is not ours at all.
  Task<Status> overlay_segment(uint64_t number, std::optional<uint64_t> checksum, uint64_t collection,
                               const std::unordered_set<uint64_t>& known, LiveCollection& live) {
    const std::string name = file_name(FileKind::kSegment, number);
    CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_listed(effects_, volume_.listing, name));
    const Scan scan = scan_file(FileKind::kSegment, number, {collection}, bytes);
    if (!scan.damage.empty()) lose(name + ": " + region_text(scan.damage) + " do not check out");
    if (scan.link != collection || scan.frames.empty()) co_return Status();
    const Frame& last = scan.frames.back().frame;
    if (checksum && last.type == FrameType::kFooter && last.checksum != *checksum) {
      lose(name + " is not the file that its manifest names; nothing was taken from it");
      co_return Status();
    }
    for (const PlacedFrame& each : scan.frames) {
      if (each.frame.type != FrameType::kRows) continue;
      Result<Batch> decoded = decode_rows(each.frame.payload);
      if (!decoded.ok()) continue;
      Batch& batch = decoded.value();
      std::erase_if(batch.upserts, [&](const Point& point) { return known.contains(row_hash(row_view(point))); });
      if (batch.empty()) continue;
      if (const Status status = live.memory.check(batch); !status.ok()) {
        lose(name + ": " + status.error().message);
        continue;
      }
      note(collection, batch);
      live.memory.apply(std::move(batch));
    }
    co_return Status();
  }

  Task<Status> add_log(uint64_t generation, const Manifest* manifest) {
    CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_log(effects_, volume_, generation));
    if (bytes.empty()) co_return Status();
    const std::string name = file_name(FileKind::kLog, generation);
    std::vector<uint64_t> links;
    if (manifest != nullptr) links = {manifest->checksum};
    const Scan scan = scan_file(FileKind::kLog, generation, links, bytes);
    if (manifest != nullptr && scan.link && *scan.link != manifest->checksum) {
      lose(name + " belongs to another history");
      co_return Status();
    }
    if (!scan.damage.empty() && !is_unfinished_tail(scan, bytes)) {
      lose(name + ": " + region_text(scan.damage) +
           " do not check out; points that only the writes there had, or deleted, are as they were before");
    }
    const uint64_t first_damage = scan.damage.empty() ? bytes.size() : scan.damage.front().offset;
    for (const PlacedFrame& each : scan.frames) {
      const bool beyond = manifest == nullptr || base_ != generation || each.offset > first_damage;
      const Status status = apply_record(each.frame.payload, collections_, [&](uint64_t number, const Batch& batch) {
        if (beyond) note(number, batch);
      });
      if (!status.ok()) lose(name + ": the record at byte " + text(each.offset) + ": " + status.error().message);
    }
    co_return Status();
  }

  static std::unordered_set<uint64_t> rows_of(const Collection& memory) {
    std::unordered_set<uint64_t> out;
    for (RowId row = 0; row < memory.row_count(); ++row) out.insert(row_hash(memory.row(row)));
    return out;
  }
  void note(uint64_t collection, const Batch& batch) {
    for (const Point& point : batch.upserts) rescued_[collection].insert(point.id);
  }

  // Two damaged generations may miss the same thing.
  void lose(std::string what) {
    if (std::ranges::find(lost_, what) == lost_.end()) lost_.push_back(std::move(what));
  }

  EffectQueue& effects_;
  const Volume& volume_;
  ById collections_;
  std::map<uint64_t, std::set<std::string>> rescued_;  // ids that opening would not have found so
  std::vector<std::string> lost_;
  uint64_t base_ = 0;  // newest generation that is sound
  uint64_t next_number_ = 1;
};

Task<Status> write_file(EffectQueue& effects, FileKind kind, uint64_t number, Bytes bytes) {
  const std::string name = file_name(kind, number);
  const EffectAnswer answer = co_await effects.request(WriteEffect{name, std::move(bytes)});
  if (!answer.status.ok()) co_return host_error(answer.status, "write", name);
  co_return Status();
}

// Publishes what was rescued as generation newest + 1, without an index, which opening builds.
Task<Result<uint64_t>> publish(EffectQueue& effects, const Volume& volume, const Salvager& salvager) {
  Manifest next;
  for (const auto& [name, length] : volume.listing) {
    const auto named = parse_file_name(name);
    if (named && (named->kind == FileKind::kSegment || named->kind == FileKind::kIndex)) {
      next.next_number = std::max(next.next_number, named->number + 1);
    }
  }
  for (const auto& [generation, manifest] : volume.manifests) {
    next.next_number = std::max(next.next_number, manifest.next_number);
    next.previous = generation;  // but no link: readers load all of it
  }
  for (const auto& [number, live] : salvager.collections()) next.next_number = std::max(next.next_number, number + 1);
  const uint64_t newest = *volume.generations.rbegin();
  next.generation = newest + 1;
  for (const auto& [number, live] : salvager.collections()) {
    CollectionEntry entry;
    entry.number = number;
    entry.name = live->memory.name();
    entry.schema = write_schema(live->memory.schema());
    SegmentBuilder builder(number, next.next_number++, live->memory.on_demand() ? kOnDemandFrameBytes : kFrameBytes);
    const auto rows = static_cast<RowId>(live->memory.row_count());
    for (RowId row = 0; row <= rows; ++row) {
      if (row < rows && live->memory.is_live(row)) builder.add_row(live->memory.row(row), false);
      if (row == rows ? builder.empty() : !builder.full()) continue;
      const SegmentEntry segment = builder.seal();
      CO_RETURN_IF_ERROR(co_await write_file(effects, FileKind::kSegment, segment.file.number, builder.take()));
      entry.segments.push_back(segment);
      builder.restart(next.next_number++);
    }
    next.collections.push_back(std::move(entry));
  }
  // Nothing becomes obsolete: what is damaged stays for whoever comes to look.
  const EffectAnswer answer =
      co_await effects.request(CommitEffect{newest, encode_manifest(next), {}, Durability::kStrict});
  if (!answer.status.ok()) {
    co_return host_error(answer.status, "commit", file_name(FileKind::kManifest, next.generation));
  }
  co_return next.generation;
}

// Whether a new generation would be any better than what opening finds.
bool needs_repair(const Volume& volume, const DoctorReport& report) {
  if (report.opens == 0 || report.opens != report.newest) return true;
  const std::string log = file_name(FileKind::kLog, report.newest);
  return std::ranges::any_of(report.files, [&](const FileFinding& each) {
    if (each.state != FileState::kDamaged && each.state != FileState::kMissing) return false;
    const bool used = std::ranges::find(each.generations, report.newest) != each.generations.end();
    return each.name == log ? volume.manifest(report.newest) != nullptr : used;
  });
}

Task<Result<uint64_t>> count_sound_rows(EffectQueue& effects, const Volume& volume) {
  uint64_t rows = 0;
  for (const auto& [name, length] : volume.listing) {
    const auto named = parse_file_name(name);
    if (!named || named->kind != FileKind::kSegment) continue;
    CO_ASSIGN_OR_RETURN(const Bytes bytes, co_await read_listed(effects, volume.listing, name));
    for (const PlacedFrame& each : scan_file(named->kind, named->number, {}, bytes).frames) {
      if (each.frame.type != FrameType::kRows) continue;
      const Result<Batch> batch = decode_rows(each.frame.payload);
      if (batch.ok()) rows += batch.value().upserts.size();
    }
  }
  co_return rows;
}

Task<Status> repair_into(EffectQueue& effects, const Volume& volume, DoctorReport& report) {
  report.repair.emplace();
  Repair& repair = *report.repair;
  if (!needs_repair(volume, report)) {
    repair.meaning = report.healthy() ? "there is nothing to repair"
                                      : "there is nothing to repair: the newest generation and its log are whole, and "
                                        "what is damaged belongs to an older one";
    co_return Status();
  }
  if (volume.manifests.empty()) {
    CO_ASSIGN_OR_RETURN(const uint64_t rows, co_await count_sound_rows(effects, volume));
    repair.meaning =
        "nothing can be repaired: without a sound manifest nothing says what the collections are called and what "
        "their vectors and texts are; " +
        counted(rows, "row") + " in segments check out and stay where they are";
    co_return Status();
  }
  Salvager salvager(effects, volume);
  CO_RETURN_IF_ERROR(co_await salvager.run());
  repair = salvager.report();
  CO_ASSIGN_OR_RETURN(repair.generation, co_await publish(effects, volume, salvager));
  repair.meaning = "published as generation " + text(repair.generation) + "; no older file was changed or removed";
  co_return Status();
}

Task<Result<DoctorReport>> examine(EffectQueue& effects, bool repair) {
  DoctorReport report;
  CO_ASSIGN_OR_RETURN(Volume volume, co_await look(effects, report.files));
  CO_RETURN_IF_ERROR(co_await examine_files(effects, volume, report.files));
  heap_sort(report.files, [](const FileFinding& a, const FileFinding& b) { return a.name < b.name; });
  CO_RETURN_IF_ERROR(co_await examine_generations(effects, volume, report));
  if (repair) {
    for (const FileFinding& each : report.files) {
      if (each.state == FileState::kNewer) co_return Error{Code::kVersionError, each.meaning, shown(each.name)};
    }
    CO_RETURN_IF_ERROR(co_await repair_into(effects, volume, report));
  }
  co_return report;
}

}  // namespace

std::string_view file_state_name(FileState state) {
  switch (state) {
    case FileState::kSound: return "sound";
    case FileState::kDamaged: return "damaged";
    case FileState::kMissing: return "missing";
    case FileState::kOrphan: return "orphan";
    case FileState::kUnfinished: return "unfinished";
    case FileState::kForeign: return "foreign";
    case FileState::kNewer: return "newer";
  }
  return "";
}

bool DoctorReport::healthy() const {
  return problems.empty() && std::ranges::none_of(files, [](const FileFinding& each) {
           return each.state == FileState::kDamaged || each.state == FileState::kMissing ||
                  each.state == FileState::kNewer;
         });
}

Task<Result<DoctorReport>> run_doctor(EffectQueue& effects, bool repair) {
  {
    // Before the lock, which would leave a folder behind where there is none.
    CO_ASSIGN_OR_RETURN(const Listing listing, co_await list_files(effects));
    if (std::ranges::none_of(listing, [](const auto& file) { return parse_file_name(file.first).has_value(); })) {
      co_return Error{Code::kNotFound, "there is no database here", ""};
    }
  }
  if (repair) {
    const EffectAnswer answer = co_await effects.request(LockEffect{});
    if (!answer.status.ok()) co_return host_error(answer.status, "lock", "database");
    Result<DoctorReport> report = co_await examine(effects, true);
    const EffectAnswer unlocked = co_await effects.request(UnlockEffect{});
    if (report.ok() && !unlocked.status.ok()) co_return host_error(unlocked.status, "unlock", "database");
    co_return report;
  }
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Result<DoctorReport> report = co_await examine(effects, false);
    // A file that was listed is gone: a writer committed meanwhile.
    if (report.code() != Code::kNotFound) co_return report;
  }
  co_return Error{Code::kConflict, "the database changes while it is examined; close it where it is written", ""};
}

}  // namespace nearfield
