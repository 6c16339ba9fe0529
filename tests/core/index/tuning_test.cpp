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
  CodeKind code() const override { return CodeKind::kRaBitQ; }
  void add(RowId, std::span<const float>) override {}
  size_t count() const override { return table_.count(); }
  const RowSet& rows() const override { return rows_; }
  void find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const override {
    found = plain_search(table_, Metric::kEuclidean, query.vector, query.allowed, table_.count());
    ++compared;
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

 protected:
  const VectorTable& table_;

 private:
  size_t skips_;
  RowSet rows_;
};

// Partitions of codes that put the i-th best row at place i * `spread`.
class Blurred : public Toy {
 public:
  Blurred(const VectorTable& table, size_t spread) : Toy(table, 0), spread_(spread) {}
  IndexKind kind() const override { return IndexKind::kIvfRabitq; }
  void find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const override {
    const auto best = plain_search(table_, Metric::kEuclidean, query.vector, query.allowed, table_.count());
    ++compared;
    found.clear();
    size_t near = 0, far = 10;
    for (size_t place = 0; place < std::min(query.effort, query.candidates); ++place) {
      const bool next = place % spread_ == 0 && near < 10;
      if ((next ? near : far) >= best.size()) break;
      found.push_back({best[next ? near++ : far++].row, -static_cast<double>(place)});
    }
  }

 private:
  size_t spread_;
};

struct Tuned {
  size_t effort, rescore;
};

Tuned tune(const VectorIndex& index, const VectorTable& table, Metric metric, const RowSet& live, double recall,
           size_t most, size_t samples = 40) {
  std::vector<float> vectors;
  for (RowId row = live.next(0); vectors.size() < samples * table.dim() && row < live.size();
       row = live.next(row + 1)) {
    vectors.insert(vectors.end(), table.row(row).begin(), table.row(row).end());
  }
  const MatrixView drawn(vectors, table.dim());
  Tuning tuning(metric, table.dim(), questions_between(metric, drawn, rows_a_question(index.kind())), recall, most);
  live.for_each([&](RowId row) { tuning.show(row, table.row(row)); });
  while (tuning.advance(index, live)) {
  }
  return {tuning.effort(), tuning.rescore()};
}

}  // namespace

TEST_CASE("tuning finds the least effort that reaches the recall") {
  const VectorTable table = random_table(200, 4, 1);
  const RowSet live = random_rows(200, 0.8, 2);
  const auto effort = [&](const VectorIndex& index, double recall, size_t most) {
    return tune(index, table, Metric::kEuclidean, live, recall, most).effort;
  };
  const Toy all(table, 0);
  // Of ten, an effort of n finds n; 9 is not tried.
  CHECK(effort(all, 0.5, 100) == 5);
  CHECK(effort(all, 0.55, 100) == 6);
  CHECK(effort(all, 0.9, 100) == 10);
  CHECK(effort(all, 1, 100) == 10);
  CHECK(effort(all, 0.9, 7) == 7);
  CHECK(effort(all, 0.9, 1) == 1);
  // Every fifth is never found: two of ten, one of eight.
  const Toy some(table, 5);
  CHECK(effort(some, 0.7, 100) == 8);
  CHECK(effort(some, 0.99, 100) == 100);
  // Nothing to find.
  Tuning nothing(Metric::kDot, 4, std::vector<float>(8), 0.9, 100);
  while (nothing.advance(all, RowSet(200))) {
  }
  CHECK(nothing.effort() == 1);
}

TEST_CASE("where codes put rows out of order, tuning finds how many candidates it takes") {
  const VectorTable table = random_table(3'000, 4, 1);
  RowSet live(table.count(), true);
  const auto tuned = [&](size_t spread, double recall) {
    return tune(Blurred(table, spread), table, Metric::kEuclidean, live, recall, 2'000);
  };
  // The tenth stands at place 9 * spread; 100, 125, 156 and 195 are tried, and so are efforts.
  CHECK(tuned(2, 0.99).rescore == 100);
  CHECK(tuned(2, 0.99).effort == 22);
  CHECK(tuned(11, 0.99).rescore == 100);
  CHECK(tuned(12, 0.99).rescore == 125);
  CHECK(tuned(20, 0.99).rescore == 195);
  // Nine of ten, where a tenth may be missing on the way and a tenth in the partitions.
  CHECK(tuned(19, 0.8).rescore == 156);
  // With five of ten out of reach, no effort is spent on them.
  const Tuned half = tuned(200, 0.95);
  CHECK(half.rescore == Tuning::kMostRescored);
  CHECK(half.effort > 800);
  CHECK(half.effort < 1'000);
}

TEST_CASE("rows as near as the last that should be found are as good") {
  // Twenty copies of each row; the index finds the last ten of them.
  const VectorTable distinct = random_table(30, 4, 3);
  VectorTable table(4);
  for (RowId row = 0; row < 600; ++row) table.append(distinct.row(row / 20));
  class Last : public Toy {
   public:
    using Toy::Toy;
    void find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const override {
      ++compared;
      found = plain_search(table_, Metric::kEuclidean, query.vector, query.allowed, 20);
      std::ranges::reverse(found);
      found.resize(std::min(found.size(), query.effort));
    }
  };
  const RowSet live(table.count(), true);
  CHECK(tune(Last(table, 0), table, Metric::kEuclidean, live, 1, 64, 200).effort == 10);
}

TEST_CASE("a tuned index reaches its recall on questions it has not seen") {
  constexpr size_t kRows = 4'000;
  const std::vector<float> base = real_vectors(kRows);
  const std::vector<float> query_values = real_queries(200);
  if (base.empty() || query_values.empty()) SKIP("the development vectors are absent");
  const VectorTable table = table_of({base, kRealDim});
  const MatrixView queries(query_values, kRealDim);
  const RowSet all(table.count(), true);
  const IndexPlace place{Metric::kCosine, kRealDim, &table};
  const auto reaches = [&](const VectorIndex& index) {
    size_t before = 0;
    for (const double recall : {0.8, 0.95, 0.99}) {
      const Tuned tuned = tune(index, table, Metric::kCosine, all, recall, most_effort(index), 300);
      CHECK(tuned.effort > before);
      before = tuned.effort;
      size_t right = 0;
      for (size_t i = 0; i < queries.count(); ++i) {
        const auto exact = flat_search(table, Metric::kCosine, queries.row(i), all, 10);
        std::vector<Scored> candidates;
        size_t compared = 0;
        index.find({queries.row(i), all, kRows, 10, tuned.rescore, tuned.effort}, candidates, compared);
        for (const Scored& found : rescore(table, Metric::kCosine, queries.row(i), candidates, 10)) {
          right += found.score >= exact[9].score ? 1 : 0;
        }
      }
      INFO(index_kind_name(index.kind()) << ": asked " << recall << ", effort " << tuned.effort << ", candidates "
                                         << tuned.rescore << ", found " << right << " of 2,000");
      CHECK(static_cast<double>(right) / 2000 >= recall - 0.025);
    }
  };
  const auto graph = make_index({IndexKind::kHnsw, CodeKind::kRq8, {.m = 8, .ef_construct = 60}}, place);
  add_all(*graph, table);
  reaches(*graph);
  for (const IndexKind kind : {IndexKind::kIvfRabitq, IndexKind::kIvfPq}) {
    const IndexOptions options{kind, kind == IndexKind::kIvfPq ? CodeKind::kPq8 : CodeKind::kRaBitQ, {}};
    IndexTraining training(options, place, base, kRows);
    while (training.advance()) {
    }
    const auto lists = training.take();
    add_all(*lists, table);
    reaches(*lists);
  }
}
