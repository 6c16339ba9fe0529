#include "wasm/engine.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "storage/backup.h"
#include "wasm/hits.h"
#include "wasm/marshal.h"
#include "wasm/report.h"

namespace nearfield {

namespace {

// A buffer above this is given back, input after its call and what a search found before the next; smaller ones are
// reused.
constexpr size_t kKeptBytes = 1 << 20;
constexpr size_t kMaxQueries = 10'000;
constexpr size_t kQueriesAtOnce = 16;
constexpr size_t kMaxScrollPage = 10'000;
// Times the greatest dimension and four bytes this stays below what wasm32 can address.
constexpr size_t kMaxEmbeddedTexts = 100'000;

// Of one query; what else there is stands in core/collection/request.h.
enum QueryFlag : uint32_t { kHighlights = 1, kEmbed = 2 };

constexpr const char* kBlocks = "blocks";
constexpr const char* kFiles = "files";

constexpr uint32_t kCodeCount = 1
#define NEARFIELD_CODE(name, retryable, meaning) +1
#include "core/base/status.def"
#undef NEARFIELD_CODE
    ;

PointParts point_parts(const RowParts& parts) { return {parts.payload || parts.text, parts.vector}; }

uint32_t address(const void* pointer) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pointer)); }

std::string deleted_json(size_t deleted) {
  return JsonText().open('{').key("deleted").integer(deleted).close('}').take();
}

void write_error(JsonText& out, const Error& error) {
  out.key("message").string(error.message);
  if (!error.value.empty()) out.key("value").raw(error.value);
}

Durability durability_option(const Json& options) {
  return flag_option(options, "relaxed", false) ? Durability::kRelaxed : Durability::kStrict;
}

void write_effect(JsonText& out, const PendingEffect& effect) {
  const auto kind = [&](std::string_view name) -> JsonText& { return out.key("kind").string(name); };
  const auto bytes = [&](const Bytes& value) { out.key("bytes").place(value.data(), value.size()); };
  const auto relaxed = [&](Durability value) { out.key("relaxed").boolean(value == Durability::kRelaxed); };
  out.open('{').key("id").integer(effect.id);
  std::visit(
      [&]<typename T>(const T& request) {
        if constexpr (std::is_same_v<T, ListEffect>) {
          kind("list");
        } else if constexpr (std::is_same_v<T, ReadEffect>) {
          kind("read").key("name").string(request.name);
          out.key("offset").integer(request.offset).key("length").integer(request.length);
        } else if constexpr (std::is_same_v<T, WriteEffect>) {
          kind("write").key("name").string(request.name);
          bytes(request.bytes);
        } else if constexpr (std::is_same_v<T, AppendEffect>) {
          kind("append").key("name").string(request.name).key("offset").integer(request.offset);
          out.key("generation").integer(request.expected_generation);
          relaxed(request.durability);
          bytes(request.bytes);
        } else if constexpr (std::is_same_v<T, CommitEffect>) {
          kind("commit").key("generation").integer(request.expected_generation);
          relaxed(request.durability);
          bytes(request.manifest);
          out.key("obsolete").open('[');
          for (const std::string& name : request.obsolete) out.string(name);
          out.close(']');
        } else if constexpr (std::is_same_v<T, LockEffect>) {
          kind("lock");
        } else if constexpr (std::is_same_v<T, UnlockEffect>) {
          kind("unlock");
        } else if constexpr (std::is_same_v<T, SendEffect>) {
          kind("send").key("stream").integer(request.stream).key("total").integer(request.total);
          bytes(request.bytes);
        } else if constexpr (std::is_same_v<T, ReceiveEffect>) {
          kind("receive").key("stream").integer(request.stream).key("length").integer(request.length);
        } else {
          static_assert(std::is_same_v<T, SleepEffect>);
          kind("sleep").key("milliseconds").integer(request.milliseconds);
        }
      },
      effect.request);
  out.close('}');
}

std::string points_json(std::span<const Point> points, const RowParts& parts) {
  JsonText out;
  out.open('{').key("points").open('[');
  for (const Point& point : points) {
    out.open('{');
    write_row(out, {point.id, point.text, point.payload, point.vector}, parts);
    out.close('}');
  }
  return out.close(']').close('}').take();
}

std::string count_json(size_t count) { return JsonText().open('{').key("count").integer(count).close('}').take(); }

// Where the answer of a search lies; JSON because operations end with that.
std::string place_json(const Bytes& bytes) {
  return JsonText().open('{').key("place").integer(address(bytes.data())).close('}').take();
}

