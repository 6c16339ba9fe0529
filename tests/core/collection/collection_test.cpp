#include "core/collection/collection.h"

#include <catch_amalgamated.hpp>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/random.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

size_t below(Random& random, size_t bound) { return static_cast<size_t>(random.below(bound)); }

Schema schema_of(size_t dimension, bool text = true) {
  Schema schema;
  schema.dimension = dimension;
  if (text) schema.text = TextSchema{};
  return schema;
}

Point point(std::string id, std::vector<float> vector, std::string text = "", std::string payload = "") {
  return {std::move(id), std::move(vector), std::move(text), std::move(payload)};
}

void put(Collection& collection, Point entry) {
  Batch batch;
  batch.upserts.push_back(std::move(entry));
  REQUIRE(collection.check(batch).ok());
  collection.apply(std::move(batch));
}

Collection two_points() {
  Collection collection("notes", schema_of(2));
  put(collection, point("a", {1, 0}, "alpha words", R"({"n": 1})"));
  put(collection, point("b", {0, 1}, "beta words", R"({"n": 2})"));
  return collection;
}

// Ids p0, p1, ...
Batch random_points(Random& random, size_t count, size_t dim) {
  Batch batch;
  for (size_t i = 0; i < count; ++i) {
    batch.upserts.push_back(point("p" + std::to_string(i), random_vector(random, dim)));
  }
  return batch;
}

SearchRequest near(std::span<const float> vector, size_t k = 10) {
  SearchRequest request;
  request.vector = vector;
  request.k = k;
  return request;
}

SearchRequest words(std::string text, size_t k = 10) {
  SearchRequest request;
  request.text = std::move(text);
  request.k = k;
  return request;
}

std::vector<std::string> ids(const Result<SearchResult>& result) {
  REQUIRE(result.ok());
  std::vector<std::string> out;
  for (const Hit& hit : result->hits) out.emplace_back(hit.row.id);
  return out;
}

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("a bad batch is refused with its value, changes nothing, and a good one follows") {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  struct Case {
    const char* name;
    Batch batch;
    Code code;
    std::string message;
    std::string value;
  };
  const auto upsert = [](std::vector<Point> points) { return Batch{{}, std::move(points)}; };
  std::string nested = R"({"a":)";
  for (int i = 0; i < 70; ++i) nested += "[";
  const Case cases[] = {
      {"short vector", upsert({point("c", {1})}), Code::kDimensionMismatch,
       "Vector dimension mismatch: expected 2, got 1", "1"},
      {"long vector", upsert({point("c", {1, 2, 3})}), Code::kDimensionMismatch,
       "Vector dimension mismatch: expected 2, got 3", "3"},
      {"NaN", upsert({point("c", {1, nan})}), Code::kInvalidArgument, "component 1 is not finite", "\"NaN\""},
      {"infinity", upsert({point("c", {-inf, 0})}), Code::kInvalidArgument, "vector of \"c\"", "\"-Infinity\""},
      {"empty id", upsert({point("", {1, 0})}), Code::kInvalidArgument, "an id is empty", "\"\""},
      {"NUL in an id", upsert({point(std::string("c\0d", 3), {1, 0})}), Code::kInvalidArgument, "NUL", "\"c\\u0000d\""},
      {"id that is not UTF-8", upsert({point("c\xFF", {1, 0})}), Code::kInvalidArgument, "not UTF-8",
       "\"c\xEF\xBF\xBD\""},
      {"long id", upsert({point(std::string(1025, 'c'), {1, 0})}), Code::kLimitExceeded, "1025 bytes", "1025"},
      {"id twice", upsert({point("c", {1, 0}), point("d", {1, 0}), point("c", {0, 1})}), Code::kInvalidArgument,
       "stands twice", "\"c\""},
      {"bad id to delete", Batch{{""}, {}}, Code::kInvalidArgument, "an id is empty", "\"\""},
      {"text that is not UTF-8", upsert({point("c", {1, 0}, "\xC3")}), Code::kInvalidArgument, "text of \"c\"",
       "\"c\""},
      {"long text", upsert({point("c", {1, 0}, std::string(kMaxTextBytes + 1, 'x'))}), Code::kLimitExceeded,
       "text of \"c\"", "16777217"},
      {"payload that is not JSON", upsert({point("c", {1, 0}, "", "{")}), Code::kFormatError, "payload of \"c\"", ""},
      {"payload that is an array", upsert({point("c", {1, 0}, "", " [1]")}), Code::kFormatError,
       "must be a JSON object", "\" [1]\""},
      {"payload of spaces", upsert({point("c", {1, 0}, "", "  ")}), Code::kFormatError, "payload of \"c\"", ""},
      {"payload with a byte order mark", upsert({point("c", {1, 0}, "", "\xEF\xBB\xBF{}")}), Code::kFormatError,
       "payload of \"c\"", "\"\xEF\xBB\xBF{}\""},
      {"payload with a key twice", upsert({point("c", {1, 0}, "", R"({"x":1,"x":2})")}), Code::kFormatError, "twice",
       "\"x\""},
      {"deep payload", upsert({point("c", {1, 0}, "", nested)}), Code::kLimitExceeded, "nested deeper", ""},
      {"long payload", upsert({point("c", {1, 0}, "", R"({"x":")" + std::string(kMaxPayloadBytes, 'x') + "\"}")}),
       Code::kLimitExceeded, "payload of \"c\"", "1048584"},
      {"a bad point behind good ones", upsert({point("c", {1, 0}), point("a", {5, 5}), point("d", {nan, 0})}),
       Code::kInvalidArgument, "vector of \"d\"", "\"NaN\""},
  };
  for (const Case& bad : cases) {
    INFO(bad.name);
    Collection collection = two_points();
    const Status status = collection.check(bad.batch);
    REQUIRE(!status.ok());
    CHECK(status.code() == bad.code);
    CHECK(status.error().message.find(bad.message) != std::string::npos);
    CHECK(status.error().value == bad.value);
    CHECK(collection.count() == 2);
    CHECK(collection.row_count() == 2);
    put(collection, point("c", {1, 1}, "gamma", "{}"));
    CHECK(collection.count() == 3);
  }
}

