// What the doctor knows of a volume, and how it is read. Included by doctor*.cpp only: doctor_examine.cpp looks,
// doctor_repair.cpp repairs, and neither needs the other.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/doctor.h"
#include "storage/log.h"
#include "storage/manifest.h"
#include "storage/recovery.h"

namespace nearfield {

// Nothing we write is larger (see recovery.cpp).
inline constexpr uint64_t kMaxExaminedBytes = 64 << 20;

using Listing = std::map<std::string, uint64_t, std::less<>>;      // lengths, by name
using ById = std::map<uint64_t, std::unique_ptr<LiveCollection>>;  // by collection number

// One place where a manifest names a file.
struct FileUse {
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
  std::map<std::string, std::vector<FileUse>, std::less<>> uses;
  std::vector<uint64_t> collection_numbers;

  const Manifest* manifest(uint64_t generation) const {
    const auto found = manifests.find(generation);
    return found == manifests.end() ? nullptr : &found->second;
  }
};

// All files of the volume. What is not ours has no length where the host does not say it.
Task<Result<Listing>> list_files(EffectQueue& effects);

// Reads a listed file; one that is longer than any of ours only up to there.
Task<Result<Bytes>> read_listed(EffectQueue& effects, const Listing& listing, std::string name);
// Nothing where there is no such log.
Task<Result<Bytes>> read_log(EffectQueue& effects, const Volume& volume, uint64_t generation);

// The rows of a generation exactly as its manifest names them, without derived state. Fails with kFormatError.
// `bad_indexes` (null: nobody asks) are the names of the collections whose saved derived state does not fit.
Task<Result<ById>> load_exactly(EffectQueue& effects, const Volume& volume, const Manifest& manifest,
                                std::vector<std::string>* bad_indexes);

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

// "1 byte", "2 bytes".
std::string counted(uint64_t count, std::string_view what);
// "8 bytes from byte 16 on". REQUIRES: there is a region.
std::string region_text(const std::vector<Region>& regions);

// doctor_examine.cpp: lists and reads all files, and fills the report, except for `repair`.
Task<Result<Volume>> examine_volume(EffectQueue& effects, DoctorReport& report);

// doctor_repair.cpp: publishes what can be rescued, if that is better than what opening finds, and fills
// `report.repair`. REQUIRES: the rest of the report is filled; the caller holds the lock.
Task<Status> repair_volume(EffectQueue& effects, const Volume& volume, DoctorReport& report);

}  // namespace nearfield
