// Verbs about one collection, but for those that read its points.
#include <algorithm>
#include <cstring>

#include "wasm/engine.h"
#include "wasm/marshal.h"

namespace nearfield {

namespace {

constexpr size_t kMaxProbeQuestions = 10'000;

std::string deleted_json(size_t deleted) {
  return JsonText().open('{').key("deleted").integer(deleted).close('}').take();
}

}  // namespace

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
  options.sample = std::clamp<size_t>(options.sample, 1, kMaxProbeQuestions);
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
      .integer(info.effort)
      .key("rescore")
      .integer(info.rescore);
  if (const auto [done, rows] = database_->compaction_progress(target->name()); rows > 0) {
    out.key("optimizing").open('{').key("done").integer(done).key("total").integer(rows).close('}');
  }
  return out.close('}').take();
}

}  // namespace nearfield
