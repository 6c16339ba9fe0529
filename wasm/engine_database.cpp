// Verbs about the whole database.
#include "storage/backup.h"
#include "wasm/engine.h"
#include "wasm/marshal.h"
#include "wasm/report.h"

namespace nearfield {

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

}  // namespace nearfield
