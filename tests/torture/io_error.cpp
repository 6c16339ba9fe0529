#include "tests/support/database_model.h"
#include "tests/torture/attack.h"

namespace nearfield {

namespace {

constexpr size_t kScriptLength = 20;
constexpr Code kCodes[] = {Code::kStorageFailed, Code::kQuotaExceeded, Code::kReadOnly};

class IoError : public Attack {
 public:
  IoError(uint64_t seed, Effort effort) : seed_(seed), effort_(effort) {}

  void run(uint64_t number, Counts& counts) override {
    const ScriptKind kind = number % 8 == 7 ? ScriptKind::kLarge : ScriptKind::kSmall;
    const Script script = Script::random(seed_ * 1'000'033 + number, kScriptLength, kind);
    uint64_t effects = 1;
    for (at_ = 1; at_ <= effects; ++at_) {
      for (const bool forever : {false, true}) {
        for (const Code code : kCodes) {
          const bool sampled = forever == (at_ % 2 == 0) && code == kCodes[at_ / 2 % 3];
          if (effort_ == Effort::kSample && !sampled) continue;
          forever_ = forever;
          code_ = code;
          ++counts["states"];
          effects = std::max(effects, fail_one(script, seed_ + number));
        }
      }
    }
    at_ = 0;
  }
  std::string position() const override {
    if (at_ == 0) return "";
    return "effect " + std::to_string(at_) + " fails " + (forever_ ? "and all after it " : "") + "with " +
           std::string(code_name(code_));
  }

 private:
  // Answers how many effects there were.
  uint64_t fail_one(const Script& script, uint64_t seed) {
    SimulatedVolume volume;
    DatabaseRunner runner(volume, seed ^ at_);
    Simulator& host = runner.host;
    host.observe([&](const EffectRequest&) {
      if (host.performed() != at_) return;
      if (forever_) {
        host.fail_all(code_);
      } else {
        host.fail_at(at_, code_);
      }
    });
    size_t failures = 0;
    const auto note = [&](const Status& status) {
      if (status.ok()) return;
      ++failures;
      demand(status.code() == code_,
             "a failure arrives as " + std::string(code_name(status.code())) + ": " + status.error().message);
    };
    bool broken = forever_;
    const auto heal = [&] {
      host.fail_all(Code::kOk);
      broken = false;
    };
    const auto open = [&] {
      const Status status = *runner.open();
      note(status);
      if (status.ok()) return;
      // Still broken: still the same typed error, and nothing is lost by asking.
      volume.locked = false;
      if (broken) note(*runner.open());
      heal();
      volume.locked = false;
      demand(runner.open()->ok(), "the database does not open after the failure");
    };
    open();
    Contents model;
    ScriptRun script_run(script, runner);
    size_t next = 0;
    while (!script_run.at_end()) {
      const std::vector<Status> statuses = *script_run.next();
      std::vector<size_t> failed;
      for (const Status& status : statuses) {
        note(status);
        if (status.ok()) {
          apply_to_model(model, script.operations[next]);
        } else {
          failed.push_back(next);
        }
        ++next;
      }
      for (const size_t i : failed) {
        const Operation& operation = script.operations[i];
        if (operation.kind == Operation::Kind::kReopen) {
          volume.locked = false;
          open();
          continue;
        }
        demand(contents_of(*runner.database) == model, "a failed operation changed what is in memory");
        if (broken) {
          note(*runner.run(operation));
          demand(contents_of(*runner.database) == model, "an operation that failed twice changed what is in memory");
        }
        heal();
        demand(runner.run(operation)->ok(), "the same call fails after the failure has passed");
        apply_to_model(model, operation);
      }
      demand(contents_of(*runner.database) == model, "what is in memory is not what was acknowledged");
    }
    const uint64_t performed = host.performed();
    demand((failures > 0) == (performed >= at_), "a failure is not reported, or reported without one");
    // What is on the volume is what was said.
    heal();
    host.observe({});
    volume.locked = false;
    demand(runner.open()->ok(), "the database does not open again");
    demand(contents_of(*runner.database) == model, "what is stored is not what was acknowledged");
    demand(runner.database->recovery().generations_skipped == 0, "a generation is damaged");
    return performed;
  }

  uint64_t seed_;
  Effort effort_;
  uint64_t at_ = 0;
  bool forever_ = false;
  Code code_ = Code::kOk;
};

}  // namespace

std::unique_ptr<Attack> io_error_attack(uint64_t seed, Effort effort) {
  return std::make_unique<IoError>(seed, effort);
}

}  // namespace nearfield
