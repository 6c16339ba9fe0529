// A volume in memory and a host with a seed: storage's bad days, replayable.
//
// SimulatedVolume keeps files the way a disk does: bytes that were made durable, and bytes that a crash may lose, tear,
// zero, repeat or reorder. Simulator is a host (the JavaScript pump's stand-in): it performs the effects of one
// EffectQueue on a volume, in a random order where several are pending, with a virtual clock. It can fail the n-th
// effect with a code, or crash in the middle of it. It also checks the engine's side of the contract: a broken rule
// throws std::logic_error, which fails the test.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/base/effect.h"
#include "core/base/random.h"
#include "core/base/task.h"

namespace nearfield {

// How much of an effect happened before it failed, or before the machine stopped.
enum class Extent { kNothing, kPiece, kAll };
inline constexpr Extent kEveryExtent[] = {Extent::kNothing, Extent::kPiece, Extent::kAll};

// What a crash does to bytes that were not yet durable.
enum class Damage { kLost, kReordered, kTorn, kDuplicated, kZeroTail };
inline constexpr Damage kEveryDamage[] = {Damage::kLost, Damage::kReordered, Damage::kTorn, Damage::kDuplicated,
                                          Damage::kZeroTail};

class SimulatedVolume {
 public:
  struct File {
    Bytes bytes;
    size_t durable = 0;          // so many bytes survive a crash
    bool entry_durable = false;  // the name does
  };
  std::map<std::string, File> files;
  bool locked = false;

  // A copy in which everything is durable, for a test to damage.
  std::map<std::string, Bytes> contents() const {
    std::map<std::string, Bytes> out;
    for (const auto& [name, file] : files) out[name] = file.bytes;
    return out;
  }
  void put(const std::string& name, Bytes bytes) {
    const size_t size = bytes.size();
    files[name] = {std::move(bytes), size, true};
  }
  static SimulatedVolume of(const std::map<std::string, Bytes>& contents) {
    SimulatedVolume volume;
    for (const auto& [name, bytes] : contents) volume.put(name, bytes);
    return volume;
  }

  // As every driver does it: the greatest manifest-<16 lower-case hexadecimal digits> below 2^53; other names are not
  // manifests.
  uint64_t newest_generation() const {
    uint64_t newest = 0;
    for (const auto& [name, file] : files) {
      if (!name.starts_with("manifest-") || name.size() != 25) continue;
      if (name.find_first_not_of("0123456789abcdef", 9) != std::string::npos) continue;
      const uint64_t generation = std::stoull(name.substr(9), nullptr, 16);
      if (generation < uint64_t{1} << 53) newest = std::max(newest, generation);
    }
    return newest;
  }
  void sync_all() {
    for (auto& [name, file] : files) file.durable = file.bytes.size(), file.entry_durable = true;
  }
  // The machine stops. What is left is durable.
  void crash(Damage damage, Random& random) {
    for (auto it = files.begin(); it != files.end();) {
      File& file = it->second;
      const size_t unsynced = file.bytes.size() - file.durable;
      size_t kept = 0;  // of the unsynced bytes
      switch (damage) {
        case Damage::kLost: break;
        case Damage::kReordered: kept = random.below(2) == 0 ? 0 : unsynced; break;  // later files may stay, earlier go
        case Damage::kTorn: kept = static_cast<size_t>(random.below(unsynced + 1)); break;
        case Damage::kDuplicated: {
          const Bytes tail(file.bytes.end() - static_cast<std::ptrdiff_t>(unsynced), file.bytes.end());
          file.bytes.insert(file.bytes.end(), tail.begin(), tail.end());
          kept = 2 * unsynced;
          break;
        }
        case Damage::kZeroTail: {
          kept = unsynced;
          const auto zeroed = static_cast<std::ptrdiff_t>(random.below(unsynced + 1));
          std::fill(file.bytes.end() - zeroed, file.bytes.end(), uint8_t{0});
          break;
        }
      }
      const bool gone = !file.entry_durable && kept == 0;
      file.bytes.resize(file.durable + kept);
      it = gone ? files.erase(it) : std::next(it);
    }
    sync_all();
    locked = false;
  }
};

class Simulator {
 public:
  Simulator(SimulatedVolume& volume, uint64_t seed) : volume_(volume), random_(seed) {}

  EffectQueue& effects() { return effects_; }