TEST_CASE("a batch beyond the bound is refused") {
  const Collection collection = two_points();
  Batch batch;
  batch.deletes.assign(kMaxBatchPoints + 1, "a");
  CHECK(collection.check(batch).code() == Code::kLimitExceeded);
}

TEST_CASE("a bad search is refused, and a good one follows") {
  const Collection collection = two_points();
  const float good[] = {1, 0};
  const float wrong[] = {1, 0, 0};
  const float nan[] = {1, std::numeric_limits<float>::quiet_NaN()};
  const auto mode = [](SearchRequest request, SearchMode wanted) {
    request.mode = wanted;
    return request;
  };
  const auto code = [&](const SearchRequest& request) {
    const Code answer = collection.search(request).code();
    CHECK(ids(collection.search(near(good, 1))) == Ids{"a"});
    return answer;
  };
  CHECK(code(SearchRequest{}) == Code::kInvalidArgument);
  CHECK(code(near(wrong)) == Code::kDimensionMismatch);
  CHECK(collection.search(near(wrong)).error().message == "Vector dimension mismatch: expected 2, got 3");
  CHECK(code(near(nan)) == Code::kInvalidArgument);
  CHECK(code(near(good, 0)) == Code::kInvalidArgument);
  CHECK(code(mode(near(good), SearchMode::kText)) == Code::kInvalidArgument);
  CHECK(code(mode(near(good), SearchMode::kHybrid)) == Code::kInvalidArgument);
  CHECK(code(mode(words("alpha"), SearchMode::kDense)) == Code::kInvalidArgument);
  CHECK(code(mode(words("alpha"), SearchMode::kHybrid)) == Code::kInvalidArgument);
  // A vector that a mode ignores is still checked.
  SearchRequest both = mode(near(wrong), SearchMode::kText);
  both.text = "alpha";
  CHECK(code(both) == Code::kDimensionMismatch);

  const Collection without_text("plain", schema_of(2, false));
  const auto refused = without_text.search(words("alpha"));
  REQUIRE(refused.code() == Code::kInvalidArgument);
  CHECK(refused.error().message.find("no text index") != std::string::npos);
  CHECK(Collection("texts", schema_of(0)).search(near(good)).code() == Code::kDimensionMismatch);
}

