// The doctor: it sees every damaged byte, says what opening will find, and repairs without inventing or touching.
#include "storage/doctor.h"

#include <catch_amalgamated.hpp>
#include <set>

#include "core/base/hash.h"
#include "tests/support/database_model.h"

using namespace nearfield;

namespace {

// Two generations with a log each, and every version of every point there was.
struct Patient {
  std::map<std::string, Bytes> files;
  std::map<std::string, std::set<std::string>> versions;  // by id
  Contents newest;
  uint64_t generation = 0;

  // Another word makes another database with files of the same names.
  explicit Patient(const std::string& word = "other words") {
    SimulatedVolume volume;
    DatabaseRunner runner(volume, 1);
    REQUIRE(runner.open()->ok());
    Database& db = *runner.database;
    REQUIRE(runner.host.run(db.collection("notes", small_schema())).ok());
    const auto write = [&](std::vector<Point> upserts, std::vector<std::string> deletes) {
      for (const Point& each : upserts) versions[each.id].insert(point_text(each.text, each.payload, each.vector));
      REQUIRE(runner.host.run(db.write({{"notes", {deletes, upserts}}}, Durability::kStrict)).ok());
    };
    write({{"a", {1, 2, 3}, "first " + word, "{\"n\":1}"}, {"b", {}, "more words", ""}}, {});
    write({{"c", {0, 1, 0}, "", ""}}, {"b"});
    REQUIRE(runner.host.run(db.checkpoint()).ok());
    write({{"a", {3, 2, 1}, word, ""}}, {});
    REQUIRE(runner.host.run(db.checkpoint()).ok());
    write({{"d", {}, "fourth", ""}}, {"a"});
    write({{"e", {1, 1, 1}, "fifth", ""}}, {});
    write({{"f", {1, 0, 1}, "sixth", ""}}, {"d"});
    newest = contents_of(db);
    generation = db.generation();
    files = volume.contents();
  }
  std::string log() const { return file_name(FileKind::kLog, generation); }
  std::string manifest(uint64_t back = 0) const { return file_name(FileKind::kManifest, generation - back); }
};

Result<DoctorReport> examine(SimulatedVolume& volume, bool repair = false) {
  Simulator host(volume, 1);
  return host.run(run_doctor(host.effects(), repair));
}

const FileFinding& finding(const DoctorReport& report, const std::string& name) {
  for (const FileFinding& each : report.files) {
    if (each.name == name) return each;
  }
  throw std::logic_error("the report does not speak of " + name);
}

Contents open_contents(const std::map<std::string, Bytes>& files) {
  SimulatedVolume volume = SimulatedVolume::of(files);
  DatabaseRunner runner(volume, 1);
  const Status status = *runner.open({.read_only = true});
  INFO((status.ok() ? "" : status.error().message));
  REQUIRE(status.ok());
  return contents_of(*runner.database);
}

// What holds for any damage: the report agrees with opening, and a repair keeps what is there and is made of nothing
// but versions that there were.
void check_patient(const Patient& patient, const std::map<std::string, Bytes>& files, const std::string& damaged) {
  SimulatedVolume volume = SimulatedVolume::of(files);
  const auto examined = examine(volume);
  REQUIRE(examined.ok());
  const DoctorReport& report = examined.value();
  REQUIRE(volume.contents() == files);
  if (files.contains(damaged)) REQUIRE(finding(report, damaged).state != FileState::kSound);

  Contents before;
  {
    SimulatedVolume copy = SimulatedVolume::of(files);
    DatabaseRunner runner(copy, 1);
    const Status opened = *runner.open({.read_only = true});
    if (opened.ok()) {
      REQUIRE(report.opens == runner.database->recovery().generation);
      REQUIRE((report.opens == report.newest) == (runner.database->recovery().generations_skipped == 0));
      before = contents_of(*runner.database);
      for (const GenerationFinding& each : report.generations) {
        if (each.generation != report.opens) continue;
        REQUIRE(each.log_records == runner.database->recovery().log_batches);
        REQUIRE(each.collections.size() == before.size());
        for (const CollectionCount& count : each.collections) REQUIRE(count.points == before.at(count.name).size());
      }
    } else {
      REQUIRE(opened.code() == Code::kStorageCorrupt);
      REQUIRE(report.opens == 0);
      REQUIRE_FALSE(report.healthy());
    }
  }

  const auto repaired = examine(volume, true);
  REQUIRE(repaired.ok());
  REQUIRE(repaired.value().repair);
  REQUIRE_FALSE(volume.locked);
  for (const auto& [name, bytes] : files) REQUIRE(volume.files.at(name).bytes == bytes);
  const Repair& repair = *repaired.value().repair;
  if (repair.generation == 0) {
    REQUIRE(volume.contents() == files);
    return;
  }
  SimulatedVolume copy = SimulatedVolume::of(volume.contents());
  DatabaseRunner runner(copy, 1);
  REQUIRE(runner.open()->ok());
  REQUIRE(runner.database->recovery().generation == repair.generation);
  REQUIRE(runner.database->recovery().generations_skipped == 0);
  const Contents after = contents_of(*runner.database);
  for (const auto& [name, points] : after) {
    for (const auto& [id, point] : points) REQUIRE(patient.versions.at(id).contains(point));
  }
  // A repaired database is a database: the next commit even removes what was damaged.
  if (after.contains("notes")) {
    REQUIRE(
        runner.host.run(runner.database->write({{"notes", {{}, {{"new", {}, "", ""}}}}}, Durability::kStrict)).ok());
  }
  REQUIRE(runner.host.run(runner.database->checkpoint()).ok());
  const auto last = examine(copy);
  REQUIRE(last.ok());
  REQUIRE(last.value().opens == last.value().newest);
}

Bytes& record_of(std::map<std::string, Bytes>& files, const Patient& patient, size_t index, size_t& offset) {
  Bytes& log = files.at(patient.log());
  offset = kFileHeaderBytes;
  for (size_t i = 0; i < index; ++i) {
    offset += frame_size(ByteReader(ByteView(log).subspan(offset)).get<uint32_t>());
  }
  return log;
}

}  // namespace

