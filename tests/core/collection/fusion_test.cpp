#include "core/collection/fusion.h"

#include <catch_amalgamated.hpp>
#include <map>

#include "core/base/random.h"

using namespace nearfield;

namespace {

size_t below(Random& random, size_t bound) { return static_cast<size_t>(random.below(bound)); }

// The formulas of request.h, one row at a time.
double naive_rrf(const ReciprocalRank& rrf, const std::vector<Scored>& dense, const std::vector<Scored>& text,
                 RowId row) {
  double score = 0;
  for (size_t i = 0; i < dense.size(); ++i) {
    if (dense[i].row == row) score += rrf.dense_weight / (rrf.k + static_cast<double>(i + 1));
  }
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i].row == row) score += rrf.text_weight / (rrf.k + static_cast<double>(i + 1));
  }
  return score;
}

double naive_scaled(const std::vector<Scored>& leg, RowId row) {
  double best = -1e300;
  double worst = 1e300;
  const Scored* found = nullptr;
  for (const Scored& scored : leg) {
    best = std::max(best, scored.score);
    worst = std::min(worst, scored.score);
    if (scored.row == row) found = &scored;
  }
  if (found == nullptr) return 0;
  return best == worst ? 1 : (found->score - worst) / (best - worst);
}

std::vector<Scored> random_leg(Random& random, size_t size) {
  std::map<RowId, double> rows;
  for (size_t i = 0; i < size; ++i)
    rows[static_cast<RowId>(below(random, 30))] = 0.25 * static_cast<double>(below(random, 9));
  std::vector<Scored> leg;
  for (const auto& [row, score] : rows) leg.push_back({row, score});
  std::stable_sort(leg.begin(), leg.end(), [](const Scored& a, const Scored& b) { return a.score > b.score; });
  return leg;
}

}  // namespace

TEST_CASE("fusion follows the formulas") {
  Random random(11);
  for (int i = 0; i < 500; ++i) {
    const std::vector<Scored> dense = random_leg(random, below(random, 20));
    const std::vector<Scored> text = random_leg(random, below(random, 20));
    std::map<RowId, int> expected_rows;
    for (const Scored& scored : dense) expected_rows[scored.row] |= 1;
    for (const Scored& scored : text) expected_rows[scored.row] |= 2;

    const ReciprocalRank rrf{1 + random.unit() * 60, random.unit() * 2, random.unit()};
    const Convex convex{random.unit()};
    for (const Fusion& fusion : {Fusion(rrf), Fusion(convex)}) {
      const std::vector<FusedRow> fused = fuse(fusion, dense, text);
      REQUIRE(fused.size() == expected_rows.size());
      auto expected = expected_rows.begin();
      for (const FusedRow& row : fused) {
        REQUIRE(row.row == expected->first);
        REQUIRE(row.dense.has_value() == ((expected->second & 1) != 0));
        REQUIRE(row.text.has_value() == ((expected->second & 2) != 0));
        if (row.dense) REQUIRE(dense[row.dense->rank - 1].row == row.row);
        if (row.dense) REQUIRE(dense[row.dense->rank - 1].score == row.dense->score);
        if (row.text) REQUIRE(text[row.text->rank - 1].row == row.row);
        const double score = fusion.index() == 0 ? naive_rrf(rrf, dense, text, row.row)
                                                 : convex.alpha * naive_scaled(dense, row.row) +
                                                       (1 - convex.alpha) * naive_scaled(text, row.row);
        REQUIRE(row.score == Catch::Approx(score).epsilon(1e-12));
        ++expected;
      }
    }
  }
}

TEST_CASE("fusion at the edges") {
  CHECK(fuse(ReciprocalRank{}, {}, {}).empty());
  CHECK(fuse(Convex{}, {}, {}).empty());
  const std::vector<Scored> one = {{7, -3}};
  // A single candidate is its leg's best.
  CHECK(fuse(Convex{0.35}, one, {})[0].score == 0.35);
  CHECK(fuse(Convex{0.35}, {}, one)[0].score == 0.65);
  CHECK(fuse(ReciprocalRank{}, one, one)[0].score == 2.0 / 61);
  const std::vector<Scored> equal = {{1, 2}, {2, 2}, {3, 2}};
  for (const FusedRow& row : fuse(Convex{1}, equal, {})) CHECK(row.score == 1);
  const std::vector<Scored> spread = {{1, 4}, {2, 3}, {3, 0}};
  CHECK(fuse(Convex{1}, spread, {})[1].score == 0.75);
  CHECK(fuse(Convex{1}, spread, {})[2].score == 0);
}
