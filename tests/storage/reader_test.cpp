// Readers beside a writer: each sees a state the writer had, and catches up.
#include <catch_amalgamated.hpp>

#include "tests/support/database_model.h"

using namespace nearfield;

namespace {

Schema notes_schema() { return small_schema(); }

struct Pair {
  SimulatedVolume volume;
  DatabaseRunner writer{volume, 1};
  DatabaseRunner reader{volume, 2};

  Pair() {
    REQUIRE(writer.open()->ok());
    REQUIRE(writer.host.run(writer.database->collection("notes", notes_schema())).ok());
    REQUIRE(reader.open({.read_only = true})->ok());
  }
  void write(std::vector<Point> upserts, std::vector<std::string> deletes = {}) {
    const std::vector<CollectionBatch> batches = {{"notes", {std::move(deletes), std::move(upserts)}}};
    REQUIRE(writer.host.run(writer.database->write(batches, Durability::kStrict)).ok());
  }
  void checkpoint() { REQUIRE(writer.host.run(writer.database->checkpoint()).ok()); }
  bool refresh() {
    const Result<bool> changed = reader.host.run(reader.database->refresh());
    REQUIRE(changed.ok());
    return *changed;
  }
  bool same() { return contents_of(*reader.database) == contents_of(*writer.database); }
};

}  // namespace

TEST_CASE("a reader stays where it is until it looks again") {
  Pair f;
  CHECK_FALSE(f.refresh());
  f.write({{"a", {1, 2, 3}, "first", ""}});
  CHECK_FALSE(f.same());
  CHECK(f.refresh());
  CHECK(f.same());
  CHECK_FALSE(f.refresh());
  const Collection* notes = f.reader.database->find("notes");
  for (int i = 0; i < 20; ++i)
    f.write({{"p" + std::to_string(i), {1, 0, 0}, "some", ""}}, {"p" + std::to_string(i - 2)});
  CHECK(f.refresh());
  CHECK(f.same());
  CHECK(f.reader.database->find("notes") == notes);
}