Error in_batch(Error error, size_t query, size_t queries) {
  if (queries > 1) error.message = "query " + std::to_string(query) + ": " + error.message;
  return error;
}

}  // namespace

// One of the queries of a search.
struct Query {
  SearchRequest request;  // its vector is in the message or in `vector`
  std::vector<float> vector;
  bool highlights = false;
};

uint32_t Engine::input(uint32_t bytes) {
  if (bytes > input_bytes_ || input_ == nullptr) {
    input_.reset();
    input_bytes_ = 0;
    input_.reset(new (std::nothrow) uint8_t[bytes]);
    if (input_ == nullptr) return 0;
    input_bytes_ = bytes;
  }
  return address(input_.get());
}

uint32_t Engine::outcome() const { return address(&outcome_); }

// A verb that answers at once, or one that had not begun its operation yet, has changed nothing. What drives operations
// may have lost an effect or its answer.
Engine::Answer Engine::run(Verb verb, uint32_t length) {
  const size_t operations = operations_.size();
  const auto halfway = [&] {
    return verb == &Engine::take_effects || verb == &Engine::answer || operations_.size() != operations;
  };
  if (verb == nullptr) {
    return Error{Code::kInvalidArgument,
                 "wasm: openSpecs() takes nearfield-specs.wasm, doctor() nearfield-doctor.wasm, everything else "
                 "nearfield.wasm",
                 ""};
  }
  try {
    ASSIGN_OR_RETURN(Message message, read_message({input_.get(), std::min<size_t>(length, input_bytes_)}));
    return (this->*verb)(message);
  } catch (const std::bad_alloc&) {
    return out_of_memory(halfway());
  } catch (const std::length_error&) {
    return out_of_memory(halfway());
  }
}

Error Engine::out_of_memory(bool halfway) {
  if (!halfway) {
    return {Code::kOutOfMemory, "the WebAssembly memory cannot grow far enough for this call; nothing was changed", ""};
  }
  outcome_.poisoned = 1;
  return {Code::kOutOfMemory,
          "the WebAssembly memory cannot grow far enough; whether this call was carried out shows after recover()", ""};
}

void Engine::call(Verb verb, uint32_t length) {
  found_.clear();
  if (found_.capacity() > kKeptBytes) found_ = {};
  Answer answer = run(verb, length);
  if (input_bytes_ > kKeptBytes) {
    input_.reset();
    input_bytes_ = 0;
  }
  outcome_.code = static_cast<uint32_t>(answer.code());
  if (answer.ok()) {
    output_ = std::move(answer).value();
  } else {
    JsonText out;
    out.open('{');
    write_error(out, answer.error());
    output_ = out.close('}').take();
  }
  // An answer without text is a search's.
  outcome_.offset = address(output_.empty() ? static_cast<const void*>(found_.data()) : output_.data());
  outcome_.length = static_cast<uint32_t>(output_.size());
}

Engine::Answer Engine::take_effects(Message&) {
  if (!maintaining_ && database_ != nullptr && database_->wants_maintenance()) {
    maintaining_ = true;
    launch(run_maintenance());
  }
  told_ = std::exchange(held_, {});
  JsonText out;
  out.open('{').key("finished").open('[');
  for (Operation& operation : operations_) {
    if (!operation.task.done()) continue;
    const Answer answer = finish(operation);
    out.open('{').key("operation").integer(operation.id).key("code").integer(static_cast<uint64_t>(answer.code()));
    if (answer.ok()) {
      out.key("result").raw(answer.value());
    } else {
      write_error(out, answer.error());
    }
    out.close('}');
  }
  std::erase_if(operations_, [](const Operation& operation) { return operation.task.done(); });
  taken_ = effects_.take_pending();
  // What one operation left halfway, the next would save.
  if (outcome_.poisoned != 0) taken_.clear();
  out.close(']').key("effects").open('[');
  for (const PendingEffect& effect : taken_) write_effect(out, effect);
  return out.close(']').close('}').take();
}

Engine::Answer Engine::finish(Operation& operation) {
  try {
    return operation.task.take();
  } catch (const std::bad_alloc&) {
    return out_of_memory(true);
  } catch (const std::length_error&) {
    return out_of_memory(true);
  }
}

