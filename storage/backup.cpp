#include "storage/backup.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <set>

#include "core/base/hash.h"
#include "storage/log.h"

namespace nearfield {

namespace {

// A frame of rows passes kFrameBytes by at most one point.
constexpr uint64_t kMaxBackupFrameBytes = 32 << 20;
constexpr size_t kPieceBytes = 1 << 20;

Error malformed(std::string what) { return {Code::kFormatError, "the backup: " + std::move(what), ""}; }

// The checksums of all frames in their order, as one.
class FrameDigest {
 public:
  void add(uint64_t frame_checksum) {
    ++frames_;
    Bytes both;
    ByteWriter writer(both);
    writer.put(digest_);
    writer.put(frame_checksum);
    digest_ = hash64(both);
  }
  Bytes footer() const {
    Bytes payload;
    ByteWriter writer(payload);
    writer.put(frames_);
    writer.put(digest_);
    return payload;
  }

 private:
  uint64_t frames_ = 0;
  uint64_t digest_ = 0;
};

struct CollectionHeader {
  uint64_t number = 0;
  std::string name;
  std::string schema;
  uint64_t rows = 0;  // in the frames of rows that follow, dead ones too
  uint64_t deletes = 0;
};

Bytes encode(const CollectionHeader& header) {
  Bytes payload;
  ByteWriter writer(payload);
  writer.put(header.number);
  writer.put_string(header.name);
  writer.put_string(header.schema);
  writer.put(header.rows);
  writer.put(header.deletes);
  return payload;
}

Result<CollectionHeader> decode_collection(ByteView payload) {
  ByteReader reader(payload);
  CollectionHeader header;
  header.number = reader.get<uint64_t>();
  header.name = reader.get_string();
  header.schema = reader.get_string();
  header.rows = reader.get<uint64_t>();
  header.deletes = reader.get<uint64_t>();
  if (!reader.at_end()) return malformed("a collection's description has another length than it says");
  // Rows are numbered with 32 bits.
  if (header.rows > UINT32_MAX) return malformed("collection " + shown(header.name) + " has too many rows");
  return header;
}

class BackupSender {
 public:
  BackupSender(EffectQueue& effects, FileIdentity identity, uint64_t stream, uint64_t total)
      : effects_(effects), identity_(identity), stream_(stream), total_(total) {
    buffer_.reserve(2 * kPieceBytes);
    write_file_header(identity_, buffer_);
  }

  Task<Status> add(FrameType type, ByteView payload) {
    digest_.add(write_frame(identity_, sent_, type, payload, buffer_));
    co_return co_await send(kPieceBytes);
  }
  Task<Status> finish() {
    const Bytes footer = digest_.footer();
    write_frame(identity_, sent_, FrameType::kFooter, footer, buffer_);
    co_return co_await send(1);
  }
  uint64_t sent() const { return sent_; }

 private:
  // Sends pieces until fewer than `least` bytes are left.
  Task<Status> send(size_t least) {
    size_t begin = 0;
    while (buffer_.size() - begin >= least) {
      const size_t size = std::min(kPieceBytes, buffer_.size() - begin);
      const auto first = buffer_.begin() + static_cast<std::ptrdiff_t>(begin);
      const EffectAnswer answer = co_await effects_.request(
          SendEffect{stream_, total_, Bytes(first, first + static_cast<std::ptrdiff_t>(size))});
      if (!answer.status.ok()) co_return host_error(answer.status, "send", "the backup");
      begin += size;
    }
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin));
    sent_ += begin;
    co_return Status();
  }

  EffectQueue& effects_;
  FileIdentity identity_;
  uint64_t stream_;
  uint64_t total_;
  uint64_t sent_ = 0;  // buffer_ starts here in the file
  Bytes buffer_;
  FrameDigest digest_;
};

// What reading a file of the database says, as an error of the backup.
Error cannot_back_up(Error error, const std::string& name) {
  if (error.code == Code::kFormatError) {
    return {Code::kStorageCorrupt, "nothing can be backed up from a damaged file: " + error.message, shown(name)};
  }
  if (error.code == Code::kNotFound) {
    return {Code::kConflict, name + " was removed by the database's writer during the backup; refresh and try again",
            shown(name)};
  }
  return error;
}

