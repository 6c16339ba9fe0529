#include "core/index/hnsw.h"

#include <catch_amalgamated.hpp>
#include <functional>
#include <limits>

#include "core/index/flat.h"
#include "core/index/make_index.h"
#include "tests/support/index_search.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

// The sanitizers make building some ten times slower, so the native tests build smaller graphs.
#ifdef __EMSCRIPTEN__
constexpr size_t kRows = 10'000;
#else
constexpr size_t kRows = 4'000;
#endif

IndexOptions graph_of(HnswOptions options, CodeKind code) { return {IndexKind::kHnsw, code, options}; }

std::unique_ptr<VectorIndex> built(const VectorTable& table, Metric metric, HnswOptions options = {},
                                   CodeKind code = CodeKind::kF32) {
  auto hnsw = make_index(graph_of(options, code), {metric, table.dim(), &table});
  add_all(*hnsw, table);
  return hnsw;
}

Result<std::unique_ptr<VectorIndex>> loaded_of(const Sections& sections, const VectorTable& table, Metric metric,
                                               HnswOptions options, CodeKind code = CodeKind::kF32) {
  return load_index(sections, graph_of(options, code), {metric, table.dim(), &table}, table.count());
}

RowSet all_rows(const VectorTable& table) { return RowSet(table.count(), true); }

// Checks what holds for every answer: wanted rows, once each, exact scores, in order.
void check_answer(const std::vector<Scored>& found, const VectorTable& table, Metric metric,
                  std::span<const float> query, const RowSet& allowed, size_t limit) {
  RowSet seen(table.count());
  for (size_t i = 0; i < found.size(); ++i) {
    REQUIRE(allowed.contains(found[i].row));
    REQUIRE(!seen.contains(found[i].row));
    seen.insert(found[i].row);
    REQUIRE(found[i].score == exact_score(metric, query, table.row(found[i].row)));
    if (i == 0) continue;
    const bool in_order = found[i - 1].score > found[i].score ||
                          (found[i - 1].score == found[i].score && found[i - 1].row < found[i].row);
    REQUIRE(in_order);
  }
  REQUIRE(found.size() >= std::min(limit, allowed.count()));
  if (limit > 0 && found.size() > limit) REQUIRE(found.back().score == found[limit - 1].score);
}

struct Measured {
  double recall = 0;    // share of answers that score no less than the true last
  double compared = 0;  // vectors a query
};

Measured measure(const VectorIndex& hnsw, const VectorTable& table, Metric metric, MatrixView queries,
                 const RowSet& allowed, size_t limit, size_t ef) {
  size_t right = 0, wanted = 0, compared = 0;
  for (size_t i = 0; i < queries.count(); ++i) {
    const auto exact = flat_search(table, metric, queries.row(i), allowed, limit);
    size_t scored = 0;
    const auto found = search_index(hnsw, table, metric, queries.row(i), allowed, limit, ef, &scored);
    check_answer(found, table, metric, queries.row(i), allowed, limit);
    const size_t count = std::min(limit, exact.size());
    for (size_t j = 0; j < count; ++j) right += found[j].score >= exact[count - 1].score ? 1 : 0;
    wanted += count;
    compared += scored;
  }
  return {static_cast<double>(right) / static_cast<double>(wanted),
          static_cast<double>(compared) / static_cast<double>(queries.count())};
}

bool same_sections(const StateSections& of_a, const StateSections& of_b) {
  const Sections a = gathered(of_a), b = gathered(of_b);
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Section& x, const Section& y) {
    return x.name == y.name && x.type == y.type && x.shape == y.shape && x.bytes == y.bytes;
  });
}

std::vector<float> random_queries(size_t count, size_t dim, uint64_t seed) {
  Random random(seed);
  return random_vector(random, count * dim);
}

}  // namespace

