// Verbs about the store of a configuration: one to an engine, on a server. Embedded ones are a database's collections.
#include <algorithm>
#include <utility>

#include "core/config/configuration.h"
#include "core/config/embedded.h"
#include "core/remote/open_store.h"
#include "core/store/registry.h"
#include "wasm/engine.h"
#include "wasm/hits.h"
#include "wasm/marshal.h"

namespace nearfield {

namespace {

constexpr size_t kMaxQueries = 10'000;
constexpr size_t kMaxPage = 10'000;
// Of a query, beside its SearchRequest; search.ts has the others.
constexpr uint32_t kHighlights = 1, kOwnFusion = 4;

struct Connection : Engine::Connected {
  explicit Connection(RemoteStore opened) : remote(std::move(opened)) {}
  void write_request(JsonText& out, const HttpEffect& request) const override;
  Status read_answer(const Json& options, EffectAnswer& answer) const override;
  RemoteStore remote;
};

void Connection::write_request(JsonText& out, const HttpEffect& request) const {
  out.key("kind").string("http").key("method").string(request.method);
  out.key("origin").string(request.origin).key("url").string(request.url);
  out.key("timeout").integer(request.timeout_ms).key("limit").integer(request.max_body_bytes);
  out.key("headers").open('[');
  for (const HttpHeader& header : request.headers) {
    out.open('[').string(header.name).string(header.value).close(']');
  }
  out.close(']').key("bytes").place(request.body.data(), request.body.size());
}

Status Connection::read_answer(const Json& options, EffectAnswer& answer) const {
  if (options.contains("headers") && options["headers"].is_array()) {
    for (const Json& header : options["headers"]) {
      ASSIGN_OR_RETURN(std::string name, string_option(header, "name"));
      ASSIGN_OR_RETURN(std::string value, string_option(header, "value"));
      answer.headers.push_back({std::move(name), std::move(value)});
    }
  }
  answer.not_sent = flag_option(options, "notSent", false);
  if (options.contains("status")) {
    ASSIGN_OR_RETURN(answer.http_status, whole_option(options, "status"));
  }
  return {};
}

StoreParts store_parts(const RowParts& parts) { return {parts.payload, parts.text, parts.vector}; }

Result<StoreQuery> read_store_query(ByteReader& message) {
  const auto flags = message.get<uint32_t>();
  ASSIGN_OR_RETURN(SearchRequest request, read_search_request(message));
  if ((flags & kHighlights) != 0) {
    return Error{Code::kUnsupported, "search.highlights: a server does not say which words matched", "true"};
  }
  StoreQuery query;
  query.vector.assign(request.vector.begin(), request.vector.end());
  query.text = std::move(request.text);
  query.mode = request.mode;
  query.k = request.k;
  query.offset = request.offset;
  query.filter = std::move(request.filter);
  query.min_score = request.min_score;
  query.parts = {request.include_payload, request.include_text, request.include_vector};
  query.exact = request.exact;
  query.ef = request.ef, query.nprobe = request.nprobe, query.rescore = request.rescore;
  if ((flags & kOwnFusion) != 0) query.fusion = request.fusion;
  return query;
}

RowView view_of(const Point& point) { return {point.id, point.text, point.payload, point.vector}; }

std::string report_json(const WriteReport& report) {
  JsonText out;
  const auto ids = [&](std::string_view key, const std::vector<std::string>& list) {
    out.key(key).open('[');
    for (const std::string& id : list) out.string(id);
    out.close(']');
  };
  out.open('{');
  ids("ok", report.ok);
  out.key("failed").open('[');
  for (const WriteReport::Failed& failed : report.failed) {
    out.open('{').key("id").string(failed.id).key("code").integer(static_cast<uint64_t>(failed.code));
    out.key("message").string(failed.message).close('}');
  }
  out.close(']');
  ids("unknown", report.unknown);
  return out.close('}').take();
}

std::string number_json(const char* name, uint64_t number) {
  return JsonText().open('{').key(name).integer(number).close('}').take();
}

void write_snapshot(JsonText& out, const Snapshot& snapshot) {
  out.open('{').key("name").string(snapshot.name);
  if (snapshot.bytes > 0) out.key("bytes").integer(snapshot.bytes);
  if (!snapshot.created.empty()) out.key("created").string(snapshot.created);
  out.close('}');
}

}  // namespace

// { ...as read_configuration() takes it, seed } -> { report, store? }: what JavaScript has to know of the settings,
// where there is no problem. (The report masks secrets wherever they stand.)
Engine::Answer Engine::connect(Message& message) {
  ASSIGN_OR_RETURN(const uint64_t seed, whole_option(message.options, "seed"));
  for (std::string& name : registered_stores().names()) {
    message.options["backends"].push_back(name);
    message.options["stores"].push_back(std::move(name));
  }
  ASSIGN_OR_RETURN(Configuration configuration, read_configuration(message.options));
  const Settings& settings = configuration.settings;
  JsonText out;
  out.open('{').key("report").raw(configuration_json(configuration));
  if (configuration.problems.empty()) {
    out.key("store").open('{').key("backend").string(backend_name(settings.backend));
    out.key("name").string(settings.name).key("collection").string(settings.collection);
    out.key("dimension").integer(settings.dimension).key("metric").string(metric_name(settings.metric));
    out.key("ef").integer(settings.ef).key("searchBatch").integer(settings.search_batch);
    out.key("batchRows").integer(settings.batch_rows);
    if (settings.hybrid) out.key("hybridAlpha").number(settings.hybrid_alpha);
    switch (settings.backend) {
      case Backend::kEmbedded:
        out.key("path").string(settings.path).key("memory").boolean(settings.memory);
        out.key("schema").raw(embedded_schema(settings));
        break;
      case Backend::kCustom: {
        const std::vector<std::string> ours = registered_stores().names();
        const bool own = std::ranges::find(ours, settings.name) != ours.end();
        out.key("registered").boolean(own);
        if (own) {
          RemoteStore opened;
          ASSIGN_OR_RETURN(opened.store, registered_stores().open(effects_, settings));
          connected_ = std::make_unique<Connection>(std::move(opened));
        } else {
          out.key("custom").raw(settings.custom.empty() ? "{}" : settings.custom);
        }
        break;
      }
      case Backend::kQdrant:
      case Backend::kChroma:
      case Backend::kWeaviate: {
        const auto host = message.options.find("host");
        const bool browser = host != message.options.end() && *host == "browser";
        ASSIGN_OR_RETURN(RemoteStore opened, open_store(effects_, settings, browser, seed));
        out.key("origin").string(opened.http->server().url.origin());
        out.key("crossOrigin").boolean(settings.cross_origin).key("verifyTls").boolean(settings.verify_tls);
        out.key("tlsCertificatePath").string(settings.tls_certificate_path);
        out.key("tlsKeyPath").string(settings.tls_key_path);
        connected_ = std::make_unique<Connection>(std::move(opened));
        break;
      }
    }
    out.close('}');
  }
  return out.close('}').take();
}

VectorStore& Engine::store() const { return *static_cast<Connection&>(*connected_).remote.store; }

Status Engine::require_store() const {
  if (connected_ == nullptr) return Error{Code::kClosed, "no store is open", ""};
  return {};
}

Engine::Answer Engine::store_ensure(Message&) {
  RETURN_IF_ERROR(require_store());
  return start([](Engine& engine) -> Task<Answer> {
    CO_ASSIGN_OR_RETURN(const EnsureReport report, co_await engine.store().ensure());
    JsonText out;
    out.open('{').key("created").boolean(report.created).key("differences").open('[');
    for (const Difference& difference : report.differences) {
      out.open('{').key("name").string(difference.name).key("asked").string(difference.asked);
      out.key("found").string(difference.found).close('}');
    }
    co_return out.close(']').close('}').take();
  }(*this));
}

Engine::Answer Engine::store_upsert(Message& message) {
  RETURN_IF_ERROR(require_store());
  ASSIGN_OR_RETURN(std::vector<Point> read, read_points(message.binary));
  std::vector<StorePoint> points;
  points.reserve(read.size());
  for (Point& point : read) points.push_back({std::move(point), {}});
  return start([](Engine& engine, std::vector<StorePoint> taken) -> Task<Answer> {
    CO_ASSIGN_OR_RETURN(const WriteReport report, co_await engine.store().upsert(std::move(taken)));
    co_return report_json(report);
  }(*this, std::move(points)));
}

Engine::Answer Engine::store_search(Message& message) {
  RETURN_IF_ERROR(require_store());
  ByteReader& binary = message.binary;
  const size_t count = binary.get<uint32_t>();
  if (!binary.ok()) return Error{Code::kFormatError, "message from JavaScript: a search is cut short", ""};
  if (count > kMaxQueries) {
    return Error{
        Code::kLimitExceeded,
        std::to_string(count) + " queries in one batch; at most " + std::to_string(kMaxQueries) + " are allowed",
        shown(static_cast<int64_t>(count))};
  }
  std::vector<StoreQuery> queries;
  for (size_t i = 0; i < count; ++i) {
    Result<StoreQuery> query = read_store_query(binary);
    if (!query.ok()) {
      Error error = std::move(query).error();
      if (count > 1) error.message = "queries[" + std::to_string(i) + "]: " + error.message;
      return error;
    }
    queries.push_back(std::move(query).value());
  }
  return start(run_store_search(std::move(queries)));
}

Task<Engine::Answer> Engine::run_store_search(std::vector<StoreQuery> queries) {
  std::vector<StoreParts> parts;
  for (const StoreQuery& query : queries) parts.push_back(query.parts);
  CO_ASSIGN_OR_RETURN(std::vector<std::vector<StoreHit>> answers, co_await store().search(std::move(queries)));
  Held held;
  for (size_t i = 0; i < answers.size(); ++i) {
    SearchRequest request;
    request.include_payload = parts[i].payload;
    request.include_text = parts[i].text;
    request.include_vector = parts[i].vector;
    SearchResult result;
    for (const StoreHit& hit : answers[i]) {
      result.hits.push_back({0, view_of(hit.point), hit.score, hit.dense, hit.text});
    }
    write_result(held.found, nullptr, request, false, result);
    // Their vectors are read by JavaScript.
    for (StoreHit& hit : answers[i]) held.points.push_back(std::move(static_cast<Point&>(hit.point)));
  }
  std::string answer =
      JsonText().open('{').key("place").integer(reinterpret_cast<uintptr_t>(held.found.data())).close('}').take();
  hold(std::move(held));
  co_return answer;
}

Engine::Answer Engine::store_get(Message& message) {
  RETURN_IF_ERROR(require_store());
  ASSIGN_OR_RETURN(const RowParts parts, row_parts(message.options));
  ASSIGN_OR_RETURN(std::vector<std::string> ids, read_strings(message.binary));
  return start(run_store_get(std::move(ids), parts));
}

std::string Engine::hold_points(std::vector<StorePoint> found, RowParts parts, const std::string* next) {
  Held held;
  for (StorePoint& point : found) held.points.push_back(std::move(static_cast<Point&>(point)));
  JsonText out;
  out.open('{').key("points").open('[');
  for (const Point& point : held.points) {
    out.open('{');
    write_row(out, view_of(point), parts);
    out.close('}');
  }
  out.close(']');
  if (next != nullptr) out.key("next").string(*next);
  hold(std::move(held));
  return out.close('}').take();
}

Task<Engine::Answer> Engine::run_store_get(std::vector<std::string> ids, RowParts parts) {
  CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points, co_await store().get(std::move(ids), store_parts(parts)));
  co_return hold_points(std::move(points), parts, nullptr);
}

