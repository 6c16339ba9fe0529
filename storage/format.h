// The bytes of storage/FORMAT.md: names, headers, frames and sealed files.
//
// Every file starts with a header and continues with frames. A checksum covers a frame's bytes, its place and the file
// it belongs to, so bytes that were damaged, moved or taken from another file do not check out. Readers treat each
// byte as hostile: lengths are compared with what is left before anything is allocated.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/status.h"

namespace nearfield {

inline constexpr std::array<uint8_t, 8> kFileMagic = {'n', 'e', 'a', 'r', 'f', 'l', 'd', '\n'};
inline constexpr uint32_t kFormatVersion = 1;
inline constexpr size_t kFileHeaderBytes = 40;
inline constexpr size_t kFrameHeaderBytes = 16;
inline constexpr size_t kFrameAlignment = 8;

// A sealed file is closed once it holds this much; one point may carry it past that.
inline constexpr size_t kSegmentBytes = 8 << 20;
// Rows and index parts are cut into frames of about this size.
inline constexpr size_t kFrameBytes = 1 << 20;
// Rows of collections that keep parts of them on demand: a frame is the least that can be read of a segment.
inline constexpr size_t kOnDemandFrameBytes = 64 << 10;
// The most one log record holds. Larger writes go into segments.
inline constexpr size_t kMaxLogRecordBytes = 1 << 20;
// A log that would grow past this is replaced by segments and a new log.
inline constexpr size_t kMaxLogBytes = 8 << 20;
inline constexpr size_t kMaxManifestBytes = 64 << 20;
// JavaScript counts exactly up to here; names with larger numbers are not ours.
inline constexpr uint64_t kMaxFileNumber = (uint64_t{1} << 53) - 1;
// No counter gets this far by counting. One that claims to would soon make names that are not ours.
inline constexpr uint64_t kMaxNextNumber = kMaxFileNumber / 2;

// Persisted: numbers are explicit and only ever appended to.
enum class FileKind : uint32_t { kManifest = 1, kSegment = 2, kIndex = 3, kLog = 4, kBackup = 5 };
enum class FrameType : uint32_t {
  kManifest = 1,
  kRows = 2,
  kIndexPart = 3,
  kLogRecord = 4,
  kFooter = 5,
  kBackupCollection = 6,
};

// What a file is. Part of every checksum in it.
struct FileIdentity {
  FileKind kind = FileKind::kManifest;
  uint64_t number = 0;  // the generation of a manifest or log; the file number of a segment or index
  // log and backup: checksum of their manifest; manifest: checksum of the one before; others: the collection
  uint64_t link = 0;
};

// "segment-000000000000002a". A backup has no name on a volume; in messages it is "the backup".
std::string file_name(FileKind kind, uint64_t number);
struct NamedFile {
  FileKind kind;
  uint64_t number;
};
// nullopt for a name that is none of ours.
std::optional<NamedFile> parse_file_name(std::string_view name);

void write_file_header(const FileIdentity& identity, Bytes& out);
// Fails with kFormatError when the header is damaged or belongs to another kind or number, and with kVersionError when
// it is sound and of a newer version.
Result<FileIdentity> read_file_header(ByteView bytes, FileKind kind, uint64_t number);

// Appends one frame, padded, to `out`, whose first byte stands at `start` in the file. Answers the checksum.
uint64_t write_frame(const FileIdentity& identity, uint64_t start, FrameType type, ByteView payload, Bytes& out);

struct Frame {
  FrameType type = FrameType::kFooter;
  uint64_t checksum = 0;
  ByteView payload;
  size_t size = 0;  // in the file, header and padding included
};
// The frame at the start of `bytes`, which stands at `offset` in the file. Fails with kFormatError.
Result<Frame> read_frame(const FileIdentity& identity, uint64_t offset, ByteView bytes);
// How many bytes a frame of that payload takes in a file.
size_t frame_size(size_t payload_bytes);

// A finished file as a manifest names it.
struct SealedFile {
  uint64_t number = 0;
  uint64_t length = 0;
  uint64_t checksum = 0;  // of the footer frame, which covers the checksums of all others
  bool operator==(const SealedFile&) const = default;
};

// Builds a file of frames and a footer in memory.
class SealedWriter {
 public:
  explicit SealedWriter(const FileIdentity& identity);
  // Makes room for frames of that many bytes in all, so that they are not moved while more come.
  void reserve(size_t payload_bytes);
  // Answers the frame's checksum.
  uint64_t add(FrameType type, ByteView payload);
  size_t size() const { return bytes_.size(); }
  // Adds the footer. Nothing may follow but take().
  SealedFile seal();
  Bytes take() { return std::move(bytes_); }

 private:
  FileIdentity identity_;
  Bytes bytes_;
  std::vector<uint64_t> checksums_;
};

// Every frame of a sealed file but its footer, after checking all of it. Fails with kFormatError or kVersionError.
Result<std::vector<Frame>> read_sealed(const FileIdentity& identity, const SealedFile& expected, ByteView bytes);

}  // namespace nearfield
