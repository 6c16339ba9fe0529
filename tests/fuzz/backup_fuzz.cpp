// Fuzz target: bytes as a backup. Restoring must answer, and a refusal must change nothing.
//
// The first byte picks what the rest is: a whole file; or the payload of one frame of a sound backup, whose checksums
// are then made right, so that what lies behind them is reached.
//
// scripts/fuzz builds and runs it, and says how to replay a finding.
#include <cstdlib>

#include "storage/backup.h"
#include "tests/support/backup_files.h"
#include "tests/support/database_model.h"

using namespace nearfield;

namespace {

Bytes make_backup() {
  SimulatedVolume volume;
  DatabaseRunner runner(volume, 1);
  (void)runner.open();
  OperationSource source(3, false);
  Contents model;
  for (int i = 0; i < 40; ++i) {
    const Operation operation = source.next(model);
    if (operation.kind == Operation::Kind::kDrop) continue;
    if (!runner.run(operation)->ok()) std::abort();
    apply_to_model(model, operation);
  }
  if (!runner.host.run(runner.database->backup(1)).ok()) std::abort();
  return runner.host.sent[1];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Bytes kBackup = make_backup();
  static const std::vector<BackupFrame> kFrames = frames_of(kBackup);
  if (size < 2) return 0;
  const ByteView input(data + 2, size - 2);
  Bytes backup(input.begin(), input.end());
  if (data[0] % 4 != 0) {
    std::vector<BackupFrame> frames = kFrames;
    BackupFrame& frame = frames[data[1] % (frames.size() - 1)];
    frame.payload = backup;
    if (data[0] >= 128) frame.type = data[0] % 8;
    backup = sealed_backup(kBackup, frames);
  }
  SimulatedVolume volume;
  DatabaseRunner runner(volume, 1);
  if (!runner.open()->ok()) std::abort();
  runner.host.to_receive[1] = backup;
  auto received = runner.host.run(receive_backup(runner.host.effects(), 1));
  if (!received.ok()) {
    if (received.code() != Code::kFormatError && received.code() != Code::kVersionError) std::abort();
    if (!volume.files.empty()) std::abort();
    return 0;
  }
  // What was taken is a database: written, closed, and the same when it is opened again.
  if (!runner.host.run(runner.database->restore(std::move(received).value())).ok()) std::abort();
  const Contents contents = contents_of(*runner.database);
  if (!runner.host.run(runner.database->close()).ok() || !runner.open()->ok()) std::abort();
  if (contents_of(*runner.database) != contents) std::abort();
  return 0;
}
