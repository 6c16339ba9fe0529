// ChromaStore over a small server of its kind: it answers as Collection does, and trusts nothing.
#include "core/remote/chroma_store.h"

#include <catch_amalgamated.hpp>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "tests/support/chroma_server.h"
#include "tests/support/network.h"
#include "tests/support/store_points.h"

using namespace nearfield;

namespace {

ChromaOptions options_of(size_t dimension, Metric metric = Metric::kCosine) {
  ChromaOptions out;
  out.collection = "docs";
  out.dimension = dimension;
  out.metric = metric;
  return out;
}

struct Bench {
  explicit Bench(ChromaOptions options, HttpOptions policy = {}) {
    HttpServer address;
    address.name = "Chroma";
    address.url = Url::parse("https://db.example.com", 8000).value();
    address.key = Secret(std::string(kKey));
    address.key_header = "x-chroma-token";
    http = HttpClient::make(network.effects(), std::move(address), policy, 1).value();
    store = ChromaStore::make(*http, std::move(options)).value();
  }

  template <typename T>
  T run(Task<T> task) {
    return network.run(std::move(task));
  }
  void fill(std::vector<StorePoint> points) {
    REQUIRE(run(store->ensure()).ok());
    const Result<WriteReport> report = run(store->upsert(std::move(points)));
    INFO((report.ok() ? "" : report.error().message));
    REQUIRE(report.ok());
    REQUIRE(report.value().failed.empty());
    REQUIRE(report.value().unknown.empty());
  }
  Result<std::vector<std::vector<StoreHit>>> search(StoreQuery query) {
    std::vector<StoreQuery> queries;
    queries.push_back(std::move(query));
    return run(store->search(std::move(queries)));
  }

  ChromaServer server{"docs"};
  Network network{[this](const HttpEffect& request, uint64_t) { return server.handle(request); }};
  std::unique_ptr<HttpClient> http;
  std::unique_ptr<ChromaStore> store;
};

StoreQuery query_of(std::vector<float> vector) {
  StoreQuery out;
  out.vector = std::move(vector);
  return out;
}

}  // namespace

TEST_CASE("searches of Chroma find what a collection finds, with its scores") {
  const std::vector<std::string> filters = {
      R"({})",
      R"({"tag":"red"})",
      R"({"year":{"$gte":2010,"$lt":2020}})",
      R"({"$or":[{"tags":{"$contains":"deep"}},{"price":{"$gt":2.5}}]})",
      R"({"note":{"$exists":true},"tag":{"$ne":"blue"}})",
      R"({"author.name":{"$in":["red",null]}})",
      R"({"$not":{"$or":[{"tag":"red"},{"year":{"$lt":2015.5}}]}})",
      R"({"tag":{"$in":[]}})",
  };
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean}) {
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
      const size_t before = bench.server.count("POST", "/query");
      std::vector<StoreQuery> queries(20);
      std::vector<std::vector<float>> vectors;
      std::vector<SearchRequest> requests(queries.size());
      for (size_t i = 0; i < queries.size(); ++i) {
        queries[i].vector = random_vector(random, 8);
        queries[i].filter = filter_of(filter);
        queries[i].offset = requests[i].offset = random.below(size_t{3});
        queries[i].k = requests[i].k = 1 + random.below(size_t{20});
        queries[i].exact = i >= 15;
        queries[i].parts = kAll;
        requests[i].filter = filter_of(filter);
        requests[i].exact = true;
        vectors.push_back(queries[i].vector);
      }
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
          CHECK(hits[j].point.payload == hit.row.payload);
          CHECK(hits[j].point.text == hit.row.text);
          CHECK(hits[j].point.vector.size() == 8);
          REQUIRE(hits[j].dense.has_value());
          CHECK(hits[j].dense->rank == requests[i].offset + j + 1);
        }
      }
      // Those that differ in their vectors alone share a request, and what matches nothing needs none. One more, or
      // two, where lists end among equal scores.
      const size_t sent = bench.server.count("POST", "/query") - before;
      CHECK((filter == filters.back() ? sent == 0 : sent >= 1 && sent <= 3));
      const auto count = bench.run(bench.store->count(filter_of(filter)));
      REQUIRE(count.ok());
      const Filter parsed = filter_of(filter);
      CHECK(count.value() == collection.count_matching(&parsed));
    }
  }
}

TEST_CASE("a least score of a search of Chroma is kept, and no part that was not asked for is fetched") {
  Bench bench(options_of(2, Metric::kEuclidean));
  bench.fill({point_of("a", {0, 0}, "{}", "x"), point_of("b", {0, 2}), point_of("c", {0, 3})});
  StoreQuery query = query_of({0, 0});
  query.min_score = -2;
  query.parts = {.payload = false, .text = false, .vector = false};
  const auto found = bench.search(std::move(query));
  REQUIRE(found.ok());
  REQUIRE(found.value()[0].size() == 2);
  CHECK(found.value()[0][1].point.id == "b");
  CHECK(found.value()[0][1].score == -2);
  CHECK(bench.server.requests.back().body["include"] == Json({"distances"}));
}

