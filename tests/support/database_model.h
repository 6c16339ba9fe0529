// A database as a plain map, and scripts of random operations to run on both.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/database.h"
#include "tests/support/simulator.h"

namespace nearfield {

// Collection name -> id -> everything a point holds, as text.
using Contents = std::map<std::string, std::map<std::string, std::string>>;

// The vector to the bit: a comparison of contents is one of bytes.
inline std::string point_text(std::string_view text, std::string_view payload, std::span<const float> vector) {
  std::string out;
  out.reserve(text.size() + payload.size() + vector.size_bytes() + 2);
  out.append(text).append(1, '\n').append(payload).append(1, '\n');
  return out.append(reinterpret_cast<const char*>(vector.data()), vector.size_bytes());
}

inline Contents contents_of(const Database& database) {
  Contents contents;
  for (const std::string& name : database.collection_names()) {
    auto& points = contents[name];
    for (const RowView& row : database.find(name)->scroll(nullptr, "", 1 << 20)) {
      points[std::string(row.id)] = point_text(row.text, row.payload, row.vector);
    }
  }
  return contents;
}

// The same where some of it is on demand. nullopt: a call failed, or the host crashed.
inline std::optional<Contents> read_contents(Simulator& host, Database& database) {
  Contents contents;
  for (const std::string& name : database.collection_names()) {
    auto& points = contents[name];
    const auto read = host.try_run(database.scroll(name, nullptr, "", 1 << 20, {}));
    if (!read || !read->ok()) return std::nullopt;
    for (const Point& point : read->value()) points[point.id] = point_text(point.text, point.payload, point.vector);
  }
  return contents;
}

inline void apply_to_model(Contents& model, const std::vector<CollectionBatch>& batches) {
  for (const auto& [name, batch] : batches) {
    for (const std::string& id : batch.deletes) model[name].erase(id);
    for (const Point& point : batch.upserts) {
      model[name][point.id] = point_text(point.text, point.payload, point.vector);
    }
  }
}

inline Schema small_schema() {
  Schema schema;
  schema.dimension = 3;
  schema.text = TextSchema{};
  return schema;
}
// Collections of a script differ: "b" has a graph from its first row on, "c" has no text index.
inline Schema schema_of(std::string_view collection) {
  Schema schema = small_schema();
  if (collection == "b") {
    schema.kind = IndexKind::kHnsw;
    schema.hnsw.m = 4;
    schema.hnsw.ef_construct = 20;
  }
  if (collection == "c") schema.text.reset();
  return schema;
}

// One of 20 words that share no term.
inline std::string script_word(uint64_t n) { return {'q', static_cast<char>('a' + n % 20), 'x'}; }

// One call of the database.
struct Operation {
  enum class Kind { kCreate, kDrop, kClear, kWrite, kCheckpoint, kCompact, kReopen } kind = Kind::kWrite;
  std::string collection;
  std::vector<CollectionBatch> batches;
  Durability durability = Durability::kStrict;
  bool joins_previous = false;  // is started together with the operation before
};

// Random operations that are all valid in order. `big` writes, which go past the log, are a few in a hundred.
class OperationSource {
 public:
  OperationSource(uint64_t seed, bool big) : random_(seed), big_(big) {}

  // A write of `count` points to a collection, always of the same ids.
  Operation mass_write(const std::string& collection, size_t count) {
    Operation operation;
    operation.collection = collection;
    operation.batches.push_back({collection, {}});
    for (size_t i = 0; i < count; ++i) {
      Point point{"mass" + std::to_string(i), {random_.between(-1, 1), random_.between(-1, 1), 1}, "", ""};
      if (i % 4 == 0) point.text = script_word(random_.next());
      operation.batches[0].batch.upserts.push_back(std::move(point));
    }
    return operation;
  }

