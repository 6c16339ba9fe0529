// Every key on every backend: what becomes of it, written down once more by hand.
#include <map>
#include <set>

#include "core/config/keys.h"
#include "core/config/values.h"
#include "support.h"

using namespace nearfield;

namespace {

// By backend, in the order embedded, Qdrant, Chroma, Weaviate: Implemented, Reported, X rejected, Later.
const std::map<std::string, std::string> kWanted = {
    {"strict", "IIII"},
    {"vectordb.backend", "IIII"},
    {"vectordb.path", "IRRR"},
    {"vectordb.collection", "IIII"},
    {"vectordb.lancedb.table", "IRRR"},
    {"vectordb.lancedb.index_type", "IRRR"},
    {"vectordb.lancedb.num_partitions", "IRRR"},
    {"vectordb.lancedb.num_sub_vectors", "IRRR"},
    {"vectordb.lancedb.use_mmap", "IRRR"},
    {"vectordb.chroma.collection", "IRIR"},
    {"vectordb.chroma.distance_metric", "IRIR"},
    {"vectordb.chroma.mode", "IRXR"},
    {"vectordb.chroma.host", "RRIR"},
    {"vectordb.chroma.port", "XRIR"},
    {"vectordb.chroma.ssl", "XRIR"},
    {"vectordb.chroma.api_key", "XRIR"},
    {"vectordb.chroma.tenant", "XRIR"},
    {"vectordb.chroma.database", "XRIR"},
    {"vectordb.qdrant.collection", "IIRR"},
    {"vectordb.qdrant.url", "RIRR"},
    {"vectordb.qdrant.api_key", "XIRR"},
    {"vectordb.qdrant.vector_params.size", "IIRR"},
    {"vectordb.qdrant.vector_params.distance", "IIRR"},
    {"vectordb.qdrant.hnsw_config.m", "IIRR"},
    {"vectordb.qdrant.hnsw_config.ef_construct", "IIRR"},
    {"vectordb.qdrant.optimizer_config.indexing_threshold", "RIRR"},
    {"vectordb.qdrant_url", "RIRR"},
    {"vectordb.qdrant_api_key", "XIRR"},
    {"vectordb.qdrant_collection", "IIRR"},
    {"vectordb.weaviate.collection", "RRRI"},
    {"vectordb.weaviate.url", "RRRI"},
    {"vectordb.weaviate.api_key", "RRRI"},
    {"embedding.provider", "IIII"},
    {"embedding.model", "IIII"},
    {"embedding.api_key", "RRRR"},
    {"providers.*.dimensions", "IIII"},
    {"backend.provider", "IIII"},
    {"backend.backend_type", "IIXI"},
    {"backend.path", "IRRR"},
    {"backend.url", "XIII"},
    {"backend.qdrant_url", "XIXX"},
    {"backend.weaviate_url", "XXXI"},
    {"backend.api_key", "XIII"},
    {"backend.qdrant_api_key", "XIXX"},
    {"backend.weaviate_api_key", "XXXI"},
    {"backend.tenant", "XXIX"},
    {"backend.database", "XXIX"},
    {"backend.collection", "IIII"},
    {"backend.collection_name", "IIII"},
    {"backend.vector_size", "IIII"},
    {"backend.distance_metric", "IIII"},
    {"backend.index_config.m", "IIII"},
    {"backend.index_config.ef_construct", "IIII"},
    {"backend.ef", "IIII"},
    {"backend.search_batch_size", "IIII"},
    {"backend.enable_payload_index", "RIRI"},
    {"backend.payload_storage_type", "IIXR"},
    {"backend.vector_storage_type", "IIXX"},
    {"backend.enable_hybrid_search", "IIXI"},
    {"backend.sparse_vector_name", "RIRR"},
    {"backend.text_field_name", "RIRI"},
    {"backend.hybrid_alpha", "IIRI"},
    {"backend.sparse_dimension", "RIRR"},
    {"backend.sparse_compression", "LIXX"},
    {"backend.timeout", "RIII"},
    {"backend.max_retries", "RIII"},
    {"backend.retry_delay", "RIII"},
    {"backend.batch_size", "IIII"},
    {"backend.max_concurrent_uploads", "RIII"},
    {"backend.max_connections", "RIII"},
    {"backend.prefer_grpc", "RRRR"},
    {"backend.tls_cert_path", "XIII"},
    {"backend.tls_key_path", "XIII"},
    {"backend.verify_ssl", "XIII"},
    {"backend.allowed_hosts", "RIII"},
    {"backend.enable_cors", "RIII"},
    {"backend.use_private_network", "RIII"},
    {"backend.private_endpoint", "RIII"},
    {"backend.health_check_interval", "LLLL"},
    {"backend.enable_monitoring", "LLLL"},
    {"backend.collect_metrics", "LLLL"},
    {"backend.metrics_interval", "LLLL"},
    {"backend.enable_backups", "LLLL"},
    {"backend.backup_path", "LLLL"},
    {"backend.backup_retention_days", "LLLL"},
    {"backend.maintenance_window", "LLRR"},
    {"backend.auto_optimize", "LLRR"},
    {"backend.optimization_interval", "LLRR"},
    {"backend.encryption_enabled", "LRRR"},
    {"backend.encrypt_payloads", "LLLL"},
    {"backend.encryption_key", "LLLL"},
};

constexpr Backend kBackends[] = {Backend::kEmbedded, Backend::kQdrant, Backend::kChroma, Backend::kWeaviate};

// A good value that is not the default.
Json sample(const Key& key, Backend backend) {
  switch (key.type) {
    case KeyType::kText: return "sample";
    case KeyType::kPath: return "some/where";
    case KeyType::kSecret: return "sesame-open-wide";
    case KeyType::kUrl: return "https://db.example.com";
    case KeyType::kHost: return "db.example.com";
    case KeyType::kHosts: return Json::array({"db.example.com"});
    case KeyType::kWhole: return key.low < 7 && key.high > 7 ? 7 : key.low;
    case KeyType::kNumber: return key.low >= 1 ? key.low : (key.low + 1) / 2;
    case KeyType::kFlag: return key.fallback_on(backend) != "true";
    case KeyType::kChoice: return std::string(key.choices()[1]);
    case KeyType::kWindow: return "22:30-04:00";
  }
  return nullptr;
}

// What chooses the backend, beside `key`.
Json choice(const Key& key, Backend backend) {
  if (!key.path.starts_with("vectordb.")) {
    if (backend == Backend::kEmbedded) return {{"backend", {{"provider", "embedded"}}}};
    const std::string name(backend_name(backend));
    const Json url = key.type == KeyType::kUrl && key.path != "backend.private_endpoint"
                         ? Json::object()
                         : Json{{"url", "https://a.example.com"}};
    Json table = {{"provider", name}};
    table.update(url);
    return {{"backend", table}};
  }
  switch (backend) {
    case Backend::kQdrant:
      return {{"vectordb", {{"backend", "qdrant"}, {"qdrant", {{"url", "https://a.example.com"}}}}}};
    case Backend::kChroma: return {{"vectordb", {{"backend", "chroma"}, {"chroma", {{"host", "a.example.com"}}}}}};
    case Backend::kWeaviate: return {{"vectordb", {{"backend", "weaviate"}}}};
    default:
      return {{"vectordb", {{"backend", key.owner().empty() || key.owner() == "weaviate" ? "lancedb" : key.owner()}}}};
  }
}

char letter(KeyState state) {
  switch (state) {
    case KeyState::kImplemented: return 'I';
    case KeyState::kReported: return 'R';
    case KeyState::kRejected: return 'X';
    case KeyState::kUnsupported: return 'L';
    case KeyState::kUnknown: return 'U';
  }
  return '?';
}

std::string path_of(const Key& key) {
  return key.path == "providers.*.dimensions" ? "providers.acme.dimensions" : std::string(key.path);
}

// The configuration that gives `key` on `backend`.
Json message_for(const Key& key, Backend backend) {
  const std::string path = path_of(key);
  Json value = sample(key, backend);
  Json base = choice(key, backend);
  if (path == "vectordb.backend" || path == "backend.provider")
    value = base.flatten()["/" + std::string(path == "backend.provider" ? "backend/provider" : "vectordb/backend")];
  if (path == "backend.backend_type") {
    if (backend != Backend::kChroma) base["backend"]["provider"] = "docarray";
    value = backend == Backend::kEmbedded ? "memory" : backend == Backend::kQdrant ? "qdrant" : "weaviate";
    if (backend == Backend::kChroma) value = "qdrant";
  }
  if (path == "embedding.provider") value = "static";
  if (path == "backend.private_endpoint" && backend != Backend::kEmbedded)
    base["backend"]["use_private_network"] = true;
  if (path == "backend.use_private_network" && backend != Backend::kEmbedded)
    base["backend"]["private_endpoint"] = "https://b.example.com";
  if (path == "backend.tls_cert_path" && backend != Backend::kEmbedded) base["backend"]["tls_key_path"] = "key.pem";
  if (path == "backend.tls_key_path" && backend != Backend::kEmbedded) base["backend"]["tls_cert_path"] = "cert.pem";
  if (path == "providers.acme.dimensions") value = 1024;
  const bool decides =
      backend == Backend::kEmbedded &&
      (key.path == "vectordb.chroma.host" || key.path == "vectordb.qdrant.url" || key.path == "vectordb.qdrant_url");
  if (path == "vectordb.qdrant_url" && backend == Backend::kQdrant) base["vectordb"]["qdrant"].erase("url");
  if (decides) {
    // A later file with a path is what keeps it embedded.
    Json later = base;
    later["vectordb"]["path"] = "here";
    return {{"layers", Json::array({layer("config.toml", at_path(path, value)), layer("late.toml", later)})}};
  }
  base.merge_patch(at_path(path, value));
  return {{"layers", Json::array({layer("config.toml", base)})}};
}

}  // namespace

