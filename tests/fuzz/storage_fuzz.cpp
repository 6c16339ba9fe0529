// Fuzz target: bytes as the files of a volume. Opening must answer, whatever they are.
//
// The first byte picks what the rest is: one of the small parsers alone, or a file of an otherwise sound database, with
// its checksums made right again when the second byte is odd, so that what lies behind them is reached.
//
// scripts/fuzz builds and runs it, and says how to replay a finding.
#include <algorithm>
#include <cstdlib>

#include "core/base/hash.h"
#include "core/base/section.h"
#include "storage/format.h"
#include "storage/log.h"
#include "storage/manifest.h"
#include "storage/rows.h"
#include "tests/support/database_model.h"

using namespace nearfield;

namespace {

// Two generations, a segment, an index and a log.
std::map<std::string, Bytes> make_files() {
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
  return volume.contents();
}

// Replaces a frame's payload and seals it again under the same identity.
Bytes sealed_again(const std::string& name, const Bytes& original, ByteView payload) {
  const NamedFile named = *parse_file_name(name);
  const auto identity = read_file_header(original, named.kind, named.number);
  if (!identity.ok()) return original;
  Bytes out;
  write_file_header(identity.value(), out);
  switch (named.kind) {
    case FileKind::kManifest: write_frame(identity.value(), 0, FrameType::kManifest, payload, out); break;
    case FileKind::kLog: write_frame(identity.value(), 0, FrameType::kLogRecord, payload, out); break;
    case FileKind::kSegment: write_frame(identity.value(), 0, FrameType::kRows, payload, out); break;
    case FileKind::kIndex: write_frame(identity.value(), 0, FrameType::kIndexPart, payload, out); break;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::map<std::string, Bytes> kFiles = make_files();
  if (size < 2) return 0;
  const ByteView input(data + 2, size - 2);
  const size_t choice = data[0] % (kFiles.size() + 4);
  switch (choice) {
    case 0: (void)decode_rows(input); return 0;
    case 1: (void)decode_log_record(input); return 0;
    case 2: (void)read_sections(input); return 0;
    case 3: {
      // Behind sound sections and checksums: the collection's own readers.
      static const Schema kSchema = small_schema();
      Collection collection("fuzz", kSchema);
      const auto batch = decode_rows(input);
      if (batch.ok() && collection.check(batch.value()).ok()) collection.apply(batch.value());
      const auto sections = read_sections(input);
      if (sections.ok()) (void)collection.attach_derived(sections.value());
      return 0;
    }
    default: break;
  }
  auto files = kFiles;
  const auto chosen = std::next(files.begin(), static_cast<std::ptrdiff_t>(choice - 4));
  if (data[1] % 2 == 0) {
    chosen->second.assign(input.begin(), input.end());
  } else {
    chosen->second = sealed_again(chosen->first, chosen->second, input);
  }
  SimulatedVolume volume = SimulatedVolume::of(files);
  DatabaseRunner runner(volume, 1);
  const Status status = *runner.open();
  if (!status.ok()) {
    if (status.code() != Code::kStorageCorrupt && status.code() != Code::kVersionError) std::abort();
    return 0;
  }
  (void)contents_of(*runner.database);
  if (!runner.host.run(runner.database->close()).ok()) std::abort();
  return 0;
}
