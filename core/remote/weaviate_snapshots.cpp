#include "core/remote/excerpt.h"
#include "core/remote/weaviate_parts.h"

namespace nearfield {

namespace {

constexpr uint64_t kSnapshotDeadlineMs = 600'000, kSnapshotPollMs = 500;

std::optional<Snapshot> read_backup(const Json& json) {
  const std::string* id = string_member(json, "id");
  if (id == nullptr || id->empty()) return std::nullopt;
  Snapshot out;
  out.name = *id;
  if (const std::string* started = string_member(json, "startedAt")) out.created = *started;
  // In GiB.
  const Json* size = json_member(json, "size");
  const double bytes = size != nullptr && size->is_number() ? size->get<double>() * 0x1p30 : 0;
  if (bytes > 0 && bytes < 0x1p63) out.bytes = static_cast<uint64_t>(bytes);
  return out;
}

}  // namespace

// "/v1/backups/filesystem"
Task<Result<std::string>> WeaviateStore::backup_path() {
  constexpr std::string_view kModule = "backup-";
  std::string backend = options_.backup_backend;
  if (backend.empty()) {
    CO_ASSIGN_OR_RETURN(const Reply meta, co_await call({.method = "GET", .path = "/v1/meta", .body = {}}));
    const Json* modules = json_member(meta.json, "modules");
    for (auto module = modules == nullptr || !modules->is_object() ? Json::const_iterator() : modules->begin();
         modules != nullptr && modules->is_object() && module != modules->end(); ++module) {
      if (module.key().starts_with(kModule) && backend.empty()) backend = module.key().substr(kModule.size());
    }
    if (backend.empty()) co_return unsupported("the server has no module for backups");
  }
  co_return "/v1/backups/" + percent_encoded(backend);
}

Task<Result<Snapshot>> WeaviateStore::create_snapshot() {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(co_await described());
  CO_ASSIGN_OR_RETURN(const std::string path, co_await backup_path());
  std::string id = class_;
  id[0] = static_cast<char>(id[0] - 'A' + 'a');
  id += '-' + std::to_string(effects_.now_ms());
  const uint64_t until = effects_.now_ms() + kSnapshotDeadlineMs;
  {
    CO_ASSIGN_OR_RETURN(const HttpResponse begun,
                        co_await http_.send({.method = "POST",
                                             .path = path,
                                             .body = "{\"id\":\"" + id + "\",\"include\":[\"" + class_ + "\"]}",
                                             .retry = RetryClass::kUnsafe}));
    if (begun.status >= 300) {
      Error error = refusal(begun);
      if (has(begun.body, "no backup backend")) error.code = Code::kUnsupported;
      co_return error;
    }
  }
  for (;;) {
    CO_ASSIGN_OR_RETURN(const Reply reply, co_await call({.method = "GET", .path = path + '/' + id, .body = {}}));
    const std::string* status = string_member(reply.json, "status");
    std::optional<Snapshot> made = read_backup(reply.json);
    if (status == nullptr || !made || made->name != id) co_return bad(reply, "no backup with `id` and `status`");
    if (*status == "SUCCESS") co_return *std::move(made);
    if (*status == "FAILED" || *status == "CANCELED") {
      const std::string* why = string_member(reply.json, "error");
      co_return Error{
          Code::kRemoteRejected,
          http_.server().name + " made no backup: " + excerpt(why == nullptr ? *status : *why, http_.server().key), ""};
    }
    if (effects_.now_ms() >= until) {
      co_return Error{Code::kTimeout, "the backup " + shown(id) + " was begun, and has not ended in time", ""};
    }
    EffectAnswer slept = co_await effects_.request(SleepEffect{kSnapshotPollMs});
    CO_RETURN_IF_ERROR(std::move(slept.status));
  }
}

Task<Result<std::vector<Snapshot>>> WeaviateStore::list_snapshots() {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const std::string path, co_await backup_path());
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await call({.method = "GET", .path = path, .body = {}}));
  if (!reply.json.is_array()) co_return bad(reply, "no list of backups");
  std::vector<Snapshot> out;
  for (const Json& each : reply.json) {
    std::optional<Snapshot> backup = read_backup(each);
    if (!backup) co_return bad(reply, "a backup without `id`");
    const Json* classes = json_member(each, "classes");
    const std::string* status = string_member(each, "status");
    if (classes == nullptr || *classes != Json::array({class_})) continue;
    if (status != nullptr && *status == "SUCCESS") out.push_back(*std::move(backup));
  }
  co_return std::move(out);
}

Task<Status> WeaviateStore::delete_snapshot(std::string name) {
  CO_RETURN_IF_ERROR(open());
  co_return unsupported("Weaviate has no call that deletes a backup; delete it where the server keeps them",
                        shown(name));
}

}  // namespace nearfield
