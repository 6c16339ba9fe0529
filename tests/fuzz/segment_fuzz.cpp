// Fuzz target: a segment, as a file of its own, and sealed again around hostile rows, with the manifest that names it.
//
// The first byte chooses; the rest is the input. See scripts/fuzz for running and replaying.
#include "tests/support/fuzz_database.h"

using namespace nearfield;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const FuzzDatabase kDatabase;
  if (size < 1) return 0;
  const ByteView input(data + 1, size - 1);
  FuzzDatabase database = kDatabase;
  CollectionEntry& entry = database.graph();
  SegmentEntry& segment = entry.segments[0];
  Bytes& file = database.files.at(file_name(FileKind::kSegment, segment.file.number));
  if (data[0] % 3 == 0) {
    file.assign(input.begin(), input.end());
    // Also as one of the length that is expected.
    if (data[0] & 4) file.resize(segment.file.length);
    database.open_and_use();
    return 0;
  }
  Bytes payload(input.begin(), input.end());
  if (data[0] % 3 == 1) {
    const auto frames = read_sealed({FileKind::kSegment, segment.file.number, entry.number}, segment.file, file);
    payload.assign((*frames)[0].payload.begin(), (*frames)[0].payload.end());
    for (size_t i = 0; i + 3 <= input.size(); i += 3) {
      payload[(input[i] | input[i + 1] << 8) % payload.size()] = input[i + 2];
    }
  }
  const Result<Batch> batch = decode_rows(payload);
  segment.file = database.replace(FileKind::kSegment, segment.file.number, entry.number, FrameType::kRows, payload);
  if (batch.ok()) {
    segment.rows = batch->upserts.size();
    segment.deletes = batch->deletes.size();
    if (entry.index->rows != segment.rows) entry.index.reset();
  }
  database.seal_manifest();
  database.open_and_use();
  return 0;
}
