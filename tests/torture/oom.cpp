#include <algorithm>
#include <new>

#include "tests/support/database_model.h"
#include "tests/support/random_points.h"
#include "tests/support/vectors.h"
#include "tests/torture/allocation.h"
#include "tests/torture/attack.h"

namespace nearfield {

namespace {

constexpr uint64_t kSampledAllocations = 30;

enum class Call {
  kCreate,
  kAddOne,
  kAddBatch,
  kUpsert,
  kDelete,
  kSearch,
  kFilterSearch,
  kHybridSearch,
  kRead,
  kCheckpoint,
  kLoad,
  kCompact,
};
static_assert(static_cast<uint64_t>(Call::kCompact) + 1 == kOomOperations);
constexpr const char* kCallNames[] = {"open and create", "add one", "add a batch",     "upsert",
                                      "delete",          "search",  "filter search",   "hybrid search",
                                      "get and count",   "save",    "open a database", "compact"};

bool only_reads(Call call) {
  return call == Call::kSearch || call == Call::kFilterSearch || call == Call::kHybridSearch || call == Call::kRead;
}
bool opens(Call call) { return call == Call::kCreate || call == Call::kLoad; }

constexpr const char* kGraph = "graph";

Schema graph_schema() {
  Schema schema;
  schema.dimension = kRandomDim;
  schema.kind = IndexKind::kHnsw;
  schema.hnsw.m = 4;
  schema.hnsw.ef_construct = 20;
  schema.text = TextSchema{{"text", "title"}, true};
  return schema;
}

// The host's errors and answers are not what fails here.
class Counting {
 public:
  Counting() { allocation::counting(true); }
  Counting(const Counting&) = delete;
  ~Counting() { allocation::counting(false); }
};

// Calls `make` for a task and runs it; only the engine's own allocations are counted.
template <typename Make>
auto run_counted(Simulator& host, const Make& make) {
  host.watch_engine([](bool runs) { allocation::counting(runs); });
  auto task = [&] {
    const Counting counting;
    return make();
  }();
  return host.run(std::move(task));
}

// What a reading call answered.
using Answer = std::vector<std::string>;

class Oom : public Attack {
 public:
  Oom(uint64_t seed, Effort effort) : seed_(seed), effort_(effort) {}

  void run(uint64_t number, Counts& counts) override {
    call_ = static_cast<Call>(number % kOomOperations);
    prepare(number / kOomOperations);
    counts["states"] += 0;
    counts["failed"] += 0;
    counts["swallowed"] += 0;
    index_ = 0;
    // Twice: the first fills what is kept for the life of the process.
    const uint64_t allocations = (attempt(counts), attempt(counts));
    counts["allocations"] += allocations;
    const uint64_t stride = effort_ == Effort::kSample ? allocations / kSampledAllocations + 1 : 1;
    for (const bool forever : {false, true}) {
      forever_ = forever;
      for (index_ = 1 + (seed_ + number) % stride; index_ <= allocations; index_ += stride) attempt(counts);
    }
    index_ = 0;
  }
  std::string position() const override {
    std::string out = kCallNames[static_cast<size_t>(call_)];
    if (index_ > 0) out += ", allocation " + std::to_string(index_) + (forever_ ? " and all after it" : "") + " fails";
    return out;
  }

