// Files whose checksums are right and that say what cannot be: behind the checksums, each check is the last one between
// such a file and the rows of a user.
#include <catch_amalgamated.hpp>
#include <set>

#include "core/base/hash.h"
#include "storage/recovery.h"
#include "tests/support/fuzz_database.h"

using namespace nearfield;

namespace {

struct Opened {
  Code code = Code::kOk;
  std::set<std::string> read;  // these files...
  uint64_t bytes = 0;          // ...so many bytes were asked for
  Contents contents;
  RecoveryReport report;
};

Opened open_files(const std::map<std::string, Bytes>& files, bool lengths_known = true) {
  SimulatedVolume volume = SimulatedVolume::of(files);
  DatabaseRunner runner(volume, 1);
  runner.host.know_lengths(lengths_known);
  Opened out;
  runner.host.observe([&](const EffectRequest& request) {
    const auto* read = std::get_if<ReadEffect>(&request);
    if (read == nullptr) return;
    out.read.insert(read->name);
    out.bytes += read->length;
  });
  const Status status = *runner.open();
  out.code = status.code();
  REQUIRE(volume.contents() == files);
  if (!status.ok()) return out;
  out.contents = contents_of(*runner.database);
  out.report = runner.database->recovery();
  return out;
}

// The rows of the first segment of "b", as they stand in its file.
Bytes rows_of(const FuzzDatabase& database) {
  const CollectionEntry& entry = *database.manifest.find("b");
  const SealedFile& file = entry.segments[0].file;
  const FileIdentity identity = {FileKind::kSegment, file.number, entry.number};
  const auto frames = read_sealed(identity, file, database.files.at(file_name(identity.kind, identity.number)));
  REQUIRE(frames.value().size() == 1);
  return Bytes(frames.value()[0].payload.begin(), frames.value()[0].payload.end());
}

void replace_segment(FuzzDatabase& database, FrameType type, ByteView payload) {
  CollectionEntry& entry = database.graph();
  SealedFile& file = entry.segments[0].file;
  file = database.replace(FileKind::kSegment, file.number, entry.number, type, payload);
}

}  // namespace

TEST_CASE("a segment that holds something else than its manifest says is damage") {
  const FuzzDatabase whole;
  const Bytes rows = rows_of(whole);
  const Contents contents = open_files(whole.files).contents;
  const auto opened = [&](auto change) {
    FuzzDatabase database = whole;
    change(database);
    database.seal_manifest();
    return open_files(database.files);
  };
  REQUIRE(contents.at("b").size() == 24);
  REQUIRE(opened([&](FuzzDatabase& d) { replace_segment(d, FrameType::kRows, rows); }).contents == contents);

  const auto refused = [&](auto change) { return opened(change).code == Code::kStorageCorrupt; };
  CHECK(refused([&](FuzzDatabase& d) { replace_segment(d, FrameType::kIndexPart, rows); }));
  CHECK(refused([&](FuzzDatabase& d) { replace_segment(d, FrameType::kLogRecord, rows); }));
  CHECK(refused([&](FuzzDatabase& d) {
    d.graph().index.reset();
    d.graph().segments[0].rows += 1;
  }));
  CHECK(refused([&](FuzzDatabase& d) { d.graph().segments[0].deletes += 1; }));
  // Rows that nobody could have written to this collection.
  Batch batch = decode_rows(rows).value();
  for (Point& point : batch.upserts) point.vector.assign(2, 1.0F);
  RowEncoder encoder;
  for (const Point& point : batch.upserts) encoder.add_row(row_view(point));
  Bytes narrow;
  encoder.finish(narrow);
  CHECK(refused([&](FuzzDatabase& d) { replace_segment(d, FrameType::kRows, narrow); }));
}

