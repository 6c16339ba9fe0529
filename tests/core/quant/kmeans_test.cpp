#include "core/quant/kmeans.h"

#include <catch_amalgamated.hpp>
#include <cmath>

#include "core/base/hash.h"
#include "tests/support/codes.h"

using namespace nearfield;

namespace {

std::vector<float> joined(const std::vector<std::vector<float>>& vectors) {
  const Joined all(vectors);
  const std::span<const float> values = all.view().data();
  return {values.begin(), values.end()};
}

// Some around each of `clusters` places.
std::vector<float> clustered(Random& random, size_t count, size_t dim, size_t clusters) {
  std::vector<std::vector<float>> places;
  for (size_t i = 0; i < clusters; ++i) places.push_back(random_vector(random, dim, 4));
  std::vector<float> rows;
  for (size_t i = 0; i < count; ++i) {
    const std::vector<float>& place = places[random.below(clusters)];
    for (size_t j = 0; j < dim; ++j) rows.push_back(place[j] + random.between(-1, 1));
  }
  return rows;
}

std::vector<float> points_of(std::vector<float> rows, size_t dim, KMeansOptions options, size_t budget = SIZE_MAX) {
  KMeans kmeans(std::move(rows), dim, options);
  while (kmeans.advance(budget)) continue;
  return kmeans.take();
}

}  // namespace

TEST_CASE("points side by side are compared as by a plain loop, to the bit") {
  Random random(1);
  for (const size_t dim : {1, 2, 3, 4, 8, 100, 384}) {
    for (const size_t count : {1, 15, 16, 17, 31, 32, 33, 48, 49, 100}) {
      const Joined points(varied_vectors(random, dim, count));
      const LanePoints lanes(points.view());
      REQUIRE(lanes.count() == count);
      REQUIRE(lanes.block_count() == (count + 15) / 16);
      const std::vector<float> vector = random_vector(random, dim);
      std::vector<float> products(lanes.block_count() * 16), nearness(products.size());
      lanes.products(vector, products);
      lanes.nearness(vector, nearness);
      uint32_t best = 0;
      for (uint32_t i = 0; i < count; ++i) {
        volatile float product = 0, square = 0;
        for (size_t j = 0; j < dim; ++j) {
          const float component = points.view().row(i)[j];
          REQUIRE(lanes.component(i, j) == component);
          // Volatile: each operation rounds on its own.
          volatile float term = vector[j] * component;
          product = product + term;
          term = component * component;
          square = square + term;
        }
        REQUIRE(products[i] == product);
        REQUIRE(nearness[i] == product - square / 2);
        if (nearness[i] > nearness[best]) best = i;
      }
      REQUIRE(lanes.nearest(vector).point == best);
      REQUIRE(lanes.nearest(vector).nearness == nearness[best]);
      for (size_t i = count; i < nearness.size(); ++i) REQUIRE(nearness[i] < -1e30f);
      for (size_t block = 0; block < lanes.block_count(); ++block) {
        const auto found = lanes.nearest(vector, block, block + 1);
        REQUIRE(found.point / 16 == block);
        REQUIRE(found.point < count);
      }
    }
  }
}

TEST_CASE("k-means comes nearer in every round") {
  Random random(2);
  for (const bool directions : {false, true}) {
    for (const size_t dim : {1, 3, 8, 100}) {
      std::vector<float> rows = clustered(random, 900, dim, 20);
      if (directions) {
        for (size_t at = 0; at < rows.size(); at += dim) {
          const double norm = vector_norm(std::span(rows).subspan(at, dim));
          for (size_t j = at; j < at + dim; ++j) rows[j] = static_cast<float>(rows[j] / norm);
        }
      }
      double last = std::numeric_limits<double>::infinity(), first = 0;
      for (size_t rounds = 1; rounds <= 10; ++rounds) {
        KMeans kmeans(rows, dim, {.count = 25, .rounds = rounds, .directions = directions, .seed = 3});
        while (kmeans.advance(SIZE_MAX)) continue;
        // What rounding may do.
        REQUIRE(kmeans.inertia() <= last + 1e-5 * (1 + std::abs(last)));
        last = kmeans.inertia();
        if (rounds == 1) first = last;
        for (size_t at = 0; directions && at < kmeans.points().size(); at += dim) {
          REQUIRE(std::abs(vector_norm(std::span(kmeans.points()).subspan(at, dim)) - 1) < 1e-6);
        }
      }
      CHECK(last <= 0.95 * first + 1e-3);
    }
  }
}

