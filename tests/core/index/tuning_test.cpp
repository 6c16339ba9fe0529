#include "core/index/tuning.h"

#include <catch_amalgamated.hpp>

#include "core/index/make_index.h"
#include "tests/support/index_search.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

// Finds the best `effort` rows and leaves out every `skips`-th of them, so that what an effort finds is known.
class Toy : public VectorIndex {
 public:
  Toy(const VectorTable& table, size_t skips) : table_(table), skips_(skips), rows_(table.count(), true) {}
  IndexKind kind() const override { return IndexKind::kHnsw; }
  CodeKind code() const override { return CodeKind::kF32; }
  void add(RowId, std::span<const float>) override {}
  size_t count() const override { return table_.count(); }
  const RowSet& rows() const override { return rows_; }
  void find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const override {
    found = plain_search(table_, Metric::kEuclidean, query.vector, query.allowed, table_.count());
    ++compared;
    if (query.effort == kExhaustive) {
      found.resize(std::min(found.size(), query.candidates));
      return;
    }
    std::vector<Scored> some;
    for (size_t i = 0; i < std::min(found.size(), query.effort); ++i) {
      if (skips_ == 0 || i % skips_ != skips_ - 1) some.push_back(found[i]);
    }
    found = std::move(some);
    found.resize(std::min(found.size(), query.candidates));
  }
  size_t memory_bytes() const override { return 0; }
  StateSections sections(bool) const override { return {}; }
  Status load(const SectionViews&, size_t, const VectorTable*) override { return {}; }

 private:
  const VectorTable& table_;
  size_t skips_;
  RowSet rows_;
};

size_t tuned(const VectorIndex& index, const VectorTable& table, const RowSet& live, double recall, size_t most,
             size_t samples = 40) {
  std::vector<float> vectors;
  for (RowId row = live.next(0); vectors.size() < samples * table.dim() && row < live.size();
       row = live.next(row + 1)) {
    vectors.insert(vectors.end(), table.row(row).begin(), table.row(row).end());
  }
  Tuning tuning(Metric::kCosine, MatrixView(vectors, table.dim()), recall, most);
  while (tuning.advance(index, live)) {
  }
  return tuning.effort();
}

}  // namespace

TEST_CASE("tuning finds the least effort that reaches the recall") {
  const VectorTable table = random_table(200, 4, 1);
  const RowSet live = random_rows(200, 0.8, 2);
  const Toy all(table, 0);
  // Of ten, an effort of n finds n; 9 is not tried.
  CHECK(tuned(all, table, live, 0.5, 100) == 5);
  CHECK(tuned(all, table, live, 0.55, 100) == 6);
  CHECK(tuned(all, table, live, 0.9, 100) == 10);
  CHECK(tuned(all, table, live, 1, 100) == 10);
  CHECK(tuned(all, table, live, 0.9, 7) == 7);
  CHECK(tuned(all, table, live, 0.9, 1) == 1);
  // Every fifth is never found: two of ten, one of eight.
  const Toy some(table, 5);
  CHECK(tuned(some, table, live, 0.7, 100) == 8);
  CHECK(tuned(some, table, live, 0.99, 100) == 100);
  // Nothing to find.
  Tuning nothing(Metric::kDot, MatrixView(std::vector<float>(8, 0.f), 4), 0.9, 100);
  while (nothing.advance(all, RowSet(200))) {
  }
  CHECK(nothing.effort() == 1);
}

TEST_CASE("a tuned graph reaches its recall on questions it has not seen") {
  constexpr size_t kRows = 4'000;
  const std::vector<float> base = real_vectors(kRows);
  const std::vector<float> query_values = real_queries(200);
  if (base.empty() || query_values.empty()) SKIP("the development vectors are absent");
  const VectorTable table = table_of({base, kRealDim});
  const MatrixView queries(query_values, kRealDim);
  const RowSet all(table.count(), true);
  const auto index =
      make_index({IndexKind::kHnsw, CodeKind::kRq8, {.m = 8, .ef_construct = 60}}, {Metric::kCosine, kRealDim, &table});
  add_all(*index, table);
  size_t before = 0;
  for (const double recall : {0.8, 0.95, 0.99}) {
    const size_t effort = tuned(*index, table, all, recall, most_effort(*index), 200);
    CHECK(effort > before);
    before = effort;
    size_t right = 0;
    for (size_t i = 0; i < queries.count(); ++i) {
      const auto exact = flat_search(table, Metric::kCosine, queries.row(i), all, 10);
      for (const Scored& found : search_index(*index, table, Metric::kCosine, queries.row(i), all, 10, effort)) {
        right += found.score >= exact[9].score ? 1 : 0;
      }
    }
    INFO("asked " << recall << ", effort " << effort << ", found " << right << " of 2,000");
    CHECK(static_cast<double>(right) / 2000 >= recall - 0.01);
  }
}
