#include "storage/database.h"

#include <catch_amalgamated.hpp>

#include "storage/format.h"
#include "tests/support/database_model.h"

using namespace nearfield;

namespace {

Point point(std::string id, std::string text = "", std::vector<float> vector = {}, std::string payload = "") {
  return {std::move(id), std::move(vector), std::move(text), std::move(payload)};
}

std::vector<CollectionBatch> batch_of(std::vector<Point> upserts, std::vector<std::string> deletes = {}) {
  return {{"notes", {std::move(deletes), std::move(upserts)}}};
}

size_t count_files(const SimulatedVolume& volume, std::string_view prefix) {
  return static_cast<size_t>(
      std::ranges::count_if(volume.files, [&](const auto& entry) { return entry.first.starts_with(prefix); }));
}

struct Fixture {
  SimulatedVolume volume;
  DatabaseRunner runner{volume, 1};

  Fixture() {
    REQUIRE(runner.open()->ok());
    REQUIRE(host().run(db().collection("notes", small_schema())).ok());
  }
  Simulator& host() { return runner.host; }
  Database& db() { return *runner.database; }
  Result<size_t> write(std::vector<Point> upserts, std::vector<std::string> deletes = {}) {
    return host().run(db().write(batch_of(std::move(upserts), std::move(deletes)), Durability::kStrict));
  }
  Status maintain() { return db().wants_maintenance() ? host().run(db().maintain()) : Status(); }
  void reopen() {
    REQUIRE(host().run(db().close()).ok());
    REQUIRE(runner.open()->ok());
  }
  // As after SIGKILL: what was appended stays, nothing is closed.
  void reopen_without_close() {
    volume.locked = false;
    REQUIRE(runner.open()->ok());
  }
};

}  // namespace

TEST_CASE("opening an empty volume writes nothing") {
  SimulatedVolume volume;
  DatabaseRunner runner(volume, 1);
  REQUIRE(runner.open()->ok());
  CHECK(runner.database->generation() == 0);
  CHECK(runner.host.run(runner.database->checkpoint()).ok());
  CHECK(runner.host.run(runner.database->close()).ok());
  CHECK(volume.files.empty());
  CHECK_FALSE(volume.locked);
}

TEST_CASE("points survive the process, with and without a clean close") {
  Fixture f;
  REQUIRE(f.write({point("a", "first words", {1, 2, 3}, "{\"n\":1}"), point("b"), point("c", "", {0, 0, 1})}).ok());
  CHECK(*f.write({point("b", "again")}, {"c", "unknown"}) == 1);
  const Contents before = contents_of(f.db());
  CHECK(before.at("notes").size() == 2);

  f.reopen_without_close();
  CHECK(contents_of(f.db()) == before);
  CHECK(f.db().recovery().log_batches == 2);
  CHECK(f.db().recovery().log_bytes_discarded == 0);
  CHECK(f.db().recovery().rebuilt.empty());

  f.reopen();
  CHECK(contents_of(f.db()) == before);
  CHECK(f.db().recovery().log_batches == 0);
  CHECK(f.db().recovery().rebuilt.empty());
  CHECK(f.db().find("notes")->schema() == small_schema());
  SearchRequest request;
  request.text = "first";
  const auto found = f.db().find("notes")->search(request);
  REQUIRE(found.ok());
  REQUIRE(found.value().hits.size() == 1);
  CHECK(found.value().hits[0].row.id == "a");
}

TEST_CASE("closing twice is fine, and a closed database says so") {
  Fixture f;
  CHECK(f.host().run(f.db().close()).ok());
  CHECK(f.host().run(f.db().close()).ok());
  CHECK(f.write({point("a")}).code() == Code::kClosed);
  CHECK(f.host().run(f.db().collection("notes", small_schema())).code() == Code::kClosed);
  CHECK(f.host().run(f.db().clear("notes")).code() == Code::kClosed);
  CHECK(f.host().run(f.db().checkpoint()).code() == Code::kClosed);
}

