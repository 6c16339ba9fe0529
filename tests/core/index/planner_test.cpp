#include "core/index/planner.h"

#include <catch_amalgamated.hpp>
#include <limits>

using namespace nearfield;

TEST_CASE("index kinds have names and numbers that stay") {
  CHECK(static_cast<int>(IndexKind::kFlat) == 1);
  CHECK(static_cast<int>(IndexKind::kHnsw) == 2);
  CHECK(*parse_index_kind("flat") == IndexKind::kFlat);
  CHECK(*parse_index_kind(index_kind_name(IndexKind::kHnsw)) == IndexKind::kHnsw);
  const auto unknown = parse_index_kind("auto");
  REQUIRE(unknown.code() == Code::kInvalidArgument);
  CHECK(unknown.error().value == "\"auto\"");
  CHECK(unknown.error().message.find("flat, hnsw") != std::string::npos);
}

TEST_CASE("the planner scans while that is quick and builds a graph after") {
  CHECK(plan_index(std::nullopt, 0, 0).kind == IndexKind::kFlat);
  CHECK(plan_index(std::nullopt, 25'000, 256).kind == IndexKind::kFlat);
  CHECK(plan_index(std::nullopt, 78'124, 256).kind == IndexKind::kFlat);
  CHECK(plan_index(std::nullopt, 78'125, 256).kind == IndexKind::kHnsw);
  // A product that would not fit.
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  CHECK(plan_index(std::nullopt, kMost, 65'536).kind == IndexKind::kHnsw);
  CHECK(plan_index(std::nullopt, 100'000, 256).reason.find("100000 rows of 256 components are") == 0);
  CHECK(plan_index(std::nullopt, 1, 1).reason.find("1 row of 1 component is") == 0);
}

TEST_CASE("a wish is granted at any size") {
  CHECK(plan_index(IndexKind::kHnsw, 1, 1).kind == IndexKind::kHnsw);
  CHECK(plan_index(IndexKind::kFlat, 1'000'000, 1000).kind == IndexKind::kFlat);
  CHECK(!plan_index(IndexKind::kFlat, 1, 1).reason.empty());
}
