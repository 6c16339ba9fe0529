// QdrantStore over a small server of its kind: it answers as Collection does, and trusts nothing.
#include "core/remote/qdrant_store.h"

#include <catch_amalgamated.hpp>
#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/collection/fusion.h"
#include "core/remote/ids.h"
#include "tests/support/network.h"
#include "tests/support/qdrant_server.h"
#include "tests/support/store_points.h"

using namespace nearfield;

namespace {

QdrantOptions options_of(size_t dimension, Metric metric = Metric::kCosine) {
  QdrantOptions out;
  out.collection = "docs";
  out.layout.dimension = dimension;
  out.layout.metric = metric;
  out.layout.text_field = "text";
  out.layout.sparse_dimension = 30'000;
  return out;
}

QdrantOptions hybrid_of(size_t dimension) {
  QdrantOptions out = options_of(dimension);
  out.layout.vector = "dense";
  out.layout.text_vector = "words";
  out.layout.sparse_vector = "sparse";
  return out;
}

struct Bench {
  explicit Bench(QdrantOptions options, HttpOptions policy = {}) {
    HttpServer address;
    address.name = "Qdrant";
    address.url = Url::parse("https://db.example.com", 6333).value();
    address.key = Secret(std::string(kKey));
    address.key_header = "api-key";
    http = HttpClient::make(network.effects(), std::move(address), policy, 1).value();
    store = QdrantStore::make(*http, std::move(options)).value();
  }

  template <typename T>
  T run(Task<T> task) {
    return network.run(std::move(task));
  }
  void fill(std::vector<StorePoint> points) {
    REQUIRE(run(store->ensure()).ok());
    const Result<WriteReport> report = run(store->upsert(std::move(points)));
    REQUIRE(report.ok());
    REQUIRE(report.value().failed.empty());
    REQUIRE(report.value().unknown.empty());
  }

  QdrantServer server{"docs"};
  Network network{[this](const HttpEffect& request, uint64_t) { return server.handle(request); }};
  std::unique_ptr<HttpClient> http;
  std::unique_ptr<QdrantStore> store;
};

}  // namespace

TEST_CASE("searches find what a collection finds, with its scores") {
  const std::vector<std::string> filters = {
      R"({})",
      R"({"tag":"red"})",
      R"({"year":{"$gte":2010,"$lt":2020}})",
      R"({"$or":[{"tags":{"$contains":"deep"}},{"price":{"$gt":2.5}}]})",
      R"({"note":{"$exists":true},"tag":{"$ne":"blue"}})",
      R"({"author.name":{"$in":["red",null]}})",
      R"({"$not":{"tag":{"$contains":"e"}}})",
  };
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean, Metric::kManhattan}) {
    Bench bench(options_of(8, metric));
    const std::vector<StorePoint> points = random_points(150, 8);
    bench.fill(points);
    Schema schema;
    schema.dimension = 8;
    schema.metric = metric;
    Collection collection("docs", schema);
    Batch batch;
    for (const StorePoint& point : points) batch.upserts.push_back(point);
    REQUIRE(collection.check(batch).ok());
    collection.apply(std::move(batch));
    Random random(9);
    for (const std::string& filter : filters) {
      std::vector<StoreQuery> queries(20);
      for (StoreQuery& query : queries) {
        query.vector = random_vector(random, 8);
        query.filter = filter_of(filter);
        query.exact = true;
        query.offset = random.below(size_t{3});
        query.parts = kAll;
      }
      std::vector<SearchRequest> requests(queries.size());
      for (size_t i = 0; i < queries.size(); ++i) {
        requests[i].filter = filter_of(filter);
        requests[i].exact = true;
        requests[i].offset = queries[i].offset;
      }
      std::vector<std::vector<float>> vectors;
      for (const StoreQuery& query : queries) vectors.push_back(query.vector);
      const auto found = bench.run(bench.store->search(std::move(queries)));
      INFO(metric_name(metric) << ' ' << filter << ' ' << (found.ok() ? "" : found.error().message));
      REQUIRE(found.ok());
      REQUIRE(found.value().size() == requests.size());
      for (size_t i = 0; i < requests.size(); ++i) {
        requests[i].vector = vectors[i];
        const auto expected = collection.search(requests[i]);
        REQUIRE(expected.ok());
        const std::vector<StoreHit>& hits = found.value()[i];
        REQUIRE(hits.size() == expected.value().hits.size());
        for (size_t j = 0; j < hits.size(); ++j) {
          const Hit& hit = expected.value().hits[j];
          CHECK(hits[j].point.id == hit.row.id);
          CHECK(std::abs(hits[j].score - hit.score) < 1e-4);
          CHECK(Json::parse(hits[j].point.payload) == Json::parse(hit.row.payload));
          CHECK(hits[j].point.text == hit.row.text);
          REQUIRE(hits[j].dense.has_value());
          CHECK(hits[j].dense->rank == requests[i].offset + j + 1);
        }
      }
      const auto count = bench.run(bench.store->count(filter_of(filter)));
      REQUIRE(count.ok());
      const Filter parsed = filter_of(filter);
      CHECK(count.value() == collection.count_matching(&parsed));
    }
    CHECK(bench.server.count("POST", "/points/query/batch") == filters.size());
  }
}

TEST_CASE("a least score is kept, and what is below it is not") {
  Bench bench(options_of(2, Metric::kEuclidean));
  bench.fill({point_of("a", {0, 0}), point_of("b", {0, 2}), point_of("c", {0, 3})});
  StoreQuery query;
  query.vector = {0, 0};
  query.min_score = -2;
  std::vector<StoreQuery> queries;
  queries.push_back(std::move(query));
  const auto found = bench.run(bench.store->search(std::move(queries)));
  REQUIRE(found.ok());
  REQUIRE(found.value()[0].size() == 2);
  CHECK(found.value()[0][1].point.id == "b");
  CHECK(bench.server.count("POST", "/points/query") == 1);
}

