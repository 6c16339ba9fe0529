// Backup files taken apart, changed, and put together again with checksums that are right: what a reader must still
// refuse by looking at what the bytes say.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/base/hash.h"
#include "storage/format.h"

namespace nearfield {

struct BackupFrame {
  uint32_t type = 0;
  Bytes payload;
  Bytes raw;  // as it stood in the file

  bool operator==(const BackupFrame&) const = default;
};

inline std::vector<BackupFrame> frames_of(const Bytes& backup) {
  std::vector<BackupFrame> frames;
  for (size_t at = kFileHeaderBytes; at + kFrameHeaderBytes <= backup.size();) {
    ByteReader reader(ByteView(backup).subspan(at));
    const auto length = reader.get<uint32_t>();
    const auto type = reader.get<uint32_t>();
    const size_t size = frame_size(length);
    const auto first = backup.begin() + static_cast<std::ptrdiff_t>(at);
    const auto payload = first + kFrameHeaderBytes;
    frames.push_back({type, Bytes(payload, payload + length), Bytes(first, first + static_cast<std::ptrdiff_t>(size))});
    at += size;
  }
  return frames;
}

inline Bytes raw_backup(const Bytes& original, const std::vector<BackupFrame>& frames) {
  Bytes out(original.begin(), original.begin() + kFileHeaderBytes);
  for (const BackupFrame& frame : frames) out.insert(out.end(), frame.raw.begin(), frame.raw.end());
  return out;
}

// Every frame's checksum computed anew under the original's header; the footer too, unless `footer` is to stand.
inline Bytes sealed_backup(const Bytes& original, const std::vector<BackupFrame>& frames, ByteView footer = {}) {
  ByteReader header(original);
  header.get_bytes(16);
  FileIdentity identity;
  identity.kind = FileKind::kBackup;
  identity.number = header.get<uint64_t>();
  identity.link = header.get<uint64_t>();
  Bytes out(original.begin(), original.begin() + kFileHeaderBytes);
  uint64_t count = 0;
  uint64_t digest = 0;
  for (const BackupFrame& frame : frames) {
    const auto type = static_cast<FrameType>(frame.type);
    Bytes payload = frame.payload;
    if (type == FrameType::kFooter && !footer.empty()) payload.assign(footer.begin(), footer.end());
    if (type == FrameType::kFooter && footer.empty()) {
      payload.clear();
      ByteWriter writer(payload);
      writer.put(count);
      writer.put(digest);
    }
    const uint64_t checksum = write_frame(identity, 0, type, payload, out);
    Bytes both;
    ByteWriter writer(both);
    writer.put(digest);
    writer.put(checksum);
    digest = hash64(both);
    ++count;
  }
  return out;
}

inline Bytes bytes_from_hex(const std::string& text) {
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return out;
}

// One case of tests/corpus/backup/cases.json, applied to the golden backup. tests/corpus/backup/README.md says what the
// members mean.
inline Bytes mutated_backup(const Bytes& golden, const nlohmann::json& each) {
  Bytes out = golden;
  if (each.contains("header")) {
    const Bytes bytes = bytes_from_hex(each.at("bytes"));
    std::copy(bytes.begin(), bytes.end(), out.begin() + each.at("header").get<std::ptrdiff_t>());
    const uint64_t checksum = hash64(ByteView(out).first(32));
    if (each.value("reseal", false)) std::memcpy(out.data() + 32, &checksum, sizeof checksum);
  }
  if (each.contains("frame")) {
    std::vector<BackupFrame> frames = frames_of(out);
    BackupFrame& frame = frames.at(each.at("frame").get<size_t>());
    if (each.contains("type")) frame.type = each.at("type");
    if (each.contains("payload")) frame.payload = bytes_from_hex(each.at("payload"));
    if (each.contains("find")) {
      const Bytes from = bytes_from_hex(each.at("find"));
      const auto found = std::search(frame.payload.begin(), frame.payload.end(), from.begin(), from.end());
      if (found == frame.payload.end()) throw std::runtime_error("the bytes to change are not in that frame");
      const Bytes to = bytes_from_hex(each.at("bytes"));
      frame.payload.insert(frame.payload.erase(found, found + static_cast<std::ptrdiff_t>(from.size())), to.begin(),
                           to.end());
    } else if (each.contains("at")) {
      const Bytes bytes = bytes_from_hex(each.at("bytes"));
      std::copy(bytes.begin(), bytes.end(), frame.payload.begin() + each.at("at").get<std::ptrdiff_t>());
    }
    out = sealed_backup(out, frames);
  }
  if (each.contains("repeat") || each.contains("drop")) {
    std::vector<BackupFrame> frames = frames_of(out);
    const auto index = each.value("repeat", each.value("drop", std::ptrdiff_t{0}));
    if (each.contains("repeat")) {
      const BackupFrame again = frames.at(static_cast<size_t>(index));
      frames.insert(frames.begin() + each.value("before", index), again);
    } else {
      frames.erase(frames.begin() + index);
    }
    out = sealed_backup(out, frames);
  }
  if (each.contains("file")) {
    const Bytes bytes = bytes_from_hex(each.at("bytes"));
    std::copy(bytes.begin(), bytes.end(), out.begin() + each.at("file").get<std::ptrdiff_t>());
  }
  if (each.contains("truncate")) out.resize(each.at("truncate"));
  if (each.contains("append")) {
    const Bytes bytes = bytes_from_hex(each.at("append"));
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  if (each.contains("replace")) {
    const Bytes bytes = bytes_from_hex(each.at("replace"));
    out.assign(bytes.begin(), bytes.end());
  }
  return out;
}

}  // namespace nearfield
