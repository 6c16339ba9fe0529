#include <set>

#include "tests/support/database_model.h"
#include "tests/torture/attack.h"

namespace nearfield {

namespace {

constexpr size_t kScriptLength = 24;

ScriptKind kind_of(uint64_t number) {
  if (number % 8 == 3) return ScriptKind::kCompacting;
  if (number % 8 == 7) return ScriptKind::kLarge;
  return ScriptKind::kSmall;
}

Script script_of(uint64_t seed, uint64_t number) {
  return Script::random(seed * 1'000'003 + number, kScriptLength, kind_of(number));
}

bool is_state_between(const Script& script, const Contents& found, size_t from, size_t to) {
  for (size_t i = from; i <= to; ++i) {
    if (script.models[i] == found) return true;
  }
  return false;
}

// The postings say what the rows say.
void check_words(const Database& database, const Contents& contents, uint64_t dice) {
  const std::string word = script_word(dice);
  for (const auto& [name, points] : contents) {
    const Collection& collection = *database.find(name);
    if (!collection.schema().text) continue;
    SearchRequest request;
    request.text = word;
    request.k = kMaxK;
    const auto result = collection.search(request);
    demand(result.ok(), "a search fails after recovery");
    std::set<std::string> found;
    for (const Hit& hit : result->hits) found.emplace(hit.row.id);
    std::set<std::string> expected;
    for (const auto& [id, text] : points) {
      const std::string_view words = std::string_view(text).substr(0, text.find('\n'));
      if (words == word || words.starts_with(word + " ")) expected.insert(id);
    }
    demand(found == expected, "a search for " + word + " in " + name + " finds other points than hold it");
  }
}

struct Where {
  uint64_t at = 0;
  Damage damage = Damage::kLost;
  Extent extent = Extent::kNothing;
  uint64_t again_at = 0;  // effect of the recovery; 0: it is not crashed

  std::string text() const {
    static constexpr const char* kDamage[] = {"lost", "reordered", "torn", "duplicated", "zero tail"};
    static constexpr const char* kExtent[] = {"nothing", "a piece", "all"};
    std::string out = "crash at effect " + std::to_string(at) + " with " + kExtent[static_cast<size_t>(extent)] +
                      " of it done, damage \"" + kDamage[static_cast<size_t>(damage)] + "\"";
    if (again_at > 0) out += ", and again at effect " + std::to_string(again_at) + " of the recovery";
    return out;
  }
};

class Crash : public Attack {
 public:
  Crash(uint64_t seed, Effort effort) : seed_(seed), effort_(effort) {}

  void run(uint64_t number, Counts& counts) override {
    const Script script = script_of(seed_, number);
    SimulatedVolume volume;
    DatabaseRunner runner(volume, seed_ + number);
    ScriptRun script_run(script, runner);
    uint64_t at = 0;
    runner.host.observe([&](const EffectRequest& request) {
      ++at;
      ++counts["boundaries"];
      for (const Damage damage : kEveryDamage) {
        for (const Extent extent : kEveryExtent) {
          if (effort_ == Effort::kSample && (damage != kEveryDamage[at % 5] || extent != kEveryExtent[at / 5 % 3])) {
            continue;
          }
          where_ = {at, damage, extent, 0};
          const SimulatedVolume left = runner.host.crashed_during(request, extent, damage, mix(number));
          check_recovery(left, script, script_run.durable(), script_run.issued(), counts);
        }
      }
      where_ = {};
    });
    demand(runner.open()->ok(), "the first open fails");
    while (!script_run.at_end()) {
      const auto statuses = script_run.next();
      for (const Status& status : *statuses) demand(status.ok(), "an operation fails: " + message(status));
    }
    demand(contents_of(*runner.database) == script.models.back(), "memory is not what was written");
  }
  std::string position() const override { return where_.at > 0 ? where_.text() : ""; }

 private:
  static std::string message(const Status& status) { return status.ok() ? "" : status.error().message; }
  // A seed for the damage of this state.
  uint64_t mix(uint64_t number) const {
    Random random(seed_ ^ (number << 40) ^ (where_.at << 20) ^ (where_.again_at << 8) ^
                  (static_cast<uint64_t>(where_.damage) << 4) ^ static_cast<uint64_t>(where_.extent));
    return random.next();
  }