TEST_CASE("every key has a row of what becomes of it, and no row is of no key") {
  std::set<std::string> known;
  for (const Key& key : keys()) {
    INFO(key.path);
    CHECK(known.insert(std::string(key.path)).second);
    CHECK(kWanted.contains(std::string(key.path)));
    CHECK(find_key(path_of(key)) == &key);
    CHECK(!key.meaning.empty());
    for (const std::string_view cell : key.cells) {
      INFO(cell);
      CHECK((cell == "yes" || cell == "later" || cell.starts_with("yes: ") || cell.starts_with("note: ") ||
             (cell.starts_with("no: ") && cell.find(" | ") != std::string_view::npos)));
    }
    for (const Backend backend : kBackends) {
      if (key.fallback.empty()) continue;
      Value value;
      const auto fallback = parse_json(key.fallback_on(backend), "fallback");
      REQUIRE(fallback.ok());
      CHECK(read_value(key, fallback.value(), "", Json::object(), value).reason == "");
    }
  }
  CHECK(kWanted.size() == known.size());
}

TEST_CASE("each key is implemented, reported, rejected or not supported yet, as the table says") {
  for (const Key& key : keys()) {
    for (size_t i = 0; i < 4; ++i) {
      const Backend backend = kBackends[i];
      const Json message = message_for(key, backend);
      const Configuration made = read(message);
      INFO(key.path << " on " << backend_name(backend) << ": " << message.dump() << " " << error_of(made));
      REQUIRE(made.settings.backend == backend);
      const KeyReport report = report_of(made, path_of(key));
      const char wanted = kWanted.at(std::string(key.path))[i];
      CHECK(std::string(1, letter(report.state)) == std::string(1, wanted));
      CHECK(!report.note.empty());
      CHECK(report.source == "config.toml");
      switch (wanted) {
        case 'I': CHECK(error_of(made) == ""); break;
        case 'R':
          CHECK(error_of(made) == "");
          CHECK(warns(made, path_of(key) + " in config.toml does nothing here: "));
          break;
        default: {
          REQUIRE(made.problems.size() == 1);
          const ConfigProblem& problem = made.problems[0];
          CHECK(problem.code == (wanted == 'L' ? Code::kUnsupported : Code::kInvalidConfig));
          CHECK(problem.key == path_of(key));
          CHECK(!problem.alternative.empty());
        }
      }
    }
  }
}

