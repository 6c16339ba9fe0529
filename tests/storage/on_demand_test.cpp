// Payloads and vectors on demand: the same answers as from memory, whatever happens between two effects.
#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>

#include "tests/support/database_model.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

struct Mix {
  bool vectors;
  bool payload;
};
constexpr Mix kMixes[] = {{true, false}, {false, true}, {true, true}};

Schema schema_of(Mix mix) {
  Schema schema = small_schema();
  schema.vectors_on_demand = mix.vectors;
  schema.payload_on_demand = mix.payload;
  return schema;
}

Filter filter_of(const char* json) {
  auto filter = Filter::parse(Json::parse(json));
  REQUIRE(filter.ok());
  return std::move(filter).value();
}

std::string text_of(const SearchResult& result) {
  std::string out = std::to_string(result.plan.rows_allowed) + " " + std::to_string(result.plan.rows_scored) + "\n";
  for (const Hit& hit : result.hits) {
    out += std::string(hit.row.id) + " ";
    out.append(reinterpret_cast<const char*>(&hit.score), sizeof hit.score);
    for (const auto& leg : {hit.dense, hit.text}) {
      if (leg) out += std::to_string(leg->score) + "#" + std::to_string(leg->rank);
    }
    out += point_text(hit.row.text, hit.row.payload, hit.row.vector) + "\n";
  }
  return out;
}

const std::vector<float> kQuery = {0.3f, -0.2f, 1};

std::vector<SearchRequest> requests() {
  std::vector<SearchRequest> out;
  for (const char* filter : {"", R"({"n":{"$gte":40}})"}) {
    for (const int legs : {1, 2, 3}) {
      SearchRequest request;
      if ((legs & 1) != 0) request.vector = kQuery;
      if ((legs & 2) != 0) request.text = "word3 and word7";
      if (*filter != 0) request.filter = filter_of(filter);
      request.k = 7;
      request.offset = legs == 3 ? 2 : 0;
      out.push_back(std::move(request));
    }
  }
  return out;
}

// Everything that can be asked, of both.
void compare(DatabaseRunner& expected, DatabaseRunner& found) {
  REQUIRE(found.database->collection_names() == expected.database->collection_names());
  REQUIRE(read_contents(found.host, *found.database) == contents_of(*expected.database));
  const Filter filter = filter_of(R"({"n":{"$lt":50}})");
  for (const std::string& name : expected.database->collection_names()) {
    const Collection& memory = *expected.database->find(name);
    const auto count = found.host.run(found.database->count(name, &filter));
    REQUIRE(count.ok());
    CHECK(*count == memory.count_matching(&filter));
    const auto page = found.host.run(found.database->scroll(name, &filter, "p2", 3, {}));
    REQUIRE(page.ok());
    const std::vector<RowView> wanted = memory.scroll(&filter, "p2", 3);
    REQUIRE(page->size() == wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) CHECK(page.value()[i].id == wanted[i].id);
    for (const SearchRequest& request : requests()) {
      const auto from_memory = memory.search(request);
      const auto result = found.host.run(found.database->search(name, request, {}));
      REQUIRE(from_memory.ok());
      REQUIRE(result.ok());
      REQUIRE(text_of(*result) == text_of(*from_memory));
    }
  }
  CHECK(found.database->cached_bytes() <= found.database->cache_limit());
}

}  // namespace

TEST_CASE("on demand gives the same answers as memory") {
  const uint64_t seed = GENERATE(1, 2);
  const size_t cache = GENERATE(size_t{0}, size_t{600}, kDefaultCacheBytes);
  for (const Mix mix : kMixes) {
    const Script script = Script::random(seed * 7 + (mix.vectors ? 1 : 0), 40, ScriptKind::kLarge);
    SimulatedVolume first, second;
    DatabaseRunner expected(first, seed), found(second, seed + 1);
    expected.schema = small_schema();
    found.schema = schema_of(mix);
    found.how.cache_bytes = cache;
    REQUIRE(expected.open()->ok());
    REQUIRE(found.open(found.how)->ok());
    for (const Operation& operation : script.operations) {
      REQUIRE(expected.run(operation)->ok());
      REQUIRE(found.run(operation)->ok());
      compare(expected, found);
    }
  }
}

