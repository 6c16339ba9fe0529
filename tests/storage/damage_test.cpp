// Damage at rest: whatever happens to a file, opening answers a typed error or a state the database once had. Bits,
// truncations and random damage are tests/torture's part.
#include <catch_amalgamated.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "core/base/hash.h"
#include "storage/database.h"
#include "storage/format.h"
#include "storage/manifest.h"
#include "tests/support/database_model.h"

using namespace nearfield;

namespace {

// A small database of two generations with a log each, and every state it went through.
struct Specimen {
  std::map<std::string, Bytes> files;
  std::set<Contents> states;
  Contents newest;
  uint64_t generation = 0;

  Specimen() {
    SimulatedVolume volume;
    DatabaseRunner runner(volume, 1);
    REQUIRE(runner.open()->ok());
    Simulator& host = runner.host;
    Database& db = *runner.database;
    const auto remember = [&] { states.insert(newest = contents_of(db)); };
    const auto write = [&](std::vector<Point> upserts, std::vector<std::string> deletes) {
      REQUIRE(host.run(db.write({{"notes", {deletes, upserts}}}, Durability::kStrict)).ok());
      remember();
    };
    remember();
    REQUIRE(host.run(db.collection("notes", small_schema())).ok());
    remember();
    write({{"a", {1, 2, 3}, "first words", "{\"n\":1}"}, {"b", {}, "more words", ""}}, {});
    write({{"c", {0, 1, 0}, "", ""}}, {"b"});
    REQUIRE(host.run(db.checkpoint()).ok());
    write({{"a", {3, 2, 1}, "other words", ""}}, {});
    REQUIRE(host.run(db.checkpoint()).ok());
    write({{"d", {}, "fourth", ""}}, {"a"});
    write({{"e", {1, 1, 1}, "fifth", ""}}, {});
    generation = db.generation();
    files = volume.contents();
  }
};

// Opens what is there; if that works, checks that it is a state of the past and that life goes on.
void check_open(const Specimen& specimen, const std::map<std::string, Bytes>& files) {
  SimulatedVolume volume = SimulatedVolume::of(files);
  DatabaseRunner runner(volume, 1);
  const Status status = *runner.open();
  if (!status.ok()) {
    REQUIRE(status.code() == Code::kStorageCorrupt);
    REQUIRE_FALSE(volume.locked);
    REQUIRE(volume.contents() == files);
    return;
  }
  Contents found = contents_of(*runner.database);
  REQUIRE(specimen.states.contains(found));
  REQUIRE(volume.contents() == files);
  const RecoveryReport& report = runner.database->recovery();
  const bool explained =
      report.generations_skipped > 0 || report.log_bytes_discarded > 0 || files.size() < specimen.files.size();
  if (found != specimen.newest && !explained) {
    // A log cut between two records is the one loss that cannot be noticed.
    const std::string log = file_name(FileKind::kLog, specimen.generation);
    REQUIRE(files.at(log).size() < specimen.files.at(log).size());
  }
  if (!found.contains("notes")) return;
  // A good call right after succeeds, and is found again.
  const std::vector<CollectionBatch> batches = {{"notes", {{}, {{"new", {1, 0, 0}, "new", ""}}}}};
  REQUIRE(runner.host.run(runner.database->write(batches, Durability::kStrict)).ok());
  apply_to_model(found, batches);
  volume.locked = false;
  REQUIRE(runner.open()->ok());
  REQUIRE(contents_of(*runner.database) == found);
}

}  // namespace

TEST_CASE("missing, swapped and foreign files are survived or reported") {
  const Specimen specimen;
  for (const auto& [name, bytes] : specimen.files) {
    CAPTURE(name);
    auto files = specimen.files;
    files.erase(name);
    check_open(specimen, files);
    for (const auto& [other, other_bytes] : specimen.files) {
      CAPTURE(other);
      files = specimen.files;
      files[name] = other_bytes;
      check_open(specimen, files);
    }
    files = specimen.files;
    files[name].insert(files[name].end(), bytes.begin(), bytes.end());
    check_open(specimen, files);
  }
  auto files = specimen.files;
  files["LOCK"] = {1, 2, 3};
  files["manifest-garbage"] = {};
  files["segment-001fffffffffffff"] = {};
  check_open(specimen, files);
  // A manifest number that leaves no room above it is no number of ours.
  files["manifest-ffffffffffffffff"] = {};
  check_open(specimen, files);
}

TEST_CASE("a host that fails while the database is opened is not taken for damage") {
  const Specimen specimen;
  for (uint64_t at = 1;; ++at) {
    CAPTURE(at);
    SimulatedVolume volume = SimulatedVolume::of(specimen.files);
    DatabaseRunner runner(volume, at);
    runner.host.fail_at(at, Code::kStorageFailed);
    const Status status = *runner.open();
    REQUIRE(volume.contents() == specimen.files);
    if (status.ok()) {
      // The lock, the list, the manifest, and at least a segment, an index and the log.
      REQUIRE(at > 6);
      break;
    }
    REQUIRE(status.code() == Code::kStorageFailed);
    volume.locked = false;
    REQUIRE(runner.open()->ok());
    REQUIRE(runner.database->recovery().generations_skipped == 0);
    REQUIRE(runner.database->recovery().rebuilt.empty());
    REQUIRE(contents_of(*runner.database) == specimen.newest);
  }
}