Engine::Answer Engine::answer(Message& message) {
  // Whoever took the effects has copied their bytes by now; what comes next may need the memory.
  taken_.clear();
  const Json& options = message.options;
  ASSIGN_OR_RETURN(const uint64_t id, whole_option(options, "id"));
  EffectAnswer answer;
  if (options.contains("now") && options["now"].is_number_unsigned()) answer.now_ms = options["now"].get<uint64_t>();
  if (options.contains("code")) {
    ASSIGN_OR_RETURN(const size_t code, size_option(options, "code"));
    ASSIGN_OR_RETURN(std::string text, string_option(options, "message"));
    const bool known = code > 0 && code < kCodeCount;
    answer.status = Error{known ? static_cast<Code>(code) : Code::kInternal, std::move(text),
                          options.contains("value") ? write_json(options["value"]) : ""};
  }
  if (options.contains("generation")) {
    ASSIGN_OR_RETURN(answer.generation, whole_option(options, "generation"));
  }
  if (options.contains("files") && options["files"].is_array()) {
    for (const Json& file : options["files"]) {
      ASSIGN_OR_RETURN(std::string name, string_option(file, "name"));
      uint64_t length = kUnknownLength;
      if (file.contains("length")) {
        ASSIGN_OR_RETURN(length, whole_option(file, "length"));
      }
      answer.files.push_back({std::move(name), length});
    }
  }
  const ByteView bytes = message.binary.get_bytes(message.binary.remaining());
  answer.bytes.assign(bytes.begin(), bytes.end());
  effects_.answer(id, std::move(answer));
  return std::string("{}");
}

uint32_t Engine::launch(Task<Answer> task) {
  const uint32_t id = next_operation_++;
  operations_.push_back({id, std::move(task)});
  operations_.back().task.start();
  return id;
}

Engine::Answer Engine::start(Task<Answer> task) {
  const uint32_t id = launch(std::move(task));
  return JsonText().open('{').key("operation").integer(id).close('}').take();
}

Status Engine::require_database() const {
  if (database_ == nullptr) return Error{Code::kClosed, "the database is not open", ""};
  return {};
}

Result<const Collection*> Engine::collection(const Json& options) const {
  RETURN_IF_ERROR(require_database());
  ASSIGN_OR_RETURN(const std::string name, string_option(options, "collection"));
  return named(name);
}

Result<const Collection*> Engine::named(std::string_view name) const {
  RETURN_IF_ERROR(require_database());
  const Collection* found = database_->find(name);
  if (found == nullptr) return Error{Code::kNotFound, "there is no collection " + shown(name), shown(name)};
  return found;
}

Result<std::optional<Filter>> Engine::filter(const Json& options) const {
  const auto found = options.find("filter");
  if (found == options.end()) return std::optional<Filter>();
  ASSIGN_OR_RETURN(Filter parsed, Filter::parse(*found));
  return std::optional<Filter>(std::move(parsed));
}

Engine::Answer Engine::open(Message& message) {
  OpenOptions options;
  options.read_only = flag_option(message.options, "readOnly", false);
  if (message.options.contains("cacheBytes")) {
    ASSIGN_OR_RETURN(options.cache_bytes, size_option(message.options, "cacheBytes"));
  }
  return start(run_open(options));
}

Task<Engine::Answer> Engine::run_open(OpenOptions options) {
  CO_ASSIGN_OR_RETURN(database_, co_await Database::open(effects_, options));
  co_return std::string("{}");
}

Engine::Answer Engine::close(Message&) {
  RETURN_IF_ERROR(require_database());
  return start(run_close());
}

Task<Engine::Answer> Engine::run_close() {
  CO_RETURN_IF_ERROR(co_await database_->close());
  co_return std::string("{}");
}

Engine::Answer Engine::checkpoint(Message&) {
  RETURN_IF_ERROR(require_database());
  return start(run_checkpoint());
}

Task<Engine::Answer> Engine::run_checkpoint() {
  CO_RETURN_IF_ERROR(co_await database_->checkpoint());
  co_return std::string("{}");
}

Engine::Answer Engine::create_collection(Message& message) {
  RETURN_IF_ERROR(require_database());
  ASSIGN_OR_RETURN(std::string name, string_option(message.options, "collection"));
  RETURN_IF_ERROR(check_collection_name(name));
  ASSIGN_OR_RETURN(Schema schema, parse_schema(message.options.value("schema", Json::object())));
  return start(run_create_collection(std::move(name), std::move(schema)));
}

Task<Engine::Answer> Engine::run_create_collection(std::string name, Schema schema) {
  CO_ASSIGN_OR_RETURN(const Collection* found, co_await database_->collection(std::move(name), std::move(schema)));
  co_return JsonText().open('{').key("schema").raw(write_json(schema_json(found->schema()))).close('}').take();
}