TEST_CASE("k beyond the count, offsets, and an empty collection") {
  const float query[] = {1, 0.5f};
  const Collection collection = two_points();
  CHECK(ids(collection.search(near(query, 1'000'000'000))) == Ids{"a", "b"});
  SearchRequest request = near(query);
  request.offset = 1;
  CHECK(ids(collection.search(request)) == Ids{"b"});
  request.offset = 2;
  CHECK(ids(collection.search(request)).empty());
  request.offset = std::numeric_limits<size_t>::max();
  CHECK(ids(collection.search(request)).empty());

  const Collection empty("empty", schema_of(2));
  SearchRequest hybrid = words("alpha");
  hybrid.vector = query;
  CHECK(ids(empty.search(near(query))).empty());
  CHECK(ids(empty.search(words("alpha"))).empty());
  CHECK(ids(empty.search(hybrid)).empty());
  CHECK(empty.scroll(nullptr, "", 10).empty());
  CHECK(empty.highlights("a", "").empty());
  CHECK(ids(collection.search(words("!?"))).empty());
  CHECK(ids(collection.search(words("unheard"))).empty());
}

TEST_CASE("ten thousand equal vectors come in the order of their ids") {
  Collection collection("equal", schema_of(4));
  Random random(9);
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) names.push_back("p" + std::to_string(i));
  for (size_t i = names.size(); i > 1; --i) std::swap(names[i - 1], names[below(random, i)]);
  Batch batch;
  for (const std::string& name : names) batch.upserts.push_back(point(name, {1, 2, 3, 4}, "same words"));
  REQUIRE(collection.check(batch).ok());
  collection.apply(std::move(batch));

  std::sort(names.begin(), names.end());
  const float query[] = {4, 3, 2, 1};
  SearchRequest hybrid = words("words", 150);
  hybrid.vector = query;
  SearchRequest paged = near(query, 50);
  paged.offset = 100;
  const Ids first(names.begin(), names.begin() + 150);
  CHECK(ids(collection.search(near(query, 150))) == first);
  CHECK(ids(collection.search(words("same", 150))) == first);
  CHECK(ids(collection.search(hybrid)) == first);
  CHECK(ids(collection.search(paged)) == Ids(names.begin() + 100, names.begin() + 150));
  CHECK(ids(collection.search(near(query, kMaxK))) == names);
}

TEST_CASE("a point without a vector is never a dense hit and gives none back") {
  Collection collection("mixed", schema_of(2));
  put(collection, point("a", {-1, 0}, "alpha"));
  put(collection, point("b", {}, "alpha beta"));
  const float query[] = {1, 0};
  CHECK(ids(collection.search(near(query))) == Ids{"a"});
  CHECK(collection.search(near(query))->plan.rows_scored == 1);
  CHECK(collection.search(near(query))->plan.rows_allowed == 2);
  CHECK(collection.find("b")->vector.empty());
  CHECK(collection.find("a")->vector.size() == 2);
  // It can lose the vector it had.
  put(collection, point("a", {}, "alpha"));
  CHECK(ids(collection.search(near(query))).empty());
  CHECK(collection.find("a")->vector.empty());
  CHECK(ids(collection.search(words("beta"))) == Ids{"b"});
}

TEST_CASE("a batch deletes first, and a repeated delete counts once") {
  Collection collection = two_points();
  Batch batch;
  batch.deletes = {"a", "a", "unknown", "b"};
  batch.upserts = {point("a", {0, 1}, "gamma")};
  REQUIRE(collection.check(batch).ok());
  CHECK(collection.apply(batch) == 2);
  CHECK(collection.count() == 1);
  CHECK(collection.find("a")->text == "gamma");
  CHECK(ids(collection.search(words("alpha words"))).empty());
  CHECK(collection.info().tombstones == 2);
}

TEST_CASE("legs report raw scores and ranks, and the plan says what was done") {
  const Collection collection = two_points();
  const float query[] = {1, 0};
  SearchRequest request = words("beta");
  request.vector = query;
  request.fusion = Convex{0.35};
  const auto result = collection.search(request);
  REQUIRE(ids(result) == Ids{"b", "a"});
  CHECK(result->plan.strategy == "hybrid(flat, text)");
  CHECK(result->plan.rows_scored == 3);
  const Hit& b = result->hits[0];
  REQUIRE(b.dense);
  REQUIRE(b.text);
  CHECK(b.dense->rank == 2);
  CHECK(b.dense->score == 0);
  CHECK(b.text->rank == 1);
  CHECK(b.score == 0.65);
  CHECK(!result->hits[1].text);
  CHECK(result->hits[1].score == 0.35);
  CHECK(collection.search(near(query))->plan.strategy == "flat");
  CHECK(collection.search(words("beta"))->plan.strategy == "text");

  request.min_score = 0.5;
  CHECK(ids(collection.search(request)) == Ids{"b"});
  request.filter = std::move(Filter::parse(Json{{"n", 1}})).value();
  request.min_score.reset();
  CHECK(ids(collection.search(request)) == Ids{"a"});
  CHECK(collection.search(request)->plan.rows_allowed == 1);
}

TEST_CASE("text comes from the schema's fields") {
  Schema schema = schema_of(0);
  schema.text->fields = {"title", "meta.tags", "sections.heading"};
  Collection collection("fields", schema);
  put(collection, point("a", {}, "unindexed", R"({"title": "alpha", "meta": {"tags": ["beta", 7, "gamma"]}})"));
  put(collection, point("b", {}, "", R"({"title": 5, "sections": [{"heading": "delta"}, {"heading": "epsilon"}]})"));
  put(collection, point("c", {}));
  CHECK(ids(collection.search(words("alpha"))) == Ids{"a"});
  CHECK(ids(collection.search(words("gamma"))) == Ids{"a"});
  CHECK(ids(collection.search(words("epsilon"))) == Ids{"b"});
  CHECK(ids(collection.search(words("unindexed"))).empty());
  put(collection, point("a", {}, "", R"({"title": "zeta"})"));
  CHECK(ids(collection.search(words("alpha"))).empty());
  CHECK(ids(collection.search(words("zeta"))) == Ids{"a"});
}

TEST_CASE("highlights are merged byte ranges of the words that match") {
  using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;
  const Collection collection = two_points();
  CHECK(collection.highlights("words", "Two words, one WORD.") == Ranges{{4, 9}, {15, 19}});
  CHECK(collection.highlights("user", "call getUserName now") == Ranges{{8, 12}});
  // The whole identifier and its parts are one range.
  CHECK(collection.highlights("getUserName", "call getUserName now") == Ranges{{5, 16}});
  CHECK(collection.highlights("", "words").empty());
  // A word that most rows hold stands back behind rarer ones, and is shown where there is nothing else.
  Collection many("many", schema_of(0, true));
  for (int i = 0; i < 8; ++i) put(many, point("p" + std::to_string(i), {}, i == 0 ? "the gate" : "the rest"));
  CHECK(many.highlights("the gate", "the gate") == Ranges{{4, 8}});
  CHECK(many.highlights("the gate", "the door") == Ranges{{0, 3}});
  CHECK(many.highlights("the unknown", "the unknown") == Ranges{{4, 11}});
  CHECK(Collection("plain", schema_of(2, false)).highlights("words", "words").empty());
}

TEST_CASE("a graph finds nearly what a scan finds, also through filters and tombstones") {
  constexpr size_t kDim = 16;
  Schema schema = schema_of(kDim, false);
  schema.kind = IndexKind::kHnsw;
  Collection collection("graph", schema);
  CHECK(collection.info().kind == IndexKind::kHnsw);
  Random random(21);
  Batch batch;
  for (size_t i = 0; i < 3'000; ++i) {
    Json payload = {{"half", i % 2}, {"rare", i % 100}};
    batch.upserts.push_back(point("p" + std::to_string(i), random_vector(random, kDim), "", payload.dump()));
  }
  collection.apply(std::move(batch));
  while (collection.advance_index() == IndexStep::kMore) {
  }
  REQUIRE(collection.unindexed() == 0);
  Batch deletes;
  for (size_t i = 0; i < 3'000; i += 5) deletes.deletes.push_back("p" + std::to_string(i));
  CHECK(collection.apply(std::move(deletes)) == 600);

  const auto agreement = [&](const Json& filter, std::string_view strategy) {
    size_t found = 0;
    size_t wanted = 0;
    for (int i = 0; i < 20; ++i) {
      const std::vector<float> query = random_vector(random, kDim);
      SearchRequest request = near(query);
      if (!filter.is_null()) request.filter = std::move(Filter::parse(filter)).value();
      const auto approximate = collection.search(request);
      const Ids got = ids(approximate);
      CHECK(approximate->plan.strategy == strategy);
      request.exact = true;
      const Ids expected = ids(collection.search(request));
      CHECK(collection.search(request)->plan.strategy == "flat");
      wanted += expected.size();
      for (const std::string& id : expected) found += std::find(got.begin(), got.end(), id) != got.end() ? 1 : 0;
    }
    return static_cast<double>(found) / static_cast<double>(wanted);
  };
  CHECK(agreement(nullptr, "hnsw") >= 0.95);
  // Few rows are cheaper, and exact, by a scan.
  CHECK(agreement({{"rare", 3}}, "flat") == 1);
  // ef and k beyond what the graph can reach end in a scan as well.
  const std::vector<float> query = random_vector(random, kDim);
  CHECK(ids(collection.search(near(query, kMaxK))).size() == collection.count());
}

TEST_CASE("rows that the graph does not have yet are found all the same") {
  constexpr size_t kDim = 12;
  Schema schema = schema_of(kDim, false);
  schema.kind = IndexKind::kHnsw;
  schema.hnsw = {.m = 8, .ef_construct = 40};
  Collection collection("graph", schema);
  Random random(22);
  collection.apply(random_points(random, 500, kDim));
  REQUIRE(collection.unindexed() > 400);
  CHECK(collection.info().unindexed == collection.unindexed());
  // Some of either part die, and single writes are indexed together with a few of the rest.
  Batch deletes;
  for (size_t i = 0; i < 500; i += 9) deletes.deletes.push_back("p" + std::to_string(i));
  collection.apply(std::move(deletes));
  put(collection, point("p7", random_vector(random, kDim)));

  const auto check = [&](const Collection& some) {
    size_t live = 0;
    for (size_t row = some.row_count() - some.unindexed(); row < some.row_count(); ++row) {
      live += some.is_live(static_cast<RowId>(row)) ? 1 : 0;
    }
    const std::string scanned = " " + std::to_string(live) + " rows it has yet to take in are scanned";
    for (int i = 0; i < 5; ++i) {
      const std::vector<float> query = random_vector(random, kDim);
      SearchRequest request = near(query);
      const std::string reason = some.search(request).value().plan.reason;
      CHECK((reason.find(scanned) != std::string::npos) == (live > 0));
      // Broad enough that the walk meets everything it could.
      request.ef = 500;
      const Ids got = ids(some.search(request));
      request.exact = true;
      CHECK(got == ids(some.search(request)));
    }
  };
  check(collection);
  size_t steps = 0;
  for (size_t left = collection.unindexed(); collection.advance_index() == IndexStep::kMore; ++steps) {
    REQUIRE(collection.unindexed() < left);
    left = collection.unindexed();
    if (steps % 4 != 0) continue;
    check(collection);
    // Half a graph is worth saving: whoever reads it goes on from there.
    Collection reopened("graph", schema);
    reopened.defer_derived(true);
    Batch rows;
    for (RowId row = 0; row < collection.row_count(); ++row) {
      const RowView view = collection.row(row);
      rows.upserts.push_back(point(std::to_string(row), std::vector<float>(view.vector.begin(), view.vector.end())));
    }
    reopened.apply(std::move(rows));
    Batch dead;
    for (RowId row = 0; row < collection.row_count(); ++row) {
      if (!collection.is_live(row)) dead.deletes.push_back(std::to_string(row));
    }
    reopened.apply(std::move(dead));
    REQUIRE(reopened.attach_derived(gathered(collection.derived())));
    reopened.defer_derived(false);
    CHECK(reopened.unindexed() == left);
    check(reopened);
  }
  CHECK(steps > 8);
  CHECK(collection.unindexed() == 0);
  check(collection);
}

TEST_CASE("auto builds a graph for all rows once a scan would be slow") {
  // 20 million components are reached soonest with few long rows.
  constexpr size_t kDim = 50'000;
  Schema schema = schema_of(kDim, false);
  schema.hnsw.m = 2;
  schema.hnsw.ef_construct = 2;
  Collection collection("auto", schema);
  std::vector<float> vector(kDim);
  for (size_t i = 0; i < 400; ++i) {
    vector[i] = 1;
    put(collection, point("p" + std::to_string(i), vector));
    REQUIRE(collection.info().kind == (i == 399 ? IndexKind::kHnsw : IndexKind::kFlat));
    vector[i] = 0.5;
  }
  CHECK(!collection.info().reason.empty());
  CHECK(collection.info().index_bytes > 0);
  // A flat schema never gets one.
  schema.kind = IndexKind::kFlat;
  CHECK(Collection("flat", schema).info().kind == IndexKind::kFlat);
}

TEST_CASE("compaction drops dead rows and keeps the rest in order") {
  Collection collection("c", schema_of(2));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 700; ++i) {
      put(collection, point("p" + std::to_string(i), {static_cast<float>(i), static_cast<float>(round)}, "words"));
    }
    CHECK(collection.wants_compaction() == (round == 2));
  }
  CHECK(collection.row_count() == 2'100);
  CHECK(collection.info().tombstones == 1'400);
  CHECK(!collection.is_live(0));
  CHECK(collection.is_live(1'400));
  const size_t bytes = collection.info().payload_bytes;
  collection.compact();
  CHECK(!collection.wants_compaction());
  CHECK(collection.row_count() == 700);
  CHECK(collection.info().tombstones == 0);
  CHECK(collection.info().payload_bytes < bytes);
  CHECK(collection.row(3).id == "p3");
  CHECK(collection.row(3).vector[1] == 2);
  CHECK(collection.find("p699")->vector[0] == 699);
}

TEST_CASE("derived state of other rows or damaged sections is refused, and nothing has changed") {
  Schema schema = schema_of(2);
  schema.kind = IndexKind::kHnsw;
  const auto filled = [&](int points) {
    Collection collection("c", schema);
    for (int i = 0; i < points; ++i)
      put(collection, point("p" + std::to_string(i), {1, static_cast<float>(i)}, "words"));
    return collection;
  };
  Collection collection = filled(5);
  const Sections sections = gathered(collection.derived());
  const float query[] = {1, 2};
  SearchRequest request = words("words");
  request.vector = query;
  const Ids before = ids(collection.search(request));
  REQUIRE(before.size() == 5);

  CHECK(!filled(4).attach_derived(sections));
  Collection with_dead_row = filled(5);
  Batch batch;
  batch.deletes = {"p2"};
  with_dead_row.apply(batch);
  CHECK(!with_dead_row.attach_derived(sections));
  Collection without_vector = filled(4);
  put(without_vector, point("p4", {}, "words"));
  CHECK(!without_vector.attach_derived(sections));
  Schema flat = schema;
  flat.kind = IndexKind::kFlat;
  Collection other_kind("c", flat);
  CHECK(!other_kind.attach_derived(sections));

  CHECK(!collection.attach_derived({}));
  for (size_t i = 0; i < sections.size(); ++i) {
    INFO(sections[i].name);
    Sections without = sections;
    without.erase(without.begin() + static_cast<ptrdiff_t>(i));
    CHECK(!collection.attach_derived(without));
    Sections cut = sections;
    if (!cut[i].bytes.empty()) {
      cut[i].bytes.resize(cut[i].bytes.size() - element_size(cut[i].type));
      --cut[i].shape[0];
      CHECK(!collection.attach_derived(cut));
    }
  }
  CHECK(ids(collection.search(request)) == before);
  CHECK(collection.attach_derived(sections));
  CHECK(ids(collection.search(request)) == before);
}

TEST_CASE("a flat index of learned codes begins once there is enough to learn from") {
  for (const CodeKind code : {CodeKind::kSq8, CodeKind::kRaBitQ}) {
    constexpr size_t kDim = 16;
    Schema schema;
    schema.dimension = kDim;
    schema.kind = IndexKind::kFlat;
    schema.code = code;
    Collection collection("c", schema);
    Random random(3);
    const auto write = [&](size_t first, size_t count) {
      Batch batch;
      for (size_t i = first; i < first + count; ++i) {
        batch.upserts.push_back(point("p" + std::to_string(i), random_vector(random, kDim), "", ""));
      }
      collection.apply(std::move(batch));
      while (collection.advance_index() == IndexStep::kMore) {
      }
    };
    // The best ten, as an exact search finds them.
    const auto check = [&] {
      SearchRequest request;
      const std::vector<float> query = random_vector(random, kDim);
      request.vector = query;
      const auto found = collection.search(request);
      request.exact = true;
      const auto exact = collection.search(request);
      REQUIRE(found.ok());
      size_t right = 0;
      for (const Hit& hit : found->hits) right += hit.score >= exact->hits.back().score ? 1 : 0;
      CHECK(right >= 9);
    };
    write(0, 999);
    CHECK(collection.info().code == CodeKind::kF32);
    CHECK(collection.info().reason.find("999 rows are too few to learn from") != std::string::npos);
    CHECK(collection.unindexed() == 0);
    write(999, 200);
    CHECK(collection.info().code == code);
    CHECK(collection.indexed() == 1'199);
    write(500, 1'500);
    CHECK(collection.indexed() == 2'699);
    Collection copy("c", schema);
    Batch all;
    for (const RowView& row : collection.scroll(nullptr, "", 10'000)) {
      all.upserts.push_back(point(std::string(row.id), {row.vector.begin(), row.vector.end()}, "", ""));
    }
    collection.compact();
    while (collection.advance_index() == IndexStep::kMore) {
    }
    CHECK(collection.indexed() == 2'000);
    CHECK(collection.unindexed() == 0);
    for (int i = 0; i < 5; ++i) check();

    copy.defer_derived(true);
    copy.apply(std::move(all));
    copy.rebuild_derived();
    copy.defer_derived(false);
    SearchRequest request = near(copy.row(0).vector);
    constexpr std::string_view kLearning = "the index is still being learned, and rows are scanned";
    CHECK(copy.search(request)->plan.reason.find(kLearning) != std::string::npos);
    while (copy.advance_index() == IndexStep::kMore) {
    }
    CHECK(copy.search(request)->plan.reason.find(kLearning) == std::string::npos);
    CHECK(copy.indexed() == 2'000);
    CHECK(copy.attach_derived(gathered(collection.derived())));
    CHECK(copy.indexed() == 2'000);
    CHECK(copy.unindexed() == 0);
  }
}

TEST_CASE("a partitioned index whose points are gone before it was tuned has nothing more to do") {
  Schema schema;
  schema.dimension = 4;
  schema.kind = IndexKind::kIvfFlat;
  Collection collection("c", schema);
  Random random(1);
  Batch deletes;
  for (size_t i = 1; i < 1'200; ++i) deletes.deletes.push_back("p" + std::to_string(i));
  collection.apply(random_points(random, 1'200, 4));
  for (size_t steps = 0; collection.indexed() < 1'000; ++steps) {
    REQUIRE(steps < 1'000);
    collection.advance_index();
  }
  collection.apply(std::move(deletes));
  for (size_t steps = 0; collection.advance_index() == IndexStep::kMore; ++steps) REQUIRE(steps < 1'000);
  CHECK(!collection.indexing());
  SearchRequest request;
  const std::vector<float> query = random_vector(random, 4);
  request.vector = query;
  CHECK(collection.search(request)->hits.size() == 1);
}

TEST_CASE("a search of a half-built index does not blame a filter that was not given") {
  Schema schema;
  schema.dimension = 4;
  schema.kind = IndexKind::kHnsw;
  Collection collection("c", schema);
  Random random(1);
  collection.apply(random_points(random, 5'000, 4));
  for (int i = 0; i < 10; ++i) collection.advance_index();
  REQUIRE(collection.unindexed() > 4'000);
  SearchRequest request;
  const std::vector<float> query = random_vector(random, 4);
  request.vector = query;
  const auto found = collection.search(request);
  CHECK(found->plan.strategy == "hnsw");
  CHECK(found->plan.reason.starts_with("the collection's schema asks for it; "));
  request.exact = true;
  const auto exact = collection.search(request);
  for (size_t i = 0; i < 10; ++i) CHECK(found->hits[i].row.id == exact->hits[i].row.id);
}