  Operation next(const Contents& model) {
    Operation operation;
    const uint64_t dice = random_.below(100);
    if (model.empty() || dice < 3) {
      operation.kind = Operation::Kind::kCreate;
      operation.collection = std::string(1, static_cast<char>('a' + random_.below(3)));
      return operation;
    }
    operation.collection = any_collection(model);
    if (dice < 5) {
      operation.kind = random_.below(2) == 0 ? Operation::Kind::kDrop : Operation::Kind::kClear;
    } else if (dice < 13) {
      operation.kind = Operation::Kind::kCheckpoint;
    } else if (dice < 20) {
      operation.kind = Operation::Kind::kReopen;
    } else if (dice < 23) {
      operation.kind = Operation::Kind::kCompact;
    } else {
      const bool relaxed = random_.below(3) == 0;
      operation.durability = relaxed ? Durability::kRelaxed : Durability::kStrict;
      const uint64_t batches = 1 + random_.below(2);
      for (uint64_t i = 0; i < batches; ++i) operation.batches.push_back({any_collection(model), batch()});
      if (big_ && dice > 94) operation.batches[0].batch.upserts.push_back(big_point());
      operation.joins_previous = random_.below(3) == 0;
    }
    return operation;
  }

 private:
  std::string any_collection(const Contents& model) {
    return std::next(model.begin(), static_cast<std::ptrdiff_t>(random_.below(model.size())))->first;
  }
  // Few ids, so that points are overwritten and deleted often.
  std::string id() { return "p" + std::to_string(random_.below(40)); }

  Batch batch() {
    Batch out;
    for (uint64_t i = random_.below(4); i > 0; --i) out.deletes.push_back(id());
    std::map<std::string, Point> points;
    for (uint64_t i = 1 + random_.below(5); i > 0; --i) {
      Point point;
      point.id = id();
      if (random_.below(4) != 0) point.vector = {random_.between(-1, 1), random_.between(-1, 1), 1};
      if (random_.below(4) != 0)
        point.text = script_word(random_.next()) +
                     " and gr\xC3\xBC\xC3\x9F"
                     "e";
      if (random_.below(3) == 0) point.payload = "{\"n\":" + std::to_string(random_.below(100)) + "}";
      points[point.id] = std::move(point);
    }
    for (auto& [unused, point] : points) out.upserts.push_back(std::move(point));
    return out;
  }
  Point big_point() {
    Point point;
    point.id = "big";
    point.text.assign((1 << 20) + random_.below(1000), ' ');
    point.text[random_.below(1000)] = 'x';
    return point;
  }

  Random random_;
  bool big_;
};

inline void apply_to_model(Contents& model, const Operation& operation) {
  switch (operation.kind) {
    case Operation::Kind::kCreate: model[operation.collection]; return;
    case Operation::Kind::kDrop: model.erase(operation.collection); return;
    case Operation::Kind::kClear: model[operation.collection].clear(); return;
    case Operation::Kind::kWrite: apply_to_model(model, operation.batches); return;
    case Operation::Kind::kCheckpoint:
    case Operation::Kind::kCompact:
    case Operation::Kind::kReopen: return;
  }
}

// A database on a simulated host. Steps answer nullopt after a simulated crash.
class DatabaseRunner {
 public:
  DatabaseRunner(SimulatedVolume& volume, uint64_t seed) : host(volume, seed) {}

  Simulator host;
  std::unique_ptr<Database> database;
  std::optional<Schema> schema;  // of the collections that run() creates; none: schema_of() theirs
  OpenOptions how;               // when run() opens the database again

  std::optional<Status> open(OpenOptions options = {}) {
    auto opened = host.try_run(Database::open(host.effects(), options));
    if (!opened) return std::nullopt;
    if (!opened->ok()) return Status(Error(opened->error()));
    database = std::move(*opened).value();
    return Status();
  }
  std::optional<Status> run(const Operation& operation) {
    switch (operation.kind) {
      case Operation::Kind::kCreate: {
        const std::string& name = operation.collection;
        return status_of(database->collection(name, schema ? *schema : schema_of(name)));
      }
      case Operation::Kind::kDrop: return status_of(database->drop_collection(operation.collection));
      case Operation::Kind::kClear: return status_of(database->clear(operation.collection));
      case Operation::Kind::kWrite: return status_of(database->write(operation.batches, operation.durability));
      case Operation::Kind::kCheckpoint: return host.try_run(database->checkpoint());
      case Operation::Kind::kCompact: return host.try_run(database->compact(operation.collection));
      case Operation::Kind::kReopen: {
        auto closed = host.try_run(database->close());
        if (!closed || !closed->ok()) return closed;
        return open(how);
      }
    }
    return std::nullopt;
  }