TEST_CASE("a sound database is found sound, file by file, and left alone") {
  const Patient patient;
  for (const bool repair : {false, true}) {
    SimulatedVolume volume = SimulatedVolume::of(patient.files);
    const auto report = examine(volume, repair);
    REQUIRE(report.ok());
    CHECK(report.value().healthy());
    CHECK(report.value().opens == patient.generation);
    CHECK(report.value().newest == patient.generation);
    CHECK(report.value().files.size() == patient.files.size());
    for (const FileFinding& each : report.value().files) {
      CAPTURE(each.name);
      CHECK(each.state == FileState::kSound);
      CHECK(each.bytes == patient.files.at(each.name).size());
      CHECK_FALSE(each.generations.empty());
    }
    REQUIRE(report.value().generations.size() == 2);
    CHECK(report.value().generations[0].log_records == 3);
    CHECK(report.value().generations[0].collections[0].points == 3);
    CHECK(volume.contents() == patient.files);
    if (repair) CHECK(report.value().repair->generation == 0);
  }
}

TEST_CASE("leftovers of crashes, foreign files and a cut log are told apart from damage") {
  const Patient patient;
  auto files = patient.files;
  files["notes.txt"] = {1, 2, 3};
  files["segment-00000000000000ff"] = {};
  files["log-0000000000000001"] = {1, 2, 3};
  Bytes& log = files.at(patient.log());
  const size_t whole = log.size();
  SECTION("cut") { log.resize(whole - 5); }
  SECTION("cut in a frame's header") {
    size_t offset = 0;
    record_of(files, patient, 2, offset);
    log.resize(offset + 7);
  }
  SECTION("zeroed") {
    size_t offset = 0;
    record_of(files, patient, 2, offset);
    std::fill(log.begin() + static_cast<std::ptrdiff_t>(offset), log.end(), uint8_t{0});
  }
  SimulatedVolume volume = SimulatedVolume::of(files);
  const auto report = examine(volume, true);
  REQUIRE(report.ok());
  CHECK(report.value().healthy());
  CHECK(finding(report.value(), "notes.txt").state == FileState::kForeign);
  CHECK(finding(report.value(), "segment-00000000000000ff").state == FileState::kOrphan);
  CHECK(finding(report.value(), "log-0000000000000001").state == FileState::kOrphan);
  const FileFinding& tail = finding(report.value(), patient.log());
  CHECK(tail.state == FileState::kUnfinished);
  CHECK(tail.damage.size() == 1);
  CHECK(report.value().generations[0].log_records == 2);
  CHECK(volume.contents() == files);
}

