// Backup: a database as one file that proves itself, streamed out and in.
//
// The file is described in storage/FORMAT.md, "Backup file". Every byte of it is under a checksum that also covers its
// place, and the footer covers all frames: what was cut, extended, damaged, reordered or put together from two backups
// does not check out. It goes out and comes in as effects, in pieces of at most a megabyte; besides the collections
// that are restored, memory holds one frame or one segment at a time.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/base/effect.h"
#include "core/base/task.h"
#include "storage/manifest.h"
#include "storage/recovery.h"

namespace nearfield {

struct BackupReport {
  uint64_t generation = 0;  // backed up, or of the database that the backup was made of
  uint64_t bytes = 0;       // of the backup file
  uint64_t collections = 0;
  uint64_t rows = 0;  // points written, or restored and alive
};

// Sends what `manifest` names, and the first `log_length` bytes of its log, to `stream`. Files are checked while they
// are read: a backup never holds what does not check out. Fails with kStorageCorrupt, naming the file; with kConflict
// when a file is gone (only where somebody else is the writer; trying again helps); and with what the host answered.
// The files must not be removed meanwhile by this host: see Database::backup.
Task<Result<BackupReport>> send_backup(EffectQueue& effects, Manifest manifest, uint64_t log_length, uint64_t stream);

using Collections = std::map<std::string, std::unique_ptr<LiveCollection>, std::less<>>;
struct RestoredBackup {
  Collections collections;  // none of their rows is in a segment
  BackupReport report;
};
// Receives a whole backup from `stream` and checks all of it. Fails with kFormatError, kVersionError or what the host
// answered; the message says at which byte.
Task<Result<RestoredBackup>> receive_backup(EffectQueue& effects, uint64_t stream);

}  // namespace nearfield