TEST_CASE("points come back as they were given") {
  Bench bench(hybrid_of(3));
  std::vector<StorePoint> points = {
      point_of("doc-1", {3, 4, 0}, R"({"a":1})", "some text"),
      point_of("42", {1, 0, 0}, R"({})"),
      point_of("18446744073709551615", {0, 0, 0},
               R"({"n":9223372036854775807,"u":18446744073709551615,"m":-9007199254740993})"),
      point_of("550e8400-e29b-41d4-a716-446655440000", {1e-20f, 0, 1e-20f}),
      point_of("550E8400-E29B-41D4-A716-446655440000", {1e30f, -3e30f, 2}, R"({"text":"mine","_nearfield":{"id":"x"}})",
               "its own"),
      point_of("042", {}, R"({"text":5})"),
      point_of("ü\n\"\\", {0.1f, 0.2f, 0.3f},
               R"({"nested":[[1,[2]],[]],"empty":[],"f":0.30000000000000004,"big":1e300,"z":[[{"k":[]}]]})", "t\x01"),
      point_of(std::string(1024, 'i')),
  };
  points[0].sparse = {{1, 7, 29'999}, {0.5f, -1, 3}};
  bench.fill(points);
  std::vector<std::string> ids = ids_of(points);
  ids.insert(ids.begin() + 1, "absent");
  ids.push_back("doc-1");
  const auto found = bench.run(bench.store->get(ids, kAll));
  INFO((found.ok() ? "" : found.error().message));
  REQUIRE(found.ok());
  REQUIRE(found.value().size() == points.size() + 1);
  for (size_t i = 0; i < points.size(); ++i) {
    const StorePoint& point = found.value()[i];
    INFO(points[i].id);
    CHECK(point.id == points[i].id);
    CHECK(point.text == points[i].text);
    CHECK(point.payload.empty() == points[i].payload.empty());
    if (!point.payload.empty()) CHECK(Json::parse(point.payload) == Json::parse(points[i].payload));
    REQUIRE(point.vector.size() == points[i].vector.size());
    for (size_t j = 0; j < point.vector.size(); ++j) {
      CHECK(std::abs(point.vector[j] - points[i].vector[j]) <= 2e-7f * std::abs(points[i].vector[j]));
    }
    CHECK(point.sparse.indices == points[i].sparse.indices);
    CHECK(point.sparse.values == points[i].sparse.values);
  }
  CHECK(found.value().back().id == "doc-1");
  const auto bare = bench.run(bench.store->get({"doc-1"}, {.payload = false, .text = false, .vector = false}));
  REQUIRE(bare.ok());
  CHECK(bare.value()[0].text.empty());
  CHECK(bare.value()[0].payload.empty());
  CHECK(bare.value()[0].vector.empty());
  const auto text = bench.run(bench.store->get({"doc-1"}, {.payload = false, .text = true, .vector = false}));
  CHECK(text.value()[0].text == "some text");

  SECTION("an upsert replaces all of a point") {
    bench.fill({point_of("doc-1", {}, "", "other")});
    const auto again = bench.run(bench.store->get({"doc-1"}, kAll));
    CHECK(again.value()[0].text == "other");
    CHECK(again.value()[0].payload.empty());
    CHECK(again.value()[0].vector.empty());
    CHECK(again.value()[0].sparse.empty());
  }
  SECTION("scrolling meets each once") {
    for (const size_t limit : {size_t{1}, size_t{3}, size_t{100}}) {
      std::multiset<std::string> seen;
      std::string from;
      do {
        auto page = bench.run(bench.store->scroll(std::nullopt, from, limit, kAll));
        REQUIRE(page.ok());
        REQUIRE(page.value().points.size() <= limit);
        for (const StorePoint& point : page.value().points) seen.insert(point.id);
        from = page.value().next;
      } while (!from.empty());
      const std::vector<std::string> every = ids_of(points);
      CHECK(seen == std::multiset<std::string>(every.begin(), every.end()));
    }
  }
}

TEST_CASE("points that other clients wrote are read as they are") {
  Bench bench(options_of(2));
  bench.fill({});
  bench.server.points["n00000000000000000007"] = {{"payload", {{"text", "body"}, {"n", INT64_MAX}}},
                                                  {"vector", {{"", {1, 0}}}}};
  const std::string uuid = derived_uuid("x");
  bench.server.points["u" + uuid] = {{"payload", {{"text", 5}, {"_nearfield", {{"id", "not of this one"}}}}},
                                     {"vector", Json::object()}};
  const auto page = bench.run(bench.store->scroll(std::nullopt, "", 10, kAll));
  REQUIRE(page.ok());
  REQUIRE(page.value().points.size() == 2);
  CHECK(page.value().points[0].id == "7");
  CHECK(page.value().points[0].text == "body");
  CHECK(page.value().points[0].payload == R"({"n":9223372036854775807})");
  CHECK(page.value().points[1].id == uuid);
  CHECK(page.value().points[1].payload == R"({"text":5})");
  CHECK(bench.run(bench.store->get({"7"}, kAll)).value().size() == 1);
  CHECK(bench.run(bench.store->remove({"7", uuid})).value() == 2);
  CHECK(bench.server.points.empty());
}

TEST_CASE("an id is not mistaken for another one that is stored under it") {
  Bench bench(options_of(2));
  bench.fill({point_of("x", {1, 0})});
  const std::string place = derived_uuid("x");
  CHECK(bench.run(bench.store->get({place}, kAll)).value().empty());
  CHECK(bench.run(bench.store->remove({place})).value() == 0);
  CHECK(bench.server.points.size() == 1);
  CHECK(bench.run(bench.store->get({"x"}, kAll)).value().size() == 1);
  const auto both = bench.run(bench.store->upsert({point_of("x", {1, 0}), point_of(place, {0, 1})}));
  CHECK(both.code() == Code::kConflict);
}

TEST_CASE("removing tells how many there were, and an empty filter is never sent by accident") {
  Bench bench(options_of(2));
  std::vector<StorePoint> points;
  for (int i = 0; i < 10; ++i)
    points.push_back(point_of("p" + std::to_string(i), {1, 0}, i < 4 ? R"({"old":true})" : R"({"old":false})"));
  bench.fill(points);
  CHECK(bench.run(bench.store->remove({})).value() == 0);
  CHECK(bench.run(bench.store->remove({"p9", "p9", "absent"})).value() == 1);
  CHECK(bench.run(bench.store->remove({"absent"})).value() == 0);
  CHECK(bench.server.count("POST", "/points/delete") == 1);
  CHECK(bench.run(bench.store->remove_matching(filter_of(R"({"old":true})"))).value() == 4);
  CHECK(bench.run(bench.store->remove_matching(filter_of(R"({"old":{"$in":[]}})"))).value() == 0);
  CHECK(bench.server.points.size() == 5);
  CHECK(bench.run(bench.store->count(std::nullopt)).value() == 5);
  for (const QdrantServer::Request& request : bench.server.requests) {
    if (request.body.contains("filter")) CHECK_FALSE(request.body["filter"].empty());
  }
  CHECK(bench.run(bench.store->remove_matching(filter_of("{}"))).value() == 5);
  CHECK(bench.server.points.empty());
  bench.fill(points);
  CHECK(bench.run(bench.store->clear()).ok());
  CHECK(bench.server.points.empty());
  CHECK(bench.server.config.has_value());
}

TEST_CASE("a collection is made as it is configured, and compared where it is there") {
  QdrantOptions options = hybrid_of(4);
  options.m = 24;
  options.ef_construct = 200;
  options.indexing_threshold = 5'000;
  options.vectors_on_disk = true;
  options.sparse_float16 = true;
  options.payload_index = true;
  options.indexed = {{"tag", "keyword"}};
  Bench bench(options);
  const auto made = bench.run(bench.store->ensure());
  REQUIRE(made.ok());
  CHECK(made.value().created);
  CHECK(made.value().differences.empty());
  CHECK(*bench.server.config == Json::parse(R"({
    "vectors":{"dense":{"size":4,"distance":"Cosine","on_disk":true}},
    "sparse_vectors":{"sparse":{"index":{"datatype":"float16"}},"words":{"index":{"datatype":"float16"},"modifier":"idf"}},
    "hnsw_config":{"m":24,"ef_construct":200},"optimizers_config":{"indexing_threshold":5000},"on_disk_payload":false})"));
  CHECK(bench.server.indexes.size() == 3);
  CHECK(bench.server.indexes["tag"] == "keyword");
  const auto again = bench.run(bench.store->ensure());
  REQUIRE(again.ok());
  CHECK_FALSE(again.value().created);
  CHECK(again.value().differences.empty());
  CHECK(bench.server.count("PUT", "/index") == 3);

  const auto differing = [&](const QdrantOptions& other) {
    const auto store = QdrantStore::make(*bench.http, other).value();
    return bench.run(store->ensure());
  };
  QdrantOptions other = options;
  other.m = 32;
  other.indexing_threshold = 7;
  other.payload_on_disk = true;
  const auto report = differing(other);
  REQUIRE(report.ok());
  REQUIRE(report.value().differences.size() == 3);
  CHECK(report.value().differences[0].name == "on_disk_payload");
  CHECK(report.value().differences[1].name == "m");
  CHECK(report.value().differences[1].asked == "32");
  CHECK(report.value().differences[1].found == "24");
  other = options;
  other.layout.dimension = 5;
  CHECK(differing(other).code() == Code::kSchemaMismatch);
  CHECK(differing(other).error().message == "Vector dimension mismatch: expected 5, got 4");
  other = options;
  other.layout.metric = Metric::kDot;
  CHECK(differing(other).code() == Code::kSchemaMismatch);
  other = options;
  other.layout.text_vector = "elsewhere";
  CHECK(differing(other).code() == Code::kSchemaMismatch);
  other = options;
  other.layout.vector = "";
  CHECK(differing(other).code() == Code::kSchemaMismatch);
  // Where it is not configured, the server says how long vectors are.
  other = options;
  other.layout.dimension = 0;
  const auto open = QdrantStore::make(*bench.http, other).value();
  const auto info = bench.run(open->info());
  REQUIRE(info.ok());
  CHECK(info.value().dimension == 4);
  CHECK(info.value().version == "1.18.3");
  CHECK(info.value().backend == "qdrant");

  CHECK(bench.run(bench.store->drop()).value());
  CHECK_FALSE(bench.run(bench.store->drop()).value());
  CHECK(bench.run(QdrantStore::make(*bench.http, other).value()->ensure()).code() == Code::kInvalidConfig);
}

TEST_CASE("without its collection every call says so") {
  Bench bench(options_of(2));
  const std::string words = "Collection 'docs' not found";
  const auto check = [&](const Error& error) {
    CHECK(error.code == Code::kNotFound);
    CHECK(error.message == words);
  };
  std::vector<StoreQuery> queries(1);
  queries[0].vector = {1, 0};
  check(bench.run(bench.store->search(std::move(queries))).error());
  check(bench.run(bench.store->upsert({point_of("a", {1, 0})})).error());
  check(bench.run(bench.store->get({"a"}, kAll)).error());
  check(bench.run(bench.store->remove({"a"})).error());
  check(bench.run(bench.store->remove_matching(filter_of(R"({"a":1})"))).error());
  check(bench.run(bench.store->count(std::nullopt)).error());
  check(bench.run(bench.store->scroll(std::nullopt, "", 1, kAll)).error());
  check(bench.run(bench.store->clear()).error());
  check(bench.run(bench.store->info()).error());
  check(bench.run(bench.store->create_snapshot()).error());
  CHECK(bench.run(bench.store->health()).ready);
}

TEST_CASE("fields of filters get an index when servers want one") {
  QdrantOptions options = options_of(2);
  options.payload_index = true;
  Bench bench(options);
  bench.fill({point_of("a", {1, 0}, R"({"year":3})")});
  CHECK(bench.run(bench.store->count(filter_of(R"({"year":{"$gt":1},"tag":{"$ne":"x"}})"))).value() == 1);
  CHECK(bench.server.indexes["year"] == "float");
  CHECK(bench.server.indexes["tag"] == "keyword");
  const size_t made = bench.server.count("PUT", "/index");
  CHECK(bench.run(bench.store->count(filter_of(R"({"year":"text"})"))).value() == 0);
  CHECK(bench.server.count("PUT", "/index") == made);
}

TEST_CASE("a key that may only read filters without indexes") {
  QdrantOptions options = options_of(2);
  options.payload_index = true;
  Bench bench(options);
  bench.fill({point_of("a", {1, 0}, R"({"year":3})")});
  size_t refused = 0;
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
    if (request.method != "PUT") return bench.server.handle(request);
    ++refused;
    return NetworkReply::of(403, "Write access required");
  });
  for (int i = 0; i < 2; ++i) {
    CHECK(bench.run(bench.store->count(filter_of(R"({"year":{"$gt":1}})"))).value() == 1);
    CHECK(refused == 1);
  }
  // Nor is one that cannot be made just now a reason to give no answer.
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
    return request.method == "PUT" ? NetworkReply::stall() : bench.server.handle(request);
  });
  CHECK(bench.run(bench.store->count(filter_of(R"({"tag":"x"})"))).value() == 0);
}