TEST_CASE("points come back from Chroma as they were given") {
  Bench bench(options_of(3));
  const std::vector<StorePoint> points = {
      point_of("doc-1", {3, 4, 0}, R"( {"b":1, "a":1.0} )", "some text"),
      point_of("42", {1, 0, 0}, R"({})"),
      point_of("#x", {0, 0, 0}, R"({"n":9223372036854775807,"u":18446744073709551615,"m":-9007199254740993})"),
      point_of("550e8400-e29b-41d4-a716-446655440000", {1e-20f, 0, 1e-20f}),
      point_of("550E8400-E29B-41D4-A716-446655440000", {1e30f, -3e30f, 2},
               R"({"chroma:document":null,"_nearfield":{"id":"x"},"$a":1,"#b":2,"":3,"_nearfield.payload":"no"})",
               "own"),
      point_of("ü\n\"\\", {0.1f, 0.2f, 0.3f},
               R"({"nested":[[1,[2]],[]],"empty":[],"f":0.30000000000000004,"big":1e300,"z":[[{"k":[]}]]})", "t\x01"),
      point_of(std::string(1024, 'i'), {1, 1, 1}),
  };
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
    CHECK(point.payload == points[i].payload);
    REQUIRE(point.vector.size() == points[i].vector.size());
    for (size_t j = 0; j < point.vector.size(); ++j) {
      CHECK(std::abs(point.vector[j] - points[i].vector[j]) <= 2e-7f * std::abs(points[i].vector[j]));
    }
  }
  CHECK(found.value().back().id == "doc-1");
  // Their norms are no floats: what the server got is.
  CHECK(std::abs(bench.server.find(points[4].id)->vector[1]) < 1);
  const auto hits = bench.search(query_of({1e30f, -3e30f, 0}));
  REQUIRE(hits.ok());
  CHECK(hits.value()[0][0].point.id == points[4].id);
  CHECK(std::abs(hits.value()[0][0].score - 1) < 1e-4);
  const auto bare = bench.run(bench.store->get({"doc-1"}, {.payload = false, .text = false, .vector = true}));
  REQUIRE(bare.ok());
  CHECK(bare.value()[0].text.empty());
  CHECK(bare.value()[0].payload.empty());
  CHECK(bare.value()[0].vector.size() == 3);
}

TEST_CASE("an upsert to Chroma replaces all of a point") {
  Bench bench(options_of(2));
  bench.fill({point_of("a", {1e30f, 0}, R"({"x":1,"tags":["p"],"deep":{"y":2}})", "text"),
              point_of("b", {0, 1}, R"({"x":1})")});
  bench.server.find("a")->metadata["others"] = "left here";
  bench.fill({point_of("a", {0, 1}, R"({"z":"new"})")});
  const auto again = bench.run(bench.store->get({"a"}, kAll));
  CHECK(again.value()[0].payload == R"({"z":"new"})");
  CHECK(again.value()[0].text.empty());
  CHECK(again.value()[0].vector == std::vector<float>{0, 1});
  std::set<std::string> keys;
  for (const auto& [key, value] : bench.server.find("a")->metadata.items()) keys.insert(key);
  CHECK(keys == std::set<std::string>{"_nearfield", "_nearfield.payload", "_nearfield.slot", "_nearfield.terms", "z"});
  CHECK(bench.run(bench.store->count(filter_of(R"({"x":1})"))).value() == 1);
  CHECK(bench.run(bench.store->count(filter_of(R"({"deep.y":{"$gt":1}})"))).value() == 0);
  bench.fill({point_of("a", {0, 1})});
  CHECK(bench.run(bench.store->get({"a"}, kAll)).value()[0].payload.empty());
  CHECK(bench.run(bench.store->count(filter_of(R"({"z":{"$exists":true}})"))).value() == 0);
  CHECK(bench.server.count("POST", "/delete") == 0);
}

// Somebody writes a record between our reading it and our writing it: its keys stay, and mean nothing to us.
TEST_CASE("what stays of a record of Chroma's changes no answer") {
  Bench bench(options_of(2));
  bench.fill({point_of("a", {1, 0}, R"({"n":9})")});
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
    if (request.url.ends_with("/get")) return NetworkReply::of(200, R"({"ids":[],"metadatas":[]})");
    return bench.server.handle(request);
  });
  const auto report = bench.run(bench.store->upsert({point_of("a", {1, 0}, R"({"m":1})")}));
  REQUIRE(report.ok());
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) { return bench.server.handle(request); });
  CHECK(bench.server.find("a")->metadata["n"] == 9);
  for (const char* filter : {R"({"n":9})", R"({"n":{"$gt":1}})", R"({"n":{"$exists":true}})", R"({"n":{"$lt":10}})"}) {
    CHECK(bench.run(bench.store->count(filter_of(filter))).value() == 0);
    CHECK(bench.run(bench.store->count(filter_of(R"({"$not":)" + std::string(filter) + "}"))).value() == 1);
  }
  CHECK(bench.run(bench.store->get({"a"}, kAll)).value()[0].payload == R"({"m":1})");
}