TEST_CASE("recall on real vectors, with and without filters and deletes") {
  const std::vector<float> base = real_vectors(kRows);
  const std::vector<float> query_values = real_queries(100);
  if (base.empty() || query_values.empty()) SKIP("the development vectors are absent");
  const VectorTable table = table_of({base, kRealDim});
  const MatrixView queries(query_values, kRealDim);
  const MatrixView few_queries(std::span(query_values).first(30 * kRealDim), kRealDim);
  const auto hnsw = built(table, Metric::kCosine);
  REQUIRE(hnsw->count() == kRows);

  const Measured everything = measure(*hnsw, table, Metric::kCosine, queries, all_rows(table), 10, 128);
  INFO("recall " << everything.recall << ", compared " << everything.compared);
  CHECK(everything.recall >= 0.98);
  // It walks the graph and does not scan.
  CHECK(everything.compared < 0.6 * static_cast<double>(kRows));

  for (const double share : {0.9, 0.8, 0.5, 0.1, 0.01, 0.001}) {
    const RowSet allowed = random_rows(table.count(), share, 7);
    const Measured filtered = measure(*hnsw, table, Metric::kCosine, few_queries, allowed, 10, 128);
    INFO("share " << share << " recall " << filtered.recall << ", compared " << filtered.compared);
    CHECK(filtered.recall >= 0.98);
    if (share <= 0.1) CHECK(filtered.compared == static_cast<double>(allowed.count()));
  }

  const auto loaded = loaded_of(gathered(hnsw->sections(false)), table, Metric::kCosine, {});
  REQUIRE(loaded.ok());
  for (size_t i = 0; i < queries.count(); ++i) {
    REQUIRE(
        same_answers(search_index(*loaded.value(), table, Metric::kCosine, queries.row(i), all_rows(table), 10, 128),
                     search_index(*hnsw, table, Metric::kCosine, queries.row(i), all_rows(table), 10, 128)));
  }
}

TEST_CASE("a graph of codes finds as much as one of vectors") {
  const std::vector<float> base = real_vectors(kRows);
  const std::vector<float> query_values = real_queries(100);
  if (base.empty() || query_values.empty()) SKIP("the development vectors are absent");
  const VectorTable table = table_of({base, kRealDim});
  const MatrixView queries(query_values, kRealDim);
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean}) {
    const auto coded = built(table, metric, {}, CodeKind::kRq8);
    const Measured measured = measure(*coded, table, metric, queries, all_rows(table), 10, 128);
    INFO(metric_name(metric) << " recall " << measured.recall << ", compared " << measured.compared);
    CHECK(measured.recall >= 0.98);
    CHECK(measured.compared < 0.6 * static_cast<double>(kRows));
    if (metric != Metric::kCosine) continue;
    const Measured filtered = measure(*coded, table, metric, queries, random_rows(table.count(), 0.5, 7), 10, 128);
    CHECK(filtered.recall >= 0.98);
    // Codes are not stored; they come from the vectors again.
    const auto loaded = loaded_of(gathered(coded->sections(false)), table, metric, {}, CodeKind::kRq8);
    REQUIRE(loaded.ok());
    for (size_t i = 0; i < queries.count(); ++i) {
      REQUIRE(same_answers(search_index(*loaded.value(), table, metric, queries.row(i), all_rows(table), 10, 128),
                           search_index(*coded, table, metric, queries.row(i), all_rows(table), 10, 128)));
    }
    CHECK(coded->memory_bytes() > kRows * 400);
  }
}

TEST_CASE("recall on random vectors, all metrics") {
  const VectorTable table = random_table(kRows, 12, 1);
  const std::vector<float> query_values = random_queries(50, 12, 2);
  const MatrixView queries(query_values, 12);
  for (const Metric metric : kAllMetrics) {
    const auto hnsw = built(table, metric, {.m = 16, .ef_construct = 100});
    const Measured measured = measure(*hnsw, table, metric, queries, all_rows(table), 10, 128);
    INFO(metric_name(metric) << " recall " << measured.recall << ", compared " << measured.compared);
    CHECK(measured.recall >= 0.98);
    CHECK(measured.compared < 0.5 * static_cast<double>(table.count()));
  }
}

TEST_CASE("the same rows and seed give the same graph") {
  const VectorTable table = random_table(500, 8, 3);
  CHECK(same_sections(built(table, Metric::kEuclidean)->sections(false),
                      built(table, Metric::kEuclidean)->sections(false)));
  CHECK(!same_sections(built(table, Metric::kEuclidean)->sections(false),
                       built(table, Metric::kEuclidean, {.seed = 101})->sections(false)));
}