Engine::Answer Engine::drop_collection(Message& message) {
  RETURN_IF_ERROR(require_database());
  ASSIGN_OR_RETURN(std::string name, string_option(message.options, "collection"));
  return start(run_drop_collection(std::move(name)));
}

Task<Engine::Answer> Engine::run_drop_collection(std::string name) {
  CO_ASSIGN_OR_RETURN(const bool existed, co_await database_->drop_collection(std::move(name)));
  co_return JsonText().open('{').key("existed").boolean(existed).close('}').take();
}

Engine::Answer Engine::upsert(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  Batch batch;
  ASSIGN_OR_RETURN(batch.upserts, read_points(message.binary));
  // Also checked when its turn comes; here it fails before it waits for others.
  RETURN_IF_ERROR(target->check(batch));
  std::vector<CollectionBatch> batches;
  batches.push_back({target->name(), std::move(batch)});
  return start(run_write(std::move(batches), durability_option(message.options)));
}

Task<Engine::Answer> Engine::run_write(std::vector<CollectionBatch> batches, Durability durability) {
  CO_ASSIGN_OR_RETURN(const size_t deleted, co_await database_->write(std::move(batches), durability));
  co_return deleted_json(deleted);
}

Engine::Answer Engine::remove(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  const Durability durability = durability_option(message.options);
  ASSIGN_OR_RETURN(std::optional<Filter> wanted, filter(message.options));
  if (wanted.has_value()) return start(run_remove_matching(target->name(), std::move(*wanted), durability));
  Batch batch;
  ASSIGN_OR_RETURN(batch.deletes, read_strings(message.binary));
  std::vector<CollectionBatch> batches;
  batches.push_back({target->name(), std::move(batch)});
  return start(run_write(std::move(batches), durability));
}

Task<Engine::Answer> Engine::run_remove_matching(std::string name, Filter wanted, Durability durability) {
  const Database::Plan plan = [&]() -> Task<Result<std::vector<CollectionBatch>>> {
    Batch batch;
    CO_ASSIGN_OR_RETURN(batch.deletes, co_await database_->matching_ids(name, &wanted));
    std::vector<CollectionBatch> batches;
    batches.push_back({name, std::move(batch)});
    co_return batches;
  };
  CO_ASSIGN_OR_RETURN(const size_t deleted, co_await database_->write_planned(plan, durability));
  co_return deleted_json(deleted);
}

Engine::Answer Engine::clear(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  return start(run_clear(target->name()));
}

Task<Engine::Answer> Engine::run_clear(std::string name) {
  CO_ASSIGN_OR_RETURN(const size_t deleted, co_await database_->clear(std::move(name)));
  co_return deleted_json(deleted);
}

Engine::Answer Engine::probe(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  ProbeOptions options;
  ASSIGN_OR_RETURN(options.sample, size_option(message.options, "sample"));
  ASSIGN_OR_RETURN(options.k, size_option(message.options, "k"));
  ASSIGN_OR_RETURN(options.ef, size_option(message.options, "ef"));
  ASSIGN_OR_RETURN(options.nprobe, size_option(message.options, "nprobe"));
  ASSIGN_OR_RETURN(options.rescore, size_option(message.options, "rescore"));
  options.sample = std::clamp<size_t>(options.sample, 1, kMaxQueries);
  const size_t floats = message.binary.remaining() / sizeof(float);
  const ByteView bytes = message.binary.get_bytes(floats * sizeof(float));
  std::vector<float> questions(floats);
  std::memcpy(questions.data(), bytes.data(), bytes.size());
  const size_t dimension = target->schema().dimension;
  if (floats > 0 && (dimension == 0 || floats % dimension != 0)) {
    return Error{Code::kFormatError, "message from JavaScript: a vector is cut short", ""};
  }
  return start(run_probe(target->name(), options, std::move(questions)));
}

Task<Engine::Answer> Engine::run_probe(std::string name, ProbeOptions options, std::vector<float> questions) {
  CO_ASSIGN_OR_RETURN(const ProbeReport report,
                      co_await nearfield::probe(effects_, *database_, name, options, std::move(questions)));
  co_return JsonText()
      .open('{')
      .key("recall")
      .number(report.recall)
      .key("questions")
      .integer(report.questions)
      .close('}')
      .take();
}

Engine::Answer Engine::optimize(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  return start(run_optimize(target->name()));
}

Task<Engine::Answer> Engine::run_optimize(std::string name) {
  CO_RETURN_IF_ERROR(co_await database_->compact(std::move(name)));
  co_return std::string("{}");
}

