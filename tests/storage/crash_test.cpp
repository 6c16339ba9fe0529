// Crashes and failures at every effect of a scripted run.
//
// The oracle: what was acknowledged as strict is found, what is found is a prefix of what was issued, and nothing else.
#include <catch_amalgamated.hpp>

#include "storage/database.h"
#include "tests/support/database_model.h"

using namespace nearfield;

namespace {

constexpr size_t kScriptLength = 24;

struct Progress {
  bool crashed = false;
  size_t acknowledged = 0;  // operations that ended well
  size_t durable = 0;       // of these, how many must survive
};

// Runs the script until its end or a crash.
Progress run_script(const Script& script, DatabaseRunner& runner) {
  Progress progress;
  const auto opened = runner.open();
  progress.crashed = !opened;
  if (progress.crashed) return progress;
  REQUIRE(opened->ok());
  for (const Operation& operation : script.operations) {
    const auto status = runner.run(operation);
    if (!status) {
      progress.crashed = true;
      return progress;
    }
    REQUIRE(status->ok());
    ++progress.acknowledged;
    // Creating what exists is the one call that promises nothing about earlier relaxed writes.
    const bool exists = operation.kind == Operation::Kind::kCreate &&
                        script.models[progress.acknowledged - 1].contains(operation.collection);
    if (operation.durability == Durability::kStrict && !exists) progress.durable = progress.acknowledged;
  }
  return progress;
}

// Is `found` what the script had made after `from`, ..., or `to` operations?
bool is_state_between(const Script& script, const Contents& found, size_t from, size_t to) {
  for (size_t i = from; i <= to; ++i) {
    if (script.models[i] == found) return true;
  }
  return false;
}

// One script has writes that go past the log; they take their time.
Script script_of(uint64_t seed) { return Script::random(seed, kScriptLength, seed == 11); }

uint64_t effects_of(const Script& script) {
  SimulatedVolume volume;
  DatabaseRunner runner(volume, 5);
  REQUIRE_FALSE(run_script(script, runner).crashed);
  return runner.host.performed();
}

}  // namespace

TEST_CASE("a crash at any effect loses nothing acknowledged and invents nothing") {
  const auto seed = static_cast<uint64_t>(GENERATE(11, 12));
  const Script script = script_of(seed);
  const uint64_t effects = effects_of(script);
  REQUIRE(effects > 40);
  for (uint64_t at = 1; at <= effects; ++at) {
    for (const Damage damage : kEveryDamage) {
      // The large script takes the models in turn.
      if (seed == 11 && damage != kEveryDamage[at % std::size(kEveryDamage)]) continue;
      CAPTURE(seed, at, static_cast<int>(damage));
      SimulatedVolume volume;
      DatabaseRunner runner(volume, 5);
      runner.host.crash_at(at, damage);
      const Progress progress = run_script(script, runner);
      REQUIRE(progress.crashed);
      runner.database.reset();

      // Reopening crashes as well, now and then.
      if (at % 3 == 0) {
        DatabaseRunner again(volume, at);
        again.host.crash_at(1 + at % 5, damage);
        (void)again.open();
        volume.locked = false;
      }
      DatabaseRunner after(volume, at);
      const auto opened = after.open();
      INFO((opened->ok() ? "" : opened->error().message));
      REQUIRE(opened->ok());
      const size_t issued = std::min(progress.acknowledged + 1, script.operations.size());
      REQUIRE(is_state_between(script, contents_of(*after.database), progress.durable, issued));
      // Life goes on, and what it writes is found.
      REQUIRE(after.host.run(after.database->collection("later", Schema{})).ok());
      REQUIRE(after.host.run(after.database->write({{"later", {{}, {{"x", {}, "", ""}}}}}, Durability::kStrict)).ok());
      const Contents expected = contents_of(*after.database);
      Random random(at);
      volume.crash(damage, random);
      REQUIRE(after.open()->ok());
      REQUIRE(contents_of(*after.database) == expected);
    }
  }
}

TEST_CASE("null control: a host that lies about durability is found out") {
  const Script script = script_of(11);
  const uint64_t effects = effects_of(script);
  size_t lost = 0;
  for (uint64_t at = 1; at <= effects; ++at) {
    SimulatedVolume volume;
    DatabaseRunner runner(volume, 5);
    runner.host.lie_about_durability();
    runner.host.crash_at(at, Damage::kLost);
    const Progress progress = run_script(script, runner);
    DatabaseRunner after(volume, at);
    const size_t issued = std::min(progress.acknowledged + 1, script.operations.size());
    const auto opened = after.open();
    if (!opened->ok() || !is_state_between(script, contents_of(*after.database), progress.durable, issued)) ++lost;
  }
  CHECK(lost > effects / 2);
}

TEST_CASE("any effect may fail once: a typed error, nothing changed, and the same call then succeeds") {
  const Code code = GENERATE(Code::kStorageFailed, Code::kQuotaExceeded);
  const uint64_t seed = code == Code::kStorageFailed ? 11 : 12;
  const Script script = script_of(seed);
  const uint64_t effects = effects_of(script);
  for (uint64_t at = 1; at <= effects; ++at) {
    CAPTURE(seed, at);
    SimulatedVolume volume;
    DatabaseRunner runner(volume, at);
    runner.host.fail_at(at, code);
    size_t failures = 0;
    const auto open_again = [&] {
      Status status = *runner.open();
      if (status.ok()) return;
      ++failures;
      REQUIRE(status.code() == code);
      volume.locked = false;  // the host ends
      REQUIRE(runner.open()->ok());
    };
    open_again();
    for (size_t i = 0; i < script.operations.size(); ++i) {
      CAPTURE(i);
      const Operation& operation = script.operations[i];
      const Status status = *runner.run(operation);
      if (!status.ok()) {
        ++failures;
        REQUIRE(status.code() == code);
        if (operation.kind == Operation::Kind::kReopen) {
          volume.locked = false;
          open_again();
        } else {
          REQUIRE(contents_of(*runner.database) == script.models[i]);
          REQUIRE(runner.run(operation)->ok());
        }
      }
      REQUIRE(contents_of(*runner.database) == script.models[i + 1]);
    }
    REQUIRE(failures == (runner.host.performed() >= at ? 1 : 0));
    // What is on the volume is what was said.
    volume.locked = false;
    REQUIRE(runner.open()->ok());
    REQUIRE(contents_of(*runner.database) == script.models.back());
    REQUIRE(runner.database->recovery().generations_skipped == 0);
  }
}

TEST_CASE("a volume that stays full keeps what is there, and recovers when there is room") {
  const Script script = script_of(13);
  SimulatedVolume volume;
  DatabaseRunner runner(volume, 7);
  REQUIRE_FALSE(run_script(script, runner).crashed);
  Operation write;
  for (const Operation& each : script.operations) {
    if (each.kind == Operation::Kind::kWrite && script.models.back().contains(each.batches[0].collection)) write = each;
  }
  write.batches.resize(1);
  for (int i = 0; i < 20; ++i) {
    runner.host.fail_all(Code::kQuotaExceeded);
    REQUIRE(runner.run(write)->code() == Code::kQuotaExceeded);
    REQUIRE(contents_of(*runner.database) == script.models.back());
  }
  runner.host.fail_all(Code::kOk);
  REQUIRE(runner.run(write)->ok());
  Contents expected = script.models.back();
  apply_to_model(expected, write);
  volume.locked = false;
  REQUIRE(runner.open()->ok());
  CHECK(contents_of(*runner.database) == expected);
}
