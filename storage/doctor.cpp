#include "storage/doctor.h"

#include <algorithm>

#include "storage/doctor_volume.h"

namespace nearfield {

namespace {

// How often an examination starts anew because a writer removed files under it.
constexpr int kAttempts = 3;

Task<Result<DoctorReport>> examine(EffectQueue& effects, bool repair) {
  DoctorReport report;
  CO_ASSIGN_OR_RETURN(const Volume volume, co_await examine_volume(effects, report));
  if (repair) {
    for (const FileFinding& each : report.files) {
      if (each.state == FileState::kNewer) co_return Error{Code::kVersionError, each.meaning, shown(each.name)};
    }
    CO_RETURN_IF_ERROR(co_await repair_volume(effects, volume, report));
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