TEST_CASE("records that others wrote to Chroma are points, too") {
  Bench bench(options_of(2));
  bench.fill({point_of("mine", {1, 0}, R"({"year":2020,"tags":["red"]})")});
  bench.server.records.push_back({"7", {0, 1}, "body", {{"year", 2021}, {"price", 1.5}, {"tags", {"red", "blue"}}}});
  bench.server.records.push_back({"bare", {1, 1}, nullptr, nullptr});
  const auto found = bench.run(bench.store->get({"bare", "7"}, kAll));
  REQUIRE(found.value().size() == 2);
  CHECK(found.value()[0].payload.empty());
  CHECK(found.value()[0].text.empty());
  CHECK(found.value()[1].text == "body");
  CHECK(Json::parse(found.value()[1].payload) == bench.server.find("7")->metadata);
  const auto count = [&](const std::string& filter) {
    const auto counted = bench.run(bench.store->count(filter_of(filter)));
    return counted.ok() ? std::to_string(counted.value()) : counted.error().message.substr(0, 30);
  };
  CHECK(count(R"({"year":{"$gte":2020}})") == "2");
  CHECK(count(R"({"year":2021.0})") == "1");
  CHECK(count(R"({"price":{"$in":[1.5,2]}})") == "1");
  CHECK(count(R"({"tags":"red"})") == "2");
  CHECK(count(R"({"tags":{"$ne":"red"}})") == "1");
  CHECK(count(R"({"tags":{"$contains":"red"}})") == "filter.tags.$contains: Chroma ");
  CHECK(count(R"({"year":{"$exists":true}})") == "filter.year.$exists: Chroma ca");
  CHECK(bench.run(bench.store->remove({"7", "bare"})).value() == 2);
  CHECK(count(R"({"tags":{"$contains":"red"}})") == "1");
  bench.fill({point_of("string", {1, 0}, R"({"tags":"infrared"})")});
  CHECK(count(R"({"tags":{"$contains":"red"}})") == "filter.tags.$contains: Chroma ");
  CHECK(count(R"({"tags":{"$contains":7}})") == "0");
}

TEST_CASE("removing from Chroma tells how many there were, and nothing is removed by accident") {
  Bench bench(options_of(2));
  std::vector<StorePoint> points;
  for (int i = 0; i < 10; ++i) {
    points.push_back(point_of("p" + std::to_string(i), {1, 0}, i < 4 ? R"({"old":true})" : R"({"old":false})"));
  }
  bench.fill(points);
  CHECK(bench.run(bench.store->remove({})).value() == 0);
  CHECK(bench.run(bench.store->remove({"p9", "p9", "absent"})).value() == 1);
  CHECK(bench.run(bench.store->remove({"absent"})).value() == 0);
  CHECK(bench.server.count("POST", "/delete") == 1);
  CHECK(bench.run(bench.store->remove_matching(filter_of(R"({"old":true})"))).value() == 4);
  CHECK(bench.run(bench.store->remove_matching(filter_of(R"({"old":{"$in":[]}})"))).value() == 0);
  CHECK(bench.run(bench.store->remove_matching(filter_of(R"({"old":"neither"})"))).value() == 0);
  CHECK(bench.server.count("POST", "/delete") == 2);
  CHECK(bench.server.records.size() == 5);
  CHECK(bench.run(bench.store->count(std::nullopt)).value() == 5);
  CHECK(bench.run(bench.store->remove_matching(filter_of("{}"))).value() == 5);
  CHECK(bench.server.records.empty());
  bench.server.max_batch = 4;
  Bench small(options_of(2));
  small.server.max_batch = 40;
  small.server.uuid.clear();
  std::vector<StorePoint> many;
  for (int i = 0; i < 200; ++i) many.push_back(point_of(std::to_string(i), {1, 0}));
  small.fill(many);
  small.server.records.push_back({"others", {1, 1}, nullptr, nullptr});
  CHECK(small.run(small.store->clear()).ok());
  CHECK(small.server.records.empty());
  CHECK_FALSE(small.server.uuid.empty());
  for (const ChromaServer::Request& request : small.server.requests) {
    if (request.method == "POST" && request.path.ends_with("/upsert")) CHECK(request.body["ids"].size() <= 40);
  }
}