  // Plans. Effects count from 1 over the life of the simulator.
  void fail_at(uint64_t effect, Code code) { fail_at_ = effect, fail_code_ = code; }
  // Fails every effect with this code, until kOk.
  void fail_all(Code code) { fail_all_ = code; }
  void crash_at(uint64_t effect, Damage damage) { crash_at_ = effect, damage_ = damage; }
  // Null control: sync nothing, and say that it was done.
  void lie_about_durability() { lies_ = true; }
  void set_read_only() { read_only_ = true; }
  // Whether the host can tell how long files are. By default it changes its mind with each list.
  void know_lengths(bool known) { knows_lengths_ = known; }
  // Calls `look` with every effect before it is performed: the place to try what a crash here would leave.
  void observe(std::function<void(const EffectRequest&)> look) { observer_ = std::move(look); }
  // Calls `change` with true whenever the engine is about to run, and with false when it has come back: allocations
  // in between are the engine's, all others the host's.
  void watch_engine(std::function<void(bool)> change) { engine_runs_ = std::move(change); }

  // What SendEffects brought, and what ReceiveEffects take from the front, by stream.
  std::map<uint64_t, Bytes> sent;
  std::map<uint64_t, Bytes> to_receive;

  uint64_t performed() const { return performed_; }
  bool crashed() const { return crashed_; }
  uint64_t bytes_written() const { return bytes_written_; }
  uint64_t now_ms() const { return now_ms_; }

  // The volume as a machine that stops during `request` leaves it. This host and its volume do not change.
  SimulatedVolume crashed_during(const EffectRequest& request, Extent extent, Damage damage, uint64_t seed) const {
    SimulatedVolume left = volume_;
    Simulator host(left, seed);
    host.lies_ = lies_;
    host.read_only_ = read_only_;
    host.perform_in_part(request, extent);
    left.crash(damage, host.random_);
    return left;
  }

  // Drives a task to its end. nullopt: the simulated machine crashed; the task is gone.
  template <typename T>
  std::optional<T> try_run(Task<T> task) {
    start(task);
    while (!task.done()) {
      if (!step()) {
        if (crashed_) return std::nullopt;
        throw std::logic_error("the task waits, but for no effect");
      }
    }
    return task.take();
  }
  template <typename T>
  T run(Task<T> task) {
    std::optional<T> out = try_run(std::move(task));
    if (!out) throw std::logic_error("an unplanned crash");
    return std::move(*out);
  }
  // Starts all tasks, in order, before any effect is performed.
  template <typename T>
  std::vector<T> run_all(std::vector<Task<T>> tasks) {
    for (Task<T>& task : tasks) start(task);
    while (!std::ranges::all_of(tasks, [](const Task<T>& task) { return task.done(); })) {
      if (!step()) throw std::logic_error("the tasks wait, but for no effect");
    }
    std::vector<T> out;
    for (Task<T>& task : tasks) out.push_back(task.take());
    return out;
  }
  template <typename T>
  void start(Task<T>& task) {
    const EngineRuns engine(*this);
    task.start();
  }

  // Effects asked for and not yet performed wait until release(), while others go on.
  void hold() {
    for (PendingEffect& effect : effects_.take_pending()) pending_.push_back(std::move(effect));
    held_ = std::move(pending_);
    pending_.clear();
  }
  void release() {
    for (PendingEffect& effect : held_) pending_.push_back(std::move(effect));
    held_.clear();
  }

  // Performs one pending effect, any of them. False: none is pending, or the machine has crashed.
  bool step() {
    if (crashed_) return false;
    for (PendingEffect& effect : effects_.take_pending()) pending_.push_back(std::move(effect));
    if (pending_.empty()) return false;
    const auto chosen = pending_.begin() + static_cast<std::ptrdiff_t>(random_.below(pending_.size()));
    PendingEffect effect = std::move(*chosen);
    pending_.erase(chosen);
    ++performed_;
    if (observer_) observer_(effect.request);
    now_ms_ += 1 + random_.below(20);
    EffectAnswer answer;
    if (performed_ == crash_at_) {
      perform_in_part(effect.request, any_extent());
      volume_.crash(damage_, random_);
      crashed_ = true;
      return false;
    }
    if (performed_ == fail_at_ || fail_all_ != Code::kOk) {
      answer.status = Error{fail_all_ != Code::kOk ? fail_all_ : fail_code_, "simulated failure", ""};
      // A host that says "it failed" may have done nothing, some, or all of it. A busy lock was not taken, though.
      if (!std::holds_alternative<LockEffect>(effect.request)) perform_in_part(effect.request, any_extent());
    } else {
      answer = perform(effect.request);
    }
    answer.now_ms = now_ms_;
    const EngineRuns engine(*this);
    effects_.answer(effect.id, std::move(answer));
    return true;
  }