TEST_CASE("k-means finds clusters that are there") {
  Random random(4);
  // As many points as places: each row ends within its place's noise unless two places share a point.
  const std::vector<float> rows = clustered(random, 600, 8, 6);
  KMeans kmeans(rows, 8, {.count = 12, .rounds = 20, .seed = 5});
  while (kmeans.advance(SIZE_MAX)) continue;
  // Eight components of noise between -1 and 1.
  CHECK(kmeans.inertia() / 600 < 1.1 * 8 / 3);
}

TEST_CASE("slices do not change what k-means finds") {
  Random random(6);
  const std::vector<float> rows = clustered(random, 200, 5, 9);
  const KMeansOptions options{.count = 16, .rounds = 5, .seed = 7};
  const std::vector<float> whole = points_of(rows, 5, options);
  for (const size_t budget : {0, 1, 100, 5000}) REQUIRE(points_of(rows, 5, options, budget) == whole);
  REQUIRE(points_of(rows, 5, {.count = 16, .rounds = 5, .seed = 8}) != whole);
}

TEST_CASE("k-means of rows that no k-means likes") {
  constexpr float kMost = std::numeric_limits<float>::max();
  Random random(9);
  const auto finite = [](const std::vector<float>& points) {
    for (const float component : points) {
      if (!std::isfinite(component)) return false;
    }
    return true;
  };
  for (const bool directions : {false, true}) {
    for (const size_t dim : {1, 3, 384}) {
      CAPTURE(directions, dim);
      const auto options = [&](size_t count) {
        return KMeansOptions{.count = count, .rounds = 4, .directions = directions, .seed = 1};
      };
      // All equal, all zero, one row, fewer rows than points, two values.
      CHECK(points_of(std::vector<float>(50 * dim, 0.5f), dim, options(8)).size() == 8 * dim);
      CHECK(finite(points_of(std::vector<float>(50 * dim, 0.f), dim, options(8))));
      CHECK(points_of(std::vector<float>(dim, 1.f), dim, options(8)).size() == dim);
      std::vector<float> two(40 * dim, 1.f);
      std::fill_n(two.begin(), 10 * dim, -1.f);
      CHECK(finite(points_of(two, dim, options(16))));
      // The ends of the range.
      for (const float size : {kMost, 1e19f, 1e-30f, std::numeric_limits<float>::denorm_min()}) {
        std::vector<float> rows = random_vector(random, 60 * dim, size);
        CHECK(finite(points_of(rows, dim, options(7))));
      }
    }
  }
}

TEST_CASE("points without rows take some of the largest cluster's") {
  // A hundred equal rows and a few others: most of the first points are equal, and all but one of them lose their rows.
  Random random(10);
  std::vector<float> rows(2000 * 2, 1.f);
  for (size_t i = 0; i < 200; ++i) rows[i] = random.between(-1, 1);
  KMeans kmeans(rows, 2, {.count = 40, .rounds = 8, .seed = 11});
  while (kmeans.advance(SIZE_MAX)) continue;
  std::vector<std::pair<float, float>> different;
  for (size_t i = 0; i < 40; ++i) different.emplace_back(kmeans.points()[2 * i], kmeans.points()[2 * i + 1]);
  std::sort(different.begin(), different.end());
  different.erase(std::unique(different.begin(), different.end()), different.end());
  CHECK(different.size() >= 5);
}

TEST_CASE("k-means finds the same points on every platform") {
  // The number is the same natively and as WebAssembly.
  Random random(12);
  Bytes bytes;
  for (const size_t dim : {1, 3, 8, 100, 384}) {
    for (const bool directions : {false, true}) {
      const std::vector<float> points =
          points_of(joined(varied_vectors(random, dim, 200)), dim, {.count = 20, .directions = directions, .seed = 13});
      const ByteView view = view_bytes(std::span<const float>(points));
      bytes.insert(bytes.end(), view.begin(), view.end());
    }
  }
  CHECK(hash64(bytes) == 9618824503105738448u);
}