Engine::Answer Engine::cancel_optimize(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  database_->cancel_compaction(target->name());
  return std::string("{}");
}

Task<Engine::Answer> Engine::run_maintenance() {
  // What it fails with, a full disk say, stands in the way of the next write as well, and is reported there.
  const Status ignored = co_await database_->maintain();
  maintaining_ = false;
  co_return std::string("{}");
}

Engine::Answer Engine::refresh(Message&) {
  RETURN_IF_ERROR(require_database());
  return start(run_refresh());
}

Task<Engine::Answer> Engine::run_refresh() {
  CO_ASSIGN_OR_RETURN(const bool changed, co_await database_->refresh());
  JsonText out;
  out.open('{').key("changed").boolean(changed).key("generation").integer(database_->generation());
  co_return out.close('}').take();
}

Engine::Answer Engine::promote(Message&) {
  RETURN_IF_ERROR(require_database());
  return start(run_promote());
}

Task<Engine::Answer> Engine::run_promote() {
  CO_RETURN_IF_ERROR(co_await database_->promote());
  co_return std::string("{}");
}

Engine::Answer Engine::backup(Message& message) {
  RETURN_IF_ERROR(require_database());
  ASSIGN_OR_RETURN(const uint64_t stream, whole_option(message.options, "stream"));
  return start(run_backup(stream));
}

Task<Engine::Answer> Engine::run_backup(uint64_t stream) {
  CO_ASSIGN_OR_RETURN(const BackupReport report, co_await database_->backup(stream));
  co_return backup_json(report);
}

Engine::Answer Engine::restore(Message& message) {
  RETURN_IF_ERROR(require_database());
  ASSIGN_OR_RETURN(const uint64_t stream, whole_option(message.options, "stream"));
  // Said before a long stream is read; the database says it again.
  if (database_->read_only()) return Error{Code::kReadOnly, "the database was opened for reading only", ""};
  return start(run_restore(stream));
}

Task<Engine::Answer> Engine::run_restore(uint64_t stream) {
  // Others write meanwhile; the turn is taken only once all of it is proved.
  CO_ASSIGN_OR_RETURN(RestoredBackup backup, co_await receive_backup(effects_, stream));
  BackupReport report = backup.report;
  CO_RETURN_IF_ERROR(co_await database_->restore(std::move(backup)));
  report.generation = database_->generation();
  co_return backup_json(report);
}

Engine::Answer Engine::doctor(Message& message) {
  if (database_ != nullptr) return Error{Code::kUnsupported, "an engine with an open database examines no other", ""};
  return start(run_doctor(flag_option(message.options, "repair", false)));
}

Task<Engine::Answer> Engine::run_doctor(bool repair) {
  CO_ASSIGN_OR_RETURN(const DoctorReport report, co_await nearfield::run_doctor(effects_, repair));
  co_return doctor_json(report);
}

Engine::Answer Engine::info(Message&) {
  RETURN_IF_ERROR(require_database());
  const RecoveryReport& report = database_->recovery();
  JsonText out;
  out.open('{').key("generation").integer(database_->generation());
  out.key("readOnly").boolean(database_->read_only()).key("collections").open('[');
  for (const std::string& name : database_->collection_names()) out.string(name);
  out.close(']').key("recovery").open('{').key("generation").integer(report.generation);
  out.key("generationsSkipped").integer(report.generations_skipped);
  out.key("logBatches").integer(report.log_batches);
  out.key("logBytesDiscarded").integer(report.log_bytes_discarded).key("rebuilt").open('[');
  for (const std::string& name : report.rebuilt) out.string(name);
  out.close(']').close('}').key("cacheBytes").integer(database_->cache_limit());
  return out.key("cachedBytes").integer(database_->cached_bytes()).close('}').take();
}

Engine::Answer Engine::describe(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  const CollectionInfo info = target->info();
  JsonText out;
  out.open('{').key("schema").raw(write_json(schema_json(target->schema())));
  out.key("count").integer(info.count).key("tombstones").integer(info.tombstones);
  out.key("kind")
      .string(index_kind_name(info.kind))
      .key("code")
      .string(code_kind_name(info.code))
      .key("reason")
      .string(info.reason);
  out.key("indexBytes").integer(info.index_bytes).key("vectorBytes").integer(info.vector_bytes);
  out.key("payloadBytes")
      .integer(info.payload_bytes)
      .key("unindexed")
      .integer(info.unindexed)
      .key("effort")
      .integer(info.effort);
  if (const auto [done, rows] = database_->compaction_progress(target->name()); rows > 0) {
    out.key("optimizing").open('{').key("done").integer(done).key("total").integer(rows).close('}');
  }
  return out.close('}').take();
}