TEST_CASE("an index of another kind, or of other rows, is built again") {
  const FuzzDatabase whole;
  const Contents contents = open_files(whole.files).contents;
  const Sections sections = whole.sections();
  Bytes packed;
  write_sections(sections, packed);
  const auto rebuilt = [&](FrameType type, ByteView payload) {
    FuzzDatabase database = whole;
    CollectionEntry& entry = database.graph();
    SealedFile& part = entry.index->parts[0];
    part = database.replace(FileKind::kIndex, part.number, entry.number, type, payload);
    database.seal_manifest();
    const Opened opened = open_files(database.files);
    REQUIRE(opened.code == Code::kOk);
    CHECK(opened.contents == contents);
    return opened.report.rebuilt == std::vector<std::string>{"b"};
  };
  CHECK_FALSE(rebuilt(FrameType::kIndexPart, packed));
  CHECK(rebuilt(FrameType::kRows, packed));
  CHECK(rebuilt(FrameType::kIndexPart, rows_of(whole)));
  for (size_t i = 0; i < sections.size(); ++i) {
    CAPTURE(sections[i].name);
    Sections fewer = sections;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    Bytes without;
    write_sections(fewer, without);
    CHECK(rebuilt(FrameType::kIndexPart, without));
  }
}

TEST_CASE("a log ends in front of a record that nobody could have written") {
  FuzzDatabase database;
  const uint64_t number = database.graph().number;
  const auto opened = [&](ByteView record) {
    database.replace_log(record);
    return open_files(database.files);
  };
  const auto record_of = [](std::vector<std::pair<uint64_t, Batch>> batches) {
    LogRecordBuilder record;
    for (const auto& [collection, batch] : batches) record.add(collection, batch);
    return Bytes(record.payload());
  };
  Batch good;
  good.upserts = {{"new", {1, 2, 3}, "", ""}};
  Batch narrow;
  narrow.upserts = {{"other", {1, 2}, "", ""}};
  const Bytes right = record_of({{number, good}});
  const Opened taken = opened(right);
  REQUIRE(taken.report.log_batches == 1);
  REQUIRE(taken.contents.at("b").contains("new"));
  Contents without = taken.contents;
  without.at("b").erase("new");

  const auto refused = [&](ByteView record) {
    const Opened found = opened(record);
    return found.code == Code::kOk && found.report.log_batches == 0 && found.report.log_bytes_discarded > 0 &&
           found.contents == without;
  };
  CHECK(refused(record_of({{number + 1000, good}})));
  CHECK(refused(record_of({{number, narrow}})));
  // All of a record or nothing.
  CHECK(refused(record_of({{number, good}, {number + 1000, good}})));
  CHECK(refused(record_of({{number, good}, {number, narrow}})));
  for (size_t length = 1; length < right.size(); ++length) {
    CAPTURE(length);
    CHECK(refused(ByteView(right).first(length)));
  }
}

TEST_CASE("a log whose header names another manifest is not replayed") {
  FuzzDatabase database;
  const FileIdentity identity = log_identity(database.manifest.generation, database.manifest.checksum);
  Bytes header;
  write_file_header({identity.kind, identity.number, identity.link + 1}, header);
  std::ranges::copy(header, database.files.at(file_name(identity.kind, identity.number)).begin());
  const Opened opened = open_files(database.files);
  REQUIRE(opened.code == Code::kOk);
  CHECK(opened.report.log_batches == 0);
  CHECK(opened.report.log_bytes_discarded > 0);
  CHECK_FALSE(opened.contents.at("b").contains("late"));
}

TEST_CASE("any file of a newer version is refused, and nothing changes") {
  const FuzzDatabase whole;
  REQUIRE(whole.files.size() >= 4);
  for (const auto& [name, bytes] : whole.files) {
    CAPTURE(name);
    auto files = whole.files;
    Bytes header;
    ByteWriter writer(header);
    writer.put_bytes(ByteView(bytes).first(kFileMagic.size()));
    writer.put(kFormatVersion + 1);
    writer.put_bytes(ByteView(bytes).subspan(header.size(), kFileHeaderBytes - sizeof(uint64_t) - header.size()));
    writer.put(hash64(header));
    REQUIRE(header.size() == kFileHeaderBytes);
    std::ranges::copy(header, files.at(name).begin());
    CHECK(open_files(files).code == Code::kVersionError);
  }
}

