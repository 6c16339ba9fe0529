// Random operations on a collection, compared with the model after each.
#include <catch_amalgamated.hpp>

#include "core/base/random.h"
#include "tests/support/collection_model.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

size_t below(Random& random, size_t bound) { return static_cast<size_t>(random.below(bound)); }

constexpr size_t kDim = 3;

std::string random_words(Random& random, size_t most) {
  static constexpr const char* kWords[] = {"login", "logins", "user", "getUserName", "token", "req-1.2", "the", "検索"};
  std::string text;
  for (size_t i = below(random, most + 1); i > 0; --i) text += std::string(kWords[below(random, 8)]) + " ";
  return text;
}

// Few values, so that equal scores are common.
std::vector<float> random_coarse_vector(Random& random) {
  std::vector<float> vector(kDim);
  for (float& component : vector) component = 0.5f * static_cast<float>(below(random, 5)) - 1;
  return vector;
}

Point random_point(Random& random, const Schema& schema) {
  Point point;
  point.id = "id" + std::to_string(below(random, 60));
  if (schema.dimension > 0 && below(random, 6) != 0) point.vector = random_coarse_vector(random);
  point.text = random_words(random, 5);
  if (below(random, 4) != 0) {
    Json payload = {{"n", below(random, 4)}, {"tags", Json::array()}};
    if (below(random, 2) == 0) payload["title"] = random_words(random, 2);
    for (size_t i = below(random, 3); i > 0; --i) payload["tags"].push_back(random_words(random, 1));
    point.payload = payload.dump();
  }
  return point;
}

Batch random_batch(Random& random, const Schema& schema) {
  Batch batch;
  for (size_t i = below(random, 3); i > 0; --i) batch.deletes.push_back("id" + std::to_string(below(random, 60)));
  std::map<std::string, Point> upserts;
  for (size_t i = below(random, 7); i > 0; --i) {
    Point point = random_point(random, schema);
    upserts[point.id] = point;
  }
  for (auto& [id, point] : upserts) batch.upserts.push_back(point);
  // Not by id.
  for (size_t i = batch.upserts.size(); i > 1; --i) std::swap(batch.upserts[i - 1], batch.upserts[below(random, i)]);
  return batch;
}

std::optional<Filter> random_filter(Random& random) {
  static constexpr const char* kFilters[] = {R"({"n": 1})", R"({"n": {"$ne": 2}})", R"({"tags": {"$exists": false}})",
                                             R"({"$or": [{"n": {"$gt": 2}}, {"title": {"$exists": true}}]})"};
  const size_t which = below(random, 8);
  if (which >= 4) return std::nullopt;
  return std::move(Filter::parse(Json::parse(kFilters[which]))).value();
}

// Holds the query's vector, which a request only views.
struct RandomRequest {
  std::vector<float> vector;
  SearchRequest request;
};

RandomRequest random_request(Random& random, const Schema& schema) {
  RandomRequest out;
  const bool can_dense = schema.dimension > 0;
  const bool can_text = schema.text.has_value();
  const bool dense = can_dense && (!can_text || below(random, 3) != 0);
  const bool text = can_text && (!dense || below(random, 2) == 0);
  if (dense) out.vector = random_coarse_vector(random);
  if (text) out.request.text = random_words(random, 3) + "user";
  if (dense && text) out.request.mode = static_cast<SearchMode>(below(random, 4));
  out.request.vector = out.vector;
  out.request.k = 1 + below(random, below(random, 3) == 0 ? 100 : 8);
  out.request.offset = below(random, 3) == 0 ? below(random, 12) : 0;
  out.request.filter = random_filter(random);
  out.request.exact = true;
  if (below(random, 2) == 0) out.request.fusion = Convex{random.unit()};
  if (below(random, 5) == 0) out.request.min_score = random.unit() - 0.5;
  return out;
}

void compare_search(const Collection& collection, const Model& model, const SearchRequest& request) {
  const auto result = collection.search(request);
  REQUIRE(result.ok());
  const std::vector<Model::Found> expected = model.search(request);
  REQUIRE(result->hits.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const Hit& hit = result->hits[i];
    REQUIRE(hit.score == Catch::Approx(expected[i].score).epsilon(1e-9).margin(1e-9));
    REQUIRE(hit.row.id == expected[i].id);
    REQUIRE(hit.row.text == model.points().at(expected[i].id).text);
    REQUIRE((hit.dense || hit.text));
    if (hit.dense) REQUIRE(!hit.row.vector.empty());
  }
  REQUIRE(result->plan.rows_allowed == model.matching(request.filter ? &*request.filter : nullptr).size());
  REQUIRE(!result->plan.reason.empty());
}

