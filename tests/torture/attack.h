// Attacks on the storage, each a numbered list of cases that never ends.
//
// A case depends on the attack's seed and its number alone, so a long run may be cut into parts, resumed and added up,
// and a case that fails is run again by its number. The oracle is the same everywhere: what was acknowledged is found,
// what is found is a prefix of what was issued, no wrong byte is returned as data, every failure is a typed error, and
// a good call after it works.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

namespace nearfield {

// What must not happen did.
class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void demand(bool condition, const std::string& what) {
  if (!condition) throw Violation(what);
}

// How much was tried, by name; "states" is what the attack counts itself by.
using Counts = std::map<std::string, uint64_t>;

class Attack {
 public:
  virtual ~Attack() = default;
  // Throws Violation.
  virtual void run(uint64_t number, Counts& counts) = 0;
  // Where in a case it was when it failed.
  virtual std::string position() const { return ""; }
};

// How much of each case is tried: everything, or a seeded sample that fits in a test.
enum class Effort { kSample, kEverything };

// A case is one script of random operations: a crash before, in and after each of its effects, with every damage model,
// and then a crash at each effect of the recovery. kSample: one damage model, extent and recovery effect per effect.
std::unique_ptr<Attack> crash_attack(uint64_t seed, Effort effort);
// The same scripts on a host that syncs nothing: the violation is that the crashes lose too little.
std::unique_ptr<Attack> null_control(uint64_t seed);
// A case is one script: each effect fails, once and from then on, with each code. kSample: one of both per effect.
std::unique_ptr<Attack> io_error_attack(uint64_t seed, Effort effort);
// A case is one damaged database: first every bit flipped, then every truncation, then random damage of many kinds.
// kSample: of a smaller database, spread over the bits, the truncations and random damage.
std::unique_ptr<Attack> damage_attack(uint64_t seed, Effort effort);
// A case is kModelOperations random operations, compared with a plain model.
inline constexpr uint64_t kModelOperations = 10'000;
std::unique_ptr<Attack> model_attack(uint64_t seed);
// A case is one of the operations of kOomOperations, failing once or from then on, at each of its allocations. Only
// where tests/torture/allocation.cpp is linked. kSample: some thirty allocations of each.
std::unique_ptr<Attack> oom_attack(uint64_t seed, Effort effort);
inline constexpr uint64_t kOomOperations = 12;

}  // namespace nearfield
