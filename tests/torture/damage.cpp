#include <algorithm>
#include <set>

#include "storage/format.h"
#include "tests/support/database_model.h"
#include "tests/support/vectors.h"
#include "tests/torture/attack.h"

namespace nearfield {

namespace {

using Files = std::map<std::string, Bytes>;

constexpr size_t kPageBytes = 4096;
constexpr size_t kDatabaseBytes = 64 << 10;

// A database of 64 KiB, or a tenth of that, and every state it went through: two generations with a log each, one
// collection with postings and a graph in two segments, and one of payloads.
struct Specimen {
  Files files;
  std::set<Contents> states;
  Contents newest;
  uint64_t generation = 0;
  size_t bytes = 0;

  // `filler` bytes in its last point.
  explicit Specimen(uint64_t seed, Effort effort, size_t filler = 0) : random(seed) {
    SimulatedVolume volume;
    DatabaseRunner runner(volume, seed);
    demand(runner.open()->ok(), "a new database does not open");
    remember(runner);
    Schema graph = small_schema();
    graph.dimension = 64;
    graph.kind = IndexKind::kHnsw;
    graph.hnsw.m = 4;
    graph.hnsw.ef_construct = 10;
    graph.text->stemming = false;  // its cache is most of what opening costs
    create(runner, "graph", graph);
    create(runner, "plain", Schema{});
    // All but a few rows are left out of the small one.
    const size_t scale = effort == Effort::kEverything ? 10 : 1;
    write(runner, "graph", 0, 4 * scale);
    write(runner, "plain", 0, 2 * scale);
    checkpoint(runner);
    write(runner, "graph", 3 * scale, 7 * scale);
    write(runner, "plain", scale, 3 * scale);
    checkpoint(runner);
    for (size_t i = 0; i < 1 + scale / 2; ++i)
      write(runner, i % 2 == 0 ? "graph" : "plain", 60 + 2 * i, 61 + 2 * i + scale / 3);
    checkpoint(runner);
    for (size_t i = 0; i < 2 + scale / 2; ++i)
      write(runner, i % 2 == 0 ? "graph" : "plain", 72 + 3 * i, 73 + 3 * i + scale / 3);
    demand(runner.host
               .run(runner.database->write({{"plain", {{}, {{"filler", {}, noise(8 + filler), ""}}}}},
                                           Durability::kStrict))
               .ok(),
           "a write fails");
    remember(runner);
    generation = runner.database->generation();
    files = volume.contents();
    for (const auto& [name, content] : files) bytes += content.size();
  }
  static Specimen of(uint64_t seed, Effort effort) {
    Specimen small(seed, effort);
    if (effort == Effort::kSample) return small;
    demand(small.bytes < kDatabaseBytes, "the database has " + std::to_string(small.bytes) + " bytes already");
    Specimen specimen(seed, effort, kDatabaseBytes - small.bytes);
    demand(specimen.bytes == kDatabaseBytes, "the database has " + std::to_string(specimen.bytes) + " bytes");
    return specimen;
  }

 private:
  void remember(const DatabaseRunner& runner) { states.insert(newest = contents_of(*runner.database)); }
  void create(DatabaseRunner& runner, const std::string& name, Schema schema) {
    demand(runner.host.run(runner.database->collection(name, std::move(schema))).ok(), "a collection is not created");
    remember(runner);
  }
  void checkpoint(DatabaseRunner& runner) {
    demand(runner.host.run(runner.database->checkpoint()).ok(), "a checkpoint fails");
  }
  void write(DatabaseRunner& runner, const std::string& name, size_t begin, size_t end) {
    Batch batch;
    const size_t dimension = runner.database->find(name)->schema().dimension;
    for (size_t i = begin; i < end; ++i) {
      if (i % 7 == 3) batch.deletes.push_back("p" + std::to_string(i / 2));
      Point point{"p" + std::to_string(i), {}, "", ""};
      if (dimension > 0 && i % 8 != 0) point.vector = random_vector(random, dimension);
      if (i % 3 != 0) point.text = script_word(random.next()) + " and " + script_word(i % 11);
      if (dimension == 0 || i % 5 == 0) {
        point.payload = "{\"n\":" + std::to_string(random.below(1000)) + ",\"s\":\"" + noise(200) + "\"}";
      }
      batch.upserts.push_back(std::move(point));
    }
    demand(runner.host.run(runner.database->write({{name, std::move(batch)}}, Durability::kStrict)).ok(),
           "a write fails");
    remember(runner);
  }

  std::string noise(size_t length) {
    std::string out(length, ' ');
    for (char& letter : out) letter = static_cast<char>('a' + random.below(26));
    return out;
  }

  Random random;
};

class DamageAttack : public Attack {
 public:
  DamageAttack(uint64_t seed, Effort effort)
      : seed_(seed), effort_(effort), specimen_(Specimen::of(1, effort)), other_(2, effort) {
    for (const auto& [name, bytes] : specimen_.files) names_.push_back(name);
  }