 private:
  static constexpr size_t kStreamPiece = 1 << 20;

  class EngineRuns {
   public:
    explicit EngineRuns(const Simulator& host) : host_(host) {
      if (host_.engine_runs_) host_.engine_runs_(true);
    }
    EngineRuns(const EngineRuns&) = delete;
    ~EngineRuns() {
      if (host_.engine_runs_) host_.engine_runs_(false);
    }

   private:
    const Simulator& host_;
  };

  static Error error(Code code, std::string message) { return {code, std::move(message), ""}; }
  static void demand(bool condition, const std::string& rule) {
    if (!condition) throw std::logic_error("the engine broke a rule of effects: " + rule);
  }
  static void demand_name(const std::string& name) {
    demand(!name.empty() && name.size() <= 100 &&
               name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") == std::string::npos,
           "file name " + name);
  }

  EffectAnswer perform(const EffectRequest& request) {
    return std::visit([&](const auto& effect) { return perform_one(effect, true); }, request);
  }
  Extent any_extent() { return kEveryExtent[random_.below(std::size(kEveryExtent))]; }
  void perform_in_part(const EffectRequest& request, Extent extent) {
    switch (extent) {
      case Extent::kNothing: return;
      case Extent::kPiece: std::visit([&](const auto& effect) { perform_one(effect, false); }, request); return;
      case Extent::kAll: perform(request); return;
    }
  }

  EffectAnswer perform_one(const ListEffect&, bool) {
    EffectAnswer answer;
    // Some volumes know no lengths.
    const bool known = knows_lengths_.value_or(random_.below(2) == 0);
    for (const auto& [name, file] : volume_.files) {
      answer.files.push_back({name, known ? file.bytes.size() : kUnknownLength});
    }
    for (size_t i = answer.files.size(); i > 1; --i) std::swap(answer.files[i - 1], answer.files[random_.below(i)]);
    return answer;
  }
  EffectAnswer perform_one(const ReadEffect& read, bool) {
    EffectAnswer answer;
    demand_name(read.name);
    const auto found = volume_.files.find(read.name);
    if (found == volume_.files.end()) {
      answer.status = error(Code::kNotFound, "no such file");
      return answer;
    }
    const Bytes& bytes = found->second.bytes;
    const size_t begin = static_cast<size_t>(std::min<uint64_t>(read.offset, bytes.size()));
    const size_t end = begin + static_cast<size_t>(std::min<uint64_t>(read.length, bytes.size() - begin));
    answer.bytes.assign(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                        bytes.begin() + static_cast<std::ptrdiff_t>(end));
    return answer;
  }
  // `whole` false: a piece of the bytes arrives.
  EffectAnswer perform_one(const WriteEffect& write, bool whole) {
    demand_name(write.name);
    if (read_only_) return refused();
    if (volume_.files.contains(write.name)) {
      EffectAnswer answer;
      answer.status = error(Code::kConflict, "the file exists");
      return answer;
    }
    volume_.files[write.name].bytes.assign(write.bytes.begin(), write.bytes.begin() + part(write.bytes.size(), whole));
    bytes_written_ += write.bytes.size();
    return {};
  }
  EffectAnswer perform_one(const AppendEffect& append, bool whole) {
    demand_name(append.name);
    EffectAnswer answer;
    if (read_only_) return refused();
    const auto found = volume_.files.find(append.name);
    const size_t length = found == volume_.files.end() ? 0 : found->second.bytes.size();
    if (volume_.newest_generation() != append.expected_generation || length != append.offset) {
      answer.status = error(Code::kConflict, "the database has moved on");
      return answer;
    }
    SimulatedVolume::File& file = volume_.files[append.name];
    file.bytes.insert(file.bytes.end(), append.bytes.begin(), append.bytes.begin() + part(append.bytes.size(), whole));
    bytes_written_ += append.bytes.size();
    if (whole && append.durability == Durability::kStrict && !lies_) {
      file.durable = file.bytes.size();
      file.entry_durable = true;
    }
    return answer;
  }
  EffectAnswer perform_one(const CommitEffect& commit, bool whole) {
    EffectAnswer answer;
    if (read_only_) return refused();
    if (volume_.newest_generation() != commit.expected_generation) {
      answer.status = error(Code::kConflict, "the database has moved on");
      return answer;
    }
    std::string digits(16, '0');
    const uint64_t generation = commit.expected_generation + 1;
    for (size_t i = 0; i < 16; ++i) digits[15 - i] = "0123456789abcdef"[generation >> (4 * i) & 15];
    // Earlier writes first, then the manifest, then the removals.
    if (!lies_) volume_.sync_all();
    if (!whole && random_.below(2) == 0) return answer;
    // A manifest appears under its name whole or not at all (rename, transaction), but not yet durable.
    volume_.files["manifest-" + digits].bytes = commit.manifest;
    bytes_written_ += commit.manifest.size();
    if (!whole && random_.below(2) == 0) return answer;
    if (commit.durability == Durability::kStrict && !lies_) volume_.sync_all();
    bool others = false;
    for (const std::string& name : commit.obsolete) {
      const bool is_manifest = name.starts_with("manifest-");
      demand(!is_manifest || !others, "a manifest is removed after what it may name");
      others = others || !is_manifest;
      demand(name != "manifest-" + digits, "a commit makes its own manifest obsolete");
      if (!whole && random_.below(2) == 0) continue;
      volume_.files.erase(name);
    }
    answer.generation = generation;
    return answer;
  }
  EffectAnswer perform_one(const LockEffect&, bool) {
    EffectAnswer answer;
    if (volume_.locked) answer.status = error(Code::kDatabaseLocked, "another host writes to this database");
    volume_.locked = true;
    return answer;
  }
  EffectAnswer perform_one(const UnlockEffect&, bool) {
    volume_.locked = false;
    return {};
  }
  // A volume has no network: tests/support/network.h has.
  EffectAnswer perform_one(const HttpEffect& http, bool) {
    demand(false, "no request, but " + http.url);
    return {};
  }

