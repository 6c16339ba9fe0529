#include "storage/manifest.h"

#include <set>

namespace nearfield {

namespace {

Error malformed(std::string what) { return {Code::kFormatError, "manifest: " + std::move(what), ""}; }

void put_file(const SealedFile& file, ByteWriter& writer) {
  writer.put(file.number);
  writer.put(file.length);
  writer.put(file.checksum);
}

SealedFile get_file(ByteReader& reader) {
  SealedFile file;
  file.number = reader.get<uint64_t>();
  file.length = reader.get<uint64_t>();
  file.checksum = reader.get<uint64_t>();
  return file;
}

}  // namespace

const CollectionEntry* Manifest::find(std::string_view name) const {
  for (const CollectionEntry& entry : collections) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

CollectionEntry* Manifest::find(std::string_view name) {
  return const_cast<CollectionEntry*>(std::as_const(*this).find(name));
}

std::vector<std::string> Manifest::file_names() const {
  if (generation == 0) return {};
  std::vector<std::string> names = {file_name(FileKind::kManifest, generation), file_name(FileKind::kLog, generation)};
  for (const CollectionEntry& entry : collections) {
    for (const SegmentEntry& segment : entry.segments) {
      names.push_back(file_name(FileKind::kSegment, segment.file.number));
    }
    if (!entry.index) continue;
    for (const SealedFile& part : entry.index->parts) names.push_back(file_name(FileKind::kIndex, part.number));
  }
  return names;
}

Bytes encode_manifest(Manifest& manifest) {
  Bytes payload;
  ByteWriter writer(payload);
  writer.put(manifest.previous);
  writer.put(manifest.next_number);
  writer.put(static_cast<uint32_t>(manifest.collections.size()));
  for (const CollectionEntry& entry : manifest.collections) {
    writer.put(entry.number);
    writer.put_string(entry.name);
    writer.put_string(entry.schema);
    writer.put(static_cast<uint32_t>(entry.segments.size()));
    for (const SegmentEntry& segment : entry.segments) {
      put_file(segment.file, writer);
      writer.put(segment.rows);
      writer.put(segment.deletes);
    }
    // No parts: no index.
    writer.put(static_cast<uint32_t>(entry.index ? entry.index->parts.size() : 0));
    if (!entry.index) continue;
    writer.put(entry.index->segments);
    writer.put(entry.index->rows);
    for (const SealedFile& part : entry.index->parts) put_file(part, writer);
  }
  const FileIdentity identity = {FileKind::kManifest, manifest.generation, manifest.previous_checksum};
  Bytes file;
  write_file_header(identity, file);
  manifest.checksum = write_frame(identity, 0, FrameType::kManifest, payload, file);
  return file;
}

Result<Manifest> decode_manifest(uint64_t generation, ByteView bytes) {
  ASSIGN_OR_RETURN(const FileIdentity identity, read_file_header(bytes, FileKind::kManifest, generation));
  ASSIGN_OR_RETURN(const Frame frame, read_frame(identity, kFileHeaderBytes, bytes.subspan(kFileHeaderBytes)));
  if (frame.type != FrameType::kManifest) return malformed("it holds another kind of frame");
  if (kFileHeaderBytes + frame.size != bytes.size()) return malformed("bytes follow its frame");

  Manifest manifest;
  manifest.generation = generation;
  manifest.previous_checksum = identity.link;
  manifest.checksum = frame.checksum;
  ByteReader reader(frame.payload);
  manifest.previous = reader.get<uint64_t>();
  manifest.next_number = reader.get<uint64_t>();
  if (manifest.next_number > kMaxNextNumber) return malformed("no file numbers are left");
  const auto collections = reader.get<uint32_t>();
  std::set<uint64_t> numbers;
  std::set<std::string, std::less<>> names;
  const auto fresh = [&](uint64_t number) { return number < manifest.next_number && numbers.insert(number).second; };
  // The counts are not trusted: each turn of a loop takes bytes, and the loops end where the bytes do.
  for (uint32_t i = 0; i < collections && reader.ok(); ++i) {
    CollectionEntry entry;
    entry.number = reader.get<uint64_t>();
    entry.name = reader.get_string();
    entry.schema = reader.get_string();
    if (!fresh(entry.number) || !names.insert(entry.name).second) return malformed("a collection stands twice");
    const auto segments = reader.get<uint32_t>();
    uint64_t rows = 0;
    for (uint32_t j = 0; j < segments && reader.ok(); ++j) {
      SegmentEntry segment;
      segment.file = get_file(reader);
      segment.rows = reader.get<uint64_t>();
      segment.deletes = reader.get<uint64_t>();
      if (!fresh(segment.file.number)) return malformed("a file stands twice");
      // Rows are numbered with 32 bits.
      if (segment.rows > UINT32_MAX || (rows += segment.rows) > UINT32_MAX) return malformed("too many rows");
      entry.segments.push_back(segment);
    }
    const auto parts = reader.get<uint32_t>();
    if (parts > 0 && reader.ok()) {
      IndexEntry index;
      index.segments = reader.get<uint64_t>();
      index.rows = reader.get<uint64_t>();
      for (uint32_t j = 0; j < parts && reader.ok(); ++j) {
        index.parts.push_back(get_file(reader));
        if (!fresh(index.parts.back().number)) return malformed("a file stands twice");
      }
      if (index.segments > entry.segments.size()) return malformed("an index belongs to segments that are not there");
      uint64_t covered = 0;
      for (size_t j = 0; j < index.segments; ++j) covered += entry.segments[j].rows;
      if (covered != index.rows) return malformed("an index belongs to another number of rows");
      entry.index = std::move(index);
    }
    manifest.collections.push_back(std::move(entry));
  }
  if (!reader.at_end()) return malformed(reader.ok() ? "bytes follow the last collection" : "it ends too early");
  if (manifest.previous >= generation) return malformed("it follows a later generation");
  return manifest;
}

}  // namespace nearfield