TEST_CASE("a checkpoint with nothing new writes nothing") {
  Fixture f;
  REQUIRE(f.write({point("a", "words")}).ok());
  REQUIRE(f.host().run(f.db().checkpoint()).ok());
  const uint64_t generation = f.db().generation();
  const uint64_t written = f.host().bytes_written();
  CHECK(f.host().run(f.db().checkpoint()).ok());
  f.reopen();
  f.reopen();
  CHECK(f.db().generation() == generation);
  CHECK(f.host().bytes_written() == written);
}

TEST_CASE("bad calls are refused by name and change nothing") {
  Fixture f;
  REQUIRE(f.write({point("a")}).ok());
  const Contents before = contents_of(f.db());
  const uint64_t written = f.host().bytes_written();
  CHECK(f.write({point("b"), point("c", "", {1, 2})}).code() == Code::kDimensionMismatch);
  CHECK(f.write({point("b"), point("b")}).code() == Code::kInvalidArgument);
  CHECK(f.write({point("")}).code() == Code::kInvalidArgument);
  CHECK(f.write({point("b", "", {}, "[]")}).code() == Code::kFormatError);
  const auto missing = f.host().run(f.db().write({{"nowhere", {{}, {point("b")}}}}, Durability::kStrict));
  CHECK(missing.code() == Code::kNotFound);
  CHECK(missing.error().value == "\"nowhere\"");
  CHECK(f.host().run(f.db().clear("nowhere")).code() == Code::kNotFound);
  CHECK(f.host().run(f.db().collection("no/slashes", small_schema())).code() != Code::kOk);
  Schema other = small_schema();
  other.dimension = 4;
  CHECK(f.host().run(f.db().collection("notes", other)).code() == Code::kSchemaMismatch);
  // The second batch is bad, so the first is not taken either.
  std::vector<CollectionBatch> two = batch_of({point("b")});
  two.push_back({"notes", {{}, {point("c", "", {1})}}});
  CHECK(f.host().run(f.db().write(two, Durability::kStrict)).code() == Code::kDimensionMismatch);
  CHECK(contents_of(f.db()) == before);
  CHECK(f.host().bytes_written() == written);
  CHECK(f.write({point("b")}).ok());
  CHECK(*f.host().run(f.db().write({}, Durability::kStrict)) == 0);
  CHECK(*f.write({}) == 0);
}

TEST_CASE("collections are created, cleared and dropped for good") {
  Fixture f;
  REQUIRE(f.host().run(f.db().collection("other", Schema{})).ok());
  REQUIRE(f.write({point("a"), point("b")}).ok());
  CHECK(*f.host().run(f.db().clear("notes")) == 2);
  REQUIRE(f.write({point("c")}).ok());
  CHECK(*f.host().run(f.db().drop_collection("other")));
  CHECK_FALSE(*f.host().run(f.db().drop_collection("other")));
  const Contents expected = {{"notes", {{"c", point_text("", "", {})}}}};
  CHECK(contents_of(f.db()) == expected);
  f.reopen_without_close();
  CHECK(contents_of(f.db()) == expected);
  f.reopen();
  CHECK(contents_of(f.db()) == expected);
}