TEST_CASE("an old generation that a crash left half removed is no damage; one that is needed is") {
  SimulatedVolume volume;
  DatabaseRunner runner(volume, 1);
  REQUIRE(runner.open()->ok());
  REQUIRE(runner.host.run(runner.database->collection("notes", small_schema())).ok());
  std::vector<std::map<std::string, Bytes>> states;
  for (const char* id : {"a", "b", "c"}) {
    const std::vector<CollectionBatch> batches = {{"notes", {{}, {{id, {1, 2, 3}, "text", ""}}}}};
    REQUIRE(runner.host.run(runner.database->write(batches, Durability::kStrict)).ok());
    REQUIRE(runner.host.run(runner.database->checkpoint()).ok());
    states.push_back(volume.contents());
  }
  const std::string oldest = file_name(FileKind::kManifest, runner.database->generation() - 2);
  volume.put(oldest, states[0].at(oldest));
  auto report = examine(volume);
  REQUIRE(report.ok());
  CHECK(report.value().healthy());
  CHECK_FALSE(report.value().generations.back().sound);
  CHECK(report.value().generations.back().meaning.starts_with("no longer needed"));
  for (const FileFinding& each : report.value().files) CHECK(each.state != FileState::kMissing);
  // The same of the generation before the newest, which opening may fall back to.
  for (const auto& [name, bytes] : states[1]) {
    if (name.starts_with("segment-")) volume.files.erase(name);
  }
  report = examine(volume);
  REQUIRE(report.ok());
  CHECK_FALSE(report.value().healthy());
}

TEST_CASE("damaged bytes of every file are seen, and a repair invents nothing") {
  const Patient patient;
  Random random(1);
  for (const auto& [name, bytes] : patient.files) {
    // Each run of the test would take 20 seconds for all of them.
    for (size_t i = static_cast<size_t>(random.below(4)); i < bytes.size(); i += 1 + random.below(6)) {
      CAPTURE(name, i);
      auto files = patient.files;
      files[name][i] ^= static_cast<uint8_t>(1 << random.below(8));
      check_patient(patient, files, name);
    }
  }
}

TEST_CASE("missing, cut and exchanged files are seen, and a repair invents nothing") {
  const Patient patient;
  Random random(2);
  for (const auto& [name, bytes] : patient.files) {
    CAPTURE(name);
    auto files = patient.files;
    files.erase(name);
    check_patient(patient, files, name);
    for (int i = 0; i < 20; ++i) {
      files = patient.files;
      files[name].resize(static_cast<size_t>(random.below(bytes.size())));
      // A log that is cut between two records looks whole.
      check_patient(patient, files, name == patient.log() || name.starts_with("log-") ? "" : name);
    }
    for (const auto& [other, other_bytes] : patient.files) {
      if (other == name) continue;
      CAPTURE(other);
      files = patient.files;
      files[name] = other_bytes;
      check_patient(patient, files, name);
    }
  }
}

TEST_CASE("files of another database with the same names are not taken for ours") {
  const Patient patient;
  const Patient other("foreign");
  size_t exchanged = 0;
  for (const auto& [name, bytes] : patient.files) {
    CAPTURE(name);
    const auto found = other.files.find(name);
    if (name.starts_with("manifest-") || found == other.files.end() || found->second == bytes) continue;
    auto files = patient.files;
    files[name] = found->second;
    check_patient(patient, files, name);
    ++exchanged;
  }
  CHECK(exchanged >= 3);
}

TEST_CASE("several damaged places at once") {
  const Patient patient;
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    auto files = patient.files;
    for (uint64_t i = 1 + random.below(6); i > 0; --i) {
      auto& bytes = std::next(files.begin(), static_cast<std::ptrdiff_t>(random.below(files.size())))->second;
      bytes[static_cast<size_t>(random.below(bytes.size()))] ^= static_cast<uint8_t>(1 + random.below(255));
    }
    check_patient(patient, files, "");
  }
}