TEST_CASE("on demand: a crash at any effect loses nothing that was acknowledged") {
  const Mix mix = GENERATE(from_range(std::begin(kMixes), std::end(kMixes)));
  const Script script = Script::random(11, 30, ScriptKind::kLarge);
  for (uint64_t crash = 1;; ++crash) {
    SimulatedVolume volume;
    DatabaseRunner runner(volume, crash);
    runner.schema = schema_of(mix);
    runner.host.crash_at(crash, kEveryDamage[crash % std::size(kEveryDamage)]);
    size_t acknowledged = 0;  // strict ones
    size_t done = 0;
    if (runner.open().has_value()) {
      while (done < script.operations.size()) {
        const auto status = runner.run(script.operations[done]);
        if (!status) break;
        REQUIRE(status->ok());
        const Operation& operation = script.operations[done++];
        const bool relaxed = operation.kind == Operation::Kind::kWrite && operation.durability == Durability::kRelaxed;
        if (!relaxed) acknowledged = done;
      }
    }
    if (!runner.host.crashed()) break;
    DatabaseRunner after(volume, crash + 1);
    REQUIRE(after.open()->ok());
    const auto contents = read_contents(after.host, *after.database);
    REQUIRE(contents.has_value());
    bool known = false;
    const size_t last = std::min(done + 1, script.operations.size());
    for (size_t i = acknowledged; i <= last; ++i) known = known || script.models[i] == *contents;
    INFO("crash at effect " << crash);
    CHECK(known);
  }
}

TEST_CASE("on demand: any effect may fail once, and the next call is right again") {
  const Mix mix = GENERATE(from_range(std::begin(kMixes), std::end(kMixes)));
  const std::vector<SearchRequest> asked = requests();
  for (uint64_t fail = 2; fail < 60; ++fail) {
    SimulatedVolume volume;
    DatabaseRunner runner(volume, fail);
    REQUIRE(runner.open({.cache_bytes = 0})->ok());
    runner.host.fail_at(runner.host.performed() + fail, Code::kStorageFailed);
    Contents model;
    const auto retried = [&](auto start) {
      auto first = runner.host.run(start());
      if (first.ok()) return first;
      CHECK(first.code() == Code::kStorageFailed);
      return runner.host.run(start());
    };
    Database& db = *runner.database;
    REQUIRE(retried([&] { return db.collection("notes", schema_of(mix)); }).ok());
    for (int round = 0; round < 6; ++round) {
      Batch batch;
      for (int i = 0; i < 20; ++i) {
        batch.upserts.push_back({"p" + std::to_string(i + round * 10),
                                 {1, static_cast<float>(i), 0},
                                 "round" + std::to_string(round),
                                 R"({"n":)" + std::to_string(i) + "}"});
      }
      const std::vector<CollectionBatch> batches = {{"notes", batch}};
      apply_to_model(model, batches);
      REQUIRE(retried([&] { return db.write(batches, Durability::kStrict); }).ok());
      if (!runner.host.run(db.checkpoint()).ok()) REQUIRE(runner.host.run(db.checkpoint()).ok());
      REQUIRE(retried([&] { return db.search("notes", asked[5], {}); }).ok());
    }
    if (!runner.host.run(db.compact("notes")).ok()) REQUIRE(runner.host.run(db.compact("notes")).ok());
    auto contents = read_contents(runner.host, db);
    if (!contents) contents = read_contents(runner.host, db);
    CHECK(contents == model);
    if (!runner.host.run(db.close()).ok()) volume.locked = false;
    std::optional<Status> opened = runner.open();
    if (!opened->ok()) opened = runner.open();
    INFO((opened->ok() ? "" : opened->error().message));
    REQUIRE(opened->ok());
    contents = read_contents(runner.host, *runner.database);
    if (!contents) contents = read_contents(runner.host, *runner.database);
    CHECK(contents == model);
  }
}

namespace {

// About forty frames of points whose text begins with their id, in several segments.
struct Large {
  SimulatedVolume volume;
  DatabaseRunner runner{volume, 5};
  int version = 0;