TEST_CASE("large writes go into segments and stay in order with small ones") {
  Fixture f;
  REQUIRE(f.write({point("a", "old"), point("b", "small")}).ok());
  std::vector<Point> many;
  for (int i = 0; i < 30; ++i) many.push_back(point("big" + std::to_string(i), std::string(400'000, ' ')));
  many.push_back(point("a", "new"));
  CHECK(*f.write(many, {"b", "nobody"}) == 1);
  CHECK(count_files(f.volume, "segment-") >= 3);
  for (const auto& [name, file] : f.volume.files) CHECK(file.bytes.size() < kSegmentBytes + 1'500'000);
  REQUIRE(f.write({point("big3", "small now")}).ok());
  const Contents expected = contents_of(f.db());
  CHECK(expected.at("notes").size() == 31);
  f.reopen_without_close();
  CHECK(contents_of(f.db()) == expected);
  f.reopen();
  CHECK(contents_of(f.db()) == expected);
}

TEST_CASE("the log is replaced when it grows large") {
  Fixture f;
  for (int i = 0; i < 30; ++i) REQUIRE(f.write({point("p" + std::to_string(i), std::string(600'000, ' '))}).ok());
  for (const auto& [name, file] : f.volume.files) CHECK(file.bytes.size() <= kMaxLogBytes + 1'000'000);
  CHECK(f.db().generation() >= 3);
  const Contents expected = contents_of(f.db());
  f.reopen_without_close();
  CHECK(contents_of(f.db()) == expected);
}

TEST_CASE("dead rows are dropped, from memory and from the files") {
  Fixture f;
  for (int round = 0; round < 4; ++round) {
    std::vector<Point> points;
    for (int i = 0; i < 1500; ++i) points.push_back(point("p" + std::to_string(i), std::to_string(round), {1, 0, 0}));
    REQUIRE(f.write(points).ok());
    REQUIRE(f.host().run(f.db().checkpoint()).ok());
    REQUIRE(f.maintain().ok());
  }
  CHECK(f.db().find("notes")->row_count() <= 3000);
  CHECK(f.db().find("notes")->count() == 1500);
  const Contents expected = contents_of(f.db());
  f.reopen();
  CHECK(f.db().recovery().rebuilt.empty());
  CHECK(contents_of(f.db()) == expected);
}

TEST_CASE("a long mixed run writes each byte a few times and leaves little dead space") {
  Fixture f;
  Schema schema;
  schema.dimension = 64;
  schema.kind = IndexKind::kFlat;
  REQUIRE(f.host().run(f.db().collection("wide", schema)).ok());
  Random random(9);
  uint64_t given = 0;
  for (int i = 0; i < 400; ++i) {
    std::map<std::string, Point> points;
    for (int j = 0; j < 100; ++j) {
      const std::string id = "id" + std::to_string(random.below(8000));
      points[id] = {id, std::vector<float>(64, random.between(0, 1)), std::string(300, 'x'), ""};
    }
    CollectionBatch batch{"wide", {}};
    for (auto& [id, each] : points) {
      given += id.size() + 300 + 64 * sizeof(float);
      batch.batch.upserts.push_back(std::move(each));
    }
    REQUIRE(f.host().run(f.db().write({std::move(batch)}, Durability::kRelaxed)).ok());
    REQUIRE(f.maintain().ok());
  }
  REQUIRE(f.host().run(f.db().close()).ok());
  const double amplification = static_cast<double>(f.host().bytes_written()) / static_cast<double>(given);
  CHECK(amplification < 3);
  uint64_t stored = 0;
  for (const auto& [name, file] : f.volume.files) stored += file.bytes.size();
  // Two generations, each at most half dead.
  const double space = static_cast<double>(stored) / (8000 * (300 + 256 + 6));
  CHECK(space < 5);
}

TEST_CASE("many small sessions leave few files") {
  Fixture f;
  for (int i = 0; i < 200; ++i) {
    REQUIRE(f.write({point("p" + std::to_string(i), "some words"), point("q")}, {"p" + std::to_string(i / 2)}).ok());
    f.reopen();
    REQUIRE(f.db().recovery().rebuilt.empty());
  }
  CHECK(f.volume.files.size() < 40);
  CHECK(f.db().find("notes")->count() == 101);
}

TEST_CASE("one writer; readers need no lock and write nothing") {
  Fixture f;
  REQUIRE(f.write({point("a")}).ok());
  DatabaseRunner second(f.volume, 2);
  CHECK(second.open()->code() == Code::kDatabaseLocked);
  REQUIRE(second.open({.read_only = true})->ok());
  CHECK(contents_of(*second.database) == contents_of(f.db()));
  CHECK(second.host.run(second.database->write(batch_of({point("b")}), Durability::kStrict)).code() == Code::kReadOnly);
  CHECK(second.host.run(second.database->collection("new", Schema{})).code() == Code::kReadOnly);
  CHECK(second.host.run(second.database->collection("notes", small_schema())).ok());
  CHECK(second.host.run(second.database->close()).ok());
  CHECK(f.volume.locked);
  CHECK(f.write({point("b")}).ok());
}

TEST_CASE("a writer that lost its lock cannot publish") {
  Fixture f;
  REQUIRE(f.write({point("a")}).ok());
  f.volume.locked = false;
  DatabaseRunner second(f.volume, 2);
  REQUIRE(second.open()->ok());
  REQUIRE(second.host.run(second.database->write(batch_of({point("b")}), Durability::kStrict)).ok());
  // Same generation, longer log.
  CHECK(f.write({point("c")}).code() == Code::kConflict);
  REQUIRE(second.host.run(second.database->checkpoint()).ok());
  CHECK(f.write({point("c")}).code() == Code::kConflict);
  CHECK(f.host().run(f.db().checkpoint()).code() == Code::kConflict);
  CHECK(f.db().find("notes")->count() == 1);
  const Contents expected = contents_of(*second.database);
  REQUIRE(second.host.run(second.database->close()).ok());
  f.reopen_without_close();
  CHECK(contents_of(f.db()) == expected);
}

TEST_CASE("a writer in doubt about its commit writes nothing where another one went on") {
  Fixture f;
  REQUIRE(f.write({point("a")}).ok());
  f.host().observe([&](const EffectRequest& request) {
    if (std::holds_alternative<CommitEffect>(request)) f.host().fail_at(f.host().performed(), Code::kStorageFailed);
  });
  REQUIRE(f.host().run(f.db().checkpoint()).code() == Code::kStorageFailed);
  f.host().observe(nullptr);
  f.volume.locked = false;
  DatabaseRunner second(f.volume, 2);
  REQUIRE(second.open()->ok());
  REQUIRE(second.host.run(second.database->write(batch_of({point("b")}), Durability::kStrict)).ok());
  REQUIRE(second.host.run(second.database->checkpoint()).ok());
  const auto files = f.volume.contents();
  const Status status = f.host().run(f.db().checkpoint());
  CHECK(status.code() == Code::kConflict);
  CHECK(status.error().value == std::to_string(second.database->generation()));
  CHECK(f.write({point("c")}).code() == Code::kConflict);
  CHECK(f.volume.contents() == files);
}

TEST_CASE("a volume that cannot be written can be read") {
  Fixture f;
  REQUIRE(f.write({point("a")}).ok());
  f.host().set_read_only();
  CHECK(f.write({point("b")}).code() == Code::kReadOnly);
  CHECK(f.db().find("notes")->count() == 1);
}

TEST_CASE("writes started together are carried out in order") {
  Fixture f;
  std::vector<Task<Result<size_t>>> tasks;
  for (int i = 0; i < 50; ++i) {
    tasks.push_back(f.db().write(batch_of({point("same", std::to_string(i))}), Durability::kStrict));
    if (i % 8 == 0) tasks.push_back(f.db().write(batch_of({}, {"same"}), Durability::kRelaxed));
    if (i == 20)
      tasks.push_back(f.db().write(batch_of({point("big", std::string(2 << 20, 'z'))}), Durability::kStrict));
  }
  for (const auto& result : f.host().run_all(std::move(tasks))) CHECK(result.ok());
  CHECK(f.db().find("notes")->find("same")->text == "49");
  const Contents expected = contents_of(f.db());
  f.reopen_without_close();
  CHECK(contents_of(f.db()) == expected);
}

TEST_CASE("writes that wait for the same disk share one append") {
  Fixture f;
  const uint64_t before = f.host().performed();
  std::vector<Task<Result<size_t>>> tasks;
  for (int i = 0; i < 100; ++i) {
    tasks.push_back(
        f.db().write(batch_of({point("p" + std::to_string(i))}), i == 99 ? Durability::kStrict : Durability::kRelaxed));
  }
  // One that is wrong fails alone.
  tasks.push_back(f.db().write({{"nowhere", {{}, {point("x")}}}}, Durability::kStrict));
  tasks.push_back(f.db().write(batch_of({point("last")}, {"p3"}), Durability::kStrict));
  const auto results = f.host().run_all(std::move(tasks));
  for (size_t i = 0; i < results.size(); ++i) CHECK(results[i].ok() == (i != 100));
  CHECK(results[100].code() == Code::kNotFound);
  CHECK(results[101].value() == 1);
  // The first has the turn before the others come.
  CHECK(f.host().performed() - before == 2);
  const Contents expected = contents_of(f.db());
  CHECK(expected.at("notes").size() == 100);
  f.reopen_without_close();
  CHECK(contents_of(f.db()) == expected);
  CHECK(f.db().recovery().log_batches == 101);
}

TEST_CASE("an append that fails fails every write in it, and changes nothing") {
  Fixture f;
  REQUIRE(f.write({point("a")}).ok());
  const Contents before = contents_of(f.db());
  f.host().fail_all(Code::kQuotaExceeded);
  std::vector<Task<Result<size_t>>> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(f.db().write(batch_of({point(std::to_string(i))}), Durability::kStrict));
  for (const auto& result : f.host().run_all(std::move(tasks))) CHECK(result.code() == Code::kQuotaExceeded);
  CHECK(contents_of(f.db()) == before);
  f.host().fail_all(Code::kOk);
  REQUIRE(f.write({point("b")}).ok());
  const Contents expected = contents_of(f.db());
  f.reopen_without_close();
  CHECK(contents_of(f.db()) == expected);
}

TEST_CASE("a shared append does not overtake what was started before its writes") {
  Fixture f;
  REQUIRE(f.write({point("old")}).ok());
  // Started in this order, before any effect is performed; each takes its part in turn.
  auto first = f.db().write(batch_of({point("a")}), Durability::kStrict);
  auto cleared = f.db().clear("notes");
  auto second = f.db().write(batch_of({point("b")}), Durability::kStrict);
  auto planned = f.db().write_planned(
      [&]() -> Task<Result<std::vector<CollectionBatch>>> {
        CHECK(contents_of(f.db()).at("notes").size() == 1);
        co_return batch_of({point("c", "planned")}, {"b"});
      },
      Durability::kStrict);
  auto third = f.db().write(batch_of({point("d")}), Durability::kStrict);
  for (auto* task : {&first, &cleared, &second, &planned, &third}) task->start();
  while (f.host().step()) {
  }
  for (auto* task : {&first, &cleared, &second, &planned, &third}) CHECK(task->take().ok());
  const Contents expected = contents_of(f.db());
  CHECK(expected.at("notes").size() == 2);
  CHECK(expected.at("notes").contains("c"));
  CHECK(expected.at("notes").contains("d"));
  f.reopen_without_close();
  CHECK(contents_of(f.db()) == expected);
}

TEST_CASE("a write that is dropped while it waits is not carried out") {
  Fixture f;
  auto first = f.db().write(batch_of({point("a")}), Durability::kStrict);
  first.start();
  {
    auto dropped = f.db().write(batch_of({point("dropped")}), Durability::kStrict);
    dropped.start();
  }
  auto last = f.db().write(batch_of({point("b")}), Durability::kStrict);
  last.start();
  while (f.host().step()) {
  }
  CHECK(first.take().ok());
  CHECK(last.take().ok());
  CHECK_FALSE(f.db().find("notes")->contains("dropped"));
  CHECK(f.db().find("notes")->count() == 2);
}

TEST_CASE("random operations agree with a plain map, reopening at random") {
  const auto seed = static_cast<uint64_t>(GENERATE(1, 2, 3, 4));
  CAPTURE(seed);
  SimulatedVolume volume;
  DatabaseRunner runner(volume, seed);
  REQUIRE(runner.open()->ok());
  const bool big = seed == 4;
  OperationSource source(seed, big);
  Random random(seed);
  Contents model;
  for (int i = 0; i < (big ? 100 : 500); ++i) {
    CAPTURE(i);
    const Operation operation = source.next(model);
    REQUIRE(runner.run(operation)->ok());
    apply_to_model(model, operation);
    REQUIRE(contents_of(*runner.database) == model);
    if (random.below(10) == 0) {
      volume.locked = false;
      REQUIRE(runner.open()->ok());
      REQUIRE(contents_of(*runner.database) == model);
    }
    REQUIRE(runner.database->recovery().rebuilt.empty());
    REQUIRE(runner.database->recovery().generations_skipped == 0);
  }
}
