// Manifest: which files make up one generation of a database.
//
// A database is what its newest sound manifest names, and the log of that generation replayed on top. A manifest is one
// small file, published by compare-and-swap on the generation and never changed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/format.h"
#include "storage/rows.h"

namespace nearfield {

// Derived state of a collection, cut into files.
struct IndexEntry {
  uint64_t segments = 0;  // it belongs to the rows of that many first segments
  uint64_t rows = 0;      // how many rows those are
  std::vector<SealedFile> parts;
  bool operator==(const IndexEntry&) const = default;
};

struct CollectionEntry {
  uint64_t number = 0;  // unique for the life of the database
  std::string name;
  std::string schema;                  // JSON
  std::vector<SegmentEntry> segments;  // in the order their rows were added
  std::optional<IndexEntry> index;
  bool operator==(const CollectionEntry&) const = default;
};

struct Manifest {
  uint64_t generation = 0;
  uint64_t previous = 0;           // generation this one was made from; 0: none
  uint64_t previous_checksum = 0;  // of that manifest
  uint64_t next_number = 1;        // files and collections made later have this number or a greater one
  std::vector<CollectionEntry> collections;
  uint64_t checksum = 0;  // of the manifest's frame; set by encode and decode

  // nullptr where there is none.
  CollectionEntry* find(std::string_view name);
  const CollectionEntry* find(std::string_view name) const;
  // Names of the manifest, its log and every file it lists.
  std::vector<std::string> file_names() const;
};

// The whole file. Sets `manifest.checksum`.
Bytes encode_manifest(Manifest& manifest);
// Fails with kFormatError on damage, also on relations that cannot be (repeated numbers, an index over more segments
// than there are), and with kVersionError. Schemas are left as text.
Result<Manifest> decode_manifest(uint64_t generation, ByteView bytes);

}  // namespace nearfield