TEST_CASE("records behind a damaged one are found again") {
  const Patient patient;
  auto files = patient.files;
  size_t offset = 0;
  Bytes& log = record_of(files, patient, 1, offset);
  // Its length too, so that nothing says where the next one starts.
  for (size_t i = 0; i < kFrameHeaderBytes + 8; ++i) log[offset + i] ^= 0xFF;
  CHECK(open_contents(files).at("notes").contains("d"));
  CHECK_FALSE(open_contents(files).at("notes").contains("f"));

  SimulatedVolume volume = SimulatedVolume::of(files);
  const auto report = examine(volume, true);
  REQUIRE(report.ok());
  CHECK_FALSE(report.value().healthy());
  const FileFinding& damaged = finding(report.value(), patient.log());
  CHECK(damaged.state == FileState::kDamaged);
  REQUIRE(damaged.damage.size() == 1);
  CHECK(damaged.damage[0].offset == offset);
  CHECK(report.value().problems.size() == 1);
  const Repair& repair = *report.value().repair;
  CHECK(repair.generation == patient.generation + 1);
  REQUIRE(repair.collections.size() == 1);
  CHECK(repair.collections[0].rescued == 1);
  CHECK(repair.collections[0].ids == std::vector<std::string>{"f"});
  CHECK(repair.lost.size() == 1);
  Contents expected = patient.newest;
  expected.at("notes").erase("e");
  CHECK(open_contents(volume.contents()) == expected);
}