// Sends the frames of a sealed file.
Task<Status> send_file(EffectQueue& effects, FileIdentity identity, SealedFile file, FrameType type,
                       BackupSender& sender) {
  const std::string name = file_name(identity.kind, identity.number);
  Result<Bytes> bytes = co_await read_file(effects, name, file.length);
  if (!bytes.ok()) co_return cannot_back_up(bytes.error(), name);
  Result<std::vector<Frame>> frames = read_sealed(identity, file, bytes.value());
  if (!frames.ok()) co_return cannot_back_up(frames.error(), name);
  for (const Frame& frame : frames.value()) {
    if (frame.type != type) co_return cannot_back_up(malformed(name + " holds another kind of frame"), name);
    CO_RETURN_IF_ERROR(co_await sender.add(type, frame.payload));
  }
  co_return Status();
}

Task<Status> send_index(EffectQueue& effects, const CollectionEntry& entry, BackupSender& sender) {
  for (const SealedFile& part : entry.index->parts) {
    Status status =
        co_await send_file(effects, {FileKind::kIndex, part.number, entry.number}, part, FrameType::kIndexPart, sender);
    // An index that is not whole is built again from the rows by whoever restores them.
    if (status.code() == Code::kStorageCorrupt) break;
    CO_RETURN_IF_ERROR(std::move(status));
  }
  co_return Status();
}

Task<Status> send_collection(EffectQueue& effects, const CollectionEntry& entry, BackupSender& sender) {
  CollectionHeader header = {entry.number, entry.name, entry.schema};
  for (const SegmentEntry& segment : entry.segments) {
    header.rows += segment.rows;
    header.deletes += segment.deletes;
  }
  const Bytes encoded = encode(header);
  CO_RETURN_IF_ERROR(co_await sender.add(FrameType::kBackupCollection, encoded));
  for (size_t i = 0; i < entry.segments.size(); ++i) {
    const SealedFile file = entry.segments[i].file;
    CO_RETURN_IF_ERROR(
        co_await send_file(effects, {FileKind::kSegment, file.number, entry.number}, file, FrameType::kRows, sender));
    if (entry.index && i + 1 == entry.index->segments) CO_RETURN_IF_ERROR(co_await send_index(effects, entry, sender));
  }
  co_return Status();
}

// Sends the records of the log's first `length` bytes. They were replayed or written by this host, so each is sound.
Task<Status> send_log(EffectQueue& effects, const Manifest& manifest, uint64_t length, BackupSender& sender) {
  const FileIdentity identity = log_identity(manifest.generation, manifest.checksum);
  const std::string name = file_name(FileKind::kLog, identity.number);
  Result<Bytes> bytes = co_await read_file(effects, name, length);
  if (!bytes.ok()) co_return cannot_back_up(bytes.error(), name);
  if (bytes.value().size() != length) co_return cannot_back_up(malformed(name + " has become shorter"), name);
  const Result<FileIdentity> header = read_file_header(bytes.value(), identity.kind, identity.number);
  if (!header.ok()) co_return cannot_back_up(header.error(), name);
  for (size_t offset = kFileHeaderBytes; offset < length;) {
    const Result<Frame> frame = read_frame(identity, offset, ByteView(bytes.value()).subspan(offset));
    if (!frame.ok()) co_return cannot_back_up(frame.error(), name);
    CO_RETURN_IF_ERROR(co_await sender.add(FrameType::kLogRecord, frame.value().payload));
    offset += frame.value().size;
  }
  co_return Status();
}

// What was received, frame by frame.
class BackupReceiver {
 public:
  BackupReceiver(EffectQueue& effects, uint64_t stream) : effects_(effects), stream_(stream) {}

  Task<Result<FileIdentity>> header() {
    CO_RETURN_IF_ERROR(co_await fill(kFileHeaderBytes));
    // It goes by its own number; which one is of no matter.
    ByteReader reader(rest());
    reader.get_bytes(kFileMagic.size() + 2 * sizeof(uint32_t));
    CO_ASSIGN_OR_RETURN(identity_, read_file_header(rest(), FileKind::kBackup, reader.get<uint64_t>()));
    begin_ = position_ = kFileHeaderBytes;
    co_return identity_;
  }

