// torture ATTACK [--seed S] [--from N] [--count M] [--seconds T] [--json]
//
// Runs cases N .. N+M-1 of one attack (see attack.h; no attack: the list) and prints how much was tried. Ends at the
// first violation, or after T seconds, whatever comes first; "done" says how many cases were finished. A violation is
// exit code 1 and says how to run its case again. --json: one line,
//   { "attack", "seed", "from", "count", "done", "violations", "details": { "states", ... } }
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/base/json.h"
#include "tests/torture/attack.h"

using namespace nearfield;

namespace {

struct Entry {
  const char* name;
  const char* unit;
  std::unique_ptr<Attack> (*make)(uint64_t seed);
};

constexpr Entry kAttacks[] = {
    {"crash", "scripts, each crashed everywhere",
     [](uint64_t seed) { return crash_attack(seed, Effort::kEverything); }},
    {"null-control", "scripts on a host that lies about durability", [](uint64_t seed) { return null_control(seed); }},
    {"io-error", "scripts, each failing everywhere",
     [](uint64_t seed) { return io_error_attack(seed, Effort::kEverything); }},
    {"damage", "damaged databases", [](uint64_t seed) { return damage_attack(seed, Effort::kEverything); }},
    {"model", "runs of 10,000 operations", [](uint64_t seed) { return model_attack(seed); }},
    {"oom", "operations, failing at each allocation",
     [](uint64_t seed) { return oom_attack(seed, Effort::kEverything); }},
};

// Where a crash of this program itself would have happened.
char replay[200];

void tell_replay() {
  const std::string_view text(replay);
  (void)!write(STDERR_FILENO, text.data(), text.size());
}
void on_signal(int number) {
  tell_replay();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

int usage() {
  std::fputs("usage: torture ATTACK [--seed S] [--from N] [--count M] [--seconds T] [--json]\n", stderr);
  for (const Entry& entry : kAttacks) std::fprintf(stderr, "  %-14s %s\n", entry.name, entry.unit);
  return 2;
}

bool number_of(std::string_view text, uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__) || (defined(__has_feature) && __has_feature(address_sanitizer))
#include <sanitizer/common_interface_defs.h>
#define NEARFIELD_SANITIZED 1
#endif

int main(int argc, char** argv) {
  const Entry* entry = nullptr;
  for (const Entry& each : kAttacks) {
    if (argc > 1 && std::string_view(argv[1]) == each.name) entry = &each;
  }
  if (entry == nullptr) return usage();
  uint64_t seed = 1, from = 0, count = 1, seconds = UINT64_MAX / 2;
  bool json = false;
  for (int i = 2; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--json") {
      json = true;
      continue;
    }
    uint64_t* target = option == "--seed"      ? &seed
                       : option == "--from"    ? &from
                       : option == "--count"   ? &count
                       : option == "--seconds" ? &seconds
                                               : nullptr;
    if (target == nullptr || i + 1 == argc || !number_of(argv[++i], *target)) return usage();
  }

#ifdef NEARFIELD_SANITIZED
  __sanitizer_set_death_callback(tell_replay);
#endif
  std::signal(SIGABRT, on_signal);
#ifndef NEARFIELD_SANITIZED
  std::signal(SIGSEGV, on_signal);
#endif

  std::unique_ptr<Attack> attack;
  try {
    attack = entry->make(seed);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", entry->name, error.what());
    return 1;
  }
  Counts counts;
  uint64_t done = 0;
  std::string violation;
  const auto began = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  for (; done < count && elapsed() < static_cast<double>(seconds); ++done) {
    const auto number = static_cast<unsigned long long>(from + done);
    std::snprintf(replay, sizeof replay, "\nreplay: torture %s --seed %llu --from %llu --count 1\n", entry->name,
                  static_cast<unsigned long long>(seed), number);
    try {
      attack->run(number, counts);
    } catch (const std::exception& error) {
      violation = error.what();
      if (const std::string position = attack->position(); !position.empty()) violation += " [" + position + "]";
      std::fprintf(stderr, "%s: case %llu: %s", entry->name, number, violation.c_str());
      tell_replay();
      break;
    }
  }

  Json details = Json::object();
  for (const auto& [name, value] : counts) details[name] = value;
  if (!violation.empty()) details["violation"] = violation;
  if (json) {
    const Json report = {{"attack", entry->name}, {"seed", seed}, {"from", from},
                         {"count", count},        {"done", done}, {"violations", violation.empty() ? 0 : 1},
                         {"details", details}};
    std::puts(write_json(report).c_str());
  } else {
    std::printf("%s: %llu %s, %s, %.1f s, %.0f states a second of CPU\n", entry->name,
                static_cast<unsigned long long>(done), entry->unit, write_json(details).c_str(), elapsed(),
                static_cast<double>(counts["states"]) * CLOCKS_PER_SEC / static_cast<double>(std::clock() + 1));
  }
  return violation.empty() ? 0 : 1;
}
