// WeaviateStore over a small server of its kind: it answers as Collection does, and trusts nothing.
#include "core/remote/weaviate_store.h"

#include <catch_amalgamated.hpp>
#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/remote/ids.h"
#include "core/remote/weaviate_terms.h"
#include "tests/support/network.h"
#include "tests/support/store_points.h"
#include "tests/support/weaviate_server.h"

using namespace nearfield;

namespace {

WeaviateOptions options_of(size_t dimension, Metric metric = Metric::kCosine) {
  WeaviateOptions out;
  out.collection = "docs";
  out.dimension = dimension;
  out.metric = metric;
  return out;
}

struct Bench {
  explicit Bench(WeaviateOptions options, HttpOptions policy = {}) {
    HttpServer address;
    address.name = "Weaviate";
    address.url = Url::parse("https://db.example.com", 8080).value();
    address.key = Secret(std::string(kKey));
    address.key_header = "authorization";
    address.key_prefix = "Bearer ";
    http = HttpClient::make(network.effects(), std::move(address), policy, 1).value();
    store = make(std::move(options));
  }

  std::unique_ptr<WeaviateStore> make(WeaviateOptions options) {
    return WeaviateStore::make(network.effects(), *http, std::move(options)).value();
  }
  template <typename T>
  T run(Task<T> task) {
    return network.run(std::move(task));
  }
  void fill(std::vector<StorePoint> points) {
    const Result<EnsureReport> ensured = run(store->ensure());
    INFO((ensured.ok() ? "" : ensured.error().message));
    REQUIRE(ensured.ok());
    const Result<WriteReport> report = run(store->upsert(std::move(points)));
    INFO((report.ok() ? "" : report.error().message));
    REQUIRE(report.ok());
    REQUIRE(report.value().failed.empty());
    REQUIRE(report.value().unknown.empty());
  }
  std::map<std::string, Json>& objects() { return server.classes["Docs"].objects; }

  WeaviateServer server;
  Network network{[this](const HttpEffect& request, uint64_t) { return server.handle(request); }};
  std::unique_ptr<HttpClient> http;
  std::unique_ptr<WeaviateStore> store;
};

std::vector<StoreQuery> query_of(std::vector<float> vector, std::string text = "") {
  std::vector<StoreQuery> out(1);
  out[0].vector = std::move(vector);
  out[0].text = std::move(text);
  return out;
}

// Every point of a scroll, page after page.
std::vector<StorePoint> scrolled(Bench& bench, const std::string& filter, size_t limit, StoreParts parts = kAll) {
  std::vector<StorePoint> out;
  std::string from;
  do {
    std::optional<Filter> parsed;
    if (!filter.empty()) parsed = filter_of(filter);
    auto page = bench.run(bench.store->scroll(std::move(parsed), from, limit, parts));
    INFO((page.ok() ? "" : page.error().message));
    REQUIRE(page.ok());
    REQUIRE(page.value().points.size() <= limit);
    REQUIRE((page.value().next.empty() || page.value().points.size() == limit));
    for (StorePoint& point : page.value().points) out.push_back(std::move(point));
    from = page.value().next;
  } while (!from.empty());
  return out;
}

const std::vector<std::string> kFilters = {
    R"({})",
    R"({"tag":"red"})",
    R"({"year":{"$gte":2010,"$lt":2020}})",
    R"({"$or":[{"tags":{"$contains":"deep"}},{"price":{"$gt":2.5}}]})",
    R"({"note":{"$exists":true},"tag":{"$ne":"blue"}})",
    R"({"author.name":{"$in":["red",null]}})",
    R"({"$not":{"tag":{"$contains":"e"}}})",
};

}  // namespace

TEST_CASE("Weaviate: classes have a name for any collection, and no two share one") {
  CHECK(weaviate_class("docs") == "Docs");
  CHECK(weaviate_class("my-docs_2") == "My_2ddocs_5f2");
  CHECK(weaviate_class("Docs") == "X_z_44ocs");
  CHECK(weaviate_class("42") == "X_z42");
  Random random(4);
  const std::string_view alphabet = "aAxXzZ0_-\xC3";
  std::map<std::string, std::string> seen;
  for (int i = 0; i < 20'000; ++i) {
    std::string name;
    for (uint64_t j = 1 + random.below(uint64_t{5}); j > 0; --j) name += alphabet[random.below(alphabet.size())];
    std::string spelt = weaviate_class(name);
    CHECK((spelt[0] >= 'A' && spelt[0] <= 'Z'));
    // The server takes classes for the same that differ in case alone.
    for (char& c : spelt) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    const auto [place, fresh] = seen.emplace(spelt, name);
    if (!fresh && place->second != name) FAIL(name << " and " << place->second << " are " << spelt);
  }
}

TEST_CASE("Weaviate: searches find what a collection finds, with its scores") {
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
    for (const std::string& filter : kFilters) {
      std::vector<StoreQuery> queries(20);
      for (StoreQuery& query : queries) {
        query.vector = random_vector(random, 8);
        query.filter = filter_of(filter);
        query.exact = true;
        query.offset = random.below(size_t{3});
        query.parts = kAll;
      }
      std::vector<SearchRequest> requests(queries.size());
      std::vector<std::vector<float>> vectors;
      for (size_t i = 0; i < queries.size(); ++i) {
        requests[i].filter = filter_of(filter);
        requests[i].exact = true;
        requests[i].offset = queries[i].offset;
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
          CHECK(hits[j].point.vector == std::vector<float>(hit.row.vector.begin(), hit.row.vector.end()));
          REQUIRE(hits[j].dense.has_value());
          CHECK(hits[j].dense->rank == requests[i].offset + j + 1);
        }
      }
      const Filter parsed = filter_of(filter);
      const auto count = bench.run(bench.store->count(filter_of(filter)));
      REQUIRE(count.ok());
      CHECK(count.value() == collection.count_matching(&parsed));
      // The same filter, evaluated here.
      CHECK(scrolled(bench, filter, 7, {.payload = false, .text = false, .vector = false}).size() == count.value());
    }
    CHECK(bench.server.count("POST", "/v1/graphql/batch") == kFilters.size());
  }
}

