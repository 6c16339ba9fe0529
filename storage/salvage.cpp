#include "storage/salvage.h"

#include <algorithm>

#include "storage/log.h"
#include "storage/rows.h"

namespace nearfield {

namespace {

// While it looks for the next frame behind damage, a scan hashes at most this many times the file's bytes: a file made
// of nothing but plausible frame headers would otherwise take the square of its size.
constexpr uint64_t kSearchEffort = 16;

bool may_hold(FileKind kind, FrameType type) {
  switch (kind) {
    case FileKind::kSegment: return type == FrameType::kRows || type == FrameType::kFooter;
    case FileKind::kIndex: return type == FrameType::kIndexPart || type == FrameType::kFooter;
    case FileKind::kLog: return type == FrameType::kLogRecord;
    case FileKind::kManifest:
    case FileKind::kBackup: break;
  }
  return false;
}

bool is_readable(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kRows: return decode_rows(frame.payload).ok();
    case FrameType::kLogRecord: return decode_log_record(frame.payload).ok();
    default: return true;
  }
}

}  // namespace

Scan scan_file(FileKind kind, uint64_t number, const std::vector<uint64_t>& links, ByteView bytes) {
  Scan scan;
  std::vector<uint64_t> candidates = links;
  Result<FileIdentity> header = read_file_header(bytes, kind, number);
  std::optional<uint64_t> damage_begin;
  if (header.ok()) {
    scan.link = header.value().link;
    candidates = {*scan.link};
  } else {
    scan.header = std::move(header).failure();
    damage_begin = 0;
    // Whose layout is unknown.
    if (scan.header.code() == Code::kVersionError) candidates.clear();
  }
  const auto end_damage = [&](uint64_t end) {
    if (damage_begin && end > *damage_begin) scan.damage.push_back({*damage_begin, end - *damage_begin});
    damage_begin.reset();
  };

  uint64_t effort = kSearchEffort * bytes.size();
  size_t offset = kFileHeaderBytes;
  while (offset + kFrameHeaderBytes <= bytes.size() && effort > 0) {
    const ByteView rest = bytes.subspan(offset);
    ByteReader reader(rest);
    const auto length = reader.get<uint32_t>();
    const auto type = static_cast<FrameType>(reader.get<uint32_t>());
    size_t size = 0;
    if (may_hold(kind, type) && frame_size(length) <= rest.size()) {
      for (const uint64_t link : candidates) {
        effort -= std::min<uint64_t>(effort, length + kFrameHeaderBytes);
        const Result<Frame> frame = read_frame({kind, number, link}, offset, rest);
        if (!frame.ok() || !is_readable(frame.value())) continue;
        end_damage(offset);
        scan.link = link;
        candidates = {link};
        scan.frames.push_back({offset, frame.value()});
        size = frame.value().size;
        break;
      }
    }
    if (size == 0) {
      if (!damage_begin) damage_begin = offset;
      size = kFrameAlignment;
    }
    offset += size;
  }
  if (!damage_begin && offset < bytes.size()) damage_begin = offset;
  end_damage(bytes.size());
  return scan;
}

bool is_sealed(FileKind kind, uint64_t number, const Scan& scan, ByteView bytes) {
  if (!scan.damage.empty() || scan.frames.empty()) return false;
  const SealedFile file = {number, bytes.size(), scan.frames.back().frame.checksum};
  return read_sealed({kind, number, *scan.link}, file, bytes).ok();
}

bool is_unfinished_tail(const Scan& scan, ByteView bytes) {
  if (scan.damage.size() != 1) return false;
  const Region tail = scan.damage.front();
  if (tail.offset + tail.length != bytes.size()) return false;
  const ByteView rest = bytes.subspan(static_cast<size_t>(tail.offset));
  if (std::ranges::all_of(rest, [](uint8_t byte) { return byte == 0; })) return true;
  // The header comes with the first record.
  if (tail.offset < kFileHeaderBytes) return bytes.size() < kFileHeaderBytes;
  if (rest.size() < kFrameHeaderBytes) return true;
  ByteReader reader(rest);
  const auto length = reader.get<uint32_t>();
  const auto type = static_cast<FrameType>(reader.get<uint32_t>());
  return type == FrameType::kLogRecord && length <= kMaxLogRecordBytes && frame_size(length) > rest.size();
}

}  // namespace nearfield