  explicit Large(Mix mix, OpenOptions options = {}) {
    REQUIRE(runner.open(options)->ok());
    REQUIRE(host().run(db().collection("notes", schema_of(mix))).ok());
    for (int part = 0; part < 4; ++part) write(part * 500, 500);
    REQUIRE(host().run(db().checkpoint()).ok());
  }
  Simulator& host() { return runner.host; }
  Database& db() { return *runner.database; }
  std::vector<CollectionBatch> batch(int first, int count) {
    Batch out;
    ++version;
    for (int i = first; i < first + count; ++i) {
      const std::string id = "p" + std::to_string(i);
      std::string text = id + " version" + std::to_string(version) + " " + std::string(1000, 'x');
      out.upserts.push_back({id, {static_cast<float>(i), 1, 0}, std::move(text), "{\"id\":\"" + id + "\"}"});
    }
    return {{"notes", std::move(out)}};
  }
  void write(int first, int count) { REQUIRE(host().run(db().write(batch(first, count), Durability::kStrict)).ok()); }
  Result<SearchResult> search(size_t k = 10) { return host().run(db().search("notes", request(k), {})); }
  static SearchRequest request(size_t k) {
    SearchRequest out;
    out.vector = kQuery;
    out.text = "version1 version2";
    out.k = k;
    return out;
  }
};

void check_whole(const SearchResult& result) {
  for (const Hit& hit : result.hits) {
    CHECK(hit.row.text.starts_with(std::string(hit.row.id) + " "));
    CHECK(hit.row.payload == "{\"id\":\"" + std::string(hit.row.id) + "\"}");
    REQUIRE(hit.row.vector.size() == 3);
    CHECK("p" + std::to_string(static_cast<int>(hit.row.vector[0])) == hit.row.id);
  }
}

}  // namespace