 private:
  template <typename T>
  std::optional<Status> status_of(Task<Result<T>> task) {
    auto result = host.try_run(std::move(task));
    if (!result) return std::nullopt;
    return result->ok() ? Status() : Status(Error(result->error()));
  }
};

enum class ScriptKind {
  kSmall,       // everything fits in the log
  kLarge,       // has writes that do not
  kCompacting,  // begins with so many dead rows that dropping them takes several steps
};

// So many operations from a seed, with the model after each.
struct Script {
  std::vector<Operation> operations;
  std::vector<Contents> models;  // models[i]: before operation i

  static Script random(uint64_t seed, size_t length, ScriptKind kind = ScriptKind::kSmall) {
    Script script;
    OperationSource source(seed, kind == ScriptKind::kLarge);
    script.models.emplace_back();
    if (kind == ScriptKind::kCompacting) {
      Operation create;
      create.kind = Operation::Kind::kCreate;
      create.collection = seed % 2 == 0 ? "a" : "b";
      script.add(create);
      for (int i = 0; i < 3; ++i) script.add(source.mass_write(create.collection, 520));
      Operation compact;
      compact.kind = Operation::Kind::kCompact;
      compact.collection = create.collection;
      script.add(compact);
    }
    for (size_t i = 0; i < length; ++i) script.add(source.next(script.models.back()));
    return script;
  }

  void add(Operation operation) {
    // Only writes share their effects; what a write follows must have made its collection.
    const bool follows_write = !operations.empty() && operations.back().kind == Operation::Kind::kWrite;
    operation.joins_previous = operation.joins_previous && follows_write;
    models.push_back(models.back());
    apply_to_model(models.back(), operation);
    operations.push_back(std::move(operation));
  }
};

// A script on its way: what has been started, and what has been promised. May be asked in the middle of an effect.
class ScriptRun {
 public:
  ScriptRun(const Script& script, DatabaseRunner& runner) : script_(script), runner_(runner) {}

  // Operations of a group have been started together, so all of them are issued.
  size_t issued() const { return issued_; }
  // So many first operations must be found after a crash now.
  size_t durable() const {
    size_t durable = durable_;
    for (size_t i = 0; i < group_.size(); ++i) {
      if (!group_[i].done() || script_.operations[group_begin_ + i].durability != Durability::kStrict) continue;
      durable = group_begin_ + i + 1;
    }
    return durable;
  }

  // The statuses of the next group, one for each of its operations. nullopt: the host crashed.
  std::optional<std::vector<Status>> next() {
    std::vector<Status> statuses;
    const size_t begin = issued_;
    size_t end = begin + 1;
    while (end < script_.operations.size() && script_.operations[end].joins_previous) ++end;
    issued_ = end;
    if (end == begin + 1) {
      std::optional<Status> status = runner_.run(script_.operations[begin]);
      if (!status) return std::nullopt;
      statuses.push_back(std::move(*status));
      if (statuses[0].ok() && promises(begin)) durable_ = end;
      return statuses;
    }
    group_begin_ = begin;
    for (size_t i = begin; i < end; ++i) {
      group_.push_back(runner_.database->write(script_.operations[i].batches, script_.operations[i].durability));
    }
    for (auto& task : group_) runner_.host.start(task);
    while (!std::ranges::all_of(group_, [](const auto& task) { return task.done(); })) {
      if (runner_.host.step()) continue;
      if (!runner_.host.crashed()) throw std::logic_error("the writes wait, but for no effect");
      group_.clear();
      return std::nullopt;
    }
    durable_ = durable();
    for (auto& task : group_) {
      Result<size_t> result = task.take();
      statuses.push_back(result.ok() ? Status() : Status(std::move(result).error()));
    }
    group_.clear();
    return statuses;
  }
  bool at_end() const { return issued_ == script_.operations.size(); }

 private:
  // Creating what exists and compacting what has no dead rows promise nothing about earlier relaxed writes.
  bool promises(size_t i) const {
    const Operation& operation = script_.operations[i];
    if (operation.kind == Operation::Kind::kCompact) return false;
    const bool exists = operation.kind == Operation::Kind::kCreate && script_.models[i].contains(operation.collection);
    return operation.durability == Durability::kStrict && !exists;
  }

  const Script& script_;
  DatabaseRunner& runner_;
  size_t issued_ = 0;
  size_t durable_ = 0;
  size_t group_begin_ = 0;
  std::vector<Task<Result<size_t>>> group_;
};

}  // namespace nearfield