TEST_CASE("a reader follows commits by reading only what is new") {
  Pair f;
  f.write({{"a", {1, 2, 3}, std::string(300'000, 'a'), ""}});
  f.checkpoint();
  CHECK(f.refresh());
  const Collection* notes = f.reader.database->find("notes");
  // Part of the log was seen, part was not; then a commit, and more.
  f.write({{"b", {}, "seen", ""}});
  CHECK(f.refresh());
  f.write({{"c", {0, 1, 0}, "not seen", ""}}, {"a"});
  f.checkpoint();
  f.write({{"d", {}, "after", ""}});
  CHECK(f.refresh());
  CHECK(f.same());
  CHECK(f.reader.database->generation() == f.writer.database->generation());
  // A write too large for the log.
  f.write({{"big", {}, std::string(3 << 20, 'x'), ""}, {"a", {3, 2, 1}, "back", ""}});
  CHECK(f.refresh());
  CHECK(f.same());
  // Collections come and go.
  REQUIRE(f.writer.host.run(f.writer.database->collection("other", Schema{})).ok());
  CHECK(f.refresh());
  CHECK(f.same());
  CHECK(f.reader.database->find("notes") == notes);
  REQUIRE(f.writer.host.run(f.writer.database->drop_collection("other")).ok());
  CHECK(f.refresh());
  CHECK(f.same());
}

TEST_CASE("a reader that missed generations, a compaction or a clearing loads again") {
  Pair f;
  f.write({{"a", {1, 2, 3}, "first", ""}});
  for (int i = 0; i < 3; ++i) {
    f.write({{"p" + std::to_string(i), {}, "", ""}});
    f.checkpoint();
  }
  CHECK(f.refresh());
  CHECK(f.same());
  f.write({}, {"p1"});
  REQUIRE(f.writer.host.run(f.writer.database->compact("notes")).ok());
  CHECK(f.refresh());
  CHECK(f.same());
  REQUIRE(f.writer.host.run(f.writer.database->clear("notes")).ok());
  CHECK(f.refresh());
  CHECK(f.same());
}

TEST_CASE("what was reported as failed does not stay with a reader") {
  Pair f;
  f.write({{"a", {1, 2, 3}, std::string(300'000, 'a'), ""}});
  f.checkpoint();
  f.refresh();
  // The append arrives, or a piece of it does, and is reported as failed.
  for (int i = 0; i < 12; ++i) {
    f.writer.host.fail_at(f.writer.host.performed() + 1, Code::kStorageFailed);
    // A delete alone leaves no trace in the number of rows.
    const std::vector<CollectionBatch> batches = {{"notes", {{"a"}, {}}}};
    REQUIRE_FALSE(f.writer.host.run(f.writer.database->write(batches, Durability::kStrict)).ok());
    f.refresh();  // may see it
    f.write({{"p" + std::to_string(i), {}, "", ""}});
    f.refresh();
    CHECK(f.same());
  }
}

TEST_CASE("a reader takes over when the writer has gone") {
  Pair f;
  f.write({{"a", {1, 2, 3}, "first", ""}});
  CHECK(f.reader.host.run(f.reader.database->promote()).code() == Code::kDatabaseLocked);
  CHECK(f.reader.database->read_only());
  f.write({{"b", {}, "second", ""}});
  const Contents expected = contents_of(*f.writer.database);
  f.writer.database.reset();
  f.volume.locked = false;  // its process died
  REQUIRE(f.reader.host.run(f.reader.database->promote()).ok());
  CHECK_FALSE(f.reader.database->read_only());
  CHECK(contents_of(*f.reader.database) == expected);
  const std::vector<CollectionBatch> batches = {{"notes", {{"a"}, {{"c", {}, "", ""}}}}};
  REQUIRE(f.reader.host.run(f.reader.database->write(batches, Durability::kStrict)).ok());
  const Contents later = contents_of(*f.reader.database);
  REQUIRE(f.reader.host.run(f.reader.database->close()).ok());
  REQUIRE(f.writer.open()->ok());
  CHECK(contents_of(*f.writer.database) == later);
}

TEST_CASE("readers and a writer at random: a reader is always at a state the writer had, and never goes back") {
  const auto seed = static_cast<uint64_t>(GENERATE(1, 2, 3, 4, 5, 6));
  CAPTURE(seed);
  SimulatedVolume volume;
  DatabaseRunner writer(volume, seed);
  DatabaseRunner reader(volume, seed + 100);
  REQUIRE(writer.open()->ok());
  OperationSource source(seed, seed == 6);
  Random random(seed);
  std::vector<Contents> states = {{}};
  size_t at = 0;
  for (int i = 0; i < 400; ++i) {
    CAPTURE(i);
    const Operation operation = source.next(states.back());
    states.push_back(states.back());
    apply_to_model(states.back(), operation);
    REQUIRE(writer.run(operation)->ok());
    if (i < 3 || random.below(4) != 0) continue;
    if (!reader.database || random.below(20) == 0) {
      REQUIRE(reader.open({.read_only = true})->ok());
    } else {
      REQUIRE(reader.host.run(reader.database->refresh()).ok());
    }
    REQUIRE(contents_of(*reader.database) == states.back());
    at = states.size();
  }
  CHECK(at > 100);
}

TEST_CASE("a reader's effects and a writer's, interleaved: never half of a write") {
  const auto seed = static_cast<uint64_t>(GENERATE(1, 2, 3, 4, 5, 6, 7, 8));
  CAPTURE(seed);
  SimulatedVolume volume;
  DatabaseRunner writer(volume, seed);
  DatabaseRunner reader(volume, seed + 100);
  REQUIRE(writer.open()->ok());
  OperationSource source(seed, false);
  Random random(seed);
  std::vector<Contents> states = {{}};
  // The first states, so that there is something to open.
  for (int i = 0; i < 5; ++i) {
    const Operation operation = source.next(states.back());
    states.push_back(states.back());
    apply_to_model(states.back(), operation);
    REQUIRE(writer.run(operation)->ok());
  }
  REQUIRE(reader.open({.read_only = true})->ok());
  size_t at = 0;
  for (int i = 0; i < 150; ++i) {
    CAPTURE(i);
    Task<Result<bool>> refresh = reader.database->refresh();
    refresh.start();
    const Operation operation = source.next(states.back());
    if (operation.kind == Operation::Kind::kReopen) continue;
    states.push_back(states.back());
    apply_to_model(states.back(), operation);
    Task<Status> write = [](DatabaseRunner& runner, const Operation& what) -> Task<Status> {
      Database& db = *runner.database;
      switch (what.kind) {
        case Operation::Kind::kCreate:
          CO_RETURN_IF_ERROR(co_await db.collection(what.collection, schema_of(what.collection)));
          break;
        case Operation::Kind::kDrop: CO_RETURN_IF_ERROR(co_await db.drop_collection(what.collection)); break;
        case Operation::Kind::kClear: CO_RETURN_IF_ERROR(co_await db.clear(what.collection)); break;
        case Operation::Kind::kWrite: CO_RETURN_IF_ERROR(co_await db.write(what.batches, what.durability)); break;
        default: CO_RETURN_IF_ERROR(co_await db.checkpoint()); break;
      }
      co_return Status();
    }(writer, operation);
    write.start();
    while (!refresh.done() || !write.done()) {
      const bool first = random.below(2) == 0;
      if (!(first ? reader.host.step() : writer.host.step())) (first ? writer.host.step() : reader.host.step());
    }
    REQUIRE(write.take().ok());
    const auto refreshed = refresh.take();
    INFO((refreshed.ok() ? "" : refreshed.error().message));
    REQUIRE(refreshed.ok());
    const Contents found = contents_of(*reader.database);
    while (at < states.size() && states[at] != found) ++at;
    REQUIRE(at < states.size());
  }
}