TEST_CASE("what a damaged generation is made of stays for whoever comes to look") {
  const Specimen specimen;
  const auto files_of = [&](uint64_t generation) {
    const std::string name = file_name(FileKind::kManifest, generation);
    const auto manifest = decode_manifest(generation, specimen.files.at(name));
    return manifest.value().file_names();
  };
  std::vector<std::string> only_newest = files_of(specimen.generation);
  for (const std::string& shared : files_of(specimen.generation - 1)) std::erase(only_newest, shared);
  REQUIRE(only_newest.size() >= 3);  // manifest, log, and what the commit wrote

  auto files = specimen.files;
  files.at(file_name(FileKind::kManifest, specimen.generation)).back() ^= 0xFF;
  SimulatedVolume volume = SimulatedVolume::of(files);
  DatabaseRunner runner(volume, 1);
  REQUIRE(runner.open()->ok());
  REQUIRE(runner.database->recovery().generations_skipped == 1);
  for (int i = 0; i < 4; ++i) {
    const std::vector<CollectionBatch> batches = {{"notes", {{}, {{"new" + std::to_string(i), {1, 0, 0}, "new", ""}}}}};
    REQUIRE(runner.host.run(runner.database->write(batches, Durability::kStrict)).ok());
    REQUIRE(runner.host.run(runner.database->checkpoint()).ok());
  }
  for (const std::string& name : only_newest) {
    CAPTURE(name);
    REQUIRE(volume.files.contains(name));
    CHECK(volume.files.at(name).bytes == files.at(name));
  }
}

TEST_CASE("a damaged index is built again and replaced") {
  const Specimen specimen;
  auto files = specimen.files;
  size_t damaged = 0;
  for (auto& [name, bytes] : files) {
    if (!name.starts_with("index-")) continue;
    bytes.back() ^= 0xFF;
    ++damaged;
  }
  REQUIRE(damaged > 0);
  SimulatedVolume volume = SimulatedVolume::of(files);
  DatabaseRunner runner(volume, 1);
  REQUIRE(runner.open()->ok());
  CHECK(runner.database->recovery().rebuilt == std::vector<std::string>{"notes"});
  CHECK(runner.database->recovery().generations_skipped == 0);
  CHECK(contents_of(*runner.database) == specimen.newest);
  REQUIRE(runner.host.run(runner.database->close()).ok());
  REQUIRE(runner.open()->ok());
  CHECK(runner.database->recovery().rebuilt.empty());
  CHECK(contents_of(*runner.database) == specimen.newest);
}

TEST_CASE("a newer version is refused and left alone") {
  const Specimen specimen;
  auto files = specimen.files;
  Bytes& manifest = files.at(file_name(FileKind::kManifest, specimen.generation));
  manifest[8] = kFormatVersion + 1;
  const uint64_t checksum = hash64(ByteView(manifest).first(32));
  std::memcpy(manifest.data() + 32, &checksum, sizeof checksum);
  SimulatedVolume volume = SimulatedVolume::of(files);
  DatabaseRunner runner(volume, 1);
  const Status status = *runner.open();
  CHECK(status.code() == Code::kVersionError);
  CHECK(status.error().value == "2");
  CHECK_FALSE(volume.locked);
  CHECK(volume.contents() == files);
}

TEST_CASE("files without a manifest are not an empty database") {
  const Specimen specimen;
  auto files = specimen.files;
  std::erase_if(files, [](const auto& file) { return file.first.starts_with("manifest-"); });
  SimulatedVolume volume = SimulatedVolume::of(files);
  DatabaseRunner runner(volume, 1);
  CHECK(runner.open()->code() == Code::kStorageCorrupt);
  CHECK(volume.contents() == files);
}

TEST_CASE("a file whose number leaves no room above it does not use the numbers up") {
  const Specimen specimen;
  auto files = specimen.files;
  files["segment-001fffffffffffff"] = {1, 2, 3};
  SimulatedVolume volume = SimulatedVolume::of(files);
  DatabaseRunner runner(volume, 1);
  REQUIRE(runner.open()->ok());
  REQUIRE(runner.host.run(runner.database->checkpoint()).ok());
  const Contents expected = contents_of(*runner.database);
  volume.locked = false;
  REQUIRE(runner.open()->ok());
  CHECK(contents_of(*runner.database) == expected);
  CHECK(runner.database->recovery().generations_skipped == 0);
}