TEST_CASE("pages of Chroma have each point once, whatever is written meanwhile") {
  Bench bench(options_of(2));
  std::vector<StorePoint> points;
  for (int i = 0; i < 300; ++i) {
    points.push_back(point_of("p" + std::to_string(i), {1, 0}, i % 3 == 0 ? R"({"third":true})" : ""));
  }
  bench.fill(points);
  for (int i = 0; i < 20; ++i) bench.server.records.push_back({"o" + std::to_string(i), {1, 1}, nullptr, nullptr});
  for (const size_t limit : {size_t{1}, size_t{7}, size_t{64}, size_t{320}, size_t{10'000}}) {
    std::multiset<std::string> seen;
    std::string from;
    do {
      const auto page = bench.run(bench.store->scroll(std::nullopt, from, limit, kAll));
      INFO((page.ok() ? "" : page.error().message));
      REQUIRE(page.ok());
      REQUIRE(page.value().points.size() <= limit);
      for (const StorePoint& point : page.value().points) seen.insert(point.id);
      from = page.value().next;
    } while (!from.empty());
    CHECK(seen.size() == 320);
    CHECK(std::set<std::string>(seen.begin(), seen.end()).size() == 320);
  }
  std::set<std::string> third;
  std::string from;
  do {
    const auto page =
        bench.run(bench.store->scroll(filter_of(R"({"third":true})"), from, 9, {.payload = false, .text = false}));
    REQUIRE(page.ok());
    for (const StorePoint& point : page.value().points) CHECK(third.insert(point.id).second);
    from = page.value().next;
  } while (!from.empty());
  CHECK(third.size() == 100);

  // The points with an even number are there all the time.
  Random random(5);
  std::multiset<std::string> seen;
  do {
    const auto page = bench.run(bench.store->scroll(std::nullopt, from, 10, {.payload = false, .text = false}));
    REQUIRE(page.ok());
    for (const StorePoint& point : page.value().points) seen.insert(point.id);
    from = page.value().next;
    for (int i = 0; i < 5; ++i) {
      const std::string id = "p" + std::to_string(2 * random.below(150) + 1);
      REQUIRE(bench.run(bench.store->remove({id})).ok());
      REQUIRE(bench.run(bench.store->upsert({point_of("new" + id + from, {1, 1})})).ok());
    }
  } while (!from.empty());
  for (int i = 0; i < 300; i += 2) CHECK(seen.count("p" + std::to_string(i)) == 1);
  CHECK(std::set<std::string>(seen.begin(), seen.end()).size() == seen.size());

  for (const char* bad : {"x", "p", "o", "o1x", "o-1"}) {
    CHECK(bench.run(bench.store->scroll(std::nullopt, bad, 1, kAll)).code() == Code::kInvalidArgument);
  }
  for (const size_t limit : {size_t{0}, size_t{10'001}}) {
    CHECK(bench.run(bench.store->scroll(std::nullopt, "", limit, kAll)).code() == Code::kInvalidArgument);
  }
}

TEST_CASE("a Chroma collection is made as it is configured, and compared where it is there") {
  ChromaOptions options = options_of(3, Metric::kDot);
  options.m = 24;
  options.ef_construct = 200;
  options.ef = 64;
  Bench bench(options);
  const auto made = bench.run(bench.store->ensure());
  REQUIRE(made.ok());
  CHECK(made.value().created);
  CHECK(made.value().differences.empty());
  CHECK(bench.server.described["configuration"] ==
        Json::parse(R"({"hnsw":{"space":"ip","ef_construction":200,"max_neighbors":24,"ef_search":64}})"));
  const auto again = bench.run(bench.store->ensure());
  REQUIRE(again.ok());
  CHECK_FALSE(again.value().created);

  const auto ensured = [&](const ChromaOptions& other) {
    auto store = ChromaStore::make(*bench.http, other).value();
    return bench.run(store->ensure());
  };
  options.m = 16;
  const auto differs = ensured(options);
  REQUIRE(differs.ok());
  REQUIRE(differs.value().differences.size() == 1);
  CHECK(differs.value().differences[0].name == "m");
  CHECK(differs.value().differences[0].asked == "16");
  CHECK(differs.value().differences[0].found == "24");
  CHECK(ensured(options_of(3, Metric::kCosine)).code() == Code::kSchemaMismatch);
  const auto dimension = ensured(options_of(4, Metric::kDot));
  CHECK(dimension.code() == Code::kSchemaMismatch);
  CHECK(dimension.error().message == "Vector dimension mismatch: expected 4, got 3");
  bench.server.described.erase("metadata");
  CHECK(ensured(options_of(4, Metric::kDot)).ok());
  bench.fill({point_of("a", {1, 2, 3})});
  CHECK(ensured(options_of(4, Metric::kDot)).code() == Code::kSchemaMismatch);
  const auto info = bench.run(bench.store->info());
  REQUIRE(info.ok());
  CHECK(info.value().backend == "chroma");
  CHECK(info.value().version == "1.0.0");
  CHECK(info.value().count == 1);
  CHECK(info.value().dimension == 3);
  CHECK(Json::parse(info.value().details)["configuration_json"]["hnsw"]["max_neighbors"] == 24);
  CHECK(bench.run(bench.store->health()).ready);

  // Two make it at once.
  Bench race(options_of(3));
  bool first = true;
  race.network.set_handler([&](const HttpEffect& request, uint64_t) {
    if (request.method == "POST" && first) {
      first = false;
      race.server.handle(request);
    }
    return race.server.handle(request);
  });
  const auto both = race.run(race.store->ensure());
  REQUIRE(both.ok());
  CHECK_FALSE(both.value().created);

  for (const char* name : {"", "ab", "a b", "-ab", "ab-", "a..b"}) {
    options.collection = name;
    CHECK(ChromaStore::make(*bench.http, options).code() == Code::kInvalidConfig);
  }
  CHECK(ChromaStore::make(*bench.http, options_of(3, Metric::kManhattan)).code() == Code::kInvalidConfig);
}

TEST_CASE("without its collection every call to Chroma says so, and one that was made anew is found") {
  Bench bench(options_of(2));
  const auto says_so = [](const auto& result) {
    return result.code() == Code::kNotFound && result.error().message == "Collection 'docs' not found";
  };
  CHECK(says_so(bench.run(bench.store->upsert({point_of("a", {1, 0})}))));
  CHECK(says_so(bench.search(query_of({1, 0}))));
  CHECK(says_so(bench.run(bench.store->get({"a"}, kAll))));
  CHECK(says_so(bench.run(bench.store->remove({"a"}))));
  CHECK(says_so(bench.run(bench.store->remove_matching(filter_of(R"({"a":1})")))));
  CHECK(says_so(bench.run(bench.store->count(std::nullopt))));
  CHECK(says_so(bench.run(bench.store->count(filter_of(R"({"a":{"$in":[]}})")))));
  CHECK(says_so(bench.run(bench.store->scroll(std::nullopt, "", 5, kAll))));
  CHECK(says_so(bench.run(bench.store->clear())));
  CHECK(says_so(bench.run(bench.store->info())));
  CHECK_FALSE(bench.run(bench.store->drop()).value());
  bench.fill({point_of("a", {1, 0})});
  bench.server.make_anew();
  CHECK(bench.run(bench.store->count(std::nullopt)).value() == 0);
  bench.server.make_anew();
  bench.fill({point_of("b", {1, 0})});
  CHECK(bench.server.find("b") != nullptr);
  // In the middle of an upsert.
  bool first = true;
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
    if (request.url.ends_with("/upsert") && first) {
      first = false;
      bench.server.make_anew();
    }
    return bench.server.handle(request);
  });
  const auto report = bench.run(bench.store->upsert({point_of("c", {1, 0})}));
  REQUIRE(report.ok());
  CHECK(report.value().ok == std::vector<std::string>{"c"});
  CHECK(bench.server.find("c") != nullptr);
  // A wrong address is no missing collection.
  bench.network.set_handler([](const HttpEffect&, uint64_t) { return NetworkReply::of(404, ""); });
  CHECK_FALSE(says_so(bench.run(bench.store->count(std::nullopt))));
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) { return bench.server.handle(request); });
  CHECK(bench.run(bench.store->drop()).value());
  CHECK(bench.server.uuid.empty());
}