Engine::Answer Engine::search(Message& message) {
  ByteReader& binary = message.binary;
  const std::string_view name = binary.get_string();
  const size_t queries = binary.get<uint32_t>();
  if (!binary.ok()) return Error{Code::kFormatError, "message from JavaScript: a search is cut short", ""};
  ASSIGN_OR_RETURN(const Collection* target, named(name));
  if (queries > kMaxQueries) {
    return Error{
        Code::kLimitExceeded,
        std::to_string(queries) + " queries in one batch; at most " + std::to_string(kMaxQueries) + " are allowed",
        shown(static_cast<int64_t>(queries))};
  }
  std::vector<Query> waiting;
  for (size_t i = 0; i < queries; ++i) {
    Result<Query> query = read_query(binary);
    if (!query.ok()) return in_batch(std::move(query).error(), i, queries);
    if (target->on_demand()) {
      // The message is gone when its turn comes.
      Query& own = waiting.emplace_back(std::move(query).value());
      if (own.vector.empty()) own.vector.assign(own.request.vector.begin(), own.request.vector.end());
      continue;
    }
    Result<SearchResult> result = target->search(query->request);
    if (!result.ok()) return in_batch(std::move(result).error(), i, queries);
    write_result(found_, *target, query->request, query->highlights, result.value());
  }
  if (target->on_demand()) return start(run_search(target->name(), std::move(waiting)));
  return std::string();
}

Task<Engine::Answer> Engine::run_search(std::string name, std::vector<Query> queries) {
  Held held;
  for (size_t i = 0; i < queries.size(); ++i) {
    // Where all is in the cache nothing waits, and the stack gets deeper with every query until something does.
    if (i % kQueriesAtOnce == kQueriesAtOnce - 1) co_await effects_.request(SleepEffect{0});
    Query& query = queries[i];
    SearchRequest& request = query.request;
    request.vector = query.vector;
    const bool strings = request.include_payload || request.include_text || query.highlights;
    const PointParts parts{strings, request.include_vector};
    Result<SearchResult> result = co_await database_->search(name, request, parts);
    if (!result.ok()) co_return in_batch(std::move(result).error(), i, queries.size());
    write_result(held.found, *database_->find(name), request, query.highlights, result.value());
    if (parts.vector) std::move(result->loaded.begin(), result->loaded.end(), std::back_inserter(held.points));
  }
  std::string answer = place_json(held.found);
  hold(std::move(held));
  co_return answer;
}

void Engine::hold(Held held) { held_.push_back(std::move(held)); }

Result<Query> Engine::read_query(ByteReader& message) const {
  Query out;
  SearchRequest& request = out.request;
  const auto flags = message.get<uint32_t>();
  ASSIGN_OR_RETURN(request, read_search_request(message));
  out.highlights = (flags & kHighlights) != 0;
  if ((flags & kEmbed) == 0) return out;
  if (embedder_ == nullptr) return Error{Code::kUnsupported, "the embedder is not loaded", ""};
  std::vector<float>& embedded = out.vector;
  embedded.resize(embedder_->dimension());
  embedder_->embed(request.text, embedded);
  // A text without one known token has no direction; the words alone answer it, unless only vectors may.
  const bool known = std::any_of(embedded.begin(), embedded.end(), [](float component) { return component != 0; });
  if (known || request.mode == SearchMode::kDense) {
    request.vector = embedded;
  } else {
    embedded.clear();
  }
  return out;
}

Engine::Answer Engine::get(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  ASSIGN_OR_RETURN(const RowParts parts, row_parts(message.options));
  ASSIGN_OR_RETURN(std::vector<std::string> ids, read_strings(message.binary));
  if (target->on_demand()) return start(run_get(target->name(), std::move(ids), parts));
  JsonText out;
  out.open('{').key("points").open('[');
  for (const std::string& id : ids) {
    const std::optional<RowView> row = target->find(id);
    if (!row.has_value()) continue;
    out.open('{');
    write_row(out, *row, parts);
    out.close('}');
  }
  return out.close(']').close('}').take();
}

Engine::Answer Engine::count(Message& message) {
  const std::string_view name = message.binary.get_string();
  const std::string_view filter = message.binary.get_string();
  if (!message.binary.ok()) return Error{Code::kFormatError, "message from JavaScript: a count is cut short", ""};
  ASSIGN_OR_RETURN(const Collection* target, named(name));
  ASSIGN_OR_RETURN(std::optional<Filter> wanted, parse_filter(filter));
  if (target->on_demand()) return start(run_count(target->name(), std::move(wanted)));
  return count_json(target->count_matching(wanted.has_value() ? &*wanted : nullptr));
}

