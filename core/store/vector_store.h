// VectorStore: one collection, wherever it is: in this engine's database, on a server, or behind someone else's code.
//
// Every store answers alike: greater scores are closer, hits are ordered by score and then by id, an id is any string
// of 1..kMaxIdBytes, an upsert replaces the whole point, integers of 64 bits survive, and a filter means exactly what
// core/filter/filter.h says. What a store cannot do is kUnsupported with the clause or option named: never a wider or
// narrower answer.
//
// Methods are tasks over effects (core/base/effect.h). Several may run at once; a store outlives its tasks. Calls that
// are dropped, or whose pending effects the host answers with kAborted, end at once; what they wrote may be there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/base/task.h"
#include "core/collection/collection.h"
#include "core/collection/request.h"
#include "core/filter/filter.h"

namespace nearfield {

// By ascending index, each once; as many values as indices, all finite.
struct SparseVector {
  std::vector<uint32_t> indices;
  std::vector<float> values;

  bool empty() const { return indices.empty(); }
};

struct StorePoint : Point {
  SparseVector sparse;
};

// Which parts of a point a call wants.
struct StoreParts {
  bool payload = true;
  bool text = true;
  bool vector = false;  // and the sparse one
};

struct StoreQuery {
  std::vector<float> vector;  // empty: none
  SparseVector sparse;        // empty: none
  std::string text;           // empty: none
  SearchMode mode = SearchMode::kAuto;
  size_t k = 10;  // 1..kMaxK
  size_t offset = 0;
  std::optional<Filter> filter;
  std::optional<double> min_score;
  StoreParts parts;
  bool exact = false;
  size_t ef = 0, nprobe = 0, rescore = 0;  // 0: as the store is configured
  std::optional<Fusion> fusion;            // none: as the store is configured
};

struct StoreHit {
  StorePoint point;  // the parts that were asked for
  double score = 0;
  std::optional<LegScore> dense, text, sparse;  // where the store tells
};

// What became of each point: every id of the call stands in exactly one of the lists, in the call's order.
struct WriteReport {
  struct Failed {
    std::string id;
    Code code = Code::kOk;
    std::string message;
  };
  std::vector<std::string> ok;
  std::vector<Failed> failed;        // not written
  std::vector<std::string> unknown;  // sent, and never answered: may be written now or a little later
};

// Points in the store's own order, which writes meanwhile do not disturb for points that they do not touch.
struct StorePage {
  std::vector<StorePoint> points;
  std::string next;  // what the next call begins with; empty: these were the last
};

// How what is there differs from what was asked for: "m", "16", "32".
struct Difference {
  std::string name, asked, found;
};

struct EnsureReport {
  bool created = false;
  std::vector<Difference> differences;  // of settings that change no result; the others are kSchemaMismatch
};

struct StoreInfo {
  std::string backend;  // "embedded", "qdrant", ...
  std::string version;  // of the server; empty where there is none
  uint64_t count = 0;
  size_t dimension = 0;  // 0: not known yet
  Metric metric = Metric::kCosine;
  std::string details;  // JSON text of an object: what the store says about itself
};

struct StoreHealth {
  bool ready = false;
  std::string message;  // why not
};

struct Snapshot {
  std::string name;
  uint64_t bytes = 0;   // 0: not told
  std::string created;  // as the store says it; empty: not told
};

class VectorStore {
 public:
  virtual ~VectorStore() = default;

  // Makes the collection where it is not there, with everything it was configured with, or compares. kSchemaMismatch
  // where dimension or metric differ ("Vector dimension mismatch: expected 1024, got 1536"). Every other call may be
  // made without; where there is no collection they fail with kNotFound, "Collection 'x' not found".
  virtual Task<Result<EnsureReport>> ensure() = 0;

  // Fails as a whole only where nothing was sent: bad points (as Collection::check), kUnsupported, kHostNotAllowed.
  // An id stands at most once. No points: an empty report, nothing is sent.
  virtual Task<Result<WriteReport>> upsert(std::vector<StorePoint> points) = 0;
  // One list of hits for each query, in order; one query that fails fails the call.
  virtual Task<Result<std::vector<std::vector<StoreHit>>>> search(std::vector<StoreQuery> queries) = 0;
  // Those that are there, in the order of `ids`.
  virtual Task<Result<std::vector<StorePoint>>> get(std::vector<std::string> ids, StoreParts parts) = 0;
  // How many there were.
  virtual Task<Result<uint64_t>> remove(std::vector<std::string> ids) = 0;
  virtual Task<Result<uint64_t>> remove_matching(Filter filter) = 0;
  virtual Task<Result<uint64_t>> count(std::optional<Filter> filter) = 0;
  // At most `limit` points, 1..10,000, that pass; `from`: empty, or the `next` of the page before.
  virtual Task<Result<StorePage>> scroll(std::optional<Filter> filter, std::string from, size_t limit,
                                         StoreParts parts) = 0;
  // Removes every point; the collection stays.
  virtual Task<Status> clear() = 0;
  // Answers whether it existed.
  virtual Task<Result<bool>> drop() = 0;

  virtual Task<Result<StoreInfo>> info() = 0;
  // Never fails: what goes wrong is the message.
  virtual Task<StoreHealth> health() = 0;

  // kUnsupported where the store keeps no snapshots of its own.
  virtual Task<Result<Snapshot>> create_snapshot() = 0;
  virtual Task<Result<std::vector<Snapshot>>> list_snapshots() = 0;
  virtual Task<Status> delete_snapshot(std::string name) = 0;

  // Ends what the store keeps open. Later calls fail with kClosed.
  virtual Task<Status> close() = 0;
};

}  // namespace nearfield