void compare_points(const Collection& collection, const Model& model, Random& random) {
  REQUIRE(collection.count() == model.points().size());
  const std::string id = "id" + std::to_string(below(random, 60));
  const auto found = collection.find(id);
  const auto expected = model.points().find(id);
  REQUIRE(found.has_value() == (expected != model.points().end()));
  REQUIRE(collection.contains(id) == found.has_value());
  if (found) {
    REQUIRE(found->id == id);
    REQUIRE(found->text == expected->second.text);
    REQUIRE(found->payload == expected->second.payload);
    REQUIRE(std::vector<float>(found->vector.begin(), found->vector.end()) == expected->second.vector);
  }

  const auto filter = random_filter(random);
  const Filter* asked = filter ? &*filter : nullptr;
  const std::vector<std::string> matching = model.matching(asked);
  REQUIRE(collection.count_matching(asked) == matching.size());
  std::vector<std::string> scrolled;
  const size_t limit = 1 + below(random, 9);
  for (std::string after;;) {
    const std::vector<RowView> page = collection.scroll(asked, after, limit);
    for (const RowView& row : page) scrolled.emplace_back(row.id);
    REQUIRE(page.size() <= limit);
    if (page.size() < limit) break;
    after = scrolled.back();
  }
  REQUIRE(scrolled == matching);
}

Sections through_bytes(const Sections& sections) {
  Bytes bytes;
  write_sections(sections, bytes);
  auto read = read_sections(bytes);
  REQUIRE(read.ok());
  return std::move(read).value();
}

void run(const Schema& schema, uint64_t seed, int steps) {
  Random random(seed);
  Collection collection("c", schema);
  Model model(schema);
  // Gets the same rows and no derived state of its own.
  Collection replica("c", schema);
  replica.defer_derived(true);
  for (int step = 0; step < steps; ++step) {
    INFO("seed " << seed << ", step " << step);
    const size_t what = below(random, 100);
    if (what == 0) {
      collection.clear();
      replica.clear();
      model.clear();
    } else if (what < 4) {
      collection.compact();
      replica.compact();
      REQUIRE(collection.row_count() == collection.count());
    } else if (what < 8) {
      REQUIRE(collection.attach_derived(through_bytes(gathered(collection.derived()))));
    } else {
      const Batch batch = random_batch(random, schema);
      REQUIRE(collection.check(batch).ok());
      const size_t removed = model.apply(batch);
      REQUIRE(collection.apply(batch) == removed);
      REQUIRE(replica.apply(batch) == removed);
    }
    compare_points(collection, model, random);
    for (int i = 0; i < 3; ++i) {
      const RandomRequest query = random_request(random, schema);
      compare_search(collection, model, query.request);
    }
  }
  REQUIRE(replica.attach_derived(through_bytes(gathered(collection.derived()))));
  replica.defer_derived(false);
  for (int i = 0; i < 30; ++i) {
    // Attached state is as good as grown state, also for what comes after it.
    const Batch batch = random_batch(random, schema);
    REQUIRE(replica.apply(batch) == model.apply(batch));
    {
      const RandomRequest query = random_request(random, schema);
      compare_search(replica, model, query.request);
    }
  }
  replica.rebuild_derived();
  for (int i = 0; i < 30; ++i) {
    const RandomRequest query = random_request(random, schema);
    compare_search(replica, model, query.request);
  }
}

}  // namespace

TEST_CASE("a collection agrees with the model under random operations") {
  for (const Metric metric : kAllMetrics) {
    Schema schema;
    schema.dimension = kDim;
    schema.metric = metric;
    schema.text = TextSchema{};
    INFO(metric_name(metric));
    run(schema, 100 + static_cast<uint64_t>(metric), 120);
  }
}

TEST_CASE("a collection without text, and one without vectors, agree with the model") {
  Schema schema;
  schema.dimension = kDim;
  run(schema, 1, 100);
  schema.dimension = 0;
  schema.text = TextSchema{{"title", "text", "tags"}, false};
  run(schema, 2, 100);
}

TEST_CASE("a collection with a graph agrees with the model where the search is exact") {
  Schema schema;
  schema.dimension = kDim;
  schema.kind = IndexKind::kHnsw;
  schema.hnsw.m = 4;
  schema.hnsw.ef_construct = 20;
  schema.text = TextSchema{};
  run(schema, 3, 120);
}