Engine::Answer Engine::store_remove(Message& message) {
  RETURN_IF_ERROR(require_store());
  ASSIGN_OR_RETURN(std::optional<Filter> wanted, filter(message.options));
  std::vector<std::string> ids;
  if (!wanted) {
    ASSIGN_OR_RETURN(ids, read_strings(message.binary));
  }
  return start([](Engine& engine, std::optional<Filter> matching, std::vector<std::string> listed) -> Task<Answer> {
    if (matching) {
      CO_ASSIGN_OR_RETURN(const uint64_t deleted, co_await engine.store().remove_matching(std::move(*matching)));
      co_return number_json("deleted", deleted);
    }
    CO_ASSIGN_OR_RETURN(const uint64_t deleted, co_await engine.store().remove(std::move(listed)));
    co_return number_json("deleted", deleted);
  }(*this, std::move(wanted), std::move(ids)));
}

Engine::Answer Engine::store_count(Message& message) {
  RETURN_IF_ERROR(require_store());
  ASSIGN_OR_RETURN(std::optional<Filter> wanted, filter(message.options));
  return start([](Engine& engine, std::optional<Filter> matching) -> Task<Answer> {
    CO_ASSIGN_OR_RETURN(const uint64_t count, co_await engine.store().count(std::move(matching)));
    co_return number_json("count", count);
  }(*this, std::move(wanted)));
}

