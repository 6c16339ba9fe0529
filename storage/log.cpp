#include "storage/log.h"

namespace nearfield {

FileIdentity log_identity(uint64_t generation, uint64_t manifest_checksum) {
  return {FileKind::kLog, generation, manifest_checksum};
}

void LogRecordBuilder::add(uint64_t collection, const Batch& batch) {
  RowEncoder encoder;
  for (const std::string& id : batch.deletes) encoder.add_delete(id);
  for (const Point& point : batch.upserts) encoder.add_row(row_view(point));
  Bytes rows;
  encoder.finish(rows);
  ByteWriter writer(payload_);
  writer.put(collection);
  writer.put_string(as_text(rows));
}

Bytes log_append(const FileIdentity& log, uint64_t length, std::span<const ByteView> payloads) {
  Bytes bytes;
  if (length == 0) write_file_header(log, bytes);
  for (const ByteView payload : payloads) write_frame(log, length, FrameType::kLogRecord, payload, bytes);
  return bytes;
}

Result<LogRecord> decode_log_record(ByteView payload) {
  ByteReader reader(payload);
  LogRecord record;
  while (reader.ok() && reader.remaining() > 0) {
    const auto collection = reader.get<uint64_t>();
    const std::string_view rows = reader.get_string();
    if (!reader.ok()) break;
    ASSIGN_OR_RETURN(Batch batch, decode_rows(as_bytes(rows)));
    record.emplace_back(collection, std::move(batch));
  }
  if (!reader.ok()) return Error{Code::kFormatError, "a log record ends too early", ""};
  return record;
}

}  // namespace nearfield
