#include "core/index/code_scan.h"

#include <catch_amalgamated.hpp>

#include "core/index/make_index.h"
#include "tests/support/index_search.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

constexpr CodeKind kCodes[] = {CodeKind::kF32, CodeKind::kF16, CodeKind::kSq8,
                               CodeKind::kRq8, CodeKind::kRq4, CodeKind::kRaBitQ};

IndexOptions flat(CodeKind code) { return {IndexKind::kFlat, code, {}}; }

// With every row of the table.
std::unique_ptr<VectorIndex> scan_of(CodeKind code, const VectorTable& table, Metric metric) {
  const IndexPlace place{metric, table.dim(), &table};
  std::unique_ptr<VectorIndex> index;
  if (learns(flat(code))) {
    std::vector<float> sample;
    for (RowId row = 0; row < table.count(); ++row) {
      sample.insert(sample.end(), table.row(row).begin(), table.row(row).end());
    }
    IndexTraining training(flat(code), place, std::move(sample), table.count());
    while (training.advance()) {
    }
    index = training.take();
  } else {
    index = make_index(flat(code), place);
  }
  add_all(*index, table);
  return index;
}

}  // namespace

TEST_CASE("a scan of codes names the rows that the codes score best") {
  for (const CodeKind code : kCodes) {
    for (const Metric metric : kAllMetrics) {
      if (!check_code(IndexKind::kFlat, code, metric, "").ok()) continue;
      INFO(code_kind_name(code) << " " << metric_name(metric));
      const VectorTable table = random_table(333, 20, 1);
      const auto index = scan_of(code, table, metric);
      REQUIRE(index->count() == 333);
      REQUIRE(index->kind() == IndexKind::kFlat);
      REQUIRE(index->code() == code);
      REQUIRE(index->memory_bytes() > 0);
      Random random(2);
      for (const double share : {1.0, 0.5, 0.02, 0.0}) {
        const RowSet allowed = random_rows(table.count(), share, 3);
        const std::vector<float> query = random_vector(random, 20);
        for (const size_t limit : {1, 10, 400}) {
          std::vector<Scored> some, all;
          size_t compared = 0;
          index->find({query, allowed, allowed.count(), limit, limit, 1}, some, compared);
          REQUIRE(some.size() == std::min(limit, allowed.count()));
          REQUIRE(compared == (code == CodeKind::kRaBitQ ? 333 : allowed.count()));
          index->find({query, allowed, allowed.count(), limit, std::max<size_t>(limit, 333), 1}, all, compared);
          REQUIRE(all.size() == allowed.count());
          // The best of all that can be named, in their order.
          all.resize(some.size());
          REQUIRE(same_answers(some, all));
          REQUIRE(std::is_sorted(some.begin(), some.end(), BestFirst()));
          for (const Scored& found : some) REQUIRE(allowed.contains(found.row));
        }
        if (code != CodeKind::kF32) continue;
        REQUIRE(same_answers(search_index(*index, table, metric, query, allowed, 10, 1),
                             plain_search(table, metric, query, allowed, 10)));
      }
    }
  }
}

TEST_CASE("recall of scans on real vectors") {
#ifdef __EMSCRIPTEN__
  constexpr size_t kRows = 20'000;
#else
  constexpr size_t kRows = 5'000;
#endif
  const std::vector<float> base = real_vectors(kRows);
  const std::vector<float> query_values = real_queries(100);
  if (base.empty() || query_values.empty()) SKIP("the development vectors are absent");
  const VectorTable table = table_of({base, kRealDim});
  const MatrixView queries(query_values, kRealDim);
  const RowSet all(table.count(), true);
  for (const CodeKind code : kCodes) {
    const auto index = scan_of(code, table, Metric::kCosine);
    size_t right = 0;
    for (size_t i = 0; i < queries.count(); ++i) {
      const auto exact = flat_search(table, Metric::kCosine, queries.row(i), all, 10);
      for (const Scored& found : search_index(*index, table, Metric::kCosine, queries.row(i), all, 10, 1)) {
        right += found.score >= exact[9].score ? 1 : 0;
      }
    }
    INFO(code_kind_name(code) << " " << right);
    CHECK(static_cast<double>(right) >= 0.99 * 10 * static_cast<double>(queries.count()));
  }
}

TEST_CASE("a scan that was saved answers and grows as if it had never left") {
  for (const CodeKind code : kCodes) {
    const VectorTable table = random_table(300, 9, 4);
    const IndexPlace with{Metric::kEuclidean, 9, &table}, without{Metric::kEuclidean, 9, nullptr};
    const auto index = scan_of(code, table, Metric::kEuclidean);
    for (const auto& [place, with_codes] : {std::pair(with, false), std::pair(without, true)}) {
      const Sections sections = gathered(index->sections(with_codes));
      auto loaded = load_index(sections, flat(code), place, table.count());
      INFO(code_kind_name(code));
      REQUIRE(loaded.ok());
      const RowSet some = random_rows(table.count(), 0.7, 5);
      const auto query = table.row(7);
      CHECK(same_answers(search_index(*loaded.value(), table, Metric::kEuclidean, query, some, 10, 1),
                         search_index(*index, table, Metric::kEuclidean, query, some, 10, 1)));
      CHECK(gathered(loaded.value()->sections(with_codes)).size() == sections.size());

      // Fewer rows than it names, and every cut of every section.
      CHECK(load_index(sections, flat(code), place, 299).code() == Code::kFormatError);
      for (size_t i = 0; i < sections.size(); ++i) {
        Sections bad = sections;
        bad.erase(bad.begin() + static_cast<ptrdiff_t>(i));
        CHECK(load_index(bad, flat(code), place, 300).code() == Code::kFormatError);
        for (size_t size = 0; size < sections[i].bytes.size(); size += 1 + sections[i].bytes.size() / 50) {
          bad = sections;
          bad[i].bytes.resize(size);
          // Fewer rows alone are another, smaller index where the codes are made again.
          const auto cut = load_index(bad, flat(code), place, 300);
          if (cut.ok()) CHECK((sections[i].name == "flat.rows" && !with_codes && code != CodeKind::kRaBitQ));
        }
      }
      Sections twice = sections;
      std::copy_n(twice[0].bytes.begin(), 4, twice[0].bytes.begin() + 4);
      CHECK(load_index(twice, flat(code), place, 300).code() == Code::kFormatError);
    }
  }
}

TEST_CASE("codes that cannot serve are refused by name") {
  CHECK(check_code(IndexKind::kFlat, CodeKind::kRaBitQ, Metric::kManhattan, "x").code() == Code::kUnsupported);
  CHECK(check_code(IndexKind::kHnsw, CodeKind::kRaBitQ, Metric::kCosine, "x").code() == Code::kUnsupported);
  CHECK(check_code(IndexKind::kHnsw, CodeKind::kPq8, Metric::kCosine, "x").code() == Code::kUnsupported);
  CHECK(check_code(IndexKind::kHnsw, CodeKind::kRq4, Metric::kManhattan, "x").code() == Code::kUnsupported);
  CHECK(check_code(IndexKind::kHnsw, CodeKind::kSq8, Metric::kManhattan, "x").ok());
  const Status refused = check_code(IndexKind::kFlat, CodeKind::kRq8, Metric::kManhattan, "schema.index.code");
  CHECK(refused.error().message.find("schema.index.code: rq8") == 0);
}
