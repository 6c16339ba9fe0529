#include "storage/doctor_volume.h"

#include <algorithm>

namespace nearfield {

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

Task<Result<Bytes>> read_listed(EffectQueue& effects, const Listing& listing, std::string name) {
  const uint64_t length = listing.find(name)->second;
  co_return co_await read_file(effects, std::move(name), std::min(length, kMaxExaminedBytes + 1));
}

Task<Result<Bytes>> read_log(EffectQueue& effects, const Volume& volume, uint64_t generation) {
  if (!volume.logs.contains(generation)) co_return Bytes();
  co_return co_await read_listed(effects, volume.listing, file_name(FileKind::kLog, generation));
}

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

std::string counted(uint64_t count, std::string_view what) {
  return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

std::string region_text(const std::vector<Region>& regions) {
  uint64_t bytes = 0;
  for (const Region& region : regions) bytes += region.length;
  std::string out = counted(bytes, "byte") + " from byte " + std::to_string(regions.front().offset) + " on";
  if (regions.size() > 1) out += ", in " + std::to_string(regions.size()) + " places,";
  return out;
}

}  // namespace nearfield
