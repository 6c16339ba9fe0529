// Compaction in steps: dead rows go while searches and writes go on, whatever stops it.
#include <catch_amalgamated.hpp>

#include "tests/support/database_model.h"

using namespace nearfield;

namespace {

Point numbered(int i, const std::string& text) {
  return {"p" + std::to_string(i), {static_cast<float>(i), 1, 0}, text + " word" + std::to_string(i % 7), ""};
}

// A database with 3,000 rows, 2,000 of them dead, and its model. `kind`: with a graph or without.
struct Aged {
  SimulatedVolume volume;
  DatabaseRunner runner{volume, 1};
  Contents model;

  explicit Aged(IndexKind kind) {
    REQUIRE(runner.open()->ok());
    Schema schema = small_schema();
    schema.kind = kind;
    REQUIRE(host().run(db().collection("notes", schema)).ok());
    model["notes"];
    for (int round = 0; round < 3; ++round) {
      Batch batch;
      for (int i = 0; i < 1000; ++i) batch.upserts.push_back(numbered(i, "round" + std::to_string(round)));
      write({{"notes", std::move(batch)}});
    }
  }
  Simulator& host() { return runner.host; }
  Database& db() { return *runner.database; }
  const Collection& notes() { return *db().find("notes"); }
  void write(std::vector<CollectionBatch> batches) {
    apply_to_model(model, batches);
    REQUIRE(host().run(db().write(std::move(batches), Durability::kStrict)).ok());
  }
  void reopen_without_close() {
    volume.locked = false;
    REQUIRE(runner.open()->ok());
  }
  // Same hits as a collection that never held anything else.
  void check_search() {
    Collection fresh("notes", notes().schema());
    Batch batch;
    for (const RowView& row : notes().scroll(nullptr, "", 1 << 20)) {
      batch.upserts.push_back({std::string(row.id),
                               {row.vector.begin(), row.vector.end()},
                               std::string(row.text),
                               std::string(row.payload)});
    }
    fresh.apply(std::move(batch));
    SearchRequest request;
    request.k = 50;
    request.exact = true;
    const std::vector<float> query = {250, 1, 0};
    request.vector = query;
    request.text = "word3";
    const auto found = notes().search(request);
    const auto expected = fresh.search(request);
    REQUIRE(found.ok());
    REQUIRE(found->hits.size() == expected->hits.size());
    for (size_t i = 0; i < found->hits.size(); ++i) {
      CHECK(found->hits[i].row.id == expected->hits[i].row.id);
      CHECK(found->hits[i].score == Catch::Approx(expected->hits[i].score));
    }
  }
};

}  // namespace

TEST_CASE("compaction lets writes and searches through and ends with the same contents") {
  const IndexKind kind = GENERATE(IndexKind::kFlat, IndexKind::kHnsw);
  Aged f(kind);
  REQUIRE(f.db().wants_maintenance());
  Task<Status> upkeep = f.db().maintain();
  upkeep.start();
  if (kind == IndexKind::kFlat) REQUIRE_FALSE(f.db().wants_maintenance());
  Random random(3);
  int steps = 0;
  for (; !upkeep.done(); ++steps) {
    CAPTURE(steps);
    REQUIRE(f.host().step());
    if (steps % 2 == 0 && !upkeep.done()) {
      const int i = static_cast<int>(random.below(1100));
      std::vector<CollectionBatch> batches = {
          {"notes", {{"p" + std::to_string(random.below(1100))}, {numbered(i, "new")}}}};
      apply_to_model(f.model, batches);
      Task<Result<size_t>> write = f.db().write(std::move(batches), Durability::kStrict);
      write.start();
      while (!write.done()) REQUIRE(f.host().step());
      REQUIRE(write.take().ok());
    }
    REQUIRE(contents_of(f.db()) == f.model);
    if (steps % 10 == 0) f.check_search();
  }
  CHECK(upkeep.take().ok());
  CHECK(steps >= (kind == IndexKind::kHnsw ? 50 : 3));
  CHECK(f.notes().row_count() < 1500);
  f.check_search();
  f.reopen_without_close();
  CHECK(contents_of(f.db()) == f.model);
  CHECK(f.db().recovery().rebuilt.empty());
  f.check_search();
}

TEST_CASE("compaction can be cancelled, and started again") {
  Aged f(IndexKind::kFlat);
  CHECK(f.host().run(f.db().compact("nowhere")).code() == Code::kNotFound);
  Task<Status> compaction = f.db().compact("notes");
  compaction.start();
  REQUIRE(f.notes().compacting());
  CHECK(f.host().run(f.db().compact("notes")).code() == Code::kConflict);
  f.db().cancel_compaction("notes");
  while (!compaction.done()) REQUIRE(f.host().step());
  CHECK(compaction.take().code() == Code::kAborted);
  CHECK(f.notes().row_count() == 3000);
  CHECK(contents_of(f.db()) == f.model);
  CHECK(f.host().run(f.db().compact("notes")).ok());
  CHECK(f.notes().row_count() == 1000);
  CHECK(contents_of(f.db()) == f.model);
  // Nothing is dead: nothing to do.
  CHECK(f.host().run(f.db().compact("notes")).ok());
  f.reopen_without_close();
  CHECK(contents_of(f.db()) == f.model);
}

TEST_CASE("clearing, dropping and closing stop a compaction") {
  const int what = GENERATE(0, 1, 2);
  Aged f(IndexKind::kHnsw);
  Task<Status> compaction = f.db().maintain();
  compaction.start();
  switch (what) {
    case 0: REQUIRE(f.host().run(f.db().clear("notes")).ok()); break;
    case 1: REQUIRE(f.host().run(f.db().drop_collection("notes")).ok()); break;
    default: REQUIRE(f.host().run(f.db().close()).ok()); break;
  }
  while (!compaction.done()) REQUIRE(f.host().step());
  CHECK(compaction.take().ok());
  f.reopen_without_close();
  if (what == 0) CHECK(contents_of(f.db()).at("notes").empty());
  if (what == 1) CHECK(contents_of(f.db()).empty());
  if (what == 2) CHECK(contents_of(f.db()) == f.model);
}

TEST_CASE("a crash at any effect of a compaction loses nothing") {
  uint64_t effects = 0;
  for (uint64_t at = 1; at == 1 || at <= effects; ++at) {
    CAPTURE(at);
    Aged f(IndexKind::kFlat);
    if (at == 1) {
      Aged whole(IndexKind::kFlat);
      const uint64_t before = whole.host().performed();
      REQUIRE(whole.host().run(whole.db().maintain()).ok());
      effects = whole.host().performed() - before;
    }
    f.host().crash_at(f.host().performed() + at, kEveryDamage[at % std::size(kEveryDamage)]);
    REQUIRE_FALSE(f.host().try_run(f.db().maintain()).has_value());
    f.runner.database.reset();
    DatabaseRunner after(f.volume, at);
    REQUIRE(after.open()->ok());
    REQUIRE(contents_of(*after.database) == f.model);
  }
  CHECK(effects > 5);
}