  EffectAnswer perform_one(const SleepEffect& sleep, bool) {
    now_ms_ += sleep.milliseconds;
    return {};
  }

  EffectAnswer perform_one(const SendEffect& send, bool whole) {
    demand(!send.bytes.empty() && send.bytes.size() <= kStreamPiece, "a stream goes out in pieces of at most 1 MiB");
    Bytes& out = sent[send.stream];
    out.insert(out.end(), send.bytes.begin(), send.bytes.begin() + part(send.bytes.size(), whole));
    return {};
  }
  // A source answers as it likes: rarely all that was asked for.
  EffectAnswer perform_one(const ReceiveEffect& receive, bool) {
    demand(receive.length > 0 && receive.length <= kStreamPiece, "a stream comes in in pieces of at most 1 MiB");
    EffectAnswer answer;
    Bytes& rest = to_receive[receive.stream];
    if (rest.empty()) return answer;
    const uint64_t most = std::min<uint64_t>(receive.length, rest.size());
    const auto taken = static_cast<std::ptrdiff_t>(random_.below(3) == 0 ? 1 + random_.below(most) : most);
    answer.bytes.assign(rest.begin(), rest.begin() + taken);
    rest.erase(rest.begin(), rest.begin() + taken);
    return answer;
  }

  std::ptrdiff_t part(size_t size, bool whole) {
    return static_cast<std::ptrdiff_t>(whole ? size : random_.below(size + 1));
  }
  static EffectAnswer refused() {
    EffectAnswer answer;
    answer.status = error(Code::kReadOnly, "the volume cannot be written");
    return answer;
  }

  SimulatedVolume& volume_;
  Random random_;
  EffectQueue effects_;
  std::vector<PendingEffect> pending_;
  std::vector<PendingEffect> held_;
  uint64_t performed_ = 0;
  uint64_t fail_at_ = 0;
  Code fail_code_ = Code::kOk;
  Code fail_all_ = Code::kOk;
  uint64_t crash_at_ = 0;
  Damage damage_ = Damage::kLost;
  bool crashed_ = false;
  bool lies_ = false;
  bool read_only_ = false;
  std::optional<bool> knows_lengths_;
  uint64_t bytes_written_ = 0;
  uint64_t now_ms_ = 1'700'000'000'000;
  std::function<void(const EffectRequest&)> observer_;
  std::function<void(bool)> engine_runs_;
};

}  // namespace nearfield