Task<Engine::Answer> Engine::run_count(std::string name, std::optional<Filter> wanted) {
  CO_ASSIGN_OR_RETURN(const size_t count, co_await database_->count(name, wanted.has_value() ? &*wanted : nullptr));
  co_return count_json(count);
}

Task<Engine::Answer> Engine::run_get(std::string name, std::vector<std::string> ids, RowParts parts) {
  CO_ASSIGN_OR_RETURN(std::vector<Point> points, co_await database_->get(name, std::move(ids), point_parts(parts)));
  std::string answer = points_json(points, parts);
  hold({std::move(points), {}});
  co_return answer;
}

Task<Engine::Answer> Engine::run_scroll(std::string name, std::optional<Filter> wanted, std::string after, size_t limit,
                                        RowParts parts) {
  CO_ASSIGN_OR_RETURN(std::vector<Point> points,
                      co_await database_->scroll(name, wanted.has_value() ? &*wanted : nullptr, std::move(after), limit,
                                                 point_parts(parts)));
  std::string answer = points_json(points, parts);
  hold({std::move(points), {}});
  co_return answer;
}

Engine::Answer Engine::scroll(Message& message) {
  ASSIGN_OR_RETURN(const Collection* target, collection(message.options));
  ASSIGN_OR_RETURN(std::optional<Filter> wanted, filter(message.options));
  ASSIGN_OR_RETURN(const RowParts parts, row_parts(message.options));
  ASSIGN_OR_RETURN(std::string after, string_option(message.options, "after"));
  ASSIGN_OR_RETURN(const size_t asked, size_option(message.options, "limit"));
  const size_t limit = std::min(asked, kMaxScrollPage);
  if (target->on_demand()) {
    return start(run_scroll(target->name(), std::move(wanted), std::move(after), limit, parts));
  }
  JsonText out;
  out.open('{').key("points").open('[');
  for (const RowView& row : target->scroll(wanted.has_value() ? &*wanted : nullptr, after, limit)) {
    out.open('{');
    write_row(out, row, parts);
    out.close('}');
  }
  return out.close(']').close('}').take();
}

Engine::Answer Engine::load_embedder(Message& message) {
  ASSIGN_OR_RETURN(const size_t vocabulary_bytes, size_option(message.options, "vocabularyBytes"));
  const ByteView vocabulary = message.binary.get_bytes(vocabulary_bytes);
  const ByteView table = message.binary.get_bytes(message.binary.remaining());
  if (!message.binary.ok()) return Error{Code::kFormatError, "the vocabulary is cut short", ""};
  ASSIGN_OR_RETURN(embedder_, Embedder::load(as_text(vocabulary), table));
  return JsonText().open('{').key("dimension").integer(embedder_->dimension()).close('}').take();
}

Engine::Answer Engine::embed(Message& message) {
  if (embedder_ == nullptr) return Error{Code::kUnsupported, "the embedder is not loaded", ""};
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, read_strings(message.binary));
  const size_t dimension = embedder_->dimension();
  if (texts.size() > kMaxEmbeddedTexts) {
    return Error{Code::kLimitExceeded,
                 "embed: " + std::to_string(texts.size()) + " texts in one call; at most " +
                     std::to_string(kMaxEmbeddedTexts) + " are allowed",
                 shown(static_cast<int64_t>(texts.size()))};
  }
  floats_.resize(texts.size() * dimension);
  for (size_t i = 0; i < texts.size(); ++i) {
    embedder_->embed(texts[i], std::span(floats_).subspan(i * dimension, dimension));
  }
  JsonText out;
  out.open('{').key("dimension").integer(dimension).key("vectors").place(floats_.data(), floats_.size());
  return out.close('}').take();
}

Result<std::pair<const Collection*, const Collection*>> Engine::specs() const {
  RETURN_IF_ERROR(require_database());
  const Collection* blocks = database_->find(kBlocks);
  const Collection* files = database_->find(kFiles);
  if (blocks == nullptr || files == nullptr) {
    return Error{Code::kNotFound, "no specs were indexed into this database", ""};
  }
  if (blocks->on_demand() || files->on_demand()) {
    return Error{Code::kSchemaMismatch, "specs are kept in memory; these collections keep parts of them on demand", ""};
  }
  return std::pair(blocks, files);
}