// A key that is said to be implemented and changes nothing would be what the two projects did.
TEST_CASE("each implemented key changes the settings, and no other does") {
  for (const Key& key : keys()) {
    if (std::holds_alternative<std::monostate>(key.target)) continue;
    for (size_t i = 0; i < 4; ++i) {
      const Backend backend = kBackends[i];
      const Configuration made = read(message_for(key, backend));
      Json bare = message_for(key, backend)["layers"][0]["values"];
      bare.merge_patch(at_path(path_of(key), nullptr));
      if (key.type == KeyType::kUrl) continue;  // its absence may change the backend
      const Configuration without = read_file(bare);
      INFO(key.path << " on " << backend_name(backend) << "\n"
                    << made.shown_settings << "\n"
                    << without.shown_settings);
      const bool implemented = kWanted.at(std::string(key.path))[i] == 'I';
      if (key.path == "embedding.provider") continue;  // has one value without registered ones
      CHECK((made.shown_settings != without.shown_settings) == implemented);
    }
  }
}

TEST_CASE("a flag that cannot be on may be off") {
  for (const Key& key : keys()) {
    for (size_t i = 0; i < 4; ++i) {
      if (key.type != KeyType::kFlag || key.fallback != "false") continue;
      if (kWanted.at(std::string(key.path))[i] != 'X') continue;
      Json message = message_for(key, kBackends[i]);
      message["layers"][0]["values"].merge_patch(at_path(path_of(key), false));
      const Configuration made = read(message);
      INFO(key.path << " on " << backend_name(kBackends[i]));
      CHECK(error_of(made) == "");
      CHECK(report_of(made, path_of(key)).state == KeyState::kImplemented);
    }
  }
}

TEST_CASE("Weaviate indexes payloads unless it is told not to, as its filters need that") {
  const auto payload_index = [](Json table) {
    const Configuration made = read_file({{"backend", std::move(table)}});
    REQUIRE(error_of(made) == "");
    return made.settings.payload_index;
  };
  CHECK(payload_index({{"provider", "weaviate"}}));
  CHECK(payload_index({{"provider", "docarray"}, {"backend_type", "weaviate"}}));
  CHECK(!payload_index({{"provider", "weaviate"}, {"enable_payload_index", false}}));
  CHECK(!payload_index({{"provider", "qdrant"}}));
  const Configuration vectordb = read_file({{"vectordb", {{"backend", "weaviate"}}}});
  CHECK(vectordb.settings.payload_index);
  const auto listed = [](std::string_view provider) {
    for (const auto& [key, value] : read_file({{"backend", {{"provider", provider}}}}).defaults) {
      if (key == "backend.enable_payload_index") return std::string(value);
    }
    return std::string();
  };
  CHECK(listed("weaviate") == "true");
  CHECK(listed("qdrant") == "false");
  CHECK(listed("chroma").empty());
}
