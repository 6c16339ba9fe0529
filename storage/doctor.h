// Doctor: looks at every byte of a database, says what is wrong with which file, and repairs what can be repaired.
//
// Examining changes nothing and needs no lock; it also works where opening fails. A repair takes the lock and publishes
// one new generation beside what is there: no file is changed or removed. It is made of what checks out and of nothing
// else: the newest sound generation, and on top of it what damaged newer ones still hold.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/effect.h"
#include "core/base/task.h"
#include "storage/salvage.h"

namespace nearfield {

enum class FileState : uint8_t {
  kSound,       // every byte checks out
  kDamaged,     // some bytes do not
  kMissing,     // a manifest names it
  kOrphan,      // no manifest names it: what a crash leaves behind, harmless
  kUnfinished,  // a log whose last write was cut by a crash, harmless
  kForeign,     // not ours: never read
  kNewer,       // of a newer version: cannot be judged
};
// "sound", "damaged", ...
std::string_view file_state_name(FileState state);

struct FileFinding {
  std::string name;
  FileState state = FileState::kSound;
  uint64_t bytes = 0;                 // 0 where it is missing
  std::vector<uint64_t> generations;  // whose manifests name it, ascending
  std::vector<Region> damage;         // bytes that do not check out
  std::string meaning;                // a sentence
};

struct CollectionCount {
  std::string name;
  uint64_t points = 0;
};

struct GenerationFinding {
  uint64_t generation = 0;
  bool sound = false;                        // opening could use it
  uint64_t log_records = 0;                  // that are replayed on it
  std::vector<CollectionCount> collections;  // as opening would find them; empty where it is not sound
  std::string meaning;
};

struct Rescue {
  std::string collection;
  uint64_t points = 0;           // in the repaired database
  uint64_t rescued = 0;          // of these, taken from files that opening would not have used
  std::vector<std::string> ids;  // of those, the first hundred
};

struct Repair {
  uint64_t generation = 0;  // that was published; 0: none
  std::vector<Rescue> collections;
  std::vector<std::string> lost;  // what could not be rescued, a sentence each
  std::string meaning;
};

struct DoctorReport {
  uint64_t newest = 0;                         // generation on the volume
  uint64_t opens = 0;                          // generation that opening would use; 0: it fails
  std::vector<FileFinding> files;              // by name
  std::vector<GenerationFinding> generations;  // newest first
  std::vector<std::string> problems;           // what they mean for whoever opens it, a sentence each
  std::optional<Repair> repair;

  bool healthy() const;
};

// Fails with kNotFound where there is no database, kConflict where its writer keeps changing it, and with what the host
// answered; a repair also with kDatabaseLocked, and with kVersionError where a file is of a newer version. Takes the
// memory of one generation, a repair of two.
Task<Result<DoctorReport>> run_doctor(EffectQueue& effects, bool repair);

}  // namespace nearfield
