// Engine: one database, seen from JavaScript.
//
// JavaScript writes a message (wasm/marshal.h) into input(bytes), calls one verb with the message's length, and reads
// the Outcome at outcome(). A verb either answers at once (search, get, ...) or starts an operation: it answers
// { "operation": n } and JavaScript's pump then takes effects, performs them and answers each, until take_effects
// reports the operation finished. What reads points (search, get, count, scroll) answers at once where everything is in
// memory and starts an operation where some of it is on demand. Upkeep (compaction) is an operation that nobody started
// and nobody waits for. Any message may have a member "now", the time in milliseconds since 1970; answers and messages
// that start operations on servers have it.
//
// No exception leaves a verb: out of memory becomes an Outcome. Where it ends an operation halfway, the Outcome says
// `poisoned`: no more effects are handed out, and the instance is of no further use, as after a trap.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/effect.h"
#include "core/base/task.h"
#include "core/spec/ingest.h"
#include "core/text/embedder.h"
#include "storage/database.h"
#include "storage/probe.h"

namespace nearfield {

class JsonText;
class VectorStore;
struct Message;
struct Query;
struct RowParts;
struct StorePoint;
struct StoreQuery;

// Read by JavaScript as four u32.
struct Outcome {
  uint32_t code = 0;      // a Code; 0: none
  uint32_t offset = 0;    // of JSON text: the answer, or { "message", "value" } of the error
  uint32_t length = 0;    // 0: what is there is no JSON but the answer of a search (wasm/hits.h)
  uint32_t poisoned = 0;  // 1: from now on
};

class Engine {
 public:
  using Answer = Result<std::string>;
  using Verb = Answer (Engine::*)(Message&);

  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Room for a message of that many bytes; 0 where there is no memory. Good for the next verb only.
  uint32_t input(uint32_t bytes);
  // Where the outcome of every call stands; fixed for the engine's life.
  uint32_t outcome() const;
  // Reads the message, runs the verb, fills the outcome. nullptr: a verb that this module does not have.
  void call(Verb verb, uint32_t length);

  // Effects not handed out before, operations that ended, and the ids of effects whose answer nobody waits for any more
  // ("dropped", left out where there are none), since the last call.
  Answer take_effects(Message&);
  // { id, code?, message?, value?, files?, generation?, status?, headers?, notSent? }; binary: what a read or a request
  // answers.
  Answer answer(Message&);
  // { operation }: drops it and everything it waits for. Only for operations on servers: one that writes to the
  // database would leave it halfway.
  Answer cancel(Message&);

  // Operations.
  Answer open(Message&);  // { readOnly, cacheBytes? }
  Answer close(Message&);
  Answer checkpoint(Message&);
  Answer create_collection(Message&);  // { collection, schema } -> { schema }
  Answer drop_collection(Message&);    // { collection } -> { existed }
  Answer upsert(Message&);             // { collection, relaxed }; binary: points -> { deleted }
  Answer remove(Message&);  // { collection, relaxed, filter? }; binary: ids, where there is no filter -> { deleted }
  Answer clear(Message&);   // { collection } -> { deleted }
  // { collection, sample, k, ef, nprobe, rescore }; binary: vectors to ask, none: the sample -> { recall, questions }
  Answer probe(Message&);
  Answer optimize(Message&);  // { collection }: drops dead rows, in steps
  Answer refresh(Message&);   // readers: -> { changed, generation }
  Answer promote(Message&);   // a reader becomes the writer

  // Streams: SendEffects and ReceiveEffects carry the number that was given here.
  Answer backup(Message&);   // { stream } -> { generation, bytes, collections, points }
  Answer restore(Message&);  // { stream } -> the same; all collections are replaced
  // Instead of open.
  Answer doctor(Message&);  // { repair } -> the report of storage/doctor.h

  // Answered at once.
  Answer cancel_optimize(Message&);  // { collection }: a running optimize ends with Aborted
  Answer info(Message&);             // the database
  Answer describe(Message&);         // { collection }: schema and sizes

  // Answered at once, or operations.
  // No JSON; binary: the collection's name, a count, per query flags (u32: 1 highlights, 2 the vector is the embedding
  // of the text) and a SearchRequest -> wasm/hits.h, as an operation { place }: where that begins
  Answer search(Message&);
  Answer get(Message&);     // { collection, include? }; binary: ids
  Answer count(Message&);   // no JSON; binary: the collection's name, its filter as JSON text, empty: none
  Answer scroll(Message&);  // { collection, filter?, after, limit, include? }

  // The bundled embedder and spec documents.
  Answer load_embedder(Message&);  // { vocabularyBytes }; binary: vocabulary, table -> { dimension }
  Answer embed(Message&);          // binary: texts -> { dimension, vectors: [offset, count] }
  // Operations on the collections "blocks" and "files" (core/spec/ingest.h), each one write.
  Answer open_specs(Message&);      // -> { ready }: both are there; made where they are not and the embedder is loaded
  Answer index_files(Message&);     // { relaxed, files: [{ path, bytes }] }; binary: contents, in order -> report
  Answer remove_missing(Message&);  // { relaxed }; binary: the paths that are there -> report

  // Configurations (core/config/configuration.h); answered at once.
  Answer config(Message&);  // as read_configuration() takes it -> configuration_json()

