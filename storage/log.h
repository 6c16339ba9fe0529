// Log: the writes since a generation was committed, one record each.
//
// A record is one frame: it is there whole or not at all. Replay stops at the first record that does not check out;
// what follows it was never acknowledged, or is damaged.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "storage/format.h"
#include "storage/rows.h"

namespace nearfield {

// The log that belongs to a manifest.
FileIdentity log_identity(uint64_t generation, uint64_t manifest_checksum);

// Builds the payload of one record.
class LogRecordBuilder {
 public:
  void add(uint64_t collection, const Batch& batch);
  const Bytes& payload() const { return payload_; }

 private:
  Bytes payload_;
};

// The bytes to append to a log of `length` bytes, for records with these payloads; a new log gets its header with the
// first of them.
Bytes log_append(const FileIdentity& log, uint64_t length, std::span<const ByteView> payloads);

using LogRecord = std::vector<std::pair<uint64_t, Batch>>;  // collection number, batch
// Fails with kFormatError.
Result<LogRecord> decode_log_record(ByteView payload);

}  // namespace nearfield