TEST_CASE("a file that cannot be the right one is not read") {
  FuzzDatabase database;
  const std::string name = file_name(FileKind::kSegment, database.graph().segments[0].file.number);
  REQUIRE(open_files(database.files).read.contains(name));
  // Of another length than the manifest says, where the host can tell.
  auto files = database.files;
  files.at(name).push_back(0);
  const Opened longer = open_files(files);
  CHECK(longer.code == Code::kStorageCorrupt);
  CHECK_FALSE(longer.read.contains(name));
  CHECK(open_files(files, /*lengths_known=*/false).read.contains(name));
  // Said to be larger than any: where the host cannot tell, nothing is asked for or allocated on the manifest's word.
  database.graph().segments[0].file.length = uint64_t{1} << 40;
  database.seal_manifest();
  const Opened huge = open_files(database.files, /*lengths_known=*/false);
  CHECK(huge.code == Code::kStorageCorrupt);
  CHECK_FALSE(huge.read.contains(name));
}

TEST_CASE("a manifest without an end is read up to a limit") {
  EffectQueue effects;
  Task<Result<Recovered>> opening = recover(effects, /*beside_writer=*/false);
  opening.start();
  uint64_t received = 0;
  while (!opening.done()) {
    for (PendingEffect& effect : effects.take_pending()) {
      EffectAnswer answer;
      if (const auto* read = std::get_if<ReadEffect>(&effect.request)) {
        if (received < 2 * kMaxManifestBytes) answer.bytes.resize(static_cast<size_t>(read->length));
        received += answer.bytes.size();
      } else {
        answer.files = {{file_name(FileKind::kManifest, 1), kUnknownLength}};
      }
      effects.answer(effect.id, std::move(answer));
    }
  }
  // One more byte shows that it is longer than any.
  CHECK(received == kMaxManifestBytes + 1);
  // Nothing of it counts, so it is a first commit that was torn.
  const auto opened = opening.take();
  REQUIRE(opened.ok());
  CHECK(opened.value().report.generations_skipped == 1);
}

TEST_CASE("a manifest that nobody would read is not published") {
  FuzzDatabase database;
  // Blanks are as good as a schema's next option, and cheaper to read.
  Manifest& manifest = database.manifest;
  for (const char* name : {"w", "x", "y", "z"}) {
    manifest.collections.push_back({manifest.next_number++, name, "{}", {}, std::nullopt});
  }
  const auto room = [&] { return kMaxManifestBytes - encode_manifest(manifest).size(); };
  for (const char* name : {"w", "x", "y", "z"}) {
    std::string& schema = manifest.find(name)->schema;
    schema.insert(1, std::min<size_t>(room(), (16 << 20) - schema.size()), ' ');
  }
  REQUIRE(room() == 0);
  database.seal_manifest();
  SimulatedVolume volume = SimulatedVolume::of(database.files);
  DatabaseRunner runner(volume, 1);
  REQUIRE(runner.open()->ok());
  REQUIRE(runner.database->recovery().generations_skipped == 0);
  const auto created = runner.host.run(runner.database->collection("more", Schema{}));
  CHECK(created.code() == Code::kLimitExceeded);
  CHECK(runner.database->find("more") == nullptr);
  // The next call is right again, and so is the next session.
  REQUIRE(runner.host.run(runner.database->write({{"z", {{}, {{"new", {}, "", ""}}}}}, Durability::kStrict)).ok());
  REQUIRE(runner.host.run(runner.database->drop_collection("w")).ok());
  REQUIRE(runner.host.run(runner.database->collection("more", Schema{})).ok());
  const Contents contents = contents_of(*runner.database);
  volume.locked = false;
  REQUIRE(runner.open()->ok());
  CHECK(runner.database->recovery().generations_skipped == 0);
  CHECK(contents_of(*runner.database) == contents);
}
