// The short form of every attack (see attack.h): seconds instead of hours.
#include <catch_amalgamated.hpp>

#include "tests/torture/attack.h"

using namespace nearfield;

namespace {

Counts run_cases(std::unique_ptr<Attack> attack, uint64_t from, uint64_t count) {
  Counts counts;
  for (uint64_t number = from; number < from + count; ++number) {
    try {
      attack->run(number, counts);
    } catch (const std::exception& error) {
      FAIL("case " << number << ": " << error.what() << " [" << attack->position() << "]");
    }
  }
  return counts;
}

}  // namespace

TEST_CASE("a crash at any effect, and again in the recovery, loses nothing acknowledged and invents nothing") {
  // Two of these compact, and two have writes past the log.
  Counts counts = run_cases(crash_attack(1, Effort::kSample), 0, 16);
  CHECK(counts["boundaries"] > 500);
  CHECK(counts["compound"] > 100);
}

TEST_CASE("null control: a host that lies about durability is found out") {
  Counts counts = run_cases(null_control(1), 0, 3);
  CHECK(counts["states"] > 50);
}

TEST_CASE("any effect may fail, once or for good: a typed error, nothing changed, and the same call then succeeds") {
  Counts counts = run_cases(io_error_attack(1, Effort::kSample), 0, 3);
  CHECK(counts["states"] > 50);
}

TEST_CASE("whatever is damaged, opening answers a typed error or a state the database once had") {
  Counts counts = run_cases(damage_attack(1, Effort::kSample), 0, 20'000);
  CHECK(counts["refused"] + counts["opened"] == 20'000);
  CHECK(counts["opened"] > 1'000);
  CHECK(counts["rebuilt"] > 100);
}

TEST_CASE("20,000 random operations agree with the plain model") {
  Counts counts = run_cases(model_attack(1), 0, 20'000 / kModelOperations);
  CHECK(counts["states"] == 20'000);
  CHECK(counts["reopened"] > 20);
}