 private:
  // The volume before the call, and what is on it before and after.
  void prepare(uint64_t round) {
    Random random(seed_ * 1'000'003 + round);
    volume_ = {};
    expected_.clear();
    batch_ = {};
    DatabaseRunner runner(volume_, 1);
    demand(runner.open()->ok(), "a new database does not open");
    if (call_ == Call::kCreate) {
      volume_ = {};
      before_ = {};
      after_ = {{kGraph, {}}};
      return;
    }
    Database& database = *runner.database;
    demand(runner.host.run(database.collection(kGraph, graph_schema())).ok(), "create fails");
    const auto write = [&](Batch batch) {
      demand(runner.host.run(database.write({{kGraph, std::move(batch)}}, Durability::kStrict)).ok(), "a write fails");
    };
    const auto points = [&](size_t begin, size_t end) {
      Batch batch;
      for (size_t i = begin; i < end; ++i) {
        Point point = random_point(random, graph_schema());
        point.id = "id" + std::to_string(i);
        batch.upserts.push_back(std::move(point));
      }
      return batch;
    };
    if (call_ == Call::kCompact) {
      Batch doomed;
      for (size_t i = 0; i < 1040; ++i) doomed.upserts.push_back({"d" + std::to_string(i), {}, "", ""});
      Batch deletes;
      for (const Point& point : doomed.upserts) deletes.deletes.push_back(point.id);
      write(points(0, 25));
      write(std::move(doomed));
      write(std::move(deletes));
    } else {
      // The graph has room for 256; the batch makes it grow.
      write(points(0, 230));
      demand(runner.host.run(database.checkpoint()).ok(), "a checkpoint fails");
      write(points(220, 250));
    }
    switch (call_) {
      case Call::kAddOne: batch_ = points(300, 301); break;
      case Call::kAddBatch:
        batch_ = points(300, 320);
        // Past the log, every other time.
        if (round % 2 == 1) batch_.upserts[3].text.assign((1 << 20) + 100, 'x');
        break;
      case Call::kUpsert: batch_ = points(10, 13); break;
      case Call::kDelete: batch_.deletes = {"id3", "id240", "unknown"}; break;
      default: break;
    }
    query_ = random_coarse_vector(random);
    before_ = after_ = contents_of(database);
    apply_to_model(after_, {{kGraph, batch_}});
    runner.database.reset();
    volume_.locked = false;
  }

  // One run of the call, in which allocation `index_` fails. Answers how many there were.
  uint64_t attempt(Counts& counts) {
    if (index_ > 0) ++counts["states"];
    const int64_t alive = allocation::alive();
    const uint64_t allocations = attempt_and_look(counts);
    // The first time keeps the answer of the reading calls.
    if (index_ > 0) {
      demand(allocation::alive() == alive, std::to_string(allocation::alive() - alive) + " allocations are leaked");
    }
    return allocations;
  }

  uint64_t attempt_and_look(Counts& counts) {
    SimulatedVolume volume = volume_;
    DatabaseRunner runner(volume, 1);
    if (!opens(call_)) demand(runner.open()->ok(), "the database does not open");
    Answer answer;
    std::string outcome;
    allocation::fail_at(index_, forever_);
    try {
      const Status status = perform(runner, answer);
      if (!status.ok()) outcome = "the error is " + std::string(code_name(status.code()));
      if (status.code() == Code::kOutOfMemory) outcome = "out of memory";
    } catch (const std::bad_alloc&) {
      outcome = "out of memory";
    } catch (const std::length_error&) {
      outcome = "out of memory";
    }
    const bool failed = allocation::failed();
    const uint64_t allocations = allocation::counted();
    allocation::fail_at(0, false);
    runner.host.watch_engine({});

    demand(failed || outcome.empty(), "no allocation fails, but the call does: " + outcome);
    demand(outcome.empty() || outcome == "out of memory", outcome + " where it should be OutOfMemory");
    if (failed) ++counts[outcome.empty() ? "swallowed" : "failed"];
    if (only_reads(call_)) {
      if (expected_.empty()) expected_ = answer;
      demand(!expected_.empty(), "nothing is found, so nothing is tested");
      if (outcome.empty()) demand(answer == expected_, "the answer is another one");
      answer.clear();
      demand(perform(runner, answer).ok() && answer == expected_, "the same call after the failure answers otherwise");
      runner.host.watch_engine({});
      return allocations;
    }
    if (outcome.empty()) demand(contents_of(*runner.database) == after_, "a call that succeeded did something else");
    // An instance that ran out of memory is thrown away; what is on the volume counts.
    runner.database.reset();
    DatabaseRunner again(volume, 2);
    volume.locked = false;
    const Status status = *again.open();
    demand(status.ok(), "the database does not open again: " + (status.ok() ? "" : status.error().message));
    const Contents found = contents_of(*again.database);
    const bool is_before = outcome.empty() ? false : found == before_;
    demand(is_before || found == after_, "what is found is neither the state before nor the state after");
    demand(again.database->recovery().generations_skipped == 0, "a generation is damaged");
    demand(again.host.run(again.database->collection("later", Schema{})).ok(), "a good call after it fails");
    return allocations;
  }

