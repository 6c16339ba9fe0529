// Allocations that fail: native only, where they can be made to.
#include <catch_amalgamated.hpp>

#include "tests/torture/attack.h"

using namespace nearfield;

TEST_CASE("any allocation may fail: OutOfMemory, nothing leaked, nothing acknowledged lost") {
  const std::unique_ptr<Attack> attack = oom_attack(1, Effort::kSample);
  Counts counts;
  for (uint64_t number = 0; number < kOomOperations; ++number) {
    try {
      attack->run(number, counts);
    } catch (const std::exception& error) {
      FAIL("case " << number << ": " << error.what() << " [" << attack->position() << "]");
    }
  }
  CHECK(counts["failed"] > 500);
}
