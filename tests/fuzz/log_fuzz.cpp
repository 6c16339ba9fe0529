// Fuzz target: a log, as a file of its own, and sealed again around hostile records and hostile rows in a record.
//
// The first byte chooses; the rest is the input. See scripts/fuzz for running and replaying.
#include "tests/support/fuzz_database.h"

using namespace nearfield;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const FuzzDatabase kDatabase;
  if (size < 1) return 0;
  const ByteView input(data + 1, size - 1);
  FuzzDatabase database = kDatabase;
  Bytes& file = database.files.at(file_name(FileKind::kLog, database.manifest.generation));
  switch (data[0] % 4) {
    case 0: file.assign(input.begin(), input.end()); break;
    case 1: {
      // Behind a good record, records of any length.
      const FileIdentity identity = log_identity(database.manifest.generation, database.manifest.checksum);
      for (size_t begin = 0; begin < input.size();) {
        const size_t length = std::min<size_t>(input[begin] * size_t{4}, input.size() - begin - 1);
        const ByteView records[] = {input.subspan(begin + 1, length)};
        const Bytes more = log_append(identity, file.size(), records);
        file.insert(file.end(), more.begin(), more.end());
        begin += 1 + length;
      }
      break;
    }
    case 2: {
      Bytes record;
      ByteWriter writer(record);
      writer.put(database.graph().number);
      writer.put_string(as_text(input));
      database.replace_log(record);
      break;
    }
    default: {
      Bytes record = database.log_record;
      for (size_t i = 0; i + 3 <= input.size(); i += 3) {
        record[(input[i] | input[i + 1] << 8) % record.size()] = input[i + 2];
      }
      database.replace_log(record);
      break;
    }
  }
  (void)decode_log_record(input);
  database.open_and_use();
  return 0;
}