  // The store that a configuration describes; later verbs are operations on it, which may be cancelled at any time.
  // { ...as core/config/configuration.h takes it, seed } -> { report, store? }
  Answer connect(Message&);
  Answer store_ensure(Message&);     // -> { created, differences: [{ name, asked, found }] }
  Answer store_upsert(Message&);     // binary: points -> { ok, failed: [{ id, code: number, message }], unknown }
  Answer store_search(Message&);     // binary: a count, per query flags and a SearchRequest -> { place }, wasm/hits.h
  Answer store_get(Message&);        // { include? }; binary: ids -> { points }
  Answer store_remove(Message&);     // { filter? }; binary: ids, where there is no filter -> { deleted }
  Answer store_count(Message&);      // { filter? } -> { count }
  Answer store_scroll(Message&);     // { filter?, from, limit, include? } -> { points, next }
  Answer store_clear(Message&);      // -> { deleted }
  Answer store_drop(Message&);       // -> { existed }
  Answer store_info(Message&);       // -> { backend, version, count, dimension, metric, details, http }
  Answer store_health(Message&);     // -> { ready, message }
  Answer store_snapshots(Message&);  // { action: "create" | "list" | "delete", name? } -> { snapshots }

  // What connect() made; only engine_stores.cpp, which not every module has, knows what it is.
  struct Connected {
    virtual ~Connected() = default;
    // The members of an HttpEffect, and of its answer.
    virtual void write_request(JsonText& out, const HttpEffect& request) const = 0;
    virtual Status read_answer(const Json& options, EffectAnswer& answer) const = 0;
  };

 private:
  struct Operation {
    uint32_t id;
    Task<Answer> task;
  };
  // What the answer of a finished operation refers to, until JavaScript has read it.
  struct Held {
    std::vector<Point> points;
    Bytes found;
  };

  uint32_t launch(Task<Answer> task);  // answers the operation's number
  Answer start(Task<Answer> task);
  Answer run(Verb verb, uint32_t length);
  Error out_of_memory(bool halfway);
  Status require_database() const;
  Result<const Collection*> collection(const Json& options) const;
  Result<const Collection*> named(std::string_view name) const;
  Result<std::optional<Filter>> filter(const Json& options) const;
  Result<std::pair<const Collection*, const Collection*>> specs() const;
  Result<Query> read_query(ByteReader& message) const;
  Task<Answer> run_search(std::string name, std::vector<Query> queries);
  Task<Answer> run_get(std::string name, std::vector<std::string> ids, RowParts parts);
  Task<Answer> run_count(std::string name, std::optional<Filter> wanted);
  Task<Answer> run_scroll(std::string name, std::optional<Filter> wanted, std::string after, size_t limit,
                          RowParts parts);
  void hold(Held held);
  Status require_store() const;
  VectorStore& store() const;
  std::string hold_points(std::vector<StorePoint> found, RowParts parts, const std::string* next);
  Task<Answer> run_store_search(std::vector<StoreQuery> queries);
  Task<Answer> run_store_get(std::vector<std::string> ids, RowParts parts);
  Task<Answer> run_store_scroll(std::optional<Filter> wanted, std::string from, size_t limit, RowParts parts);
  Answer finish(Operation& operation);

  Task<Answer> run_open(OpenOptions options);
  Task<Answer> run_close();
  Task<Answer> run_checkpoint();
  Task<Answer> run_create_collection(std::string name, Schema schema);
  Task<Answer> run_drop_collection(std::string name);
  Task<Answer> run_write(std::vector<CollectionBatch> batches, Durability durability);
  Task<Answer> run_remove_matching(std::string name, Filter filter, Durability durability);
  Task<Answer> run_clear(std::string name);
  Task<Answer> run_probe(std::string name, ProbeOptions options, std::vector<float> questions);
  Task<Answer> run_optimize(std::string name);
  Task<Answer> run_refresh();
  Task<Answer> run_promote();
  Task<Answer> run_maintenance();
  Task<Answer> run_backup(uint64_t stream);
  Task<Answer> run_restore(uint64_t stream);
  Task<Answer> run_doctor(bool repair);
  Task<Answer> run_open_specs();
  Task<Answer> run_index_files(std::vector<std::string> paths, std::vector<Bytes> contents, Durability durability);
  Task<Answer> run_remove_missing(std::vector<std::string> present, Durability durability);
  template <typename MakePlan>
  Task<Answer> run_plan(MakePlan make_plan, Durability durability);

  // Operations come last: their frames refer to everything above and are destroyed first.
  EffectQueue effects_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Connected> connected_;
  std::unique_ptr<Embedder> embedder_;
  std::unique_ptr<uint8_t[]> input_;
  size_t input_bytes_ = 0;
  Outcome outcome_;
  std::string output_;
  std::vector<float> floats_;         // of the last embed()
  std::vector<PendingEffect> taken_;  // their bytes are read by JavaScript after take_effects
  Bytes found_;                       // by the last search() that answered at once
  // For answers that were not told yet, and for those that the last take_effects told.
  std::vector<Held> held_;
  std::vector<Held> told_;
  uint32_t next_operation_ = 1;
  bool maintaining_ = false;
  std::vector<Operation> operations_;
};

}  // namespace nearfield
