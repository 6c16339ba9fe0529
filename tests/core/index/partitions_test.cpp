#include "core/index/partitions.h"

#include <catch_amalgamated.hpp>

#include "core/base/hash.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

Partitions trained(MatrixView rows, size_t count, bool directions = false, size_t budget = SIZE_MAX) {
  PartitionTraining training(rows, count, directions, 5);
  while (training.advance(budget)) continue;
  return training.take();
}

Sections sections_of(const Partitions& partitions) {
  StateSections sections;
  partitions.append_sections(sections);
  return gathered(sections);
}

bool same(const Sections& a, const Sections& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Section& x, const Section& y) { return x.name == y.name && x.bytes == y.bytes; });
}

std::vector<float> random_rows_of(size_t count, size_t dim, uint64_t seed) {
  Random random(seed);
  return random_vector(random, count * dim);
}

// Squared distance to centroid `i`, by its section.
double away(const Sections& sections, size_t i, std::span<const float> row) {
  const auto centroids = section_values<float>(sections, "ivf.centroids").value();
  const double distance =
      exact_score(Metric::kEuclidean, row, std::span<const float>(centroids).subspan(i * row.size(), row.size()));
  return distance * distance;
}

}  // namespace

TEST_CASE("as many partitions as are asked for, and no more than rows") {
  for (const size_t dim : {1, 3, 8, 100}) {
    const std::vector<float> values = random_rows_of(600, dim, 1);
    const MatrixView rows(values, dim);
    for (const size_t count : {1, 2, 16, 17, 64, 65, 100, 600, 10'000}) {
      const Partitions partitions = trained(rows, count);
      REQUIRE(partitions.count() == std::min<size_t>(count, 600));
      REQUIRE(partitions.dim() == dim);
      for (size_t i = 0; i < 600; i += 37) REQUIRE(partitions.nearest(rows.row(i)) < partitions.count());
    }
  }
}

TEST_CASE("nearly all rows fall into the partition nearest to them") {
  for (const size_t count : {50, 200}) {
    const std::vector<float> values = random_rows_of(2000, 6, 2);
    const MatrixView rows(values, 6);
    const Partitions partitions = trained(rows, count);
    const Sections sections = sections_of(partitions);
    size_t nearest = 0;
    double square = 0;
    for (size_t i = 0; i < rows.count(); i += 4) {
      const double found = away(sections, partitions.nearest(rows.row(i)), rows.row(i));
      bool best = true;
      for (size_t j = 0; j < partitions.count(); ++j) best = best && found <= away(sections, j, rows.row(i)) + 1e-6;
      nearest += best ? 1 : 0;
      square += found / 500;
    }
    // In one step all of them; in two, some are nearer to a centroid of a group that is not among the nearest.
    CHECK(nearest >= (count <= 64 ? 500 : 460));
    // Six components between -1 and 1 are 2 away from nothing.
    CHECK(square < 0.6);
  }
}

TEST_CASE("ranking brings all partitions, the nearest first") {
  const std::vector<float> values = random_rows_of(900, 4, 3);
  const MatrixView rows(values, 4);
  const Partitions partitions = trained(rows, 150);
  const Sections sections = sections_of(partitions);
  const auto centroids = section_values<float>(sections, "ivf.centroids").value();
  std::vector<Partitions::Ranked> heap;
  std::vector<float> scratch;
  for (const Metric metric : kAllMetrics) {
    partitions.rank(metric, rows.row(7), heap, scratch);
    RowSet seen(partitions.count());
    double last = std::numeric_limits<double>::infinity();
    while (!heap.empty()) {
      const uint32_t partition = heap.front().partition;
      std::pop_heap(heap.begin(), heap.end());
      heap.pop_back();
      REQUIRE(!seen.contains(partition));
      seen.insert(partition);
      const std::span<const float> centroid = std::span<const float>(centroids).subspan(partition * 4, 4);
      const double score =
          metric == Metric::kDot ? exact_score(metric, rows.row(7), centroid) : -away(sections, partition, rows.row(7));
      REQUIRE(score <= last + 1e-5);
      last = score;
    }
    REQUIRE(seen.count() == partitions.count());
  }
}

TEST_CASE("slices do not change the partitions") {
  const std::vector<float> values = random_rows_of(700, 5, 4);
  const MatrixView rows(values, 5);
  for (const size_t count : {20, 120}) {
    const Sections whole = sections_of(trained(rows, count));
    for (const size_t budget : {1, 1000, 30'000})
      REQUIRE(same(sections_of(trained(rows, count, false, budget)), whole));
  }
}

TEST_CASE("partitions of rows that have none") {
  for (const size_t dim : {1, 8}) {
    for (const float value : {0.f, 1.f, std::numeric_limits<float>::max()}) {
      const std::vector<float> values(300 * dim, value);
      for (const bool directions : {false, true}) {
        const Partitions partitions = trained({values, dim}, 100, directions);
        REQUIRE(partitions.count() >= 1);
        REQUIRE(partitions.nearest(std::span(values).first(dim)) < partitions.count());
        REQUIRE(Partitions::from_sections(sections_of(partitions), dim).ok());
      }
    }
  }
}

TEST_CASE("partitions come back from their sections and from nothing else") {
  const std::vector<float> values = random_rows_of(500, 3, 6);
  const MatrixView rows(values, 3);
  for (const size_t count : {10, 100}) {
    const Partitions partitions = trained(rows, count);
    const Sections written = sections_of(partitions);
    const auto back = Partitions::from_sections(written, 3);
    REQUIRE(back.ok());
    REQUIRE(same(sections_of(*back), written));
    for (size_t i = 0; i < rows.count(); ++i) REQUIRE(back->nearest(rows.row(i)) == partitions.nearest(rows.row(i)));
    CHECK(Partitions::from_sections(written, 7).code() == Code::kFormatError);
    for (size_t section = 0; section < written.size(); ++section) {
      Sections damaged = written;
      damaged.erase(damaged.begin() + static_cast<std::ptrdiff_t>(section));
      CHECK(Partitions::from_sections(damaged, 3).code() == Code::kFormatError);
      if (written[section].bytes.empty()) continue;
      damaged = written;
      damaged[section].bytes.resize(damaged[section].bytes.size() - 4);
      CHECK(Partitions::from_sections(damaged, 3).code() == Code::kFormatError);
      // 0xFFFFFFFF is not-a-number, and beyond every partition.
      for (size_t at = 0; at < written[section].bytes.size(); at += 4) {
        damaged = written;
        std::fill_n(damaged[section].bytes.begin() + static_cast<std::ptrdiff_t>(at), 4, uint8_t{255});
        REQUIRE(Partitions::from_sections(damaged, 3).code() == Code::kFormatError);
      }
    }
  }
}

TEST_CASE("partitions are the same on every platform") {
  // The number is the same natively and as WebAssembly.
  const std::vector<float> values = random_rows_of(900, 20, 7);
  Bytes bytes;
  write_sections(sections_of(trained({values, 20}, 100)), bytes);
  CHECK(hash64(bytes) == 12390917553917924855u);
}