Engine::Answer Engine::store_scroll(Message& message) {
  RETURN_IF_ERROR(require_store());
  ASSIGN_OR_RETURN(std::optional<Filter> wanted, filter(message.options));
  ASSIGN_OR_RETURN(const RowParts parts, row_parts(message.options));
  ASSIGN_OR_RETURN(std::string from, string_option(message.options, "from"));
  ASSIGN_OR_RETURN(const size_t limit, size_option(message.options, "limit"));
  return start(run_store_scroll(std::move(wanted), std::move(from), std::min(limit, kMaxPage), parts));
}

Task<Engine::Answer> Engine::run_store_scroll(std::optional<Filter> wanted, std::string from, size_t limit,
                                              RowParts parts) {
  CO_ASSIGN_OR_RETURN(StorePage page,
                      co_await store().scroll(std::move(wanted), std::move(from), limit, store_parts(parts)));
  co_return hold_points(std::move(page.points), parts, &page.next);
}

Engine::Answer Engine::store_clear(Message&) {
  RETURN_IF_ERROR(require_store());
  return start([](Engine& engine) -> Task<Answer> {
    CO_ASSIGN_OR_RETURN(const uint64_t deleted, co_await engine.store().count(std::nullopt));
    CO_RETURN_IF_ERROR(co_await engine.store().clear());
    co_return number_json("deleted", deleted);
  }(*this));
}