  Status perform(DatabaseRunner& runner, Answer& answer) {
    Simulator& host = runner.host;
    const auto status_of = [](const auto& result) { return result.ok() ? Status() : Status(Error(result.error())); };
    const auto open = [&]() -> Status {
      auto opened = run_counted(host, [&] { return Database::open(host.effects(), {}); });
      if (!opened.ok()) return std::move(opened).error();
      runner.database = std::move(opened).value();
      return {};
    };
    switch (call_) {
      case Call::kCreate: {
        RETURN_IF_ERROR(open());
        Schema schema = graph_schema();
        return status_of(run_counted(host, [&] { return runner.database->collection(kGraph, std::move(schema)); }));
      }
      case Call::kLoad: return open();
      case Call::kCheckpoint: return run_counted(host, [&] { return runner.database->checkpoint(); });
      case Call::kCompact: return run_counted(host, [&] { return runner.database->compact(kGraph); });
      case Call::kAddOne:
      case Call::kAddBatch:
      case Call::kUpsert:
      case Call::kDelete: {
        std::vector<CollectionBatch> batches = {{kGraph, batch_}};
        return status_of(
            run_counted(host, [&] { return runner.database->write(std::move(batches), Durability::kStrict); }));
      }
      case Call::kSearch:
      case Call::kFilterSearch:
      case Call::kHybridSearch: return search(*runner.database->find(kGraph), answer);
      case Call::kRead: return read(*runner.database->find(kGraph), answer);
    }
    return {};
  }

  Status search(const Collection& collection, Answer& answer) const {
    const std::string_view text = call_ == Call::kHybridSearch ? "user logins" : "";
    const std::string_view filter = call_ == Call::kFilterSearch ? R"({"n":{"$gt":1}})" : "";
    Status status;
    Result<SearchResult> result = SearchResult{};
    {
      const Counting counting;
      SearchRequest request;
      request.vector = query_;
      request.text = text;
      request.k = 7;
      request.ef = 20;
      request.explain = call_ == Call::kHybridSearch;
      Result<std::optional<Filter>> wanted = parse_filter(filter);
      if (!wanted.ok()) return std::move(wanted).error();
      request.filter = std::move(wanted).value();
      result = collection.search(request);
    }
    if (!result.ok()) return std::move(result).error();
    for (const Hit& hit : result->hits) answer.push_back(std::string(hit.row.id) + " " + std::to_string(hit.score));
    return {};
  }
  Status read(const Collection& collection, Answer& answer) const {
    const Json filter = {{"n", 1}};
    std::vector<RowView> rows;
    size_t count = 0;
    {
      const Counting counting;
      Result<Filter> wanted = Filter::parse(filter);
      if (!wanted.ok()) return std::move(wanted).error();
      count = collection.count_matching(&wanted.value());
      rows = collection.scroll(&wanted.value(), "id1", 20);
      const auto found = collection.find("id7");
      if (found) rows.push_back(*found);
    }
    answer.push_back(std::to_string(count));
    for (const RowView& row : rows) answer.push_back(point_text(row.text, row.payload, row.vector));
    return {};
  }

  uint64_t seed_;
  Effort effort_;
  Call call_ = Call::kCreate;
  uint64_t index_ = 0;
  bool forever_ = false;
  SimulatedVolume volume_;
  Contents before_;
  Contents after_;
  Batch batch_;
  std::vector<float> query_;
  Answer expected_;
};

}  // namespace

std::unique_ptr<Attack> oom_attack(uint64_t seed, Effort effort) { return std::make_unique<Oom>(seed, effort); }

}  // namespace nearfield