  // Opens and looks; the state found is one of models[from..to].
  static Contents check_open(const SimulatedVolume& left, const Script& script, size_t from, size_t to, uint64_t dice,
                             Counts& counts) {
    ++counts["states"];
    SimulatedVolume volume = left;
    DatabaseRunner after(volume, dice);
    const Status status = *after.open();
    demand(status.ok(), "the database does not open: " + message(status));
    Contents found = contents_of(*after.database);
    demand(is_state_between(script, found, from, to),
           "what is found is none of the states " + std::to_string(from) + " to " + std::to_string(to));
    check_words(*after.database, found, dice);
    return found;
  }

  // Crashes the recovery at each of its effects, too: the opening, and the first writes after it, which repair.
  void check_recovery(const SimulatedVolume& left, const Script& script, size_t from, size_t to, Counts& counts) {
    const uint64_t dice = mix(0);
    Script later;
    later.models.push_back(check_open(left, script, from, to, dice, counts));
    Operation create;
    create.kind = Operation::Kind::kCreate;
    create.collection = "later";
    later.add(create);
    Operation write;
    write.collection = "later";
    write.batches.push_back({"later", {{}, {{"x", {}, script_word(1), ""}}}});
    later.add(write);

    SimulatedVolume volume = left;
    DatabaseRunner after(volume, dice);
    ScriptRun later_run(later, after);
    uint64_t effects = 0;
    after.host.observe([&](const EffectRequest& request) {
      ++effects;
      if (effort_ == Effort::kSample && dice % 16 + 1 != effects) return;
      where_.again_at = effects;
      const Extent extent = kEveryExtent[(dice >> 8) % 3];
      const SimulatedVolume twice = after.host.crashed_during(request, extent, where_.damage, mix(1));
      check_open(twice, later, later_run.durable(), later_run.issued(), dice, counts);
      ++counts["compound"];
      where_.again_at = 0;
    });
    demand(after.open()->ok(), "the database opens once, but not twice");
    while (!later_run.at_end()) {
      const auto statuses = later_run.next();
      for (const Status& status : *statuses) {
        demand(status.ok(), "a good write after recovery fails: " + message(status));
      }
    }
    // And what came after it lasts.
    Random random(dice);
    volume.crash(where_.damage, random);
    check_open(volume, later, 2, 2, dice, counts);
  }

  uint64_t seed_;
  Effort effort_;
  Where where_;
};

class NullControl : public Attack {
 public:
  explicit NullControl(uint64_t seed) : seed_(seed) {}

  void run(uint64_t number, Counts& counts) override {
    const Script script = script_of(seed_, number);
    SimulatedVolume volume;
    DatabaseRunner runner(volume, seed_ + number);
    runner.host.lie_about_durability();
    ScriptRun script_run(script, runner);
    uint64_t effects = 0;
    uint64_t lost = 0;
    runner.host.observe([&](const EffectRequest& request) {
      ++effects;
      SimulatedVolume left = runner.host.crashed_during(request, Extent::kNothing, Damage::kLost, effects);
      DatabaseRunner after(left, effects);
      const bool survived = after.open()->ok() && is_state_between(script, contents_of(*after.database),
                                                                   script_run.durable(), script_run.issued());
      if (!survived) ++lost;
    });
    (void)runner.open();
    while (!script_run.at_end()) (void)script_run.next();
    counts["states"] += effects;
    counts["found_out"] += lost;
    demand(2 * lost > effects, "a host that makes nothing durable is found out in only " + std::to_string(lost) +
                                   " of " + std::to_string(effects) + " crashes");
  }

 private:
  uint64_t seed_;
};

}  // namespace

std::unique_ptr<Attack> crash_attack(uint64_t seed, Effort effort) { return std::make_unique<Crash>(seed, effort); }
std::unique_ptr<Attack> null_control(uint64_t seed) { return std::make_unique<NullControl>(seed); }

}  // namespace nearfield