TEST_CASE("what Chroma cannot do is refused before anything is sent") {
  Bench bench(options_of(2, Metric::kEuclidean));
  bench.fill({point_of("a", {1, 0})});
  const uint64_t before = bench.network.requests();
  const auto refused = [&](auto change) {
    StoreQuery query = query_of({1, 0});
    change(query);
    const auto found = bench.search(std::move(query));
    return found.ok() ? Code::kOk : found.code();
  };
  CHECK(refused([](StoreQuery& query) { query.text = "words"; }) == Code::kUnsupported);
  CHECK(refused([](StoreQuery& query) { query.mode = SearchMode::kText; }) == Code::kUnsupported);
  CHECK(refused([](StoreQuery& query) { query.mode = SearchMode::kHybrid; }) == Code::kUnsupported);
  CHECK(refused([](StoreQuery& query) { query.sparse = {{1}, {1}}; }) == Code::kUnsupported);
  CHECK(refused([](StoreQuery& query) { query.ef = 100; }) == Code::kUnsupported);
  CHECK(refused([](StoreQuery& query) { query.nprobe = 1; }) == Code::kUnsupported);
  CHECK(refused([](StoreQuery& query) { query.rescore = 1; }) == Code::kUnsupported);
  CHECK(refused([](StoreQuery& query) { query.vector = {1e30f, 0}; }) == Code::kUnsupported);
  CHECK(refused([](StoreQuery& query) { query.k = 0; }) == Code::kInvalidArgument);
  CHECK(refused([](StoreQuery& query) { query.k = kMaxK + 1; }) == Code::kInvalidArgument);
  CHECK(refused([](StoreQuery& query) { query.offset = kMaxK; }) == Code::kInvalidArgument);
  CHECK(refused([](StoreQuery& query) { query.vector = {}; }) == Code::kInvalidArgument);
  CHECK(refused([](StoreQuery& query) { query.vector = {1, NAN}; }) == Code::kInvalidArgument);
  CHECK(refused([](StoreQuery& query) { query.vector = {1, 0, 0}; }) == Code::kDimensionMismatch);
  CHECK(refused([](StoreQuery& query) { query.min_score = NAN; }) == Code::kInvalidArgument);
  CHECK(refused([](StoreQuery& query) { query.filter = filter_of(R"({"a":{"$gt":"x"}})"); }) == Code::kUnsupported);
  const auto upserted = [&](std::vector<StorePoint> points) {
    const auto report = bench.run(bench.store->upsert(std::move(points)));
    return report.ok() ? Code::kOk : report.code();
  };
  CHECK(upserted({point_of("a", {})}) == Code::kUnsupported);
  CHECK(upserted({point_of("a", {1e30f, 0})}) == Code::kUnsupported);
  CHECK(upserted({point_of("", {1, 0})}) == Code::kInvalidArgument);
  CHECK(upserted({point_of("a", {1, 0}), point_of("a", {1, 0})}) == Code::kInvalidArgument);
  CHECK(upserted({point_of("a", {1, 0, 0})}) == Code::kDimensionMismatch);
  CHECK(upserted({point_of("a", {1, 0}, "[]")}) == Code::kFormatError);
  CHECK(bench.run(bench.store->upsert({})).value().ok.empty());
  StorePoint sparse = point_of("a", {1, 0});
  sparse.sparse = {{1}, {1}};
  CHECK(upserted({sparse}) == Code::kUnsupported);
  Json list = Json::array();
  for (int i = 0; i < 4'000; ++i) list.push_back(i);
  const uint64_t sent = bench.network.requests();
  CHECK(sent == before);
  CHECK(upserted({point_of("a", {1, 0}, Json{{"list", list}}.dump())}) == Code::kLimitExceeded);
  CHECK(bench.server.requests.back().path.ends_with("pre-flight-checks") == false);
  CHECK(bench.run(bench.store->create_snapshot()).code() == Code::kUnsupported);
  CHECK(bench.run(bench.store->list_snapshots()).code() == Code::kUnsupported);
  CHECK(bench.run(bench.store->delete_snapshot("x")).code() == Code::kUnsupported);
  CHECK(bench.run(bench.store->close()).ok());
  CHECK(bench.run(bench.store->count(std::nullopt)).code() == Code::kClosed);
}

TEST_CASE("writes to Chroma obey its limits, and reports tell what became of each point") {
  Bench bench(options_of(0));
  bench.server.max_batch = 50;
  bench.server.max_body = 20'000;
  std::vector<StorePoint> points;
  for (int i = 0; i < 180; ++i) points.push_back(point_of(std::to_string(i), {1, 0}, "", std::string(600, 'x')));
  bench.fill(points);
  CHECK(bench.server.records.size() == 180);
  CHECK(bench.server.count("GET", "/pre-flight-checks") == 1);
  // The server knows how long vectors are.
  const auto wrong = bench.run(bench.store->upsert({point_of("x", {1, 2, 3})}));
  CHECK(wrong.code() == Code::kDimensionMismatch);
  CHECK(wrong.error().message == "Vector dimension mismatch: expected 2, got 3");
  CHECK(bench.search(query_of({1, 2, 3})).code() == Code::kDimensionMismatch);

  // The line breaks while a batch is on its way.
  bench.server.max_body = 40 << 20;
  int sent = 0;
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
    if (!request.url.ends_with("/upsert")) return bench.server.handle(request);
    const std::string text(request.body.begin(), request.body.end());
    if (text.find("\"b0\"") != std::string::npos) return NetworkReply::fault(Code::kNetworkFailed);
    ++sent;
    return bench.server.handle(request);
  });
  std::vector<StorePoint> more;
  for (int i = 0; i < 50; ++i) more.push_back(point_of("a" + std::to_string(i), {1, 0}));
  for (int i = 0; i < 50; ++i) more.push_back(point_of("b" + std::to_string(i), {1, 0}));
  const auto report = bench.run(bench.store->upsert(more));
  REQUIRE(report.ok());
  CHECK(sent == 1);
  CHECK(report.value().ok.size() == 50);
  CHECK(report.value().failed.empty());
  REQUIRE(report.value().unknown.size() == 50);
  CHECK(report.value().unknown[0] == "b0");

  // What cannot be read before is not written.
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
    if (request.url.ends_with("/get")) return NetworkReply::fault(Code::kNetworkFailed);
    return bench.server.handle(request);
  });
  const size_t written = bench.server.count("POST", "/upsert");
  CHECK(bench.run(bench.store->upsert({point_of("c", {1, 0})})).code() == Code::kNetworkFailed);
  CHECK(bench.server.count("POST", "/upsert") == written);
}

