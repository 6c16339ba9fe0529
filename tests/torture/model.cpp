#include <array>
#include <map>

#include "tests/support/database_model.h"
#include "tests/support/random_points.h"
#include "tests/torture/attack.h"

namespace nearfield {

namespace {

constexpr std::array<const char*, 4> kNames = {"auto", "graph", "fields", "plain"};

Schema schema_for(size_t which) {
  Schema schema;
  schema.dimension = which == 2 ? 0 : kRandomDim;
  if (which == 0) schema.text = TextSchema{};
  if (which == 1) {
    schema.metric = Metric::kEuclidean;
    schema.kind = IndexKind::kHnsw;
    schema.hnsw.m = 4;
    schema.hnsw.ef_construct = 20;
    schema.text = TextSchema{};
  }
  if (which == 2) schema.text = TextSchema{{"title", "text", "tags"}, false};
  if (which == 3) schema.metric = Metric::kManhattan;
  return schema;
}

// A database and what it should hold.
class Pair {
 public:
  Pair(uint64_t seed, Counts& counts) : random_(seed), counts_(counts), runner_(volume_, seed) {
    demand(runner_.open()->ok(), "a new database does not open");
  }

  void step() {
    ++counts_["states"];
    const uint64_t dice = random_.below(1000);
    if (models_.empty() || dice < 3) return create();
    const size_t which = any_collection();
    const Collection& collection = *runner_.database->find(kNames[which]);
    Model& model = models_.at(which);
    if (dice < 4) return drop(which);
    if (dice < 5) return clear(which);
    if (dice < 7) return checkpoint();
    if (dice < 8) return compact(which);
    if (dice < 9) return reopen(true);
    if (dice < 10) return reopen(false);
    if (dice < 60) return search(collection, model);
    if (dice < 110) {
      const std::string difference = points_difference(collection, model, random_);
      demand(difference.empty(), "reading: " + difference);
      return;
    }
    if (dice < 140) return write_together();
    write(which);
  }

  void compare() const {
    Contents expected;
    for (const auto& [which, model] : models_) {
      auto& points = expected[kNames[which]];
      for (const auto& [id, point] : model.points()) points[id] = point_text(point.text, point.payload, point.vector);
    }
    demand(contents_of(*runner_.database) == expected, "the contents differ");
  }

 private:
  size_t any_collection() {
    return std::next(models_.begin(), static_cast<std::ptrdiff_t>(random_.below(models_.size())))->first;
  }
  Durability any_durability() { return random_.below(2) == 0 ? Durability::kStrict : Durability::kRelaxed; }

  void create() {
    const size_t which = random_.below(kNames.size());
    demand(runner_.host.run(runner_.database->collection(kNames[which], schema_for(which))).ok(), "create fails");
    models_.try_emplace(which, schema_for(which));
  }
  void drop(size_t which) {
    const auto existed = runner_.host.run(runner_.database->drop_collection(kNames[which]));
    demand(existed.ok() && existed.value(), "drop fails");
    models_.erase(which);
  }
  void clear(size_t which) {
    const auto count = runner_.host.run(runner_.database->clear(kNames[which]));
    demand(count.ok() && count.value() == models_.at(which).points().size(), "clear answers another number");
    models_.at(which).clear();
  }
  void checkpoint() {
    ++counts_["checkpoints"];
    demand(runner_.host.run(runner_.database->checkpoint()).ok(), "a checkpoint fails");
  }
  void compact(size_t which) {
    ++counts_["compactions"];
    demand(runner_.host.run(runner_.database->compact(kNames[which])).ok(), "a compaction fails");
    const Collection& collection = *runner_.database->find(kNames[which]);
    demand(collection.row_count() == collection.count(), "dead rows are left after a compaction");
  }
  // `closed` false: the process is killed, and the next one opens what it finds.
  void reopen(bool closed) {
    ++counts_["reopened"];
    compare();
    if (closed) demand(runner_.host.run(runner_.database->close()).ok(), "close fails");
    runner_.database.reset();
    volume_.locked = false;
    demand(runner_.open()->ok(), "the database does not open again");
    const RecoveryReport& report = runner_.database->recovery();
    demand(report.generations_skipped == 0 && report.log_bytes_discarded == 0 && report.rebuilt.empty(),
           "recovery finds damage where there is none");
    compare();
  }
  void search(const Collection& collection, const Model& model) {
    ++counts_["searches"];
    RandomRequest query = random_request(random_, collection.schema());
    const std::string difference = search_difference(collection, model, query.request);
    demand(difference.empty(), "search: " + difference);
    // Through the graph as well: fewer may be found, but what is found is right.
    query.request.exact = false;
    query.request.mode = SearchMode::kAuto;
    const auto result = collection.search(query.request);
    demand(result.ok(), "an approximate search fails");
    for (const Hit& hit : result->hits) {
      const auto point = model.points().find(std::string(hit.row.id));
      demand(point != model.points().end() && point->second.text == hit.row.text, "an approximate hit is not a point");
      if (!query.request.filter) continue;
      const Json payload = point->second.payload.empty() ? Json() : Json::parse(point->second.payload);
      demand(query.request.filter->matches(payload), "an approximate hit does not pass the filter");
    }
  }
  void write(size_t which) {
    Batch batch = random_batch(random_, schema_for(which));
    const size_t removed = models_.at(which).apply(batch);
    const auto answer =
        runner_.host.run(runner_.database->write({{kNames[which], std::move(batch)}}, any_durability()));
    demand(answer.ok() && answer.value() == removed, "a write answers another number of deletes");
  }
  void write_together() {
    std::vector<Task<Result<size_t>>> tasks;
    std::vector<size_t> removed;
    for (size_t i = 2 + random_.below(size_t{4}); i > 0; --i) {
      const size_t which = any_collection();
      Batch batch = random_batch(random_, schema_for(which));
      removed.push_back(models_.at(which).apply(batch));
      tasks.push_back(runner_.database->write({{kNames[which], std::move(batch)}}, any_durability()));
    }
    const auto answers = runner_.host.run_all(std::move(tasks));
    for (size_t i = 0; i < answers.size(); ++i) {
      demand(answers[i].ok() && answers[i].value() == removed[i], "a concurrent write answers another number");
    }
  }

  Random random_;
  Counts& counts_;
  SimulatedVolume volume_;
  DatabaseRunner runner_;
  std::map<size_t, Model> models_;
};

class ModelAttack : public Attack {
 public:
  explicit ModelAttack(uint64_t seed) : seed_(seed) {}

  void run(uint64_t number, Counts& counts) override {
    Pair pair(seed_ * 1'000'003 + number, counts);
    for (step_ = 0; step_ < kModelOperations; ++step_) pair.step();
    pair.compare();
  }
  std::string position() const override { return "operation " + std::to_string(step_); }

 private:
  uint64_t seed_;
  uint64_t step_ = 0;
};

}  // namespace

std::unique_ptr<Attack> model_attack(uint64_t seed) { return std::make_unique<ModelAttack>(seed); }

}  // namespace nearfield
