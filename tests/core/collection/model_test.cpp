// Random operations on a collection, compared with the model after each.
#include <catch_amalgamated.hpp>

#include "core/base/random.h"
#include "tests/support/random_points.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

void compare_search(const Collection& collection, const Model& model, const SearchRequest& request) {
  REQUIRE(search_difference(collection, model, request) == "");
}
void compare_points(const Collection& collection, const Model& model, Random& random) {
  REQUIRE(points_difference(collection, model, random) == "");
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
    schema.dimension = kRandomDim;
    schema.metric = metric;
    schema.text = TextSchema{};
    INFO(metric_name(metric));
    run(schema, 100 + static_cast<uint64_t>(metric), 120);
  }
}

TEST_CASE("a collection without text, and one without vectors, agree with the model") {
  Schema schema;
  schema.dimension = kRandomDim;
  run(schema, 1, 100);
  schema.dimension = 0;
  schema.text = TextSchema{{"title", "text", "tags"}, false};
  run(schema, 2, 100);
}

TEST_CASE("a collection with a graph agrees with the model where the search is exact") {
  Schema schema;
  schema.dimension = kRandomDim;
  schema.kind = IndexKind::kHnsw;
  schema.hnsw.m = 4;
  schema.hnsw.ef_construct = 20;
  schema.text = TextSchema{};
  run(schema, 3, 120);
}