TEST_CASE("a piece of a string is not asked for where words are indexed") {
  Bench bench(options_of(2));
  bench.fill({point_of("a", {1, 0}, R"({"title":"a fox","list":["a fox"]})")});
  CHECK(bench.run(bench.store->count(filter_of(R"({"title":{"$contains":"fo"}})"))).value() == 1);
  CHECK(bench.run(bench.store->count(filter_of(R"({"list":{"$contains":"fo"}})"))).value() == 0);
  CHECK(bench.run(bench.store->count(filter_of(R"({"list":{"$contains":"a fox"}})"))).value() == 1);
  bench.server.indexes["title"] = "text";
  const auto refused = bench.run(bench.store->count(filter_of(R"({"$and":[{"title":{"$contains":"fo"}}]})")));
  REQUIRE(refused.code() == Code::kUnsupported);
  CHECK(refused.error().message.starts_with("filter.$and[0].title.$contains: "));
  CHECK(bench.run(bench.store->count(filter_of(R"({"list":{"$contains":"a fox"}})"))).value() == 1);
}

TEST_CASE("hybrid searches fuse the legs as a collection does") {
  Bench bench(hybrid_of(4));
  Random random(5);
  static const char* const kWords[] = {"fox", "dog", "tree", "house", "river"};
  std::vector<StorePoint> points;
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (uint64_t j = random.below(uint64_t{6}); j > 0; --j) text += std::string(kWords[random.below(5)]) + ' ';
    points.push_back(
        point_of("p" + std::to_string(i), random_vector(random, 4), R"({"i":)" + std::to_string(i) + "}", text));
    if (i % 3 == 0) points.back().sparse = {{static_cast<uint32_t>(i % 7), 100}, {random.between(0, 1), 1}};
  }
  bench.fill(points);
  const std::vector<float> vector = random_vector(random, 4);
  const auto search = [&](SearchMode mode, size_t k, size_t offset, std::optional<Fusion> fusion, bool sparse = false) {
    std::vector<StoreQuery> queries(1);
    queries[0].vector = vector;
    if (sparse) {
      queries[0].sparse = {{3, 100}, {1, 0.5f}};
    } else {
      queries[0].text = "the fox of the rivers";
    }
    queries[0].mode = mode;
    queries[0].k = k;
    queries[0].offset = offset;
    queries[0].fusion = fusion;
    auto found = bench.run(bench.store->search(std::move(queries)));
    INFO((found.ok() ? "" : found.error().message));
    REQUIRE(found.ok());
    return std::move(found.value()[0]);
  };
  const auto scored = [](const std::vector<StoreHit>& hits) {
    std::vector<Scored> out;
    for (const StoreHit& hit : hits) out.push_back({static_cast<RowId>(std::stoul(hit.point.id.substr(1))), hit.score});
    return out;
  };
  const std::vector<Scored> dense = scored(search(SearchMode::kDense, 100, 0, {}));
  const std::vector<Scored> text = scored(search(SearchMode::kText, 100, 0, {}));
  CHECK(text.size() == 100);
  for (const Fusion& fusion :
       {Fusion(ReciprocalRank{60, 1, 1}), Fusion(ReciprocalRank{10, 2, 1}), Fusion(Convex{0.7})}) {
    std::vector<FusedRow> expected = fuse(fusion, dense, text);
    std::sort(expected.begin(), expected.end(), [](const FusedRow& a, const FusedRow& b) {
      return a.score != b.score ? a.score > b.score : "p" + std::to_string(a.row) < "p" + std::to_string(b.row);
    });
    const std::vector<StoreHit> hits = search(SearchMode::kAuto, 15, 5, fusion);
    REQUIRE(hits.size() == 15);
    for (size_t i = 0; i < hits.size(); ++i) {
      CHECK(hits[i].point.id == "p" + std::to_string(expected[i + 5].row));
      CHECK(hits[i].score == expected[i + 5].score);
      CHECK(hits[i].text.has_value() == expected[i + 5].text.has_value());
      CHECK(hits[i].point.payload == R"({"i":)" + hits[i].point.id.substr(1) + "}");
    }
  }
  // Both in one request.
  CHECK(bench.server.count("POST", "/points/query/batch") == 3);
  const std::vector<StoreHit> sparse = search(SearchMode::kAuto, 10, 0, {}, true);
  CHECK(sparse.size() == 10);
  CHECK(std::any_of(sparse.begin(), sparse.end(), [](const StoreHit& hit) { return hit.sparse.has_value(); }));

  std::vector<StoreQuery> nothing(1);
  nothing[0].text = "?!";
  CHECK(bench.run(bench.store->search(std::move(nothing))).value()[0].empty());
}