TEST_CASE("commits that were torn before there were rows leave a new database") {
  SimulatedVolume volume;
  DatabaseRunner first(volume, 1);
  REQUIRE(first.open()->ok());
  REQUIRE(first.host.run(first.database->collection("notes", small_schema())).ok());
  auto files = volume.contents();
  REQUIRE(files.size() == 1);
  Bytes& manifest = files.begin()->second;
  const Bytes whole = manifest;
  for (size_t length = 0; length < whole.size(); length += 7) {
    manifest.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    // Once more, in the commit that would have repaired it.
    if (length % 2 == 0) files[file_name(FileKind::kManifest, 2)] = manifest;
    SimulatedVolume torn = SimulatedVolume::of(files);
    DatabaseRunner runner(torn, 1);
    REQUIRE(runner.open()->ok());
    REQUIRE(contents_of(*runner.database).empty());
    REQUIRE(runner.database->recovery().generations_skipped == files.size());
    REQUIRE(runner.host.run(runner.database->collection("notes", small_schema())).ok());
    REQUIRE(runner.host.run(runner.database->write({{"notes", {{}, {{"a", {}, "", ""}}}}}, Durability::kStrict)).ok());
    const Contents expected = contents_of(*runner.database);
    torn.locked = false;
    REQUIRE(runner.open()->ok());
    REQUIRE(contents_of(*runner.database) == expected);
    REQUIRE(runner.database->recovery().generations_skipped == 0);
  }
  // A sound manifest whose files are gone is another matter.
  const Specimen specimen;
  files = specimen.files;
  std::erase_if(files, [](const auto& file) { return !file.first.starts_with("manifest-"); });
  SimulatedVolume bare = SimulatedVolume::of(files);
  DatabaseRunner runner(bare, 1);
  CHECK(runner.open()->code() == Code::kStorageCorrupt);
}

namespace {

const std::string kGolden = std::string(NEARFIELD_SOURCE_DIR) + "/tests/golden/storage-v1";

Contents golden_contents() {
  return {{"notes",
           {{"a", point_text("other words", "", std::vector<float>{3, 2, 1})},
            {"c", point_text("",
                             "{\"tags\":[\"x\",\"gr\xC3\xBC\xC3\x9F"
                             "e\"]}",
                             std::vector<float>{0, 1, 0})}}},
          {"plain", {}}};
}

// What tests/golden/storage-v1 was made by. Index files are derived state with a version of its own and are left out;
// a database without them must open all the same.
std::map<std::string, Bytes> make_golden() {
  SimulatedVolume volume;
  DatabaseRunner runner(volume, 1);
  REQUIRE(runner.open()->ok());
  Simulator& host = runner.host;
  Database& db = *runner.database;
  REQUIRE(host.run(db.collection("notes", small_schema())).ok());
  REQUIRE(host.run(db.collection("plain", Schema{})).ok());
  std::vector<Point> points = {{"a", {1, 2, 3}, "first words", "{\"n\":1}"},
                               {"b", {}, "more", ""},
                               {"c",
                                {0, 1, 0},
                                "",
                                "{\"tags\":[\"x\",\"gr\xC3\xBC\xC3\x9F"
                                "e\"]}"}};
  REQUIRE(host.run(db.write({{"notes", {{}, points}}}, Durability::kStrict)).ok());
  REQUIRE(host.run(db.checkpoint()).ok());
  REQUIRE(host.run(db.write({{"notes", {{"b"}, {{"a", {3, 2, 1}, "other words", ""}}}}}, Durability::kStrict)).ok());
  auto files = volume.contents();
  std::erase_if(files, [](const auto& file) { return file.first.starts_with("index-"); });
  return files;
}

}  // namespace

TEST_CASE("databases of version 1 stay readable") {
  std::map<std::string, Bytes> files;
  for (const auto& entry : std::filesystem::directory_iterator(kGolden)) {
    std::ifstream in(entry.path(), std::ios::binary);
    files[entry.path().filename().string()] = Bytes(std::istreambuf_iterator<char>(in), {});
  }
  REQUIRE(files.size() >= 4);
  SimulatedVolume volume = SimulatedVolume::of(files);
  DatabaseRunner runner(volume, 1);
  REQUIRE(runner.open()->ok());
  CHECK(runner.database->recovery().generations_skipped == 0);
  CHECK(runner.database->recovery().log_batches == 1);
  CHECK(contents_of(*runner.database) == golden_contents());
}

TEST_CASE("version 1 is still what is written") {
  // NEARFIELD_GOLDEN=write makes the files anew; do that only together with a new format version.
  const auto made = make_golden();
  if (const char* mode = std::getenv("NEARFIELD_GOLDEN"); mode != nullptr && std::string_view(mode) == "write") {
    for (const auto& [name, bytes] : made) {
      std::ofstream out(kGolden + "/" + name, std::ios::binary);
      out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
  }
  for (const auto& [name, bytes] : made) {
    CAPTURE(name);
    // Manifests name the index files by checksum, and those are not pinned.
    if (name.starts_with("manifest-") || name.starts_with("log-")) continue;
    std::ifstream in(kGolden + "/" + name, std::ios::binary);
    CHECK(Bytes(std::istreambuf_iterator<char>(in), {}) == bytes);
  }
}