namespace {

// A batch that goes past the log, into a segment of several frames.
std::vector<Point> large_batch(std::map<std::string, std::set<std::string>>& versions) {
  std::vector<Point> points;
  for (int i = 0; i < 24; ++i) {
    Point point = {"big" + std::to_string(i), {}, std::string(200'000, static_cast<char>('a' + i)), ""};
    versions[point.id].insert(point_text(point.text, point.payload, point.vector));
    points.push_back(std::move(point));
  }
  return points;
}

struct LargePatient : Patient {
  std::string segment;  // that holds the large batch
  Contents before;

  LargePatient() {
    before = newest;
    SimulatedVolume volume = SimulatedVolume::of(files);
    DatabaseRunner runner(volume, 1);
    REQUIRE(runner.open()->ok());
    Database& db = *runner.database;
    const auto written = db.generation();
    REQUIRE(runner.host.run(db.write({{"notes", {{"e"}, large_batch(versions)}}}, Durability::kStrict)).ok());
    REQUIRE(db.generation() == written + 1);
    versions["g"].insert(point_text("seventh", "", {}));
    REQUIRE(runner.host.run(db.write({{"notes", {{"f"}, {{"g", {}, "seventh", ""}}}}}, Durability::kStrict)).ok());
    newest = contents_of(db);
    generation = db.generation();
    files = volume.contents();
    for (const auto& [name, bytes] : files) {
      if (name.starts_with("segment-") && bytes.size() > (1 << 20)) segment = name;
    }
    REQUIRE_FALSE(segment.empty());
  }
};

}  // namespace

TEST_CASE("a damaged segment costs the frame that is damaged, not its generation") {
  const LargePatient patient;
  auto files = patient.files;
  files.at(patient.segment)[2'500'000] ^= 1;
  CHECK(open_contents(files) == patient.before);
  check_patient(patient, files, patient.segment);

  SimulatedVolume volume = SimulatedVolume::of(files);
  const auto report = examine(volume, true);
  REQUIRE(report.ok());
  CHECK(report.value().opens == patient.generation - 1);
  const FileFinding& damaged = finding(report.value(), patient.segment);
  REQUIRE(damaged.damage.size() == 1);
  const uint64_t lost_bytes = damaged.damage[0].length;
  CHECK(lost_bytes < 1'500'000);
  const Contents after = open_contents(volume.contents());
  size_t missing = 0;
  for (const auto& [id, point] : patient.newest.at("notes")) {
    const auto found = after.at("notes").find(id);
    if (found == after.at("notes").end()) {
      ++missing;
      CHECK(id.starts_with("big"));
    } else {
      CHECK(found->second == point);
    }
  }
  CHECK(missing > 0);
  CHECK(missing <= lost_bytes / 200'000 + 1);
  // What was deleted does not come back.
  CHECK(after.at("notes").size() + missing == patient.newest.at("notes").size());
  CHECK(report.value().repair->collections[0].rescued == 24 - missing + 1);
}

TEST_CASE("a damaged manifest costs nothing where everything else is whole") {
  const LargePatient patient;
  auto files = patient.files;
  files.at(patient.manifest())[60] ^= 1;
  CHECK(open_contents(files) == patient.before);
  SimulatedVolume volume = SimulatedVolume::of(files);
  const auto report = examine(volume, true);
  REQUIRE(report.ok());
  CHECK(finding(report.value(), patient.manifest()).state == FileState::kDamaged);
  CHECK(finding(report.value(), patient.segment).state == FileState::kOrphan);
  CHECK(open_contents(volume.contents()) == patient.newest);
}

TEST_CASE("where no manifest is sound nothing is repaired, and the report says why") {
  const Patient patient;
  auto files = patient.files;
  const bool gone = GENERATE(false, true);
  if (gone) {
    std::erase_if(files, [](const auto& file) { return file.first.starts_with("manifest-"); });
  } else {
    files.at(patient.manifest()).back() ^= 1;
    files.at(patient.manifest(1)).back() ^= 1;
  }
  SimulatedVolume volume = SimulatedVolume::of(files);
  const auto report = examine(volume, true);
  REQUIRE(report.ok());
  CHECK(report.value().opens == 0);
  CHECK_FALSE(report.value().healthy());
  CHECK(report.value().repair->generation == 0);
  // Rows a (twice) and b or c in the two segments: how they are cut is not this test's business.
  CHECK(report.value().repair->meaning.find(" rows in segments check out") != std::string::npos);
  CHECK(volume.contents() == files);
  CHECK_FALSE(volume.locked);
}

TEST_CASE("files of a newer version are named and not repaired") {
  const Patient patient;
  for (const auto& [name, bytes] : patient.files) {
    CAPTURE(name);
    auto files = patient.files;
    Bytes& newer = files.at(name);
    newer[8] = kFormatVersion + 1;
    const uint64_t checksum = hash64(ByteView(newer).first(32));
    std::memcpy(newer.data() + 32, &checksum, sizeof checksum);
    SimulatedVolume volume = SimulatedVolume::of(files);
    const auto report = examine(volume);
    REQUIRE(report.ok());
    CHECK(finding(report.value(), name).state == FileState::kNewer);
    CHECK_FALSE(report.value().healthy());
    DatabaseRunner runner(volume, 1);
    const Status opened = *runner.open({.read_only = true});
    CHECK((report.value().opens == 0) == (opened.code() == Code::kVersionError));
    CHECK(examine(volume, true).code() == Code::kVersionError);
    CHECK(volume.contents() == files);
    CHECK_FALSE(volume.locked);
  }
}

TEST_CASE("no database, a locked one, and one on a volume that fails") {
  SimulatedVolume empty;
  empty.put("notes.txt", {1});
  for (const bool repair : {false, true}) CHECK(examine(empty, repair).code() == Code::kNotFound);
  CHECK_FALSE(empty.locked);

  const Patient patient;
  SimulatedVolume volume = SimulatedVolume::of(patient.files);
  volume.locked = true;
  CHECK(examine(volume).ok());
  CHECK(examine(volume, true).code() == Code::kDatabaseLocked);
  CHECK(volume.locked);
}

TEST_CASE("a repair that fails or crashes at any effect leaves what was there, and can be done again") {
  const Patient patient;
  auto files = patient.files;
  size_t offset = 0;
  record_of(files, patient, 1, offset)[offset + 20] ^= 1;
  const Contents before = open_contents(files);
  SimulatedVolume good = SimulatedVolume::of(files);
  REQUIRE(examine(good, true).ok());
  const Contents after = open_contents(good.contents());
  REQUIRE(before != after);
  const auto check = [&](SimulatedVolume& volume) {
    for (const auto& [name, bytes] : files) REQUIRE(volume.files.at(name).bytes == bytes);
    const Contents found = open_contents(volume.contents());
    REQUIRE((found == before || found == after));
    volume.locked = false;
    REQUIRE(examine(volume, true).ok());
    REQUIRE(open_contents(volume.contents()) == after);
  };
  for (uint64_t at = 1;; ++at) {
    CAPTURE(at);
    SimulatedVolume volume = SimulatedVolume::of(files);
    Simulator host(volume, at);
    host.fail_at(at, Code::kQuotaExceeded);
    const auto report = host.run(run_doctor(host.effects(), true));
    if (report.ok()) {
      REQUIRE(at > 10);
      break;
    }
    REQUIRE(report.code() == Code::kQuotaExceeded);
    check(volume);
    for (const Damage damage : kEveryDamage) {
      SimulatedVolume crashing = SimulatedVolume::of(files);
      Simulator machine(crashing, at);
      machine.crash_at(at, damage);
      REQUIRE_FALSE(machine.try_run(run_doctor(machine.effects(), true)));
      check(crashing);
    }
  }
}
