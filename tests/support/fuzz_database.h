// A small database for fuzz targets to damage, and what a host does with one: open, look, search, write, close.
//
// Checksums keep random bytes away from the readers behind them. So a target replaces a part and seals everything that
// speaks of it again: the file, the manifest that names the file, the log that belongs to the manifest.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <source_location>
#include <string>

#include "storage/format.h"
#include "storage/log.h"
#include "storage/manifest.h"
#include "tests/support/database_model.h"

namespace nearfield {

// Like assert, but there in every build.
inline void fuzz_demand(bool condition, std::source_location where = std::source_location::current()) {
  if (condition) return;
  std::fprintf(stderr, "fuzz_demand failed in line %u\n", where.line());
  std::abort();
}

// One generation with a segment and an index of collection "b" (text and a graph), a segment of "c", and a log.
class FuzzDatabase {
 public:
  FuzzDatabase() {
    SimulatedVolume volume;
    DatabaseRunner runner(volume, 1);
    fuzz_demand(runner.open()->ok());
    Database& db = *runner.database;
    Simulator& host = runner.host;
    for (const char* name : {"b", "c"}) fuzz_demand(host.run(db.collection(name, schema_of(name))).ok());
    OperationSource source(3, false);
    for (const char* name : {"b", "c"}) {
      fuzz_demand(host.run(db.write(source.mass_write(name, 24).batches, Durability::kStrict)).ok());
    }
    fuzz_demand(host.run(db.checkpoint()).ok());
    const std::vector<CollectionBatch> late = {{"b", {{"mass3"}, {{"late", {1, 2, 3}, "qax", "{\"n\":1}"}}}}};
    fuzz_demand(host.run(db.write(late, Durability::kStrict)).ok());
    files = volume.contents();
    const uint64_t generation = db.generation();
    // The older generation would stand in for whatever is damaged.
    std::erase_if(files, [&](const auto& file) {
      const auto named = parse_file_name(file.first);
      const bool numbered = named->kind == FileKind::kManifest || named->kind == FileKind::kLog;
      return numbered && named->number != generation;
    });
    manifest = *decode_manifest(generation, files.at(file_name(FileKind::kManifest, generation)));
    CollectionEntry& entry = *manifest.find("b");
    fuzz_demand(!entry.segments.empty() && entry.index && entry.index->parts.size() == 1);
    const Bytes& log = files.at(file_name(FileKind::kLog, generation));
    const Frame record = *read_frame(log_identity(generation, manifest.checksum), kFileHeaderBytes,
                                     ByteView(log).subspan(kFileHeaderBytes));
    log_record.assign(record.payload.begin(), record.payload.end());
  }

  std::map<std::string, Bytes> files;
  Manifest manifest;
  Bytes log_record;

  CollectionEntry& graph() { return *manifest.find("b"); }
  // The sections of its index.
  Sections sections() const {
    const SealedFile& part = manifest.find("b")->index->parts[0];
    const FileIdentity identity = {FileKind::kIndex, part.number, manifest.find("b")->number};
    Bytes packed;
    const Bytes& bytes = files.at(file_name(FileKind::kIndex, part.number));
    const auto frames = read_sealed(identity, part, bytes);
    for (const Frame& frame : frames.value()) {
      packed.insert(packed.end(), frame.payload.begin(), frame.payload.end());
    }
    return std::move(read_sections(packed)).value();
  }

  // Replaces a sealed file by one frame with this payload. The caller puts the answer into the manifest.
  SealedFile replace(FileKind kind, uint64_t number, uint64_t collection, FrameType type, ByteView payload) {
    SealedWriter writer({kind, number, collection});
    writer.add(type, payload);
    const SealedFile sealed = writer.seal();
    files[file_name(kind, number)] = writer.take();
    return sealed;
  }
  // Writes the manifest as it stands, and the log that belongs to it.
  void seal_manifest() {
    files[file_name(FileKind::kManifest, manifest.generation)] = encode_manifest(manifest);
    replace_log(log_record);
  }
  // A log of one record.
  void replace_log(ByteView record) {
    const ByteView records[] = {record};
    files[file_name(FileKind::kLog, manifest.generation)] =
        log_append(log_identity(manifest.generation, manifest.checksum), 0, records);
  }

  // Whatever the files hold: a typed error, or a database that works.
  void open_and_use() const {
    SimulatedVolume volume = SimulatedVolume::of(files);
    DatabaseRunner runner(volume, 1);
    const Status status = *runner.open();
    fuzz_demand(volume.contents() == files);
    if (!status.ok()) {
      fuzz_demand(status.code() == Code::kStorageCorrupt || status.code() == Code::kVersionError);
      return;
    }
    Contents contents = contents_of(*runner.database);
    for (const std::string& name : runner.database->collection_names()) search(*runner.database->find(name));
    const std::vector<CollectionBatch> good = {{"good", {{}, {{"x", {}, "", ""}}}}};
    const auto works = [&](const Status& outcome) {
      if (!outcome.ok()) std::fprintf(stderr, "%s\n", outcome.error().message.c_str());
      return outcome.ok();
    };
    const Status created = [&] {
      auto result = runner.host.run(runner.database->collection("good", Schema{}));
      return result.ok() ? Status() : Status(std::move(result).error());
    }();
    // The hostile manifest may have one of that name.
    if (created.ok()) {
      fuzz_demand(runner.host.run(runner.database->write(good, Durability::kStrict)).ok());
      apply_to_model(contents, good);
    }
    fuzz_demand(works(runner.host.run(runner.database->close())));
    fuzz_demand(works(*runner.open()));
    fuzz_demand(contents_of(*runner.database) == contents);
  }

  // Answers may be anything where derived state lies; they are points of the collection.
  static void search(const Collection& collection) {
    const Schema& schema = collection.schema();
    SearchRequest request;
    request.k = 50;
    std::vector<float> query(schema.dimension, 0.5f);
    for (const bool dense : {true, false}) {
      if (dense ? schema.dimension == 0 : !schema.text) continue;
      request.vector = dense ? std::span<const float>(query) : std::span<const float>();
      request.text = dense ? "" : "qax qbx and";
      const auto result = collection.search(request);
      fuzz_demand(result.ok());
      for (const Hit& hit : result->hits) fuzz_demand(collection.contains(hit.row.id));
    }
  }
};

}  // namespace nearfield
