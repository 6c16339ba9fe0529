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

inline std::string point_text(std::string_view text, std::string_view payload, std::span<const float> vector) {
  std::string out = std::string(text) + '\n' + std::string(payload) + '\n';
  for (const float component : vector) out += std::to_string(component) + ' ';
  return out;
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

// One call of the database.
struct Operation {
  enum class Kind { kCreate, kDrop, kClear, kWrite, kCheckpoint, kReopen } kind = Kind::kWrite;
  std::string collection;
  std::vector<CollectionBatch> batches;
  Durability durability = Durability::kStrict;
};

// Random operations that are all valid in order. `big` writes, which go past the log, are a few in a hundred.
class OperationSource {
 public:
  OperationSource(uint64_t seed, bool big) : random_(seed), big_(big) {}

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
    } else {
      const bool relaxed = random_.below(3) == 0;
      operation.durability = relaxed ? Durability::kRelaxed : Durability::kStrict;
      const uint64_t batches = 1 + random_.below(2);
      for (uint64_t i = 0; i < batches; ++i) operation.batches.push_back({any_collection(model), batch()});
      if (big_ && dice > 94) operation.batches[0].batch.upserts.push_back(big_point());
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
        point.text = "word" + std::to_string(random_.below(20)) +
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
    case Operation::Kind::kReopen: return;
  }
}

// A database on a simulated host. Steps answer nullopt after a simulated crash.
class DatabaseRunner {
 public:
  DatabaseRunner(SimulatedVolume& volume, uint64_t seed) : host(volume, seed) {}

  Simulator host;
  std::unique_ptr<Database> database;
  Schema schema = small_schema();  // of collections that run() creates
  OpenOptions how;                 // when run() opens the database again

  std::optional<Status> open(OpenOptions options = {}) {
    auto opened = host.try_run(Database::open(host.effects(), options));
    if (!opened) return std::nullopt;
    if (!opened->ok()) return Status(Error(opened->error()));
    database = std::move(*opened).value();
    return Status();
  }
  std::optional<Status> run(const Operation& operation) {
    switch (operation.kind) {
      case Operation::Kind::kCreate: return status_of(database->collection(operation.collection, schema));
      case Operation::Kind::kDrop: return status_of(database->drop_collection(operation.collection));
      case Operation::Kind::kClear: return status_of(database->clear(operation.collection));
      case Operation::Kind::kWrite: return status_of(database->write(operation.batches, operation.durability));
      case Operation::Kind::kCheckpoint: return host.try_run(database->checkpoint());
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

// So many operations from a seed, with the model after each.
struct Script {
  std::vector<Operation> operations;
  std::vector<Contents> models;  // models[i]: before operation i

  static Script random(uint64_t seed, size_t length, bool big) {
    Script script;
    OperationSource source(seed, big);
    script.models.emplace_back();
    for (size_t i = 0; i < length; ++i) {
      script.operations.push_back(source.next(script.models.back()));
      script.models.push_back(script.models.back());
      apply_to_model(script.models.back(), script.operations.back());
    }
    return script;
  }
};

}  // namespace nearfield