TEST_CASE("Weaviate: a least score is kept, and what is below it is not") {
  Bench bench(options_of(2, Metric::kEuclidean));
  bench.fill({point_of("a", {0, 0}), point_of("b", {0, 2}), point_of("c", {0, 3})});
  std::vector<StoreQuery> queries = query_of({0, 0});
  queries[0].min_score = -2;
  const auto found = bench.run(bench.store->search(std::move(queries)));
  REQUIRE(found.ok());
  REQUIRE(found.value()[0].size() == 2);
  CHECK(found.value()[0][1].point.id == "b");
}

TEST_CASE("Weaviate: points come back as they were given") {
  Bench bench(options_of(3));
  const std::vector<StorePoint> points = {
      point_of("doc-1", {3, 4, 0}, R"({"a":1})", "some text"),
      point_of("42", {1, 0, 0}, R"({})"),
      point_of("18446744073709551615", {0, 0, 0},
               R"({"n":9223372036854775807,"u":18446744073709551615,"m":-9007199254740993})"),
      point_of("550e8400-e29b-41d4-a716-446655440000", {1e-20f, 0, 1e-20f}),
      point_of("550E8400-E29B-41D4-A716-446655440000", {1e30f, -3e30f, 2e30f}, R"({"text":"mine","nf_id":"x"})",
               "its own"),
      point_of("042", {}, R"({"text":5})"),
      point_of("ü\n\"\\", {0.1f, 0.2f, 0.3f},
               R"({ "nested":[[1,[2]],[]],"empty":[],"f":0.30000000000000004,"big":1e300,"z":[[{"k":[]}]]})",
               "t\x01\n\"}) {evil}"),
      point_of(std::string(1024, 'i')),
      point_of("00000000-0000-0000-0000-000000000000"),
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
  // Too long and too short for the server's floats.
  std::vector<StoreQuery> queries = query_of({1e-25f, -3e-25f, 2e-25f});
  queries[0].k = 1;
  const auto near = bench.run(bench.store->search(std::move(queries)));
  REQUIRE(near.ok());
  REQUIRE(near.value()[0].size() == 1);
  CHECK(near.value()[0][0].point.id == points[4].id);
  CHECK(std::abs(near.value()[0][0].score - 1) < 1e-5);
  const auto bare = bench.run(bench.store->get({"doc-1"}, {.payload = false, .text = false, .vector = false}));
  REQUIRE(bare.ok());
  CHECK(bare.value()[0].text.empty());
  CHECK(bare.value()[0].payload.empty());
  CHECK(bare.value()[0].vector.empty());

  SECTION("an upsert replaces all of a point") {
    bench.fill({point_of("doc-1", {}, "", "other")});
    const auto again = bench.run(bench.store->get({"doc-1"}, kAll));
    CHECK(again.value()[0].text == "other");
    CHECK(again.value()[0].payload.empty());
    CHECK(again.value()[0].vector.empty());
    CHECK(bench.run(bench.store->count(filter_of(R"({"a":1})"))).value() == 0);
  }
  SECTION("scrolling meets each once") {
    for (const size_t limit : {size_t{1}, size_t{3}, size_t{9}, size_t{100}}) {
      const std::vector<std::string> seen = ids_of(scrolled(bench, "", limit)), every = ids_of(points);
      CHECK(std::multiset<std::string>(seen.begin(), seen.end()) ==
            std::multiset<std::string>(every.begin(), every.end()));
    }
  }
}

TEST_CASE("Weaviate: objects that other clients wrote are read as they are") {
  Bench bench(options_of(2));
  bench.fill({});
  const std::string one = derived_uuid("x"), two = derived_uuid("y");
  bench.objects()[one] = {{"properties", {{"text", "body"}}}, {"vector", {1, 0}}};
  bench.objects()[two] = {{"properties", {{"nf_id", "not of this one"}}}, {"vector", nullptr}};
  const std::vector<StorePoint> points = scrolled(bench, "", 10);
  REQUIRE(points.size() == 2);
  const StorePoint& first = points[points[0].id == one ? 0 : 1];
  CHECK(first.id == one);
  CHECK(first.text == "body");
  CHECK(first.vector == std::vector<float>{1, 0});
  CHECK(bench.run(bench.store->get({two}, kAll)).value().size() == 1);
  CHECK(bench.run(bench.store->count(filter_of(R"({"a":{"$ne":1}})"))).value() == 2);
  CHECK(bench.run(bench.store->remove({one})).value() == 1);
  CHECK(bench.run(bench.store->clear()).ok());
  CHECK(bench.objects().empty());
}

TEST_CASE("Weaviate: an id is not mistaken for another one that is stored under it") {
  Bench bench(options_of(2));
  bench.fill({point_of("x", {1, 0})});
  const std::string place = derived_uuid("x");
  CHECK(bench.run(bench.store->get({place}, kAll)).value().empty());
  CHECK(bench.run(bench.store->remove({place})).value() == 0);
  CHECK(bench.objects().size() == 1);
  CHECK(bench.run(bench.store->get({"x"}, kAll)).value().size() == 1);
  const auto both = bench.run(bench.store->upsert({point_of("x", {1, 0}), point_of(place, {0, 1})}));
  CHECK(both.code() == Code::kConflict);
}

TEST_CASE("Weaviate: removing tells how many there were, and goes on until none are left") {
  for (const bool index : {true, false}) {
    WeaviateOptions options = options_of(2);
    options.payload_index = index;
    Bench bench(options);
    std::vector<StorePoint> points;
    for (int i = 0; i < 10; ++i)
      points.push_back(point_of("p" + std::to_string(i), {1, 0}, i < 4 ? R"({"old":true})" : R"({"old":false})"));
    bench.fill(points);
    CHECK(bench.run(bench.store->remove({})).value() == 0);
    CHECK(bench.run(bench.store->remove({"p9", "p9", "absent"})).value() == 1);
    CHECK(bench.run(bench.store->remove({"absent"})).value() == 0);
    CHECK(bench.server.count("DELETE", "/v1/batch/objects") == 1);
    bench.server.delete_limit = 3;
    if (index) {
      CHECK(bench.run(bench.store->remove_matching(filter_of(R"({"old":true})"))).value() == 4);
      CHECK(bench.run(bench.store->remove_matching(filter_of(R"({"old":{"$in":[]}})"))).value() == 0);
      CHECK(bench.objects().size() == 5);
    } else {
      CHECK(bench.run(bench.store->remove_matching(filter_of(R"({"old":true})"))).code() == Code::kUnsupported);
      CHECK(scrolled(bench, R"({"old":true})", 3).size() == 4);
      bench.server.delete_limit = 10'000;
    }
    CHECK(bench.run(bench.store->remove_matching(filter_of("{}"))).value() == (index ? 5 : 9));
    CHECK(bench.objects().empty());
    bench.fill(points);
    CHECK(bench.run(bench.store->clear()).ok());
    CHECK(bench.objects().empty());
    CHECK(bench.server.classes.size() == 1);
  }
}

TEST_CASE("Weaviate: a class is made as it is configured, and compared where it is there") {
  WeaviateOptions options = options_of(4);
  options.m = 24;
  options.ef_construct = 200;
  options.ef = 128;
  options.text_search = true;
  options.text_field = "body";
  Bench bench(options);
  const auto made = bench.run(bench.store->ensure());
  REQUIRE(made.ok());
  CHECK(made.value().created);
  const auto created = std::ranges::find_if(bench.server.requests, [](const auto& r) { return r.method == "POST"; });
  CHECK(created->body == Json::parse(R"({
    "class":"Docs","description":"{\"nearfield\":1,\"dimension\":4}",
    "vectorConfig":{"default":{"vectorizer":{"none":{}},"vectorIndexType":"hnsw","vectorIndexConfig":
      {"distance":"cosine","maxConnections":24,"efConstruction":200,"ef":128,"skipDefaultQuantization":true}}},
    "properties":[
      {"name":"nf_id","dataType":["text"],"tokenization":"field","indexFilterable":false,"indexSearchable":false},
      {"name":"nf_payload","dataType":["text"],"tokenization":"field","indexFilterable":false,"indexSearchable":false},
      {"name":"nf_norm","dataType":["number"],"indexFilterable":false,"indexSearchable":false},
      {"name":"body","dataType":["text"],"tokenization":"word","indexFilterable":false,"indexSearchable":true},
      {"name":"nf_terms","dataType":["text[]"],"tokenization":"field","indexFilterable":true,"indexSearchable":false}],
    "invertedIndexConfig":{"stopwords":{"preset":"none"},"bm25":{"k1":1.2,"b":0.75}}})"));
  const auto again = bench.run(bench.store->ensure());
  REQUIRE(again.ok());
  CHECK_FALSE(again.value().created);
  CHECK(again.value().differences.empty());

  const auto differing = [&](const WeaviateOptions& other) { return bench.run(bench.make(other)->ensure()); };
  WeaviateOptions other = options;
  other.m = 32;
  other.ef = 7;
  bench.server.classes["Docs"].schema["vectorConfig"]["default"]["vectorIndexConfig"]["pq"]["enabled"] = true;
  const auto report = differing(other);
  REQUIRE(report.ok());
  REQUIRE(report.value().differences.size() == 3);
  CHECK(report.value().differences[0].name == "m");
  CHECK(report.value().differences[0].asked == "32");
  CHECK(report.value().differences[0].found == "24");
  CHECK(report.value().differences[1].name == "ef");
  CHECK(report.value().differences[2].found == "pq");
  other = options;
  other.dimension = 5;
  CHECK(differing(other).code() == Code::kSchemaMismatch);
  CHECK(differing(other).error().message == "Vector dimension mismatch: expected 5, got 4");
  // Without a word about it, the vectors tell.
  bench.server.classes["Docs"].schema.erase("description");
  CHECK(differing(other).ok());
  REQUIRE(bench.run(bench.store->upsert({point_of("a", {1, 0, 0, 0})})).ok());
  CHECK(differing(other).error().message == "Vector dimension mismatch: expected 5, got 4");
  other = options;
  other.metric = Metric::kDot;
  CHECK(differing(other).code() == Code::kSchemaMismatch);
  other = options;
  other.text_field = "elsewhere";
  CHECK(differing(other).code() == Code::kSchemaMismatch);
  const Json schema = bench.server.classes["Docs"].schema;
  for (const char* const change :
       {R"([{"op":"replace","path":"/properties/3/tokenization","value":"field"}])",
        R"([{"op":"replace","path":"/properties/3/indexSearchable","value":false}])",
        R"([{"op":"replace","path":"/properties/4/tokenization","value":"word"}])",
        R"([{"op":"replace","path":"/properties/4/indexFilterable","value":false}])",
        R"([{"op":"replace","path":"/properties/4/dataType","value":["text"]}])",
        R"([{"op":"remove","path":"/properties/1"}])",
        R"([{"op":"add","path":"/multiTenancyConfig","value":{"enabled":true}}])",
        R"([{"op":"replace","path":"/vectorConfig/default/vectorizer","value":{"text2vec-openai":{}}}])"}) {
    INFO(change);
    bench.server.classes["Docs"].schema = schema.patch(Json::parse(change));
    CHECK(differing(options).code() == Code::kSchemaMismatch);
    // What is not ours is not written to.
    CHECK(bench.run(bench.store->upsert({point_of("b")})).code() == Code::kSchemaMismatch);
  }
  bench.server.classes["Docs"].schema = schema;

  other = options;
  other.dimension = 0;
  const auto open = bench.make(other);
  const auto info = bench.run(open->info());
  REQUIRE(info.ok());
  CHECK(info.value().dimension == 4);
  CHECK(info.value().count == 1);
  CHECK(info.value().version == "1.40.0-dev");
  CHECK(info.value().backend == "weaviate");
  CHECK(Json::parse(info.value().details)["class"] == "Docs");
  CHECK(bench.run(open->upsert({point_of("c", {1, 0, 0})})).code() == Code::kDimensionMismatch);

  CHECK(bench.run(bench.store->drop()).value());
  CHECK_FALSE(bench.run(bench.store->drop()).value());
}

TEST_CASE("Weaviate: options that no server takes are refused") {
  Bench bench(options_of(2));
  const auto code = [&](auto change) {
    WeaviateOptions options = options_of(2);
    change(options);
    const auto made = WeaviateStore::make(bench.network.effects(), *bench.http, std::move(options));
    return made.ok() ? Code::kOk : made.code();
  };
  CHECK(code([](WeaviateOptions&) {}) == Code::kOk);
  CHECK(code([](WeaviateOptions& o) { o.collection = ""; }) == Code::kInvalidConfig);
  CHECK(code([](WeaviateOptions& o) { o.collection = "\xFF"; }) == Code::kInvalidConfig);
  CHECK(code([](WeaviateOptions& o) { o.collection = std::string(255, 'a'); }) == Code::kOk);
  CHECK(code([](WeaviateOptions& o) { o.collection = std::string(100, '-'); }) == Code::kInvalidConfig);
  for (const char* const name : {"", "Text", "a b", "nf_id", "id", "_additional", "a\"", "1a", "__type"}) {
    CHECK(code([&](WeaviateOptions& o) { o.text_field = name; }) == Code::kInvalidConfig);
  }
  CHECK(code([](WeaviateOptions& o) { o.m = 3; }) == Code::kInvalidConfig);
  CHECK(code([](WeaviateOptions& o) { o.backup_backend = "../s3"; }) == Code::kInvalidConfig);
  CHECK(code([](WeaviateOptions& o) { o.fusion = ReciprocalRank{10}; }) == Code::kInvalidConfig);
}

TEST_CASE("Weaviate: without its collection every call says so, and no class is guessed") {
  Bench bench(options_of(2));
  for (const bool other : {false, true}) {
    if (other)
      REQUIRE(bench
                  .run(bench
                           .make([] {
                             WeaviateOptions options = options_of(2);
                             options.collection = "other";
                             return options;
                           }())
                           ->ensure())
                  .ok());
    const auto check = [&](const Error& error) {
      CHECK(error.code == Code::kNotFound);
      CHECK(error.message == "Collection 'docs' not found");
    };
    check(bench.run(bench.store->search(query_of({1, 0}))).error());
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
    CHECK_FALSE(bench.server.classes.contains("Docs"));
  }
}

TEST_CASE("Weaviate: hybrid searches are the server's, and texts are found by their words") {
  WeaviateOptions options = options_of(2);
  options.text_search = true;
  Bench bench(options);
  bench.fill({point_of("a", {1, 0}, R"({"n":1})", "the quick fox"), point_of("b", {0, 1}, R"({"n":2})", "fox fox"),
              point_of("c", {-1, 0}, R"({"n":3})", "dog")});
  const auto text = bench.run(bench.store->search(query_of({}, "fox \"}) { evil")));
  REQUIRE(text.ok());
  REQUIRE(text.value()[0].size() == 2);
  CHECK(text.value()[0][0].point.id == "b");
  CHECK(text.value()[0][0].text->rank == 1);
  CHECK(text.value()[0][0].score == 2);

  const auto hybrid = [&](std::optional<Fusion> fusion) {
    std::vector<StoreQuery> queries = query_of({1, 0}, "fox");
    queries[0].fusion = fusion;
    auto found = bench.run(bench.store->search(std::move(queries)));
    REQUIRE(found.ok());
    return std::move(found.value()[0]);
  };
  const std::vector<StoreHit> convex = hybrid(std::nullopt);
  REQUIRE(convex.size() == 3);
  CHECK(convex[0].point.id == "a");
  CHECK(std::abs(convex[0].score - 0.7) < 1e-6);
  CHECK(std::abs(convex[1].score - (0.7 * 0.5 + 0.3)) < 1e-6);
  CHECK(bench.server.requests.back().body["query"].get<std::string>().find("alpha:0.7") != std::string::npos);
  const std::vector<StoreHit> ranked = hybrid(ReciprocalRank{60, 1, 3});
  CHECK(ranked[0].point.id == "b");
  CHECK(std::abs(ranked[0].score - (1.0 / 61 + 3.0 / 60)) < 1e-5);

  std::vector<StoreQuery> filtered = query_of({1, 0}, "fox");
  filtered[0].filter = filter_of(R"({"n":{"$gt":1}})");
  CHECK(bench.run(bench.store->search(std::move(filtered))).value()[0].size() == 2);
  std::vector<StoreQuery> other = query_of({1, 0}, "fox");
  other[0].fusion = ReciprocalRank{10};
  CHECK(bench.run(bench.store->search(std::move(other))).code() == Code::kUnsupported);
}

TEST_CASE("Weaviate: what cannot be asked is refused before anything is sent") {
  Bench bench(options_of(2));
  bench.fill({});
  const uint64_t before = bench.network.requests();
  const auto code = [&](auto change) {
    std::vector<StoreQuery> queries = query_of({1, 0});
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
  CHECK(code([](StoreQuery& query) { query.ef = 3; }) == Code::kUnsupported);
  CHECK(code([](StoreQuery& query) { query.nprobe = 3; }) == Code::kUnsupported);
  CHECK(code([](StoreQuery& query) { query.rescore = 3; }) == Code::kUnsupported);
  CHECK(code([](StoreQuery& query) { query.filter = filter_of(R"({"a":{"$gt":")" + std::string(65, 'x') + "\"}}"); }) ==
        Code::kUnsupported);
  const auto write = [&](StorePoint point) { return bench.run(bench.store->upsert({std::move(point)})).code(); };
  CHECK(write(point_of("", {1, 0})) == Code::kInvalidArgument);
  CHECK(write(point_of("a", {1})) == Code::kDimensionMismatch);
  CHECK(write(point_of("a", {1, INFINITY})) == Code::kInvalidArgument);
  CHECK(write(point_of("a", {1, 0}, "[]")) == Code::kFormatError);
  CHECK(write(point_of("a", {1, 0}, "", "\xFF")) == Code::kInvalidArgument);
  StorePoint sparse = point_of("a", {1, 0});
  sparse.sparse = {{1}, {1}};
  CHECK(write(sparse) == Code::kUnsupported);
  CHECK(bench.run(bench.store->upsert({point_of("a"), point_of("a")})).code() == Code::kInvalidArgument);
  CHECK(bench.run(bench.store->upsert({})).ok());
  CHECK(bench.run(bench.store->scroll(std::nullopt, "", 0, kAll)).code() == Code::kInvalidArgument);
  CHECK(bench.run(bench.store->scroll(std::nullopt, "\"){evil}", 1, kAll)).code() == Code::kInvalidArgument);
  CHECK(bench.run(bench.store->delete_snapshot("x")).code() == Code::kUnsupported);
  CHECK(bench.network.requests() == before);
  CHECK(bench.run(bench.store->close()).ok());
  CHECK(bench.run(bench.store->count(std::nullopt)).code() == Code::kClosed);
}

TEST_CASE("Weaviate: filters that this server or these points forbid name their clause") {
  Bench bench(options_of(2));
  bench.fill({point_of("a", {1, 0}, R"({"title":"a fox","list":["a fox"],"n":1})")});
  CHECK(bench.run(bench.store->count(filter_of(R"({"title":{"$contains":"fo"}})"))).value() == 1);
  CHECK(bench.run(bench.store->count(filter_of(R"({"list":{"$contains":"fo"}})"))).value() == 0);
  CHECK(bench.run(bench.store->count(filter_of(R"({"list":{"$contains":"a fox"}})"))).value() == 1);
  bench.fill({point_of("b", {1, 0}, Json{{"title", std::string(2'000, 'x')}}.dump())});
  const auto refused = bench.run(bench.store->count(filter_of(R"({"$and":[{"title":{"$contains":"fo"}}]})")));
  REQUIRE(refused.code() == Code::kUnsupported);
  CHECK(refused.error().message.starts_with("filter.$and[0].title.$contains: "));
  CHECK(bench.run(bench.store->count(filter_of(R"({"list":{"$contains":"a fox"}})"))).value() == 1);

  const std::string negated = R"({"$not":{"n":{"$gt":0}}})";
  CHECK(bench.run(bench.store->count(filter_of(negated))).value() == 1);
  for (const char* const version : {"1.32.9", "0.99.0", "x", "1"}) {
    bench.server.version = version;
    const auto old = bench.make(options_of(2));
    const auto told = bench.run(old->count(filter_of(negated)));
    REQUIRE(told.code() == Code::kUnsupported);
    CHECK(told.error().message.starts_with("filter.$not: "));
    CHECK(bench.run(old->count(filter_of(R"({"n":{"$ne":1}})"))).value() == 1);
  }
}

TEST_CASE("Weaviate: an exact search is one among few points, or is refused") {
  Bench bench(options_of(2));
  bench.fill({point_of("a", {1, 0}, R"({"n":1})"), point_of("b", {0, 1}), point_of("c", {0, 1})});
  Json& cutoff =
      bench.server.classes["Docs"].schema["vectorConfig"]["default"]["vectorIndexConfig"]["flatSearchCutoff"];
  const auto search = [&](bool filter) {
    std::vector<StoreQuery> queries = query_of({1, 0});
    queries[0].exact = true;
    if (filter) queries[0].filter = filter_of(R"({"n":1})");
    return bench.run(bench.store->search(std::move(queries))).code();
  };
  CHECK(search(false) == Code::kOk);
  CHECK(bench.server.requests.back().body["query"].get<std::string>().find("where:") != std::string::npos);
  cutoff = 3;
  CHECK(search(false) == Code::kUnsupported);
  CHECK(search(true) == Code::kOk);
  cutoff = 1;
  CHECK(search(true) == Code::kUnsupported);
}

TEST_CASE("Weaviate: what the server refuses of a batch is told for each point") {
  WeaviateOptions options = options_of(0);
  options.batches.max_items = 7;
  Bench bench(options);
  std::vector<StorePoint> points;
  for (int i = 0; i < 30; ++i) points.push_back(point_of("p" + std::to_string(i), {1, 0}));
  points[20].vector = {1, 2, 3};
  REQUIRE(bench.run(bench.store->ensure()).ok());
  const auto report = bench.run(bench.store->upsert(points));
  REQUIRE(report.ok());
  CHECK(report.value().ok.size() == 29);
  REQUIRE(report.value().failed.size() == 1);
  CHECK(report.value().failed[0].id == "p20");
  CHECK(report.value().failed[0].code == Code::kDimensionMismatch);
  CHECK(report.value().failed[0].message == "Vector dimension mismatch: expected 2, got 3");
  CHECK(bench.server.count("POST", "/v1/batch/objects") == 5);
  CHECK(bench.objects().size() == 29);
}

TEST_CASE("Weaviate: backups are made and listed where the server has a module for them") {
  Bench bench(options_of(2));
  bench.fill({});
  const auto made = bench.run(bench.store->create_snapshot());
  INFO((made.ok() ? "" : made.error().message));
  REQUIRE(made.ok());
  CHECK(made.value().bytes == 1 << 29);
  CHECK(made.value().name.starts_with("docs-17"));
  const auto listed = bench.run(bench.store->list_snapshots());
  REQUIRE(listed.ok());
  REQUIRE(listed.value().size() == 1);
  CHECK(listed.value()[0].name == made.value().name);
  bench.server.polls = 1 << 20;
  CHECK(bench.run(bench.store->create_snapshot()).code() == Code::kTimeout);
  bench.server.modules = Json::object();
  CHECK(bench.run(bench.store->create_snapshot()).code() == Code::kUnsupported);
  CHECK(bench.run(bench.store->list_snapshots()).code() == Code::kUnsupported);
}

TEST_CASE("Weaviate: answers that are not what they should be are errors, and the next call is as good as ever") {
  WeaviateOptions options = options_of(2);
  options.text_search = true;
  Bench bench(options);
  bench.fill({point_of("a", {1, 0}, R"({"x":1})"), point_of("b", {0, 1})});
  const std::string uuid = derived_uuid("a"), other = derived_uuid("b");
  const auto got = [](const std::string& list) { return R"({"data":{"Get":{"Docs":)" + list + "}}}"; };
  const auto hit = [&](const std::string& additional, const std::string& rest = "") {
    return got(R"([{"nf_id":"a","_additional":{"id":")" + uuid + '"' + additional + "}" + rest + "}]");
  };
  const auto ids = [&](std::vector<std::string> list) {
    std::string out;
    for (const std::string& id : list) {
      out += (out.empty() ? "" : ",") + (R"({"_additional":{"id":")" + id + R"(","distance":0,"score":"1"}})");
    }
    return got('[' + out + ']');
  };
  const std::vector<std::string> any = {"",
                                        "<html>log in</html>",
                                        "null",
                                        "[]",
                                        "{}",
                                        "1",
                                        "\"x\"",
                                        "{\"data\":{}",
                                        std::string(100'000, '['),
                                        R"({"data":{},"data":{}})",
                                        R"({"data":null})",
                                        R"({"data":{"Get":null,"Aggregate":null}})",
                                        R"({"data":{"Get":{"Docs":null},"Aggregate":{"Docs":null}}})",
                                        R"({"data":{"Get":{"Docs":{}},"Aggregate":{"Docs":7}}})",
                                        R"({"data":{"Get":{"Dogs":[]},"Aggregate":{"Dogs":[]}}})",
                                        R"({"errors":[]})",
                                        R"({"errors":"x"})",
                                        R"({"errors":[{"message":7}]})",
                                        std::string(kKey) + " is what you sent",
                                        R"({"echo":")" + std::string(kKey) + "\"}"};
  const std::vector<std::string> objects = {got("[1]"),
                                            got("[{}]"),
                                            got(R"([{"_additional":{}}])"),
                                            got(R"([{"_additional":{"id":7,"distance":0}}])"),
                                            got(R"([{"_additional":{"id":"foo","distance":0}}])"),
                                            ids({uuid, uuid}),
                                            ids({uuid, other, derived_uuid("c"), derived_uuid("d")}),
                                            hit(R"(,"distance":0,"vectors":{"default":[1]})"),
                                            hit(R"(,"distance":0,"vectors":{"default":[1,"0"]})"),
                                            hit(R"(,"distance":0,"vectors":{"default":[1,1e39]})"),
                                            hit(R"(,"distance":0,"vectors":{"default":7})"),
                                            hit(R"(,"distance":0,"vectors":{"default":[1,0]})", R"(,"nf_norm":-1)"),
                                            hit(R"(,"distance":0,"vectors":{"default":[1,0]})", R"(,"nf_norm":"x")"),
                                            hit(R"(,"distance":0,"vectors":{"default":[1,0]})", R"(,"nf_norm":1e300)"),
                                            hit(R"(,"distance":0)", R"(,"nf_payload":"[]")"),
                                            hit(R"(,"distance":0)", R"(,"nf_payload":"{")"),
                                            hit(R"(,"distance":0)", R"(,"nf_payload":{})"),
                                            hit(R"(,"distance":0)", R"(,"text":[])")};
  std::vector<std::string> dense = objects, words;
  for (const char* const distance :
       {"", R"(,"distance":null)", R"(,"distance":"1")", R"(,"distance":NaN)", R"(,"distance":1e999)"}) {
    dense.push_back(hit(distance));
  }
  for (const char* const score : {"", R"(,"score":null)", R"(,"score":1)", R"(,"score":"NaN")", R"(,"score":"")",
                                  R"(,"score":"1e999")", R"(,"score":"[1]")"}) {
    words.push_back(hit(score));
  }
  const std::vector<std::string> counts = {
      R"({"data":{"Aggregate":{"Docs":[]}}})", R"({"data":{"Aggregate":{"Docs":[{"meta":{"count":-1}}]}}})",
      R"({"data":{"Aggregate":{"Docs":[{"meta":{"count":"3"}}]}}})", R"({"data":{"Aggregate":{"Docs":[{}]}}})"};
  const std::vector<std::string> removals = {R"({"results":{}})",
                                             R"({"results":{"matches":-1,"limit":1,"successful":1,"failed":0}})",
                                             R"({"results":{"matches":1,"limit":10,"successful":2,"failed":0}})",
                                             R"({"results":{"matches":10,"limit":10,"successful":0,"failed":0}})"};

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
  const auto search = [&](std::vector<StoreQuery> queries) {
    for (StoreQuery& query : queries) query.k = 3, query.parts = kAll;
    return error_of(bench.run(bench.store->search(std::move(queries))));
  };
  check("search", dense, [&] { return search(query_of({1, 0})); });
  check("text search", words, [&] { return search(query_of({}, "fox")); });
  check("hybrid search", words, [&] { return search(query_of({1, 0}, "fox")); });
  check("batch search", {got("[]"), '[' + got("[]") + ']', '[' + got("[]") + ",{}]"}, [&] {
    std::vector<StoreQuery> queries(2);
    for (StoreQuery& query : queries) query.vector = {1, 0};
    return search(std::move(queries));
  });
  check("get", objects, [&] { return error_of(bench.run(bench.store->get({"a", "b"}, kAll))); });
  check("count", counts, [&] { return error_of(bench.run(bench.store->count(std::nullopt))); });
  std::vector<std::string> pages = objects;
  pages.push_back(ids({std::max(uuid, other), std::min(uuid, other)}));
  pages.push_back(ids({"00000000-0000-0000-0000-000000000000"}));
  check("scroll", pages, [&] {
    return error_of(bench.run(bench.store->scroll(std::nullopt, "00000000-0000-0000-0000-000000000001", 2, kAll)));
  });
  check("clear", removals, [&] { return error_of(bench.run(bench.store->clear())); });
  check("drop", {R"({"class":"Dogs"})"}, [&] { return error_of(bench.run(bench.store->drop())); });
  check(
      "ensure",
      {R"({"class":"Dogs"})",
       R"({"class":"Docs","vectorConfig":{"default":{"vectorizer":{"none":{}},"vectorIndexConfig":{"distance":1}}}})"},
      [&] { return error_of(bench.run(bench.store->ensure())); });
  check("backups", {R"([{}])", R"([{"id":""}])"}, [&] {
    WeaviateOptions with = options;
    with.backup_backend = "s3";
    const auto store = bench.make(with);
    Error error = error_of(bench.run(store->list_snapshots()));
    // A list of none is a good one.
    if (error.code == Code::kOk) error = {Code::kRemoteProtocolError, "", ""};
    return error;
  });

  // What was sent and answered badly may have been written.
  for (const std::string& body :
       {std::string("{}"), std::string("[]"), std::string("[{}]"), R"([{"id":")" + uuid + R"("}])",
        R"([{"id":")" + derived_uuid("c") + R"(","result":{"status":"ODD"}}])",
        R"([{"id":")" + uuid + R"(","result":{"status":"SUCCESS"}}])"}) {
    bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
      return request.method == "GET" ? bench.server.handle(request) : NetworkReply::of(200, body);
    });
    INFO(body);
    const auto report = bench.run(bench.store->upsert({point_of("c", {1, 0})}));
    REQUIRE(report.ok());
    CHECK(report.value().unknown == std::vector<std::string>{"c"});
  }
  // Words of the server's are cut, and do not give the key away.
  bench.network.set_handler([&](const HttpEffect&, uint64_t) {
    return NetworkReply::of(
        200, Json{{"errors", Json::array({{{"message", std::string(kKey) + std::string(10'000, '\x1b')}}})}}.dump());
  });
  const auto refused = bench.run(bench.store->count(std::nullopt));
  CHECK(refused.code() == Code::kRemoteRejected);
  CHECK(refused.error().message.find(kKey) == std::string::npos);
  CHECK(refused.error().message.size() < 2'000);
}

TEST_CASE("Weaviate: random damage to answers is never more than an error") {
  WeaviateOptions options = options_of(2);
  options.text_search = true;
  Bench bench(options);
  bench.fill({point_of("a", {1, 0}, R"({"x":1})", "fox"), point_of("b", {0, 1})});
  Random random(12);
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
    NetworkReply reply = bench.server.handle(request);
    Bytes& bytes = reply.answer.bytes;
    for (uint64_t i = random.below(uint64_t{3}); i > 0 && !bytes.empty(); --i) {
      const size_t at = random.below(bytes.size());
      switch (random.below(3)) {
        case 0: bytes[at] = static_cast<uint8_t>(random.below(256)); break;
        case 1: bytes.resize(at); break;
        default: bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), bytes[random.below(bytes.size())]); break;
      }
    }
    return reply;
  });
  for (int round = 0; round < 300; ++round) {
    std::vector<StoreQuery> queries = query_of({1, 0}, round % 2 == 0 ? "fox" : "");
    queries[0].parts = kAll;
    queries[0].exact = round % 3 == 0;
    bench.run(bench.store->search(std::move(queries))).ok();
    bench.run(bench.store->get({"a", "b"}, kAll)).ok();
    bench.run(bench.store->scroll(filter_of(R"({"x":1})"), "", 1, kAll)).ok();
    bench.run(bench.store->ensure()).ok();
    bench.run(bench.store->upsert({point_of("a", {1, 0}, R"({"x":1})", "fox")})).ok();
    bench.run(bench.store->info()).ok();
  }
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) { return bench.server.handle(request); });
  bench.network.wait(120'000);
  const auto found = bench.run(bench.store->get({"a"}, kAll));
  REQUIRE(found.ok());
  CHECK(found.value().size() == 1);
}

TEST_CASE("Weaviate: pages, lists and batches of queries shrink where answers are too long") {
  Bench bench(options_of(2), HttpOptions{.max_body_bytes = 6'000});
  std::vector<StorePoint> points;
  for (int i = 0; i < 40; ++i) points.push_back(point_of(std::to_string(i), {1, 0}, "", std::string(300, 'x')));
  bench.fill(points);
  CHECK(scrolled(bench, "", 40).size() == 40);
  CHECK(bench.run(bench.store->get(ids_of(points), kAll)).value().size() == 40);
  std::vector<StoreQuery> queries(3);
  for (StoreQuery& query : queries) {
    query.vector = {1, 0};
    query.k = 30;
    query.parts = kAll;
  }
  const auto found = bench.run(bench.store->search(std::move(queries)));
  INFO((found.ok() ? "" : found.error().message));
  REQUIRE(found.ok());
  for (const std::vector<StoreHit>& hits : found.value()) {
    REQUIRE(hits.size() == 30);
    for (const StoreHit& hit : hits) CHECK(hit.point.text.size() == 300);
  }
}

TEST_CASE("Weaviate: calls end at once when they are cancelled") {
  Bench bench(options_of(2));
  bench.fill({});
  const auto cancelled = [&](auto task) {
    bench.network.start(task);
    bench.network.step();
    bench.network.abort();
    REQUIRE(task.done());
    CHECK(task.take().code() == Code::kAborted);
    CHECK(bench.network.pending() == 0);
  };
  cancelled(bench.store->upsert({point_of("a", {1, 0})}));
  cancelled(bench.store->info());
  bench.server.polls = 1 << 20;
  auto backup = bench.store->create_snapshot();
  bench.network.start(backup);
  for (int i = 0; i < 20; ++i) bench.network.step();
  bench.network.abort();
  REQUIRE(backup.done());
  CHECK(backup.take().code() == Code::kAborted);
}

// What a real server was asked and answered (../shared/contracts/recordings), by name.
namespace {

std::map<std::string, Json> recordings() {
  std::map<std::string, Json> out;
  std::ifstream file(NEARFIELD_SOURCE_DIR "/../shared/contracts/recordings/weaviate.jsonl");
  for (std::string line; std::getline(file, line);) {
    Json exchange = Json::parse(line);
    if (exchange.contains("name")) out[exchange["name"].get<std::string>()] = exchange;
  }
  return out;
}

}  // namespace

TEST_CASE("Weaviate: recorded answers of a real server are read") {
  std::map<std::string, Json> recorded = recordings();
  if (recorded.empty()) {
    WARN("skipped: ../shared/contracts/recordings is absent");
    return;
  }
  WeaviateOptions options = options_of(4);
  options.text_search = true;
  options.text_field = "body";
  Bench bench(options);
  std::vector<std::string> waiting;
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
    REQUIRE_FALSE(waiting.empty());
    const Json& exchange = recorded.at(waiting.front());
    INFO(waiting.front());
    waiting.erase(waiting.begin());
    CHECK(request.method == exchange["request"]["method"].get<std::string>());
    // Keys are refused alike everywhere.
    const bool anywhere = exchange["response"]["status"] == 401;
    CHECK((anywhere || request.url.ends_with(exchange["request"]["path"].get<std::string>())));
    const Json& body = exchange["response"]["body"];
    return NetworkReply::of(exchange["response"]["status"].get<uint64_t>(),
                            body.is_string() ? body.get<std::string>() : body.dump());
  });
  const auto replay = [&](std::vector<std::string> names, auto task) {
    waiting = std::move(names);
    auto out = bench.run(std::move(task));
    CHECK(waiting.empty());
    return out;
  };
  WeaviateStore& store = *bench.store;
  const auto search = [&](const std::string& name, std::string text = "", StoreParts parts = {}) {
    std::vector<StoreQuery> queries = query_of({1, 0, 0, 0}, std::move(text));
    queries[0].parts = parts;
    return replay({name}, store.search(std::move(queries)));
  };
  const auto uuid = [](int n) { return "00000000-0000-5000-8000-00000000000" + std::to_string(n); };

  CHECK(replay({"class-missing", "create"}, store.ensure()).value().created);
  // A class of somebody else's.
  CHECK(replay({"class-missing", "create-again", "class"}, store.ensure()).code() == Code::kSchemaMismatch);
  CHECK(replay({"class-missing", "create-lower-case"}, store.ensure()).code() == Code::kRemoteRejected);
  CHECK(replay({"class-missing"}, store.drop()).value() == false);
  CHECK(replay({"class", "drop-Docs"}, store.drop()).value());
  CHECK(replay({"ready", "auth-wrong"}, store.health()).ready == false);

  const auto near = search("near", "", {.payload = true, .text = true, .vector = true});
  REQUIRE(near.ok());
  REQUIRE(near.value()[0].size() == 6);
  CHECK(near.value()[0][0].point.id == uuid(1));
  CHECK(std::abs(near.value()[0][1].score - 0.6) < 1e-6);
  CHECK(near.value()[0][5].score == -1);
  CHECK(near.value()[0][1].point.vector == std::vector<float>{0.6f, 0.8f, 0, 0});
  // Equal scores, by id.
  CHECK(near.value()[0][3].point.id == uuid(2));
  CHECK(search("near-wrong-dimension").error().message == "Vector dimension mismatch: expected 4, got 3");
  CHECK(search("near-limit-huge").code() == Code::kLimitExceeded);
  CHECK(search("near-unknown-property").code() == Code::kSchemaMismatch);
  CHECK(search("where-unknown-path").code() == Code::kSchemaMismatch);
  CHECK(search("syntax-error").code() == Code::kRemoteRejected);
  CHECK(search("graphql-no-class").code() == Code::kNotFound);
  CHECK(search("auth-graphql-missing").code() == Code::kUnauthorized);
  for (const char* const name : {"bm25", "hybrid-relative", "hybrid-ranked"}) {
    const auto found = search(name, "fox 3");
    REQUIRE(found.ok());
    CHECK(found.value()[0].size() == 4);
  }
  CHECK(search("bm25", "fox 3").value()[0][0].point.id == uuid(4));
  CHECK(std::abs(search("hybrid-relative", "fox 3").value()[0][0].score - 0.75) < 1e-9);
  std::vector<StoreQuery> two(2);
  for (StoreQuery& query : two) query.vector = {1, 0, 0, 0};
  // That query did not ask for it.
  recorded["graphql-batch"]["response"]["body"][0]["data"]["Get"]["Docs"][0]["_additional"] = {{"id", uuid(1)},
                                                                                               {"distance", 0}};
  CHECK(replay({"graphql-batch"}, store.search(std::move(two))).error().message ==
        "Vector dimension mismatch: expected 4, got 2");

  CHECK(replay({"count"}, store.count(std::nullopt)).value() == 6);
  CHECK(replay({"count-where"}, store.count(filter_of(R"({"tag":"red"})"))).value() == 2);
  CHECK(replay({"delete-batch-where"}, store.remove_matching(filter_of(R"({"tag":"red"})"))).value() == 2);
  const auto got = replay({"where-id"}, store.get({uuid(4), uuid(1), "absent"}, {}));
  REQUIRE(got.ok());
  CHECK(ids_of(got.value()) == std::vector<std::string>{uuid(4), uuid(1)});

  const auto write = [&](std::vector<std::string> names, std::vector<StorePoint> points) {
    waiting = std::move(names);
    bench.network.set_handler([&](const HttpEffect& request, uint64_t) {
      if (request.method == "GET") return bench.server.handle(request);
      const Json& exchange = recorded.at(waiting.front());
      waiting.erase(waiting.begin());
      const Json& body = exchange["response"]["body"];
      return NetworkReply::of(exchange["response"]["status"].get<uint64_t>(), body.dump());
    });
    return bench.run(store.upsert(std::move(points)));
  };
  bench.network.set_handler([&](const HttpEffect& request, uint64_t) { return bench.server.handle(request); });
  REQUIRE(bench.run(store.ensure()).ok());
  CHECK(write({"batch-replace"}, {point_of(uuid(1))}).value().ok.size() == 1);
  const auto partly =
      write({"batch-wrong-dimension"}, {point_of(uuid(2)), point_of("00000000-0000-5000-8000-000000000020")});
  REQUIRE(partly.ok());
  CHECK(partly.value().ok.size() == 1);
  REQUIRE(partly.value().failed.size() == 1);
  CHECK(partly.value().failed[0].message == "Vector dimension mismatch: expected 4, got 3");
  const auto wrong = write({"batch-wrong-type"}, {point_of("00000000-0000-5000-8000-000000000021")});
  REQUIRE(wrong.ok());
  CHECK(wrong.value().failed[0].code == Code::kRemoteRejected);
  CHECK(wrong.value().failed[0].message.find("invalid integer property") != std::string::npos);
  CHECK(write({"batch-bad-uuid"}, {point_of("x")}).code() == Code::kRemoteRejected);
}