  void run(uint64_t number, Counts& counts) override {
    const uint64_t bits = specimen_.bytes * 8;
    const uint64_t exhaustive = bits + specimen_.bytes;
    uint64_t what = number;
    if (effort_ == Effort::kSample) {
      // Half random damage, and the rest spread evenly over bits and truncations.
      Random random(seed_ ^ number << 20);
      what = number % 2 == 0 ? random.below(exhaustive) : exhaustive + number;
    }
    Files files = specimen_.files;
    if (what < bits) {
      auto [name, byte] = place(what / 8);
      files[name][byte] ^= static_cast<uint8_t>(1u << what % 8);
      what_ = "bit " + std::to_string(what % 8) + " of byte " + std::to_string(byte) + " of " + name + " flipped";
      ++counts["bit_flips"];
    } else if (what < exhaustive) {
      auto [name, length] = place(what - bits);
      files[name].resize(length);
      what_ = name + " cut to " + std::to_string(length) + " bytes";
      ++counts["truncations"];
    } else {
      Random random(seed_ * 1'000'003 + number);
      damage(files, random);
      ++counts["random"];
    }
    if (files == specimen_.files) what_ += " (which changes nothing)";
    check(files, number, counts);
    ++counts["states"];
    counts["bytes"] = specimen_.bytes;
    what_.clear();
  }
  std::string position() const override { return what_; }

 private:
  // The n-th byte of all files.
  std::pair<std::string, size_t> place(uint64_t n) const {
    for (const auto& [name, bytes] : specimen_.files) {
      if (n < bytes.size()) return {name, static_cast<size_t>(n)};
      n -= bytes.size();
    }
    throw std::logic_error("no such byte");
  }