TEST_CASE("the tenant of a key is asked for where none is given") {
  ChromaOptions options = options_of(2);
  options.tenant.clear();
  Bench bench(options);
  bench.fill({point_of("a", {1, 0})});
  CHECK(bench.server.count("GET", "/auth/identity") == 1);
  options.tenant = "a/b";
  options.database = "c d";
  Bench other(options);
  other.server.prefix = "/api/v2/tenants/a%2Fb/databases/c%20d/collections";
  other.fill({point_of("a", {1, 0})});
}

TEST_CASE("answers of Chroma that are not what they should be are errors, and the next call is as good as ever") {
  Bench bench(options_of(2));
  bench.fill({point_of("a", {1, 0}, R"({"x":1})", "text"), point_of("b", {0, 1})});
  REQUIRE(bench.run(bench.store->get({"a"}, kAll)).ok());
  const std::string deep(100'000, '[');
  const std::vector<std::string> any = {"",
                                        "<html>log in</html>",
                                        "null",
                                        "[]",
                                        "\"x\"",
                                        "true",
                                        "-1",
                                        "1.5",
                                        R"({"ids":[["a"]]})",
                                        deep,
                                        R"({"ids":[],"ids":[]})",
                                        std::string(kKey) + " is what you sent",
                                        R"({"message":")" + std::string(kKey) + "\"}"};
  // One record of an answer to get, and of one to query.
  const auto record = [](const std::string& id, const std::string& metadata, const std::string& document,
                         const std::string& vector) {
    return R"({"ids":[)" + id + R"(],"metadatas":[)" + metadata + R"(],"documents":[)" + document +
           R"(],"embeddings":[)" + vector + "]}";
  };
  const std::vector<std::vector<std::string>> broken = {
      {"1", "null", "null", "[1,0]"},
      {"\"\"", "null", "null", "[1,0]"},
      {"null", "null", "null", "[1,0]"},
      {"\"z\",\"z\"", "null,null", "null,null", "[1,0],[1,0]"},
      {"\"a\",\"b\",\"c\",\"d\"", "null,null,null,null", "null,null,null,null", "[1,0],[1,0],[1,0],[1,0]"},
      {"\"a\"", "", "null", "[1,0]"},
      {"\"a\"", "null,null", "null", "[1,0]"},
      {"\"a\"", "null", "", "[1,0]"},
      {"\"a\"", "null", "null", ""},
      {"\"a\"", "[]", "null", "[1,0]"},
      {"\"a\"", "\"x\"", "null", "[1,0]"},
      {"\"a\"", "null", "7", "[1,0]"},
      {"\"a\"", "null", "null", "7"},
      {"\"a\"", "null", "null", "[1]"},
      {"\"a\"", "null", "null", "[1,0,0]"},
      {"\"a\"", "null", "null", "[1,null]"},
      {"\"a\"", "null", "null", "[1,\"0\"]"},
      {"\"a\"", "null", "null", "[1,1e39]"},
      {"\"a\"", R"({"_nearfield":"1","_nearfield.payload":7})", "null", "[1,0]"},
      {"\"a\"", R"({"_nearfield":"1","_nearfield.payload":"[]"})", "null", "[1,0]"},
      {"\"a\"", R"({"_nearfield":"1","_nearfield.payload":"{"})", "null", "[1,0]"},
      {"\"a\"", R"({"_nearfield":"1","_nearfield.norm":-1})", "null", "[1,0]"},
      {"\"a\"", R"({"_nearfield":"1","_nearfield.norm":"x"})", "null", "[1,0]"},
      {"\"a\"", R"({"_nearfield":"1","_nearfield.norm":1e300})", "null", "[1,0]"},
  };
  std::vector<std::string> gets = {"{}", record("\"foreign\"", "null", "null", "[1,0]"), R"({"ids":{}})",
                                   R"({"ids":["a"],"metadatas":null,"documents":null,"embeddings":null})"};
  std::vector<std::string> searches = {"{}", R"({"ids":[],"distances":[]})", R"({"ids":[["a"]],"distances":[]})"};
  for (const auto& parts : broken) {
    gets.push_back(record(parts[0], parts[1], parts[2], parts[3]));
    Json distances = Json::array();
    for (size_t i = 0; i < Json::parse('[' + parts[0] + ']').size(); ++i) distances.push_back(0);
    std::string nested = record('[' + parts[0] + ']', '[' + parts[1] + ']', '[' + parts[2] + ']', '[' + parts[3] + ']');
    nested.back() = ',';
    searches.push_back(nested + R"("distances":[)" + distances.dump() + "]}");
  }
  for (const char* distances : {"[[]]", "[[null]]", "[[\"1\"]]", "[[1e999]]", "[[1,2]]", "[1]", "null", "[[1],[1]]"}) {
    std::string nested = record("[\"a\"]", "[null]", "[null]", "[[1,0]]");
    nested.back() = ',';
    searches.push_back(nested + R"("distances":)" + distances + '}');
  }

  // Only calls to `path` are answered so.
  const auto check = [&](const char* operation, const std::string& path, std::vector<std::string> bodies, auto call) {
    bodies.insert(bodies.end(), any.begin(), any.end());
    for (const std::string& body : bodies) {
      bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
        return request.url.ends_with(path) ? NetworkReply::of(200, body) : bench.server.handle(request);
      });
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
  check("search", "/query", searches, [&] {
    StoreQuery query = query_of({1, 0});
    query.k = 2;
    query.parts = kAll;
    return error_of(bench.search(std::move(query)));
  });
  check("get", "/get", gets, [&] { return error_of(bench.run(bench.store->get({"a", "b"}, kAll))); });
  check("filtered count", "/get", {"{}", R"({"ids":["a","a"]})", R"({"ids":[1]})"},
        [&] { return error_of(bench.run(bench.store->count(filter_of(R"({"x":1})")))); });
  check("scroll", "/get", {"{}", R"({"ids":["a","a"]})", R"({"ids":["a","b","c","d","e","f"]})"},
        [&] { return error_of(bench.run(bench.store->scroll(filter_of(R"({"x":1})"), "pb", 1, kAll))); });
  check("stale keys", "/get",
        {"{}", R"({"ids":["a"],"metadatas":[1]})", R"({"ids":["x"],"metadatas":[null]})",
         R"({"ids":["a"],"metadatas":null})", R"({"ids":[1],"metadatas":[null]})"},
        [&] { return error_of(bench.run(bench.store->upsert({point_of("a", {1, 0})}))); });
  check(
      "ensure", "/docs",
      {"{}", R"({"id":"x"})", R"({"id":"00000000-0000-4000-8000-000000000011"})",
       R"({"id":"00000000-0000-4000-8000-000000000011","configuration_json":{"hnsw":{"space":1}}})",
       R"({"id":"00000000-0000-4000-8000-000000000011","dimension":0,"configuration_json":{"hnsw":{"space":"cosine"}}})"},
      [&] { return error_of(bench.run(bench.store->ensure())); });
  check("info", "/version", {"{}"}, [&] {
    // A string is what it should be.
    const auto info = bench.run(bench.store->info());
    return info.ok() ? Error{Code::kRemoteProtocolError, "", ""} : info.error();
  });
  for (const std::string& body : any) {
    bench.network.set_handler([&](const HttpEffect&, uint64_t) { return NetworkReply::of(200, body); });
    const StoreHealth health = bench.run(bench.store->health());
    CHECK_FALSE(health.ready);
    CHECK(health.message.find(kKey) == std::string::npos);
  }
  // What was sent and answered badly may have been written.
  for (const std::string& body : {std::string("7"), std::string("<html>"), deep}) {
    bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
      return request.url.ends_with("/upsert") ? NetworkReply::of(200, body) : bench.server.handle(request);
    });
    const auto report = bench.run(bench.store->upsert({point_of("c", {1, 0})}));
    REQUIRE(report.ok());
    CHECK(report.value().unknown == std::vector<std::string>{"c"});
    bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
      return request.url.ends_with("/delete") ? NetworkReply::of(200, body) : bench.server.handle(request);
    });
    CHECK(bench.run(bench.store->remove({"a"})).code() == Code::kRemoteProtocolError);
    CHECK(bench.run(bench.store->clear()).code() == Code::kRemoteProtocolError);
  }
}

