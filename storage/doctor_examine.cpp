// What is wrong with which file, and what opening would make of it.
#include <algorithm>

#include "core/base/sort.h"
#include "storage/doctor_volume.h"

namespace nearfield {

namespace {

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
        name, FileState::kSound, length, {}, {}, "lists the files of generation " + std::to_string(named->number)};
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
      finding.meaning = "the list of what makes up generation " + std::to_string(named->number) + " is damaged (" +
                        manifest.error().message + "), so that generation cannot be opened";
    }
    findings.push_back(std::move(finding));
  }
  co_return volume;
}

bool is_as_named(const FileUse& use, const Scan& scan, ByteView bytes) {
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
  for (const FileUse& use : uses->second) finding.generations.push_back(use.generation);
  const std::string& collection = uses->second.back().collection_name;
  const bool as_named =
      sealed && std::ranges::all_of(uses->second, [&](const FileUse& use) { return is_as_named(use, scan, bytes); });
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
  finding.meaning =
      "the writes since generation " + std::to_string(generation) + ": " + counted(scan.frames.size(), "record");
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
      finding.meaning =
          "a log of another database or history, which does not belong to manifest " + std::to_string(generation);
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
    for (const FileUse& use : uses) finding.generations.push_back(use.generation);
    const std::string collection = shown(uses.back().collection_name);
    finding.meaning = name.starts_with("segment-")
                          ? "rows of collection " + collection + " are gone with it"
                          : "the search index of collection " + collection + " is built again from the rows";
    findings.push_back(std::move(finding));
  }
  co_return Status();
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
    report.problems.push_back("opening falls back to generation " + std::to_string(report.opens) +
                              "; what was written to later ones is not found");
  }
  co_return Status();
}

}  // namespace

Task<Result<Volume>> examine_volume(EffectQueue& effects, DoctorReport& report) {
  CO_ASSIGN_OR_RETURN(Volume volume, co_await look(effects, report.files));
  CO_RETURN_IF_ERROR(co_await examine_files(effects, volume, report.files));
  heap_sort(report.files, [](const FileFinding& a, const FileFinding& b) { return a.name < b.name; });
  CO_RETURN_IF_ERROR(co_await examine_generations(effects, volume, report));
  co_return volume;
}

}  // namespace nearfield
