// Fuzz target: a manifest, as a file of its own and sealed again around a hostile list of files.
//
// The first byte chooses; the rest is the input. See scripts/fuzz for running and replaying.
#include "tests/support/fuzz_database.h"

using namespace nearfield;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const FuzzDatabase kDatabase;
  if (size < 1) return 0;
  const ByteView input(data + 1, size - 1);
  FuzzDatabase database = kDatabase;
  const uint64_t generation = database.manifest.generation;
  Bytes& file = database.files.at(file_name(FileKind::kManifest, generation));
  const FileIdentity identity = {FileKind::kManifest, generation, database.manifest.previous_checksum};
  switch (data[0] % 3) {
    case 0: file.assign(input.begin(), input.end()); break;
    case 1: {
      file.clear();
      write_file_header(identity, file);
      write_frame(identity, 0, FrameType::kManifest, input, file);
      break;
    }
    default: {
      // Pairs of a place and a value, put into the payload.
      const size_t begin = kFileHeaderBytes + kFrameHeaderBytes;
      const Frame whole = *read_frame(identity, kFileHeaderBytes, ByteView(file).subspan(kFileHeaderBytes));
      Bytes payload(whole.payload.begin(), whole.payload.end());
      for (size_t i = 0; i + 3 <= input.size(); i += 3) {
        payload[(input[i] | input[i + 1] << 8) % payload.size()] = input[i + 2];
      }
      file.resize(begin - kFrameHeaderBytes);
      write_frame(identity, 0, FrameType::kManifest, payload, file);
      break;
    }
  }
  Result<Manifest> manifest = decode_manifest(generation, file);
  if (manifest.ok()) {
    // What was understood is all there was.
    Manifest copy = *manifest;
    fuzz_demand(encode_manifest(copy) == file);
    database.manifest.checksum = copy.checksum;
    database.replace_log(database.log_record);
  }
  database.open_and_use();
  return 0;
}