TEST_CASE("lists shrink where answers of Chroma are too long") {
  Bench bench(options_of(2), HttpOptions{.max_body_bytes = 20'000});
  std::vector<StorePoint> points;
  for (int i = 0; i < 60; ++i)
    points.push_back(point_of(std::to_string(i), {1, 0}, R"({"a":1})", std::string(900, 'x')));
  bench.fill(points);
  bench.fill(points);
  CHECK(bench.run(bench.store->get(ids_of(points), kAll)).value().size() == 60);
  CHECK(bench.run(bench.store->scroll(std::nullopt, "", 60, kAll)).value().points.size() == 60);
  std::vector<StoreQuery> queries(20);
  for (StoreQuery& query : queries) query.vector = {1, 0};
  const auto found = bench.run(bench.store->search(std::move(queries)));
  REQUIRE(found.ok());
  CHECK(found.value()[19].size() == 10);
}

TEST_CASE("calls to Chroma end at once when they are cancelled") {
  Bench bench(options_of(2));
  bench.fill({point_of("a", {1, 0})});
  const auto aborted = [&](auto task) {
    bench.network.start(task);
    bench.network.abort();
    REQUIRE(task.done());
    return task.take().code() == Code::kAborted;
  };
  CHECK(aborted(bench.store->upsert({point_of("a", {1, 0})})));
  CHECK(aborted(bench.store->count(std::nullopt)));
  CHECK(aborted(bench.store->scroll(std::nullopt, "", 5, kAll)));
  CHECK(bench.network.pending() == 0);
}

namespace {

// What a real server was asked and answered (../shared/contracts/recordings), by name.
std::map<std::string, Json> recordings() {
  std::map<std::string, Json> out;
  std::ifstream file(NEARFIELD_SOURCE_DIR "/../shared/contracts/recordings/chroma.jsonl");
  for (std::string line; std::getline(file, line);) {
    Json exchange = Json::parse(line);
    if (exchange.contains("name")) out[exchange["name"].get<std::string>()] = exchange;
  }
  return out;
}

}  // namespace

TEST_CASE("recorded answers of a real Chroma are read") {
  const std::map<std::string, Json> recorded = recordings();
  if (recorded.empty()) {
    WARN("skipped: ../shared/contracts/recordings is absent");
    return;
  }
  ChromaOptions options = options_of(3, Metric::kEuclidean);
  options.collection = "docs_l2";
  Bench bench(options);
  std::vector<std::string> waiting;
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
    REQUIRE_FALSE(waiting.empty());
    const Json& exchange = recorded.at(waiting.front());
    INFO(waiting.front());
    waiting.erase(waiting.begin());
    CHECK(request.method == exchange["request"]["method"].get<std::string>());
    // The names and UUIDs of collections differ.
    const std::string path = exchange["request"]["path"].get<std::string>();
    if (request.method == "POST") CHECK(request.url.ends_with(path.substr(path.rfind('/'))));
    const Json& body = exchange["response"]["body"];
    return NetworkReply::of(exchange["response"]["status"].get<uint64_t>(), body.dump());
  });
  const auto replay = [&](std::vector<std::string> names, auto task) {
    waiting = std::move(names);
    auto out = bench.run(std::move(task));
    CHECK(waiting.empty());
    return out;
  };
  ChromaStore& store = *bench.store;
  CHECK_FALSE(replay({"get collection by name"}, store.ensure()).value().created);
  CHECK(replay({"count"}, store.count(std::nullopt)).value() == 4);
  const auto found = replay({"pre-flight-checks", "get by ids with missing id"},
                            store.get({"b", "nope", "a"}, {.payload = true, .text = false, .vector = false}));
  REQUIRE(found.value().size() == 2);
  CHECK(found.value()[0].id == "b");
  CHECK(Json::parse(found.value()[1].payload)["tags"] == Json({"red", "blue"}));
  std::vector<StoreQuery> queries(1);
  queries[0].vector = {1, 0, 0};
  queries[0].parts = kAll;
  const auto hits = replay({"query l2"}, store.search(std::move(queries))).value()[0];
  REQUIRE(hits.size() == 4);
  CHECK(hits[1].point.id == "c");
  CHECK(std::abs(hits[1].score + std::sqrt(0.8)) < 1e-6);
  CHECK(hits[1].point.text == "Gamma DELTA");
  CHECK(hits[3].point.payload.empty());
  queries = std::vector<StoreQuery>(1);
  queries[0].vector = {1, 0, 0};
  CHECK(replay({"query dimension mismatch"}, store.search(std::move(queries))).error().message ==
        "Vector dimension mismatch: expected 3, got 2");
  CHECK(replay({"where gt"}, store.count(filter_of(R"({"n":{"$gt":1}})"))).value() == 2);
  CHECK(replay({"where in ints", "delete by where"}, store.remove_matching(filter_of(R"({"n":{"$in":[1,3]}})")))
            .value() == 1);
  CHECK(replay({"heartbeat", "identity"}, store.health()).ready);
  CHECK(replay({"count absent collection", "get collection missing"}, store.count(std::nullopt)).error().message ==
        "Collection 'docs_l2' not found");
  CHECK(replay({"delete collection by name"}, store.drop()).value());
  CHECK_FALSE(replay({"delete collection again"}, store.drop()).value());
}