  // The next frame; its payload stays where it is until the next call.
  Task<Result<Frame>> next() {
    CO_RETURN_IF_ERROR(co_await fill(kFrameHeaderBytes));
    const auto length = ByteReader(rest()).get<uint32_t>();
    if (length > kMaxBackupFrameBytes) {
      co_return Error{Code::kFormatError,
                      "the backup at byte " + std::to_string(position_) + ": a frame says it has " +
                          std::to_string(length) + " bytes, more than any has",
                      shown(int64_t{length})};
    }
    CO_RETURN_IF_ERROR(co_await fill(frame_size(length)));
    CO_ASSIGN_OR_RETURN(const Frame frame, read_frame(identity_, position_, rest()));
    begin_ += frame.size;
    position_ += frame.size;
    if (frame.type == FrameType::kFooter) {
      const Bytes expected = digest_.footer();
      if (!std::ranges::equal(frame.payload, expected)) {
        co_return malformed("its frames are not those that its footer speaks of");
      }
    } else {
      digest_.add(frame.checksum);
    }
    co_return frame;
  }

  // REQUIRES: the footer was read.
  Task<Status> end() {
    CO_RETURN_IF_ERROR(co_await fill(1));
    if (!rest().empty()) co_return malformed("bytes follow its footer");
    co_return Status();
  }

  uint64_t position() const { return position_; }

 private:
  ByteView rest() const { return ByteView(buffer_).subspan(begin_); }

  // Receives until `size` bytes are there or the stream ends. Memory grows with what came, not with what was announced.
  Task<Status> fill(size_t size) {
    if (ended_ || rest().size() >= size) co_return Status();
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
    while (!ended_ && buffer_.size() < size) {
      const EffectAnswer answer = co_await effects_.request(ReceiveEffect{stream_, kPieceBytes});
      if (!answer.status.ok()) co_return host_error(answer.status, "receive", "the backup");
      if (answer.bytes.size() > kPieceBytes) {
        co_return Error{Code::kStorageFailed, "receive: the host answered more bytes than were asked for", ""};
      }
      ended_ = answer.bytes.empty();
      buffer_.insert(buffer_.end(), answer.bytes.begin(), answer.bytes.end());
    }
    co_return Status();
  }

  EffectQueue& effects_;
  uint64_t stream_;
  FileIdentity identity_;
  Bytes buffer_;
  size_t begin_ = 0;       // what comes next in buffer_...
  uint64_t position_ = 0;  // ...and in the file
  bool ended_ = false;
  FrameDigest digest_;
};

// Puts collections together from frames.
class Restorer {
 public:
  Status add(const Frame& frame) {
    switch (frame.type) {
      case FrameType::kBackupCollection: return begin_collection(frame.payload);
      case FrameType::kRows: return add_rows(frame.payload);
      case FrameType::kIndexPart: return add_index_part(frame.payload);
      case FrameType::kLogRecord: return add_record(frame.payload);
      case FrameType::kManifest:
      case FrameType::kFooter: break;
    }
    return malformed("it holds a frame of an unknown kind");
  }
  // After the last frame.
  Status end() { return end_collection(); }
  Collections take() { return std::move(collections_); }

 private:
  Status begin_collection(ByteView payload) {
    if (in_log_) return malformed("a collection follows the log");
    RETURN_IF_ERROR(end_collection());
    ASSIGN_OR_RETURN(open_, decode_collection(payload));
    if (!check_collection_name(open_.name).ok()) return malformed("a collection has an impossible name");
    ASSIGN_OR_RETURN(Schema schema, read_schema(open_.schema));
    auto& live = collections_[open_.name];
    if (live != nullptr || !numbers_.emplace(open_.number, nullptr).second) {
      return malformed("collection " + shown(open_.name) + " stands twice");
    }
    live = std::make_unique<LiveCollection>(open_.name, std::move(schema));
    numbers_[open_.number] = current_ = live.get();
    current_->memory.defer_derived(true);
    index_.clear();
    attached_ = false;
    rows_ = deletes_ = 0;
    return {};
  }

  // Saved derived state belongs to the rows that came before it. One that cannot be used is built again.
  void attach() {
    if (attached_) return;
    attached_ = true;
    Collection& memory = current_->memory;
    const Result<Sections> sections = read_sections(index_);
    if (index_.empty() || !sections.ok() || !memory.attach_derived(sections.value())) memory.rebuild_derived();
    memory.defer_derived(false);
    index_ = {};
  }