TEST_CASE("what cannot be asked is refused before anything is sent") {
  Bench bench(options_of(2));
  bench.fill({});
  const uint64_t before = bench.network.requests();
  const auto code = [&](auto change) {
    std::vector<StoreQuery> queries(1);
    queries[0].vector = {1, 0};
    change(queries[0]);
    return bench.run(bench.store->search(std::move(queries))).code();
  };
  CHECK(code([](StoreQuery& query) { query.vector = {1}; }) == Code::kDimensionMismatch);
  CHECK(code([](StoreQuery& query) { query.vector = {1, NAN}; }) == Code::kInvalidArgument);
  CHECK(code([](StoreQuery& query) { query.vector = {}; }) == Code::kInvalidArgument);
  CHECK(code([](StoreQuery& query) { query.text = "x"; }) == Code::kInvalidArgument);
  CHECK(code([](StoreQuery& query) { query.sparse = {{1}, {1}}; }) == Code::kUnsupported);
  CHECK(code([](StoreQuery& query) { query.k = 0; }) == Code::kInvalidArgument);
  CHECK(code([](StoreQuery& query) { query.offset = 10'000; }) == Code::kInvalidArgument);
  CHECK(code([](StoreQuery& query) { query.nprobe = 3; }) == Code::kUnsupported);
  CHECK(code([](StoreQuery& query) { query.rescore = 3; }) == Code::kUnsupported);
  CHECK(code([](StoreQuery& query) { query.filter = filter_of(R"({"a":[1]})"); }) == Code::kUnsupported);
  const auto write = [&](StorePoint point) { return bench.run(bench.store->upsert({std::move(point)})).code(); };
  CHECK(write(point_of("", {1, 0})) == Code::kInvalidArgument);
  CHECK(write(point_of("a", {1})) == Code::kDimensionMismatch);
  CHECK(write(point_of("a", {1, INFINITY})) == Code::kInvalidArgument);
  CHECK(write(point_of("a", {1, 0}, "[]")) == Code::kFormatError);
  CHECK(write(point_of("a", {1, 0}, "", "\xFF")) == Code::kInvalidArgument);
  CHECK(bench.run(bench.store->upsert({point_of("a"), point_of("a")})).code() == Code::kInvalidArgument);
  CHECK(bench.run(bench.store->upsert({})).ok());
  CHECK(bench.run(bench.store->scroll(std::nullopt, "", 0, kAll)).code() == Code::kInvalidArgument);
  CHECK(bench.run(bench.store->scroll(std::nullopt, "?", 1, kAll)).code() == Code::kInvalidArgument);
  CHECK(bench.network.requests() == before);
  CHECK(bench.run(bench.store->close()).ok());
  CHECK(bench.run(bench.store->count(std::nullopt)).code() == Code::kClosed);
}

TEST_CASE("writes go in batches, and one that is too large goes in halves") {
  QdrantOptions options = options_of(2);
  options.batches.max_items = 7;
  Bench bench(options);
  std::vector<StorePoint> points;
  for (int i = 0; i < 30; ++i) points.push_back(point_of("p" + std::to_string(i), {1, 0}, "", std::string(300, 'x')));
  bench.server.max_body = 1'500;
  points.push_back(point_of("large", {1, 0}, "", std::string(2'000, 'x')));
  REQUIRE(bench.run(bench.store->ensure()).ok());
  const auto report = bench.run(bench.store->upsert(points));
  REQUIRE(report.ok());
  CHECK(report.value().ok.size() == 30);
  REQUIRE(report.value().failed.size() == 1);
  CHECK(report.value().failed[0].id == "large");
  CHECK(report.value().failed[0].code == Code::kLimitExceeded);
  CHECK(bench.server.points.size() == 30);
}

TEST_CASE("snapshots are made, listed and deleted") {
  Bench bench(options_of(2));
  bench.fill({});
  const auto made = bench.run(bench.store->create_snapshot());
  REQUIRE(made.ok());
  CHECK(made.value().bytes == 7);
  const auto listed = bench.run(bench.store->list_snapshots());
  REQUIRE(listed.ok());
  REQUIRE(listed.value().size() == 1);
  CHECK(listed.value()[0].name == made.value().name);
  CHECK(bench.run(bench.store->delete_snapshot(made.value().name)).ok());
  CHECK(bench.run(bench.store->delete_snapshot(made.value().name)).code() == Code::kNotFound);
  CHECK(bench.run(bench.store->delete_snapshot("..")).code() == Code::kInvalidArgument);
}

TEST_CASE("answers that are not what they should be are errors, and the next call is as good as ever") {
  Bench bench(options_of(2));
  bench.fill({point_of("a", {1, 0}, R"({"x":1})"), point_of("b", {0, 1})});
  std::string deep(100'000, '[');
  const std::string uuid = derived_uuid("a");
  const auto enveloped = [](const std::string& result) {
    return R"({"status":"ok","time":0,"result":)" + result + "}";
  };
  const auto hit = [&](const std::string& rest) {
    return enveloped(R"({"points":[{"id":")" + uuid + R"(","payload":{"_nearfield":{"id":"a"}})" + rest + "}]}");
  };
  const auto point = [&](const std::string& rest) {
    return enveloped(R"([{"id":")" + uuid + R"(","payload":{"_nearfield":{"id":"a"}})" + rest + "}]");
  };
  const std::vector<std::string> any = {"",
                                        "<html>log in</html>",
                                        "null",
                                        "[]",
                                        "{}",
                                        "1",
                                        "\"x\"",
                                        "{\"result\":{}",
                                        deep,
                                        R"({"result":[],"status":{"error":"not so"},"time":0})",
                                        R"({"status":"ok","time":0})",
                                        R"({"result":[],"result":[],"status":"ok"})",
                                        enveloped("null"),
                                        enveloped("7"),
                                        enveloped("\"x\""),
                                        std::string(kKey) + " is what you sent",
                                        R"({"status":"ok","result":{"echo":")" + std::string(kKey) + "\"}}"};
  const std::vector<std::string> searches = {
      enveloped("[]"),
      enveloped(R"({"points":{}})"),
      enveloped(R"({"points":[1]})"),
      enveloped(R"({"points":[{}]})"),
      enveloped(R"({"points":[{"id":-1,"score":1}]})"),
      enveloped(R"({"points":[{"id":1.5,"score":1}]})"),
      enveloped(R"({"points":[{"id":"foo","score":1}]})"),
      enveloped(R"({"points":[{"id":null,"score":1}]})"),
      enveloped(R"({"points":[{"id":1,"score":1},{"id":1,"score":1}]})"),
      enveloped(R"({"points":[{"id":1,"score":1},{"id":2,"score":1},{"id":3,"score":1}]})"),
      hit(""),
      hit(R"(,"score":null)"),
      hit(R"(,"score":"1")"),
      hit(R"(,"score":NaN)"),
      hit(R"(,"score":1e999)"),
      hit(R"(,"score":1,"vector":[1])"),
      hit(R"(,"score":1,"vector":[1,"0"])"),
      hit(R"(,"score":1,"vector":[1,1e39])"),
      hit(R"(,"score":1,"vector":7)"),
      enveloped(R"({"points":[{"id":1,"score":1,"payload":[]}]})"),
      enveloped(R"({"points":[{"id":1,"score":1,"payload":"x"}]})"),
      enveloped(R"({"points":[{"id":1,"score":1,"payload":{"_nearfield":{"norm":-1}},"vector":[1,0]}]})"),
      enveloped(R"({"points":[{"id":1,"score":1,"payload":{"_nearfield":{"norm":1e300}},"vector":[1,0]}]})"),
      enveloped(R"({"points":[{"id":1,"score":1,"payload":{"_nearfield":{"payload":"[]"}}}]})"),
      enveloped(R"({"points":[{"id":1,"score":1,"payload":{"_nearfield":{"payload":"{"}}}]})")};
  const std::vector<std::string> gets = {enveloped("{}"), enveloped("[1]"), enveloped(R"([{"id":1}])"),
                                         point("},{\"id\":\"" + uuid + "\""), point(R"(,"vector":[1,2,3])")};
  const std::vector<std::string> counts = {enveloped("{}"), enveloped(R"({"count":-1})"), enveloped(R"({"count":1.5})"),
                                           enveloped(R"({"count":"3"})")};
  const std::vector<std::string> scrolls = {
      enveloped("[]"),
      enveloped(R"({"points":[{"id":1},{"id":1}],"next_page_offset":null})"),
      enveloped(R"({"points":[{"id":1}],"next_page_offset":1})"),
      enveloped(R"({"points":[{"id":1}],"next_page_offset":"x"})"),
      enveloped(R"({"points":[{"id":1}],"next_page_offset":{}})"),
      enveloped(R"({"points":[{"id":1},{"id":2},{"id":3}],"next_page_offset":null})")};
  const std::vector<std::string> writes = {enveloped("{}"), enveloped("true"), enveloped(R"({"status":"failed"})"),
                                           enveloped(R"({"status":1})")};

  const auto check = [&](const char* operation, std::vector<std::string> bodies, auto call) {
    bodies.insert(bodies.end(), any.begin(), any.end());
    for (const std::string& body : bodies) {
      bench.network.set_handler([&](const HttpEffect&, uint64_t) { return NetworkReply::of(200, body); });
      const Error error = call();
      bench.network.set_handler([&](const HttpEffect& request, uint64_t) { return bench.server.handle(request); });
      INFO(operation << " answered by " << body.substr(0, 200) << " is " << error.message);
      CHECK(error.code == Code::kRemoteProtocolError);
      CHECK(error.message.find(kKey) == std::string::npos);
      CHECK(error.message.size() < 500);
    }
    CHECK(bench.run(bench.store->get({"a"}, kAll)).value().size() == 1);
  };
  const auto error_of = [](auto result) { return result.ok() ? Error{Code::kOk, "accepted", ""} : result.error(); };
  check("search", searches, [&] {
    std::vector<StoreQuery> queries(1);
    queries[0].vector = {1, 0};
    queries[0].k = 2;
    queries[0].parts = kAll;
    return error_of(bench.run(bench.store->search(std::move(queries))));
  });
  check("batch search", {enveloped("[]"), enveloped(R"([{"points":[]}])"), enveloped(R"([{"points":[]},{}])")}, [&] {
    std::vector<StoreQuery> queries(2);
    for (StoreQuery& query : queries) query.vector = {1, 0};
    return error_of(bench.run(bench.store->search(std::move(queries))));
  });
  check("get", gets, [&] { return error_of(bench.run(bench.store->get({"a", "b"}, kAll))); });
  check("count", counts, [&] { return error_of(bench.run(bench.store->count(std::nullopt))); });
  check("scroll", scrolls, [&] { return error_of(bench.run(bench.store->scroll(std::nullopt, "", 2, kAll))); });
  // A page after another begins later. One whose points were deleted meanwhile is empty, and not the last.
  const auto on_from_10 = [&] { return bench.run(bench.store->scroll(std::nullopt, "10", 2, kAll)); };
  check("scroll from 10",
        {enveloped(R"({"points":[],"next_page_offset":10})"), enveloped(R"({"points":[],"next_page_offset":9})"),
         enveloped(R"({"points":[{"id":11}],"next_page_offset":2})")},
        [&] { return error_of(on_from_10()); });
  for (const std::string& next : std::vector<std::string>{"11", "100", "\"" + uuid + "\""}) {
    bench.network.set_handler([&](const HttpEffect&, uint64_t) {
      return NetworkReply::of(200, enveloped(R"({"points":[],"next_page_offset":)" + next + '}'));
    });
    const auto page = on_from_10();
    REQUIRE(page.ok());
    CHECK(page.value().points.empty());
    CHECK(page.value().next == (next[0] == '"' ? uuid : next));
  }
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) { return bench.server.handle(request); });
  check("clear", writes, [&] { return error_of(bench.run(bench.store->clear())); });
  check("drop", {}, [&] { return error_of(bench.run(bench.store->drop())); });
  check("ensure", {enveloped(R"({"config":{"params":{"vectors":{"size":"2","distance":"Cosine"}}}})")},
        [&] { return error_of(bench.run(bench.store->ensure())); });
  check("snapshot", {enveloped(R"({"name":"","size":1})"), enveloped(R"({"name":"x","size":-1})")},
        [&] { return error_of(bench.run(bench.store->create_snapshot())); });

  // What was sent and answered badly may have been written.
  for (const std::string& body : writes) {
    bench.network.set_handler([&](const HttpEffect&, uint64_t) { return NetworkReply::of(200, body); });
    const auto report = bench.run(bench.store->upsert({point_of("c", {1, 0})}));
    REQUIRE(report.ok());
    CHECK(report.value().unknown == std::vector<std::string>{"c"});
  }
  bench.network.set_handler([&](const HttpEffect&, uint64_t) {
    return NetworkReply::of(200, enveloped(R"({"operation_id":1,"status":"acknowledged"})"));
  });
  CHECK(bench.run(bench.store->upsert({point_of("c", {1, 0})})).value().unknown.size() == 1);
  CHECK(bench.run(bench.store->clear()).code() == Code::kTimeout);
}

TEST_CASE("pages and lists shrink where answers are too long") {
  Bench bench(options_of(2), HttpOptions{.max_body_bytes = 4'000});
  std::vector<StorePoint> points;
  for (int i = 0; i < 40; ++i) points.push_back(point_of(std::to_string(i), {1, 0}, "", std::string(300, 'x')));
  bench.fill(points);
  size_t seen = 0;
  std::string from;
  do {
    const auto page = bench.run(bench.store->scroll(std::nullopt, from, 40, kAll));
    REQUIRE(page.ok());
    seen += page.value().points.size();
    from = page.value().next;
  } while (!from.empty());
  CHECK(seen == 40);
  CHECK(bench.run(bench.store->get(ids_of(points), kAll)).value().size() == 40);
}

TEST_CASE("calls end at once when they are cancelled") {
  Bench bench(options_of(2));
  bench.fill({});
  auto task = bench.store->upsert({point_of("a", {1, 0})});
  bench.network.start(task);
  bench.network.abort();
  REQUIRE(task.done());
  CHECK(task.take().code() == Code::kAborted);
  CHECK(bench.network.pending() == 0);
}

// What a real server was asked and answered (../shared/contracts/recordings), by name.
namespace {

std::map<std::string, Json> recordings() {
  std::map<std::string, Json> out;
  std::ifstream file(NEARFIELD_SOURCE_DIR "/../shared/contracts/recordings/qdrant.jsonl");
  for (std::string line; std::getline(file, line);) {
    Json exchange = Json::parse(line);
    if (exchange.contains("name")) out[exchange["name"].get<std::string>()] = exchange;
  }
  return out;
}

}  // namespace

TEST_CASE("recorded answers of a real server are read, and its recorded requests are what we send") {
  const std::map<std::string, Json> recorded = recordings();
  if (recorded.empty()) {
    WARN("skipped: ../shared/contracts/recordings is absent");
    return;
  }
  Bench bench(options_of(4));
  std::vector<std::string> waiting;
  std::vector<QdrantServer::Request> sent;
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
    REQUIRE_FALSE(waiting.empty());
    const Json& exchange = recorded.at(waiting.front());
    INFO(waiting.front());
    waiting.erase(waiting.begin());
    const std::string text(request.body.begin(), request.body.end());
    sent.push_back({request.method, request.url.substr(std::string("https://db.example.com").size()),
                    text.empty() ? Json() : Json::parse(text)});
    CHECK(request.method == exchange["request"]["method"].get<std::string>());
    CHECK(request.url.ends_with(exchange["request"]["path"].get<std::string>()));
    const Json& body = exchange["response"]["body"];
    return NetworkReply::of(exchange["response"]["status"].get<uint64_t>(),
                            body.is_string() ? body.get<std::string>() : body.dump());
  });
  const auto replay = [&](std::vector<std::string> names, auto task) {
    waiting = std::move(names);
    sent.clear();
    auto out = bench.run(std::move(task));
    CHECK(waiting.empty());
    return out;
  };
  QdrantStore& store = *bench.store;
  const auto hits_of = [&](const std::string& name, auto change) {
    std::vector<StoreQuery> queries(1);
    queries[0].vector = {1, 0, 0, 0};
    change(queries[0]);
    auto found = replay({name}, store.search(std::move(queries)));
    INFO((found.ok() ? "" : found.error().message));
    REQUIRE(found.ok());
    return std::move(found.value()[0]);
  };
  const auto same = [&](const std::string& name, const char* member) {
    return sent.back().body[member] == recorded.at(name)["request"]["body"][member];
  };

  CHECK(replay({"info-missing", "create"}, store.ensure()).value().created);
  CHECK(sent[1].body["vectors"] == recorded.at("create")["request"]["body"]["vectors"]);
  CHECK(replay({"info-missing", "create-again", "info"}, store.ensure()).ok());
  CHECK(replay({"delete-missing-collection"}, store.drop()).value() == false);
  CHECK(replay({"drop-docs"}, store.drop()).value());
  CHECK(replay({"query-missing-collection"},
               [&] {
                 std::vector<StoreQuery> queries(1);
                 queries[0].vector = {1, 0, 0, 0};
                 return store.search(std::move(queries));
               }())
            .error()
            .message == "Collection 'docs' not found");
  CHECK(replay({"count"}, store.count(std::nullopt)).value() == 9);
  CHECK(sent[0].body == recorded.at("count")["request"]["body"]);
  CHECK(replay({"count-filter"}, store.count(filter_of(R"({"tag":"red"})"))).value() == 2);
  CHECK(replay({"upsert"}, store.upsert({point_of("1", {1, 0, 0, 0})})).value().ok.size() == 1);

  const auto all = hits_of("query", [](StoreQuery& query) { query.parts = kAll; });
  REQUIRE(all.size() == 9);
  CHECK(all[0].point.id == "1");
  CHECK(Json::parse(all[0].point.payload)["year"] == 2020);
  CHECK(std::abs(all[1].score - 0.6) < 1e-6);
  CHECK(all[0].point.vector == std::vector<float>{1, 0, 0, 0});
  CHECK(hits_of("query-exact", [](StoreQuery& query) { query.k = 3, query.exact = true; }).size() == 3);
  CHECK(same("query-exact", "params"));
  const auto filtered = [&](const std::string& name, const std::string& filter, bool equal) {
    const auto hits = hits_of(name, [&](StoreQuery& query) { query.filter = filter_of(filter); });
    CHECK(hits.size() == recorded.at(name)["response"]["body"]["result"]["points"].size());
    if (equal) CHECK(same(name, "filter"));
  };
  filtered("filter-any", R"({"tag":{"$in":["red","blue"]}})", false);
  filtered("filter-float-eq", R"({"price":1.5})", true);
  filtered("filter-bool", R"({"ok":true})", true);
  filtered("filter-has-id-empty", R"({"tag":{"$in":[]}})", true);
  filtered("filter-keyword", R"({"tag":"red"})", false);
  filtered("filter-must-not", R"({"tag":{"$ne":"red"}})", false);

  std::vector<StoreQuery> two(2);
  for (StoreQuery& query : two) query.vector = {1, 0, 0, 0}, query.k = 2;
  const auto batch = replay({"batch-query"}, store.search(std::move(two)));
  REQUIRE(batch.ok());
  CHECK(batch.value()[1][0].point.id == "3");
  std::vector<StoreQuery> bad(2);
  for (StoreQuery& query : bad) query.vector = {1, 0, 0, 0};
  const auto refused = replay({"batch-query-one-bad"}, store.search(std::move(bad)));
  CHECK(refused.code() == Code::kDimensionMismatch);
  CHECK(refused.error().message == "Vector dimension mismatch: expected 4, got 2");

  const std::string four = "00000000-0000-4000-8000-000000000004";
  const auto got = replay({"retrieve"}, store.get({four, "999", "1", "00000000-0000-4000-8000-000000000077"}, kAll));
  REQUIRE(got.ok());
  REQUIRE(got.value().size() == 2);
  CHECK(got.value()[0].id == four);
  CHECK(std::set<Json>(sent[0].body["ids"].begin(), sent[0].body["ids"].end()) ==
        std::set<Json>({1, 999, four, "00000000-0000-4000-8000-000000000077"}));
  const StoreParts vectors{.payload = false, .text = false, .vector = true};
  const auto page = replay({"scroll-1"}, store.scroll(std::nullopt, "", 4, vectors));
  REQUIRE(page.ok());
  CHECK(page.value().next == "11");
  CHECK(ids_of(page.value().points) == std::vector<std::string>{"1", "2", "3", "10"});
  CHECK(same("scroll-1", "limit"));
  const auto second = replay({"scroll-2"}, store.scroll(std::nullopt, page.value().next, 4, vectors));
  REQUIRE(second.ok());
  CHECK(same("scroll-2", "offset"));
  CHECK(second.value().next == "00000000-0000-4000-8000-000000000006");
  const auto third = replay({"scroll-3"}, store.scroll(std::nullopt, second.value().next, 4, vectors));
  CHECK(same("scroll-3", "offset"));
  CHECK(third.value().next.empty());

  CHECK(replay({"clear-by-empty-filter"}, store.clear()).ok());
  CHECK(sent[0].body == recorded.at("clear-by-empty-filter")["request"]["body"]);
  CHECK(replay({"count", "delete-filter"}, store.remove_matching(filter_of(R"({"tag":{"$in":["zero"]}})"))).value() ==
        9);
  const auto made = replay({"snapshot-create"}, store.create_snapshot());
  REQUIRE(made.ok());
  CHECK(made.value().bytes == 444'928);
  CHECK(replay({"snapshot-list"}, store.list_snapshots()).value().size() == 1);
  CHECK(replay({"snapshot-delete"}, store.delete_snapshot(made.value().name)).ok());
  CHECK(replay({"snapshot-delete-missing"}, store.delete_snapshot("nope.snapshot")).code() == Code::kNotFound);
  const auto strict = replay({"strict-unindexed"}, [&] {
    std::vector<StoreQuery> queries(1);
    queries[0].vector = {1, 0, 0, 0};
    queries[0].filter = filter_of(R"({"nested.a.b":1})");
    return store.search(std::move(queries));
  }());
  CHECK(strict.code() == Code::kRemoteRejected);
  CHECK(strict.error().message.find("Index required but not found") != std::string::npos);
}