  void damage(Files& files, Random& random) {
    const std::string& name = names_[random.below(names_.size())];
    Bytes& bytes = files[name];
    const std::string& second = names_[random.below(names_.size())];
    const auto span_at = [&](size_t size) { return random.below(bytes.size() + 1 - std::min(size, bytes.size())); };
    switch (random.below(11)) {
      case 0: {
        const size_t count = 2 + random.below(size_t{63});
        for (size_t i = 0; i < count; ++i) bytes[random.below(bytes.size())] = static_cast<uint8_t>(random.next());
        what_ = std::to_string(count) + " random bytes in " + name;
        return;
      }
      case 1: {
        for (size_t i = 2 + random.below(size_t{20}); i > 0; --i) {
          Bytes& any = files[names_[random.below(names_.size())]];
          any[random.below(any.size())] ^= static_cast<uint8_t>(1u << random.below(8));
        }
        what_ = "random bits in random files";
        return;
      }
      case 2: {
        const size_t begin = random.below((bytes.size() + kPageBytes - 1) / kPageBytes) * kPageBytes;
        const size_t end = std::min(begin + kPageBytes, bytes.size());
        std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.begin() + static_cast<std::ptrdiff_t>(end),
                  random.below(2) == 0 ? uint8_t{0} : uint8_t{0xFF});
        what_ = "the page at " + std::to_string(begin) + " of " + name + " wiped";
        return;
      }
      case 3: {
        const size_t size = 1 + random.below(std::min<size_t>(512, bytes.size()));
        const size_t begin = span_at(size);
        for (size_t i = begin; i < begin + size; ++i) bytes[i] = static_cast<uint8_t>(random.next());
        what_ = std::to_string(size) + " bytes of noise at " + std::to_string(begin) + " of " + name;
        return;
      }
      case 4: {
        std::swap(bytes, files[second]);
        what_ = name + " and " + second + " swapped";
        return;
      }
      case 5: {
        const auto foreign = other_.files.find(name);
        if (foreign != other_.files.end()) bytes = foreign->second;
        what_ = name + " taken from another database";
        return;
      }
      case 6: {
        // A stretch of another file, or of this one, at the same place or another: a misdirected write.
        const Bytes& source = specimen_.files.at(second);
        const size_t size = 1 + random.below(std::min({kPageBytes, source.size(), bytes.size()}));
        const size_t from = random.below(source.size() - size + 1);
        const size_t to = random.below(2) == 0 && from + size <= bytes.size() ? from : span_at(size);
        std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(from), size,
                    bytes.begin() + static_cast<std::ptrdiff_t>(to));
        what_ = std::to_string(size) + " bytes at " + std::to_string(from) + " of " + second + " written to " +
                std::to_string(to) + " of " + name;
        return;
      }
      case 7: {
        const size_t size = 1 + random.below(size_t{100});
        const uint8_t fill = random.below(2) == 0 ? uint8_t{0} : static_cast<uint8_t>(random.next());
        bytes.insert(bytes.end(), size, fill);
        what_ = std::to_string(size) + " bytes appended to " + name;
        return;
      }
      case 8: {
        const size_t size = 8 * (1 + random.below(size_t{16}));
        const size_t begin = span_at(size);
        bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                    bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), begin + size)));
        what_ = std::to_string(size) + " bytes at " + std::to_string(begin) + " of " + name + " missing";
        return;
      }
      case 9: {
        what_ = name + " and " + second + " missing";
        files.erase(name);
        files.erase(second);
        return;
      }
      default: {
        // Two kinds at once.
        const size_t length = random.below(bytes.size());
        bytes.resize(length);
        Bytes& any = files[second];
        if (!any.empty()) any[random.below(any.size())] ^= 0x80;
        what_ = name + " cut to " + std::to_string(length) + " bytes and a bit of " + second + " flipped";
        return;
      }
    }
  }

  void check(const Files& files, uint64_t number, Counts& counts) {
    SimulatedVolume volume = SimulatedVolume::of(files);
    DatabaseRunner runner(volume, number);
    const Status status = *runner.open();
    demand(volume.contents() == files, "opening changed the volume");
    if (!status.ok()) {
      ++counts["refused"];
      demand(status.code() == Code::kStorageCorrupt || status.code() == Code::kVersionError,
             "the error is " + std::string(code_name(status.code())) + ": " + status.error().message);
      demand(!volume.locked, "the lock is kept after a failed open");
      return;
    }
    ++counts["opened"];
    Contents found = contents_of(*runner.database);
    demand(specimen_.states.contains(found), "what is found is no state the database ever had");
    const RecoveryReport& report = runner.database->recovery();
    if (!report.rebuilt.empty()) ++counts["rebuilt"];
    bool explained = report.generations_skipped > 0 || report.log_bytes_discarded > 0;
    for (const auto& [name, bytes] : specimen_.files) explained = explained || !files.contains(name);
    if (found != specimen_.newest && !explained) {
      // A log cut between two records is the one loss that cannot be noticed.
      const std::string log = file_name(FileKind::kLog, specimen_.generation);
      const Bytes& left = files.at(log);
      const Bytes& whole = specimen_.files.at(log);
      demand(left.size() < whole.size() && std::equal(left.begin(), left.end(), whole.begin()),
             "a state of the past is found, and recovery does not say so");
      ++counts["log_cut_between_records"];
    }
    check_searches(*runner.database, found);
    // A good call right after succeeds, and is found again.
    const auto first = found.begin();
    if (first == found.end() || (effort_ == Effort::kSample && number % 16 > 1)) return;
    const std::vector<CollectionBatch> batches = {{first->first, {{}, {{"new", {}, "new", ""}}}}};
    demand(runner.host.run(runner.database->write(batches, Durability::kStrict)).ok(), "a good write fails");
    apply_to_model(found, batches);
    volume.locked = false;
    demand(runner.open()->ok(), "the database opens once, but not after a good write");
    demand(contents_of(*runner.database) == found, "a good write is not found again");
    demand(runner.database->recovery().generations_skipped == 0, "a good write does not repair");
  }

  // Derived state is checked through what it is for: each point is found by its own vector, and by its words.
  void check_searches(const Database& database, const Contents& contents) const {
    const Collection* graph = database.find("graph");
    if (graph == nullptr || graph->count() == 0) return;
    const std::vector<RowView> rows = graph->scroll(nullptr, "", 1 << 20);
    for (size_t i = 0; i < rows.size(); i += 16) {
      if (rows[i].vector.empty()) continue;
      SearchRequest request;
      request.vector = rows[i].vector;
      request.k = 1;
      const auto result = graph->search(request);
      demand(result.ok() && result->hits.size() == 1 && result->hits[0].row.id == rows[i].id,
             "point " + std::string(rows[i].id) + " is not its own nearest neighbour");
    }
    SearchRequest request;
    request.text = script_word(3);
    request.k = kMaxK;
    const auto result = graph->search(request);
    demand(result.ok(), "a search for a word fails");
    std::set<std::string> expected;
    for (const auto& [id, text] : contents.at("graph")) {
      const std::string words = text.substr(0, text.find('\n')) + " ";
      if (words.find(script_word(3) + " ") != std::string::npos) expected.insert(id);
    }
    std::set<std::string> hits;
    for (const Hit& hit : result->hits) hits.emplace(hit.row.id);
    demand(hits == expected, "a search for a word finds other points than hold it");
  }

  uint64_t seed_;
  Effort effort_;
  Specimen specimen_;
  Specimen other_;
  std::vector<std::string> names_;
  std::string what_;
};

}  // namespace

std::unique_ptr<Attack> damage_attack(uint64_t seed, Effort effort) {
  return std::make_unique<DamageAttack>(seed, effort);
}

}  // namespace nearfield