Engine::Answer Engine::store_drop(Message&) {
  RETURN_IF_ERROR(require_store());
  return start([](Engine& engine) -> Task<Answer> {
    CO_ASSIGN_OR_RETURN(const bool existed, co_await engine.store().drop());
    co_return JsonText().open('{').key("existed").boolean(existed).close('}').take();
  }(*this));
}

Engine::Answer Engine::store_info(Message&) {
  RETURN_IF_ERROR(require_store());
  return start([](Engine& engine) -> Task<Answer> {
    CO_ASSIGN_OR_RETURN(const StoreInfo info, co_await engine.store().info());
    JsonText out;
    out.open('{').key("backend").string(info.backend).key("version").string(info.version);
    out.key("count").integer(info.count).key("dimension").integer(info.dimension);
    out.key("metric").string(metric_name(info.metric));
    out.key("details").raw(info.details.empty() ? "{}" : info.details);
    const HttpClient* http = static_cast<Connection&>(*engine.connected_).remote.http.get();
    if (http == nullptr) co_return out.close('}').take();
    const HttpState state = http->state();
    constexpr const char* kBreakers[] = {"closed", "open", "halfOpen"};
    out.key("http").open('{').key("breaker").string(kBreakers[static_cast<size_t>(state.breaker)]);
    out.key("requests").integer(state.requests).key("attempts").integer(state.attempts);
    out.key("retries").integer(state.retries).key("inFlight").integer(state.in_flight);
    out.key("waiting").integer(state.waiting).close('}');
    co_return out.close('}').take();
  }(*this));
}

Engine::Answer Engine::store_health(Message&) {
  RETURN_IF_ERROR(require_store());
  return start([](Engine& engine) -> Task<Answer> {
    const StoreHealth health = co_await engine.store().health();
    co_return JsonText()
        .open('{')
        .key("ready")
        .boolean(health.ready)
        .key("message")
        .string(health.message)
        .close('}')
        .take();
  }(*this));
}

Engine::Answer Engine::store_snapshots(Message& message) {
  RETURN_IF_ERROR(require_store());
  ASSIGN_OR_RETURN(std::string action, string_option(message.options, "action"));
  std::string name;
  if (action == "delete") {
    ASSIGN_OR_RETURN(name, string_option(message.options, "name"));
  }
  return start([](Engine& engine, std::string asked, std::string which) -> Task<Answer> {
    JsonText out;
    out.open('{').key("snapshots").open('[');
    if (asked == "create") {
      CO_ASSIGN_OR_RETURN(const Snapshot made, co_await engine.store().create_snapshot());
      write_snapshot(out, made);
    } else if (asked == "delete") {
      CO_RETURN_IF_ERROR(co_await engine.store().delete_snapshot(std::move(which)));
    } else {
      CO_ASSIGN_OR_RETURN(const std::vector<Snapshot> all, co_await engine.store().list_snapshots());
      for (const Snapshot& each : all) write_snapshot(out, each);
    }
    co_return out.close(']').close('}').take();
  }(*this, std::move(action), std::move(name)));
}

}  // namespace nearfield