TEST_CASE("on demand: what was read is kept within the bound, and answers without the host") {
  const size_t limit = GENERATE(size_t{0}, size_t{100'000}, kDefaultCacheBytes);
  Large f({true, true}, {.cache_bytes = limit});
  CHECK(f.db().cached_bytes() == 0);
  for (int i = 0; i < 3; ++i) {
    const auto found = f.search(50);
    REQUIRE(found.ok());
    CHECK(found->hits.size() == 50);
    check_whole(*found);
    CHECK(f.db().cached_bytes() <= limit);
  }
  const uint64_t before = f.host().performed();
  REQUIRE(f.search(50).ok());
  if (limit == kDefaultCacheBytes) {
    CHECK(f.host().performed() == before);
  } else {
    CHECK(f.host().performed() > before);
  }
  // Nothing of it stayed in memory, beside the ids.
  CHECK(f.db().find("notes")->info().payload_bytes < 200'000);
  CHECK(f.db().find("notes")->info().vector_bytes == 0);
}

TEST_CASE("on demand: calls that wait for the same frame share one read") {
  Large f({false, true}, {.cache_bytes = 0});
  const auto get = [&] { return f.db().get("notes", {"p7", "p8", "nobody", "p7"}, {}); };
  uint64_t before = f.host().performed();
  const auto one = f.host().run(get());
  REQUIRE(one.ok());
  REQUIRE(one->size() == 3);
  CHECK(one.value()[2].text.starts_with("p7 "));
  const uint64_t alone = f.host().performed() - before;
  before = f.host().performed();
  std::vector<Task<Result<std::vector<Point>>>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(get());
  for (const auto& each : f.host().run_all(std::move(tasks))) CHECK(each.ok());
  CHECK(f.host().performed() - before == alone);
}

TEST_CASE("on demand: a damaged frame is an error and not an answer") {
  const Mix mix = GENERATE(from_range(std::begin(kMixes), std::end(kMixes)));
  Large f(mix, {.cache_bytes = 0});
  std::string segment;
  for (const auto& [name, file] : f.volume.files) {
    if (name.starts_with("segment-") && file.bytes.size() > 300'000) segment = name;
  }
  REQUIRE_FALSE(segment.empty());
  Bytes& bytes = f.volume.files[segment].bytes;
  const Bytes sound = bytes;
  bytes[bytes.size() / 2] ^= 1;
  const auto found = f.search(2000);
  REQUIRE_FALSE(found.ok());
  CHECK(found.code() == Code::kStorageCorrupt);
  CHECK(found.error().message.find(segment) != std::string::npos);
  // Other frames are read, writes go on, and are committed.
  CHECK(f.host().run(f.db().get("notes", {"p0"}, {})).ok());
  f.write(5000, 2);
  CHECK(f.host().run(f.db().checkpoint()).ok());
  const auto added = f.host().run(f.db().get("notes", {"p5001"}, {}));
  REQUIRE(added.ok());
  CHECK(added->size() == 1);
  CHECK(f.host().run(f.db().compact("notes")).ok());  // nothing to do
  f.write(0, 1);
  CHECK(f.host().run(f.db().compact("notes")).code() == Code::kStorageCorrupt);
  bytes = sound;
  const auto again = f.search(2000);
  REQUIRE(again.ok());
  check_whole(*again);

  f.volume.files.erase(segment);
  const auto missing = f.search(2000);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().message.find(segment) != std::string::npos);
}

TEST_CASE("on demand: a search lives through whatever happens between its effects") {
  const Mix mix = GENERATE(from_range(std::begin(kMixes), std::end(kMixes)));
  for (uint64_t round = 0; round < 16; ++round) {
    Large f(mix, {.cache_bytes = 0});
    Random random(round);
    const SearchRequest request = Large::request(300);
    const Filter filter = filter_of(R"({"id":{"$gte":"p2"}})");
    auto search = f.db().search("notes", request, {});
    auto scroll = f.db().scroll("notes", &filter, "", 500, {});
    search.start();
    scroll.start();
    bool dropped = false;
    for (int i = 0; i < 8 && !(search.done() && scroll.done()); ++i) {
      f.host().step();
      switch (random.below(6)) {
        case 0: f.write(static_cast<int>(random.below(2000)), 200); break;
        case 1: REQUIRE(f.host().run(f.db().checkpoint()).ok()); break;
        case 2: REQUIRE(f.host().run(f.db().compact("notes")).ok()); break;
        case 3: {
          Batch batch;
          for (uint64_t id = random.below(100); id < 2000; id += 7) batch.deletes.push_back("p" + std::to_string(id));
          REQUIRE(f.host().run(f.db().write({{"notes", std::move(batch)}}, Durability::kStrict)).ok());
          break;
        }
        case 4:
          if (round % 4 == 0) REQUIRE(f.host().run(f.db().clear("notes")).ok());
          break;
        default:
          if (round % 8 != 1 || dropped) break;
          dropped = true;
          REQUIRE(f.host().run(f.db().drop_collection("notes")).ok());
          REQUIRE(f.host().run(f.db().collection("notes", schema_of(mix))).ok());
      }
    }
    while (!search.done() || !scroll.done()) REQUIRE(f.host().step());
    const auto found = search.take();
    if (found.ok()) {
      check_whole(*found);
    } else {
      CHECK((found.code() == Code::kConflict || (dropped && found.code() == Code::kNotFound)));
    }
    const auto page = scroll.take();
    if (page.ok()) {
      for (const Point& point : *page) CHECK(point.text.starts_with(point.id + " "));
    } else {
      CHECK((page.code() == Code::kConflict || (dropped && page.code() == Code::kNotFound)));
    }
    const auto after = f.search(100);
    REQUIRE(after.ok());
    check_whole(*after);
  }
}

TEST_CASE("on demand: compaction can be cancelled, and ends with the same contents") {
  const Mix mix = GENERATE(from_range(std::begin(kMixes), std::end(kMixes)));
  Large f(mix);
  f.write(0, 1500);
  REQUIRE(f.host().run(f.db().checkpoint()).ok());
  const auto before = read_contents(f.host(), f.db());
  const size_t rows = f.db().find("notes")->row_count();
  auto cancelled = f.db().compact("notes");
  cancelled.start();
  f.host().step();
  CHECK(f.db().compaction_progress("notes").second == rows);
  f.db().cancel_compaction("notes");
  while (!cancelled.done()) REQUIRE(f.host().step());
  CHECK(cancelled.take().code() == Code::kAborted);
  CHECK(read_contents(f.host(), f.db()) == before);
  REQUIRE(f.host().run(f.db().compact("notes")).ok());
  CHECK(f.db().find("notes")->row_count() == 2000);
  CHECK(read_contents(f.host(), f.db()) == before);
  const auto found = f.search(50);
  REQUIRE(found.ok());
  const std::string expected = text_of(*found);
  REQUIRE(f.host().run(f.db().close()).ok());
  REQUIRE(f.runner.open()->ok());
  CHECK(read_contents(f.host(), f.db()) == before);
  CHECK(text_of(*f.search(50)) == expected);
}

TEST_CASE("on demand: a reader follows, also where the files it reads are removed") {
  const Mix mix = GENERATE(from_range(std::begin(kMixes), std::end(kMixes)));
  Large f(mix);
  DatabaseRunner reader(f.volume, 9);
  REQUIRE(reader.open({.read_only = true, .cache_bytes = 0})->ok());
  for (int round = 0; round < 6; ++round) {
    f.write(round * 100, 300);
    if (round % 2 == 0) REQUIRE(f.host().run(f.db().checkpoint()).ok());
    if (round == 3) REQUIRE(f.host().run(f.db().compact("notes")).ok());
    REQUIRE(reader.host.run(reader.database->refresh()).ok());
    CHECK(read_contents(reader.host, *reader.database) == read_contents(f.host(), f.db()));
  }
  // Without looking: everything the reader knows is gone.
  f.write(0, 2000);
  for (int i = 0; i < 3; ++i) {
    f.write(0, 1);
    REQUIRE(f.host().run(f.db().compact("notes")).ok());
  }
  const auto found = reader.host.run(reader.database->search("notes", Large::request(100), {}));
  REQUIRE(found.ok());
  check_whole(*found);
  CHECK(read_contents(reader.host, *reader.database) == read_contents(f.host(), f.db()));
}

TEST_CASE("on demand: a damaged index is built again from texts in storage") {
  const Mix mix = GENERATE(from_range(std::begin(kMixes), std::end(kMixes)));
  Large f(mix);
  const std::string expected = text_of(*f.search(50));
  REQUIRE(f.host().run(f.db().close()).ok());
  for (auto& [name, file] : f.volume.files) {
    if (name.starts_with("index-")) file.bytes[file.bytes.size() / 2] ^= 1;
  }
  REQUIRE(f.runner.open()->ok());
  CHECK(f.db().recovery().rebuilt == std::vector<std::string>{"notes"});
  CHECK(text_of(*f.search(50)) == expected);
}

// A collection of random vectors in storage, with an index that is asked before they are read.
struct Indexed {
  static constexpr size_t kDim = 12;

  explicit Indexed(IndexKind kind, CodeKind code) : runner(volume, 3) {
    Schema schema;
    schema.dimension = kDim;
    schema.metric = Metric::kEuclidean;
    schema.kind = kind;
    schema.code = code;
    schema.hnsw.ef_construct = 40;
    schema.vectors_on_demand = true;
    REQUIRE(runner.open()->ok());
    REQUIRE(runner.host.run(runner.database->collection("notes", schema)).ok());
  }
  void write(size_t first, size_t count) {
    CollectionBatch batch{"notes", {}};
    for (size_t i = first; i < first + count; ++i) {
      batch.batch.upserts.push_back({"p" + std::to_string(i), random_vector(random, kDim), "", ""});
    }
    REQUIRE(runner.host.run(runner.database->write({std::move(batch)}, Durability::kStrict)).ok());
  }
  Database& db() { return *runner.database; }
  const Collection& notes() { return *db().find("notes"); }
  // Share of the true ten that searches find; they must say exact scores.
  double recall() {
    size_t right = 0;
    Random queries(17);
    for (int i = 0; i < 20; ++i) {
      SearchRequest request;
      const std::vector<float> query = random_vector(queries, kDim);
      request.vector = query;
      const auto found = runner.host.run(db().search("notes", request, {true, true}));
      request.exact = true;
      const auto exact = runner.host.run(db().search("notes", request, {}));
      REQUIRE(found.ok());
      REQUIRE(exact.ok());
      REQUIRE(found->hits.size() == exact->hits.size());
      for (size_t hit = 0; hit < found->hits.size(); ++hit) {
        right += found->hits[hit].score >= exact->hits.back().score ? 1 : 0;
        CHECK(found->hits[hit].score == exact_score(Metric::kEuclidean, query, found->hits[hit].row.vector));
      }
      strategy = found->plan.strategy;
      CHECK(exact->plan.strategy == "flat");
    }
    return static_cast<double>(right) / 200;
  }

  SimulatedVolume volume;
  DatabaseRunner runner;
  Random random{5};
  std::string strategy;
};

TEST_CASE("on demand: an index names the rows that are read") {
  const auto [kind, code] =
      GENERATE(std::pair(IndexKind::kHnsw, CodeKind::kF32), std::pair(IndexKind::kHnsw, CodeKind::kRq8),
               std::pair(IndexKind::kHnsw, CodeKind::kSq8), std::pair(IndexKind::kFlat, CodeKind::kRq8),
               std::pair(IndexKind::kFlat, CodeKind::kSq8));
  INFO(index_kind_name(kind) << " " << code_kind_name(code));
  Indexed f(kind, code);
  CHECK(f.recall() == 0);
  f.write(0, 900);
  REQUIRE(f.runner.host.run(f.db().checkpoint()).ok());
  CHECK(f.recall() >= 0.97);
  f.write(900, 600);
  // Partly in memory, partly in storage, and not all of it indexed.
  CHECK(f.recall() >= 0.97);
  REQUIRE(f.runner.host.run(f.db().checkpoint()).ok());
  CHECK(f.notes().indexing() == (kind == IndexKind::kHnsw || code == CodeKind::kSq8));
  CHECK(f.recall() >= 0.97);
  REQUIRE(f.runner.host.run(f.db().maintain()).ok());
  CHECK(!f.notes().indexing());
  CHECK(f.notes().indexed() == 1'500);
  CHECK(f.recall() >= 0.97);
  CHECK(f.strategy == index_kind_name(kind));
  CHECK(f.notes().info().code == code);
  CHECK(f.notes().info().vector_bytes == 0);

  // Saved and loaded, the vectors being elsewhere.
  const double recall = f.recall();
  REQUIRE(f.runner.host.run(f.db().close()).ok());
  REQUIRE(f.runner.open()->ok());
  CHECK(f.db().recovery().rebuilt.empty());
  CHECK(f.notes().indexed() == 1'500);
  CHECK(f.recall() == recall);

  // A damaged index is made again from what is in storage.
  REQUIRE(f.runner.host.run(f.db().close()).ok());
  for (auto& [name, file] : f.volume.files) {
    if (name.starts_with("index-")) file.bytes[file.bytes.size() / 2] ^= 1;
  }
  REQUIRE(f.runner.open()->ok());
  CHECK(f.db().recovery().rebuilt == std::vector<std::string>{"notes"});
  REQUIRE(f.runner.host.run(f.db().maintain()).ok());
  CHECK(f.notes().indexed() == 1'500);
  CHECK(f.recall() >= 0.97);

  // Half replaced, and compacted: a smaller index, without the dead rows.
  f.write(0, 750);
  REQUIRE(f.runner.host.run(f.db().compact("notes")).ok());
  REQUIRE(f.runner.host.run(f.db().maintain()).ok());
  CHECK(f.notes().row_count() == 1'500);
  CHECK(f.notes().indexed() == 1'500);
  CHECK(f.recall() >= 0.97);
}

TEST_CASE("on demand: indexing from storage lives through deletes and ends when it is told to") {
  Indexed f(IndexKind::kHnsw, CodeKind::kF32);
  f.write(0, 1'500);
  REQUIRE(f.runner.host.run(f.db().checkpoint()).ok());
  auto maintaining = f.db().maintain();
  maintaining.start();
  for (int i = 0; i < 20; ++i) REQUIRE(f.runner.host.step());
  CollectionBatch batch{"notes", {}};
  for (size_t i = 0; i < 1'500; i += 2) batch.batch.deletes.push_back("p" + std::to_string(i));
  REQUIRE(f.runner.host.run(f.db().write({std::move(batch)}, Durability::kStrict)).ok());
  f.db().cancel_compaction("notes");
  while (!maintaining.done()) REQUIRE(f.runner.host.step());
  CHECK(f.notes().indexing());
  CHECK(f.recall() >= 0.97);
  REQUIRE(f.runner.host.run(f.db().maintain()).ok());
  CHECK(!f.notes().indexing());
  CHECK(f.recall() >= 0.97);
}