TEST_CASE("a graph that was saved and loaded grows as if it had never left") {
  const HnswOptions options{.m = 4, .ef_construct = 40};
  // Past the first capacity before and after, so that both graphs also grow their memory.
  const VectorTable table = random_table(1200, 8, 4);
  const auto kept = built(table, Metric::kCosine, options);
  for (const size_t saved_at : {0, 1, 2, 255, 256, 257, 700}) {
    Hnsw first(table, Metric::kCosine, options);
    for (RowId row = 0; row < saved_at; ++row) first.add(row, table.row(row));
    Bytes bytes;
    write_sections(gathered(first.sections(false)), bytes);
    const auto sections = read_sections(bytes);
    REQUIRE(sections.ok());
    auto second = loaded_of(sections.value(), table, Metric::kCosine, options);
    REQUIRE(second.ok());
    REQUIRE(second.value()->count() == saved_at);
    for (auto row = static_cast<RowId>(saved_at); row < table.count(); ++row) second.value()->add(row, table.row(row));
    REQUIRE(same_sections(second.value()->sections(false), kept->sections(false)));
    CHECK(second.value()->memory_bytes() > 1200 * 4 * 9);
  }
}

TEST_CASE("rows may be added in any order, and rows outside the graph are not found") {
  const VectorTable table = random_table(900, 6, 5);
  Hnsw hnsw(table, Metric::kDot, {.m = 8});
  RowSet added(table.count());
  for (RowId row = 899; row > 0; row -= 29) {
    hnsw.add(row, table.row(row));
    added.insert(row);
  }
  const std::vector<float> queries = random_queries(10, 6, 6);
  for (size_t i = 0; i < 10; ++i) {
    const auto query = MatrixView(queries, 6).row(i);
    const auto found = search_index(hnsw, table, Metric::kDot, query, all_rows(table), 5, 10);
    CHECK(same_answers(found, plain_search(table, Metric::kDot, query, added, 5)));
  }
}

