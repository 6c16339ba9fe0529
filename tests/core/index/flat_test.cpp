#include "core/index/flat.h"

#include <catch_amalgamated.hpp>
#include <limits>

#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

void check_equal(const VectorTable& table, std::span<const float> query, const RowSet& allowed, size_t limit) {
  for (const Metric metric : kAllMetrics) {
    INFO(metric_name(metric) << " limit " << limit << " allowed " << allowed.count() << " of " << table.count());
    REQUIRE(same_answers(flat_search(table, metric, query, allowed, limit),
                         plain_search(table, metric, query, allowed, limit)));
  }
}

// Many filters for one query, with one plain pass a metric.
void check_filters(const VectorTable& table, std::span<const float> query, uint64_t seed) {
  const RowSet everything(table.count(), true);
  for (const Metric metric : kAllMetrics) {
    const auto order = plain_search(table, metric, query, everything, table.count());
    for (const double share : {1.0, 0.5, 0.1, 0.01, 0.0005, 0.0}) {
      const RowSet allowed = random_rows(table.count(), share, seed);
      for (const size_t limit : {size_t{0}, size_t{1}, size_t{10}, size_t{100}, size_t{1'000'000'000}}) {
        std::vector<Scored> expected;
        for (const Scored& next : order) {
          if (!allowed.contains(next.row)) continue;
          if (expected.size() >= limit && (limit == 0 || next.score != expected[limit - 1].score)) break;
          expected.push_back(next);
        }
        INFO(metric_name(metric) << " limit " << limit << " share " << share);
        REQUIRE(same_answers(flat_search(table, metric, query, allowed, limit), expected));
      }
    }
  }
}

}  // namespace

TEST_CASE("flat search equals the plain loop on 10,000 random vectors") {
  const VectorTable table = random_table(10'000, 50, 1);
  Random random(2);
  for (uint64_t i = 0; i < 5; ++i) check_filters(table, random_vector(random, table.dim()), i);
}

TEST_CASE("flat search equals the plain loop on 10,000 real vectors") {
  const std::vector<float> base = real_vectors(10'000);
  const std::vector<float> queries = real_queries(3);
  if (base.empty() || queries.empty()) SKIP("the development vectors are absent");
  const VectorTable table = table_of({base, kRealDim});
  for (size_t i = 0; i < 3; ++i) check_filters(table, MatrixView(queries, kRealDim).row(i), i);
}

TEST_CASE("near ties are ordered as in double precision") {
  // Scores differ by less than a float can tell, and some not at all.
  Random random(3);
  const std::vector<float> centre = random_vector(random, 100);
  VectorTable table(100);
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> vector = centre;
    float& component = vector[static_cast<size_t>(random.below(100))];
    component = std::nextafter(component, random.below(2) == 0 ? -2.f : 2.f);
    table.append(vector);
  }
  for (const size_t limit : {1, 7, 100, 1999}) check_equal(table, centre, RowSet(2000, true), limit);
}

TEST_CASE("every tie of the last score is returned") {
  VectorTable table(3);
  for (int i = 0; i < 300; ++i) table.append(std::vector<float>{1, static_cast<float>(i % 3), 0});
  const std::vector<float> query = {1, 2, 0};
  for (const Metric metric : kAllMetrics) {
    const auto found = flat_search(table, metric, query, RowSet(300, true), 5);
    REQUIRE(found.size() == 100);
    for (size_t i = 0; i < found.size(); ++i) REQUIRE(found[i].row == 3 * i + 2);
  }
  check_equal(table, query, RowSet(300, true), 150);
}

TEST_CASE("zeros, denormals and values whose products overflow are scored right") {
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
  constexpr float kScales[] = {0, kSmallest, 1e-40f, 1e-30f, 1e-18f, 1, 1e15f, 1e19f, 1e30f, kLargest};
  constexpr size_t kDim = 19;
  Random random(4);
  // Rows of one scale each, rows of mixed scales, and each query against all of them.
  VectorTable table(kDim);
  std::vector<std::vector<float>> queries;
  for (const float scale : kScales) {
    for (int i = 0; i < 30; ++i) {
      std::vector<float> vector = random_vector(random, kDim);
      for (float& component : vector) component *= scale;
      table.append(vector);
      if (i == 0) queries.push_back(vector);
      for (float& component : vector)
        component = random.between(-1, 1) * kScales[static_cast<size_t>(random.below(std::size(kScales)))];
      table.append(vector);
      if (i == 0) queries.push_back(vector);
    }
  }
  for (const auto& query : queries) {
    for (const size_t limit : {size_t{1}, size_t{25}, size_t{500}}) {
      check_equal(table, query, RowSet(table.count(), true), limit);
    }
  }
}

TEST_CASE("infinite sums of both signs cannot hide a row") {
  // In single precision the dot product is +inf - inf = NaN in some order of adding; in double it is 1.
  VectorTable table(4);
  table.append(std::vector<float>{1e30f, -1e30f, 0, 1});
  table.append(std::vector<float>{1e30f, 1e30f, 0, 0});
  table.append(std::vector<float>{0, 0, 0, 0.5f});
  check_equal(table, std::vector<float>{1e30f, 1e30f, 0, 1}, RowSet(3, true), 1);
}

TEST_CASE("small tables, long vectors, and limits beyond the end") {
  VectorTable empty(5);
  check_equal(empty, std::vector<float>(5, 1.f), RowSet(0), 10);
  for (const size_t dim : {1, 2, 1000, 70'000}) {
    const VectorTable table = random_table(9, dim, dim);
    Random random(dim + 1);
    const std::vector<float> query = random_vector(random, dim);
    for (const size_t limit : {1, 3, 9, 10}) check_equal(table, query, RowSet(9, true), limit);
    check_equal(table, query, random_rows(9, 0.5, dim), 2);
    check_equal(table, std::vector<float>(dim, 0.f), RowSet(9, true), 2);
  }
}
