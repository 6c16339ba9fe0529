// What can be rescued of damaged generations, and the new one that is made of it.
#include <algorithm>
#include <unordered_set>

#include "core/base/hash.h"
#include "storage/doctor_volume.h"

namespace nearfield {

namespace {

constexpr size_t kMaxNamedIds = 100;

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
           " is damaged: collections that were created or dropped, or emptied, in generation " +
           std::to_string(generation) + " are as they were before");
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
      if (!status.ok())
        lose(name + ": the record at byte " + std::to_string(each.offset) + ": " + status.error().message);
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

}  // namespace

Task<Status> repair_volume(EffectQueue& effects, const Volume& volume, DoctorReport& report) {
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
  repair.meaning =
      "published as generation " + std::to_string(repair.generation) + "; no older file was changed or removed";
  co_return Status();
}

}  // namespace nearfield