TEST_CASE("empty graphs, single rows and limits of every size") {
  VectorTable table(3);
  Hnsw hnsw(table, Metric::kEuclidean, {});
  const std::vector<float> query = {1, 0, 0};
  size_t scored = 99;
  CHECK(search_index(hnsw, table, Metric::kEuclidean, query, RowSet(0), 10, 128, &scored).empty());
  CHECK(scored == 0);
  CHECK(hnsw.memory_bytes() > 0);
  table.append(query);
  CHECK(search_index(hnsw, table, Metric::kEuclidean, query, all_rows(table), 10, 128).empty());
  hnsw.add(0, query);
  CHECK(search_index(hnsw, table, Metric::kEuclidean, query, RowSet(1), 10, 128).empty());
  CHECK(search_index(hnsw, table, Metric::kEuclidean, query, all_rows(table), 0, 1).empty());
  REQUIRE(search_index(hnsw, table, Metric::kEuclidean, query, all_rows(table), 1'000'000'000, 1, &scored).size() == 1);
  CHECK(scored == 1);

  const VectorTable many = random_table(600, 3, 7);
  const auto graph = built(many, Metric::kEuclidean);
  for (const size_t limit : {size_t{1}, size_t{5}, size_t{599}, size_t{600}, size_t{1'000'000'000}}) {
    check_answer(search_index(*graph, many, Metric::kEuclidean, query, all_rows(many), limit, 1), many,
                 Metric::kEuclidean, query, all_rows(many), limit);
  }
  CHECK(search_index(*graph, many, Metric::kEuclidean, query, all_rows(many), 10, 1'000'000'000).size() == 10);
}

TEST_CASE("vectors that no graph likes are still found") {
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kScales[] = {0, std::numeric_limits<float>::denorm_min(), 1e-40f, 1e-18f, 1, 1e19f, 1e30f, kLargest};
  constexpr size_t kDim = 5;
  for (const auto& [metric, code] :
       std::initializer_list<std::pair<Metric, CodeKind>>{{Metric::kCosine, CodeKind::kF32},
                                                          {Metric::kDot, CodeKind::kF32},
                                                          {Metric::kEuclidean, CodeKind::kF32},
                                                          {Metric::kManhattan, CodeKind::kF32},
                                                          {Metric::kCosine, CodeKind::kRq8},
                                                          {Metric::kDot, CodeKind::kRq8},
                                                          {Metric::kEuclidean, CodeKind::kRq8}}) {
    Random random(8);
    VectorTable table(kDim);
    // All equal, all zero, then every scale a float has.
    for (int i = 0; i < 200; ++i) table.append(std::vector<float>(kDim, 1.f));
    for (int i = 0; i < 200; ++i) table.append(std::vector<float>(kDim, 0.f));
    for (int i = 0; i < 400; ++i) {
      std::vector<float> vector = random_vector(random, kDim);
      for (float& component : vector) component *= kScales[static_cast<size_t>(i) % std::size(kScales)];
      table.append(vector);
    }
    const auto hnsw = built(table, metric, {.m = 2, .ef_construct = 10}, code);
    for (RowId row = 0; row < table.count(); row += 7) {
      const auto query = table.row(row);
      check_answer(search_index(*hnsw, table, metric, query, all_rows(table), 10, 20), table, metric, query,
                   all_rows(table), 10);
      const RowSet some = random_rows(table.count(), 0.6, row);
      check_answer(search_index(*hnsw, table, metric, query, some, 10, 20), table, metric, query, some, 10);
    }
  }
}

namespace {

Section& section_named(Sections& sections, std::string_view name) {
  return *std::find_if(sections.begin(), sections.end(), [&](const Section& section) { return section.name == name; });
}

void put_u32(Section& section, size_t index, uint32_t value) {
  std::memcpy(section.bytes.data() + 4 * index, &value, sizeof value);
}

uint32_t get_u32(const Section& section, size_t index) {
  uint32_t value;
  std::memcpy(&value, section.bytes.data() + 4 * index, sizeof value);
  return value;
}

}  // namespace

TEST_CASE("damaged sections are refused, field by field") {
  const HnswOptions options{.m = 4, .ef_construct = 40};
  const VectorTable table = random_table(300, 4, 9);
  const Sections good = gathered(built(table, Metric::kCosine, options)->sections(false));
  REQUIRE(loaded_of(good, table, Metric::kCosine, options).ok());
  const uint32_t entry = get_u32(good[0], 2), top = get_u32(good[0], 3);
  REQUIRE(top >= 1);
  const auto& levels = good[2].bytes;
  uint32_t low_node = 0;
  while (levels[low_node] != 0) ++low_node;
  // The first link of the entry node on its highest level.
  size_t list = 0, link = 0;
  for (uint32_t node = 0; node <= entry; ++node) {
    for (uint32_t level = 0; level <= levels[node] && !(node == entry && level == top); ++level) {
      link += good[3].bytes[list++];
    }
  }

  const std::pair<const char*, std::function<void(Sections&)>> damages[] = {
      {"m", [](Sections& s) { put_u32(section_named(s, "hnsw.header"), 0, 5); }},
      {"fewer nodes", [](Sections& s) { put_u32(section_named(s, "hnsw.header"), 1, 299); }},
      {"more nodes", [](Sections& s) { put_u32(section_named(s, "hnsw.header"), 1, 301); }},
      {"nodes beyond memory", [](Sections& s) { put_u32(section_named(s, "hnsw.header"), 1, 0xFFFFFFFF); }},
      {"entry out of range", [](Sections& s) { put_u32(section_named(s, "hnsw.header"), 2, 300); }},
      {"entry on a low level", [&](Sections& s) { put_u32(section_named(s, "hnsw.header"), 2, low_node); }},
      {"level too high", [&](Sections& s) { put_u32(section_named(s, "hnsw.header"), 3, top + 1); }},
      {"level too low", [&](Sections& s) { put_u32(section_named(s, "hnsw.header"), 3, top - 1); }},
      {"row out of range", [](Sections& s) { put_u32(section_named(s, "hnsw.rows"), 7, 300); }},
      {"row twice", [](Sections& s) { put_u32(section_named(s, "hnsw.rows"), 7, 8); }},
      {"level beyond the most", [](Sections& s) { section_named(s, "hnsw.levels").bytes[9] = 33; }},
      {"level without lists", [&](Sections& s) { section_named(s, "hnsw.levels").bytes[low_node] = 1; }},
      {"degree too great", [](Sections& s) { section_named(s, "hnsw.degrees").bytes[0] = 9; }},
      {"degree of 255", [](Sections& s) { section_named(s, "hnsw.degrees").bytes[0] = 255; }},
      {"degree one less", [](Sections& s) { section_named(s, "hnsw.degrees").bytes[0] -= 1; }},
      {"link out of range", [](Sections& s) { put_u32(section_named(s, "hnsw.links"), 0, 300); }},
      {"link to itself", [](Sections& s) { put_u32(section_named(s, "hnsw.links"), 0, 0); }},
      {"link to a node without that level",
       [&](Sections& s) { put_u32(section_named(s, "hnsw.links"), link, low_node); }},
  };
  for (const auto& [name, damage] : damages) {
    INFO(name);
    Sections bad = good;
    damage(bad);
    CHECK(loaded_of(bad, table, Metric::kCosine, options).code() == Code::kFormatError);
  }

  for (size_t i = 0; i < good.size(); ++i) {
    INFO(good[i].name);
    Sections bad = good;
    bad.erase(bad.begin() + static_cast<ptrdiff_t>(i));
    CHECK(loaded_of(bad, table, Metric::kCosine, options).code() == Code::kFormatError);
    bad = good;
    bad[i].type = ElementType::kI32;
    CHECK(loaded_of(bad, table, Metric::kCosine, options).code() == Code::kFormatError);
    // Cut anywhere, empty, and with one element too many.
    const size_t width = element_size(good[i].type);
    for (size_t size = 0; size < good[i].bytes.size(); size += width * (1 + good[i].bytes.size() / 500)) {
      bad = good;
      bad[i].bytes.resize(size);
      REQUIRE(loaded_of(bad, table, Metric::kCosine, options).code() == Code::kFormatError);
    }
    bad = good;
    bad[i].bytes.resize(bad[i].bytes.size() + width);
    CHECK(loaded_of(bad, table, Metric::kCosine, options).code() == Code::kFormatError);
  }

  // A graph of more rows than the table has.
  const VectorTable smaller = random_table(299, 4, 9);
  CHECK(loaded_of(good, smaller, Metric::kCosine, options).code() == Code::kFormatError);
  // An empty graph with an entry.
  const Hnsw without(table, Metric::kCosine, options);
  Sections empty = gathered(without.sections(false));
  REQUIRE(loaded_of(empty, table, Metric::kCosine, options).ok());
  put_u32(empty[0], 2, 1);
  CHECK(loaded_of(empty, table, Metric::kCosine, options).code() == Code::kFormatError);
}

TEST_CASE("whatever passes the checks can be searched and grown") {
  const HnswOptions options{.m = 3, .ef_construct = 10};
  const VectorTable table = random_table(300, 4, 10);
  Hnsw first(table, Metric::kEuclidean, options);
  for (RowId row = 0; row < 200; ++row) first.add(row, table.row(row));
  const Sections good = gathered(first.sections(false));
  Random random(11);
  size_t accepted = 0;
  for (int i = 0; i < 1500; ++i) {
    Sections bad = good;
    for (uint64_t damage = 1 + random.below(3); damage > 0; --damage) {
      // Most damages are seen; a link that leads to another node often is not.
      if (random.below(2) == 0) {
        Section& links = section_named(bad, "hnsw.links");
        put_u32(links, static_cast<size_t>(random.below(links.bytes.size() / 4)),
                static_cast<uint32_t>(random.below(200)));
        continue;
      }
      Section& section = bad[static_cast<size_t>(random.below(bad.size()))];
      const auto at = static_cast<size_t>(random.below(section.bytes.size()));
      section.bytes[at] = random.below(2) == 0 ? static_cast<uint8_t>(random.below(256))
                                               : static_cast<uint8_t>(section.bytes[at] ^ (1 << random.below(8)));
    }
    auto loaded = loaded_of(bad, table, Metric::kEuclidean, options);
    if (!loaded.ok()) {
      REQUIRE(loaded.code() == Code::kFormatError);
      continue;
    }
    ++accepted;
    VectorIndex& hnsw = *loaded.value();
    RowSet present(table.count());
    const Sections stored = gathered(hnsw.sections(false));
    for (size_t node = 0; node < hnsw.count(); ++node) present.insert(get_u32(stored[1], node));
    for (RowId row = 200; row < 260; ++row) {
      if (!present.contains(row)) hnsw.add(row, table.row(row));
      present.insert(row);
    }
    check_answer(search_index(hnsw, table, Metric::kEuclidean, table.row(5), all_rows(table), 10, 10), table,
                 Metric::kEuclidean, table.row(5), present, 10);
  }
  // Both ways were taken.
  CHECK(accepted > 100);
  CHECK(accepted < 1400);
}