Engine::Answer Engine::open_specs(Message&) {
  RETURN_IF_ERROR(require_database());
  return start(run_open_specs());
}

Task<Engine::Answer> Engine::run_open_specs() {
  if (embedder_ != nullptr) {
    Schema schema = spec_blocks_schema(embedder_->dimension());
    CO_RETURN_IF_ERROR(co_await database_->collection(kBlocks, std::move(schema)));
    CO_RETURN_IF_ERROR(co_await database_->collection(kFiles, spec_files_schema()));
  }
  co_return JsonText().open('{').key("ready").boolean(specs().ok()).close('}').take();
}

Engine::Answer Engine::index_files(Message& message) {
  if (embedder_ == nullptr) return Error{Code::kUnsupported, "the embedder is not loaded", ""};
  RETURN_IF_ERROR(require_database());
  const auto files = message.options.find("files");
  if (files == message.options.end() || !files->is_array()) {
    return Error{Code::kInvalidArgument, "files must be an array", ""};
  }
  std::vector<std::string> paths;
  std::vector<Bytes> contents;
  for (const Json& file : *files) {
    ASSIGN_OR_RETURN(std::string path, string_option(file, "path"));
    ASSIGN_OR_RETURN(const uint64_t length, whole_option(file, "bytes"));
    const ByteView bytes = message.binary.get_bytes(length);
    if (!message.binary.ok()) return Error{Code::kFormatError, "message from JavaScript: a file is cut short", ""};
    paths.push_back(std::move(path));
    contents.emplace_back(bytes.begin(), bytes.end());
  }
  return start(run_index_files(std::move(paths), std::move(contents), durability_option(message.options)));
}

Task<Engine::Answer> Engine::run_index_files(std::vector<std::string> paths, std::vector<Bytes> contents,
                                             Durability durability) {
  const auto plan = [&]() -> Result<IngestPlan> {
    ASSIGN_OR_RETURN(const auto targets, specs());
    const auto& [blocks, files] = targets;
    if (blocks->schema().dimension != embedder_->dimension()) {
      return Error{Code::kSchemaMismatch,
                   "these specs were indexed with " + std::to_string(blocks->schema().dimension) +
                       " dimensions, the embedder has " + std::to_string(embedder_->dimension()) +
                       "; index them into a new database",
                   shown(static_cast<int64_t>(embedder_->dimension()))};
    }
    std::vector<SourceFile> group;
    for (size_t i = 0; i < paths.size(); ++i) group.push_back({paths[i], contents[i]});
    ASSIGN_OR_RETURN(IngestPlan made, plan_index(*blocks, *files, group, *embedder_));
    // The plan holds copies of all it needs; the write may take much memory of its own.
    contents = {};
    return made;
  };
  co_return co_await run_plan(plan, durability);
}

Engine::Answer Engine::remove_missing(Message& message) {
  RETURN_IF_ERROR(require_database());
  ASSIGN_OR_RETURN(std::vector<std::string> present, read_strings(message.binary));
  return start(run_remove_missing(std::move(present), durability_option(message.options)));
}

Task<Engine::Answer> Engine::run_remove_missing(std::vector<std::string> present, Durability durability) {
  const auto plan = [&]() -> Result<IngestPlan> {
    ASSIGN_OR_RETURN(const auto targets, specs());
    return plan_removal(*targets.first, *targets.second, present);
  };
  co_return co_await run_plan(plan, durability);
}

template <typename MakePlan>
Task<Engine::Answer> Engine::run_plan(MakePlan make_plan, Durability durability) {
  IngestReport report;
  const Database::Plan plan = [&]() -> Task<Result<std::vector<CollectionBatch>>> {
    CO_ASSIGN_OR_RETURN(IngestPlan made, make_plan());
    report = made.report;
    std::vector<CollectionBatch> batches;
    batches.push_back({kBlocks, std::move(made.blocks)});
    batches.push_back({kFiles, std::move(made.files)});
    co_return batches;
  };
  CO_RETURN_IF_ERROR(co_await database_->write_planned(plan, durability));
  JsonText out;
  out.open('{').key("filesIndexed").integer(report.files_indexed);
  out.key("filesUnchanged").integer(report.files_unchanged).key("filesRemoved").integer(report.files_removed);
  out.key("blocksWritten").integer(report.blocks_written).key("blocksRemoved").integer(report.blocks_removed);
  co_return out.key("bytesRead").integer(report.bytes_read).close('}').take();
}

}  // namespace nearfield
