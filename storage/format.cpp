#include "storage/format.h"

#include <algorithm>

#include "core/base/hash.h"

namespace nearfield {

namespace {

constexpr std::array<std::pair<FileKind, std::string_view>, 4> kKindNames = {{
    {FileKind::kManifest, "manifest-"},
    {FileKind::kSegment, "segment-"},
    {FileKind::kIndex, "index-"},
    {FileKind::kLog, "log-"},
}};
constexpr size_t kNumberDigits = 16;
constexpr std::string_view kDigits = "0123456789abcdef";

Error damaged(std::string what) { return {Code::kFormatError, std::move(what), ""}; }

// The header's checksum covers everything before it.
constexpr size_t kHeaderChecked = kFileHeaderBytes - sizeof(uint64_t);

uint64_t frame_checksum(const FileIdentity& identity, uint64_t offset, uint32_t type, ByteView payload) {
  Bytes described;
  ByteWriter writer(described);
  writer.put(static_cast<uint32_t>(identity.kind));
  writer.put(type);
  writer.put(identity.number);
  writer.put(identity.link);
  writer.put(offset);
  writer.put(static_cast<uint64_t>(payload.size()));
  writer.put(hash64(payload));
  return hash64(described);
}

// Frame count, then a checksum of the checksums.
Bytes footer_payload(const std::vector<uint64_t>& checksums) {
  Bytes list;
  ByteWriter(list).put_array(std::span(checksums));
  Bytes payload;
  ByteWriter writer(payload);
  writer.put(static_cast<uint64_t>(checksums.size()));
  writer.put(hash64(list));
  return payload;
}

}  // namespace

std::string file_name(FileKind kind, uint64_t number) {
  if (kind == FileKind::kBackup) return "the backup";
  std::string name;
  for (const auto& [each, prefix] : kKindNames) {
    if (each == kind) name = prefix;
  }
  for (size_t digit = kNumberDigits; digit-- > 0;) name += kDigits[number >> (4 * digit) & 15];
  return name;
}

std::optional<NamedFile> parse_file_name(std::string_view name) {
  for (const auto& [kind, prefix] : kKindNames) {
    if (!name.starts_with(prefix) || name.size() != prefix.size() + kNumberDigits) continue;
    uint64_t number = 0;
    for (const char digit : name.substr(prefix.size())) {
      const size_t value = kDigits.find(digit);
      if (value == std::string_view::npos) return std::nullopt;
      number = number << 4 | value;
    }
    if (number > kMaxFileNumber) return std::nullopt;
    return NamedFile{kind, number};
  }
  return std::nullopt;
}

void write_file_header(const FileIdentity& identity, Bytes& out) {
  const size_t start = out.size();
  ByteWriter writer(out);
  writer.put_bytes(kFileMagic);
  writer.put(kFormatVersion);
  writer.put(static_cast<uint32_t>(identity.kind));
  writer.put(identity.number);
  writer.put(identity.link);
  writer.put(hash64(ByteView(out).subspan(start, kHeaderChecked)));
}

Result<FileIdentity> read_file_header(ByteView bytes, FileKind kind, uint64_t number) {
  const std::string name = file_name(kind, number);
  ByteReader reader(bytes);
  const ByteView magic = reader.get_bytes(kFileMagic.size());
  const auto version = reader.get<uint32_t>();
  const auto found_kind = reader.get<uint32_t>();
  const auto found_number = reader.get<uint64_t>();
  const auto link = reader.get<uint64_t>();
  const auto checksum = reader.get<uint64_t>();
  if (!reader.ok()) return damaged(name + " is shorter than a file header");
  if (!std::equal(magic.begin(), magic.end(), kFileMagic.begin())) return damaged(name + " is not a nearfield file");
  if (checksum != hash64(bytes.first(kHeaderChecked))) return damaged(name + " has a damaged header");
  if (version > kFormatVersion) {
    return Error{Code::kVersionError,
                 name + " has format version " + std::to_string(version) + "; this build reads up to " +
                     std::to_string(kFormatVersion) + ". Open it with a newer nearfield; nothing was changed",
                 shown(int64_t{version})};
  }
  if (version == 0 || found_kind != static_cast<uint32_t>(kind) || found_number != number) {
    return damaged(name + " holds what belongs in another file");
  }
  return FileIdentity{kind, number, link};
}

size_t frame_size(size_t payload_bytes) {
  return kFrameHeaderBytes + (payload_bytes + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment;
}

uint64_t write_frame(const FileIdentity& identity, uint64_t start, FrameType type, ByteView payload, Bytes& out) {
  assert(payload.size() <= UINT32_MAX);
  const uint64_t checksum = frame_checksum(identity, start + out.size(), static_cast<uint32_t>(type), payload);
  out.reserve(out.size() + frame_size(payload.size()));
  ByteWriter writer(out);
  writer.put(static_cast<uint32_t>(payload.size()));
  writer.put(static_cast<uint32_t>(type));
  writer.put(checksum);
  writer.put_bytes(payload);
  out.resize(out.size() + frame_size(payload.size()) - kFrameHeaderBytes - payload.size());
  return checksum;
}

Result<Frame> read_frame(const FileIdentity& identity, uint64_t offset, ByteView bytes) {
  const auto where = [&] { return file_name(identity.kind, identity.number) + " at byte " + std::to_string(offset); };
  ByteReader reader(bytes);
  const auto length = reader.get<uint32_t>();
  const auto type = reader.get<uint32_t>();
  Frame frame;
  frame.checksum = reader.get<uint64_t>();
  frame.payload = reader.get_bytes(length);
  const ByteView padding = reader.get_bytes((kFrameAlignment - length % kFrameAlignment) % kFrameAlignment);
  if (!reader.ok()) return damaged(where() + ": a frame ends too early");
  // The padding stands outside the checksum; it has one right value.
  if (std::ranges::any_of(padding, [](uint8_t byte) { return byte != 0; }) ||
      frame.checksum != frame_checksum(identity, offset, type, frame.payload)) {
    return damaged(where() + ": a frame does not match its checksum");
  }
  frame.type = static_cast<FrameType>(type);
  frame.size = reader.position();
  return frame;
}

SealedWriter::SealedWriter(const FileIdentity& identity) : identity_(identity) { write_file_header(identity_, bytes_); }

void SealedWriter::reserve(size_t payload_bytes) { bytes_.reserve(bytes_.size() + payload_bytes + kFrameBytes / 2); }

uint64_t SealedWriter::add(FrameType type, ByteView payload) {
  // Doubled while that stays below what a segment takes: growing by a frame each time would copy the file as often as
  // it has frames.
  const size_t needed = bytes_.size() + frame_size(payload.size());
  if (needed > bytes_.capacity()) {
    bytes_.reserve(std::max(needed, std::min(2 * needed, kSegmentBytes + 2 * kFrameBytes)));
  }
  checksums_.push_back(write_frame(identity_, 0, type, payload, bytes_));
  return checksums_.back();
}

SealedFile SealedWriter::seal() {
  const uint64_t checksum = write_frame(identity_, 0, FrameType::kFooter, footer_payload(checksums_), bytes_);
  return {identity_.number, bytes_.size(), checksum};
}

Result<std::vector<Frame>> read_sealed(const FileIdentity& identity, const SealedFile& expected, ByteView bytes) {
  const std::string name = file_name(identity.kind, identity.number);
  if (bytes.size() != expected.length) {
    return damaged(name + " has " + std::to_string(bytes.size()) + " bytes instead of " +
                   std::to_string(expected.length));
  }
  ASSIGN_OR_RETURN(const FileIdentity found, read_file_header(bytes, identity.kind, identity.number));
  if (found.link != identity.link) return damaged(name + " belongs to another collection");
  std::vector<Frame> frames;
  std::vector<uint64_t> checksums;
  for (size_t offset = kFileHeaderBytes; offset < bytes.size();) {
    ASSIGN_OR_RETURN(const Frame frame, read_frame(identity, offset, bytes.subspan(offset)));
    offset += frame.size;
    if (frame.type != FrameType::kFooter) {
      frames.push_back(frame);
      checksums.push_back(frame.checksum);
      continue;
    }
    const Bytes footer = footer_payload(checksums);
    if (offset != bytes.size() || frame.checksum != expected.checksum || !std::ranges::equal(frame.payload, footer)) {
      return damaged(name + " is not the file its manifest names");
    }
    return frames;
  }
  return damaged(name + " has no footer");
}

}  // namespace nearfield
