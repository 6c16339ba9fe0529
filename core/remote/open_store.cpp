#include "core/remote/open_store.h"

#include <algorithm>
#include <cassert>

#include "core/remote/chroma_store.h"
#include "core/remote/qdrant_store.h"
#include "core/remote/weaviate_store.h"

namespace nearfield {

namespace {

constexpr uint16_t kQdrantPort = 6333, kChromaPort = 8000, kWeaviatePort = 8080;

// What a kind of server is known by.
HttpServer server_of(Backend backend) {
  HttpServer server;
  switch (backend) {
    case Backend::kQdrant:
      server.name = "Qdrant";
      server.key_header = "api-key";
      server.cors_setting = "service.enable_cors";
      break;
    case Backend::kChroma:
      server.name = "Chroma";
      server.key_header = "x-chroma-token";
      server.cors_setting = "cors_allow_origins (or CHROMA_CORS_ALLOW_ORIGINS)";
      break;
    case Backend::kWeaviate:
      server.name = "Weaviate";
      server.key_header = "authorization";
      server.key_prefix = "Bearer ";
      server.cors_setting = "CORS_ALLOW_ORIGIN";
      server.quota_mark = "USAGE_LIMIT_EXCEEDED";
      break;
    case Backend::kEmbedded:
    case Backend::kCustom: break;
  }
  return server;
}

uint16_t port_of(Backend backend) {
  return backend == Backend::kQdrant ? kQdrantPort : backend == Backend::kChroma ? kChromaPort : kWeaviatePort;
}

uint64_t milliseconds(double seconds) { return static_cast<uint64_t>(seconds * 1000); }

HttpOptions http_options(const Settings& settings, bool browser) {
  HttpOptions options;
  options.read_deadline_ms = options.write_deadline_ms = std::max<uint64_t>(1, milliseconds(settings.timeout_seconds));
  options.attempts = static_cast<unsigned>(settings.max_retries) + 1;
  options.base_delay_ms = milliseconds(settings.retry_delay_seconds);
  options.max_connections = static_cast<unsigned>(settings.max_connections);
  options.browser = browser;
  return options;
}

BatchLimits batch_limits(const Settings& settings) {
  BatchLimits limits;
  limits.max_items = static_cast<size_t>(settings.batch_rows);
  limits.in_flight = static_cast<unsigned>(settings.max_uploads);
  return limits;
}

Result<std::unique_ptr<VectorStore>> qdrant(HttpClient& http, const Settings& settings) {
  QdrantOptions options;
  options.collection = settings.collection;
  options.layout.metric = settings.metric;
  options.layout.dimension = static_cast<size_t>(settings.dimension);
  options.layout.text_field = settings.text_field;
  options.layout.sparse_dimension = static_cast<uint32_t>(settings.sparse_dimension);
  if (settings.hybrid) options.layout.text_vector = settings.sparse_vector;
  options.m = static_cast<size_t>(settings.m);
  options.ef_construct = static_cast<size_t>(settings.ef_construct);
  if (settings.indexing_threshold > 0) options.indexing_threshold = settings.indexing_threshold;
  options.vectors_on_disk = settings.vectors_on_demand;
  options.payload_on_disk = settings.payload_on_demand;
  options.sparse_float16 = settings.sparse_compressed;
  options.payload_index = settings.payload_index;
  options.ef = static_cast<size_t>(settings.ef);
  options.search_batch = static_cast<size_t>(settings.search_batch);
  if (settings.hybrid) options.fusion = Convex{settings.hybrid_alpha};
  options.batches = batch_limits(settings);
  ASSIGN_OR_RETURN(std::unique_ptr<QdrantStore> store, QdrantStore::make(http, std::move(options)));
  return std::unique_ptr<VectorStore>(std::move(store));
}

Result<std::unique_ptr<VectorStore>> chroma(HttpClient& http, const Settings& settings) {
  if (settings.hybrid) {
    return Error{Code::kInvalidConfig,
                 "a Chroma server of one node has no search by words (enable_hybrid_search); leave it out, or use the "
                 "embedded engine, Qdrant or Weaviate",
                 "true"};
  }
  ChromaOptions options;
  options.collection = settings.collection;
  if (!settings.tenant.empty()) options.tenant = settings.tenant;
  if (!settings.database.empty()) options.database = settings.database;
  options.metric = settings.metric;
  options.dimension = static_cast<size_t>(settings.dimension);
  options.m = static_cast<size_t>(settings.m);
  options.ef_construct = static_cast<size_t>(settings.ef_construct);
  options.ef = static_cast<size_t>(settings.ef);
  options.search_batch = static_cast<size_t>(settings.search_batch);
  options.batches = batch_limits(settings);
  ASSIGN_OR_RETURN(std::unique_ptr<ChromaStore> store, ChromaStore::make(http, std::move(options)));
  return std::unique_ptr<VectorStore>(std::move(store));
}

Result<std::unique_ptr<VectorStore>> weaviate(EffectQueue& effects, HttpClient& http, const Settings& settings) {
  WeaviateOptions options;
  options.collection = settings.collection;
  options.metric = settings.metric;
  options.dimension = static_cast<size_t>(settings.dimension);
  options.m = static_cast<size_t>(settings.m);
  options.ef_construct = static_cast<size_t>(settings.ef_construct);
  options.ef = static_cast<size_t>(settings.ef);
  options.payload_index = settings.payload_index;
  options.text_search = settings.hybrid;
  options.text_field = settings.text_field;
  if (settings.hybrid) options.fusion = Convex{settings.hybrid_alpha};
  options.search_batch = static_cast<size_t>(settings.search_batch);
  options.batches = batch_limits(settings);
  ASSIGN_OR_RETURN(std::unique_ptr<WeaviateStore> store, WeaviateStore::make(effects, http, std::move(options)));
  return std::unique_ptr<VectorStore>(std::move(store));
}

}  // namespace

Result<RemoteStore> open_store(EffectQueue& effects, const Settings& settings, bool browser, uint64_t seed) {
  HttpServer server = server_of(settings.backend);
  assert(!server.name.empty());
  ASSIGN_OR_RETURN(server.url, Url::parse(settings.url, port_of(settings.backend)));
  if (!settings.allowed_hosts.empty()) {
    ASSIGN_OR_RETURN(server.hosts, HostPolicy::only(settings.allowed_hosts));
  }
  server.key = Secret(settings.api_key);
  RemoteStore opened;
  ASSIGN_OR_RETURN(opened.http, HttpClient::make(effects, std::move(server), http_options(settings, browser), seed));
  switch (settings.backend) {
    case Backend::kQdrant: {
      ASSIGN_OR_RETURN(opened.store, qdrant(*opened.http, settings));
      break;
    }
    case Backend::kChroma: {
      ASSIGN_OR_RETURN(opened.store, chroma(*opened.http, settings));
      break;
    }
    case Backend::kWeaviate: {
      ASSIGN_OR_RETURN(opened.store, weaviate(effects, *opened.http, settings));
      break;
    }
    case Backend::kEmbedded:
    case Backend::kCustom: break;
  }
  return opened;
}

}  // namespace nearfield