  Status end_collection() {
    if (current_ == nullptr) return {};
    attach();
    if (rows_ != open_.rows || deletes_ != open_.deletes) {
      return malformed("collection " + shown(open_.name) + " has another number of rows than it says");
    }
    current_ = nullptr;
    return {};
  }

  Status add_rows(ByteView payload) {
    if (!index_.empty()) attach();
    ASSIGN_OR_RETURN(Batch batch, decode_rows(payload));
    rows_ += batch.upserts.size();
    deletes_ += batch.deletes.size();
    // Before the first collection, and behind the last one, none are left to come.
    if (batch.empty() || rows_ > open_.rows || deletes_ > open_.deletes) {
      return malformed("collection " + shown(open_.name) + " has another number of rows than it says");
    }
    assert(current_ != nullptr);
    RETURN_IF_ERROR(check(*current_, batch));
    current_->memory.apply(std::move(batch));
    return {};
  }

  Status add_index_part(ByteView payload) {
    if (current_ == nullptr || attached_ || payload.empty()) return malformed("an index stands where none belongs");
    index_.insert(index_.end(), payload.begin(), payload.end());
    return {};
  }

  Status add_record(ByteView payload) {
    RETURN_IF_ERROR(end_collection());
    in_log_ = true;
    ASSIGN_OR_RETURN(LogRecord record, decode_log_record(payload));
    if (record.empty()) return malformed("a log record is empty");
    for (const auto& [number, batch] : record) {
      const auto target = numbers_.find(number);
      if (target == numbers_.end()) return malformed("a log record names an unknown collection");
      RETURN_IF_ERROR(check(*target->second, batch));
    }
    for (auto& [number, batch] : record) numbers_[number]->memory.apply(std::move(batch));
    return {};
  }

  static Status check(const LiveCollection& live, const Batch& batch) {
    const Status status = live.memory.check(batch);
    if (status.ok()) return {};
    return Error{Code::kFormatError,
                 "the backup: collection " + shown(live.memory.name()) + ": " + status.error().message,
                 status.error().value};
  }

  Collections collections_;
  std::map<uint64_t, LiveCollection*> numbers_;
  CollectionHeader open_;
  LiveCollection* current_ = nullptr;
  Bytes index_;
  bool attached_ = false;
  bool in_log_ = false;
  uint64_t rows_ = 0;
  uint64_t deletes_ = 0;
};

}  // namespace

Task<Result<BackupReport>> send_backup(EffectQueue& effects, Manifest manifest, uint64_t log_length, uint64_t stream) {
  BackupReport report;
  report.generation = manifest.generation;
  report.collections = manifest.collections.size();
  uint64_t total = log_length;
  for (const CollectionEntry& entry : manifest.collections) {
    for (const SegmentEntry& segment : entry.segments) total += segment.file.length;
    if (!entry.index) continue;
    for (const SealedFile& part : entry.index->parts) total += part.length;
  }
  BackupSender sender(effects, {FileKind::kBackup, manifest.generation, manifest.checksum}, stream, total);
  for (const CollectionEntry& entry : manifest.collections) {
    CO_RETURN_IF_ERROR(co_await send_collection(effects, entry, sender));
  }
  if (log_length > 0) CO_RETURN_IF_ERROR(co_await send_log(effects, manifest, log_length, sender));
  CO_RETURN_IF_ERROR(co_await sender.finish());
  report.bytes = sender.sent();
  co_return report;
}

Task<Result<RestoredBackup>> receive_backup(EffectQueue& effects, uint64_t stream) {
  BackupReceiver receiver(effects, stream);
  Restorer restorer;
  RestoredBackup restored;
  CO_ASSIGN_OR_RETURN(const FileIdentity identity, co_await receiver.header());
  while (true) {
    CO_ASSIGN_OR_RETURN(const Frame frame, co_await receiver.next());
    if (frame.type == FrameType::kFooter) break;
    CO_RETURN_IF_ERROR(restorer.add(frame));
  }
  CO_RETURN_IF_ERROR(restorer.end());
  restored.report.bytes = receiver.position();
  CO_RETURN_IF_ERROR(co_await receiver.end());
  restored.collections = restorer.take();
  restored.report.generation = identity.number;
  restored.report.collections = restored.collections.size();
  for (const auto& [name, live] : restored.collections) {
    live->rewrite = true;
    restored.report.rows += live->memory.count();
  }
  co_return restored;
}

}  // namespace nearfield
