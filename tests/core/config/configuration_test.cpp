#include "core/config/configuration.h"

#include <limits>

#include "core/config/keys.h"
#include "core/config/values.h"
#include "support.h"

using namespace nearfield;

namespace {

const Json kQdrant = {{"backend", {{"provider", "qdrant"}, {"url", "https://db.example.com"}}}};

Json with(Json base, std::string_view path, Json value) {
  base.merge_patch(at_path(path, std::move(value)));
  return base;
}

void check_error(const Json& values, std::string_view words) {
  const Configuration made = read_file(values);
  INFO(values.dump().substr(0, 500) << "\n" << error_of(made));
  REQUIRE(!made.problems.empty());
  CHECK(error_of(made).find(words) != std::string::npos);
}

}  // namespace

TEST_CASE("nothing at all is a configuration, with every default") {
  const Configuration made = read({{"layers", Json::array()}});
  const Settings& settings = made.settings;
  CHECK(error_of(made) == "");
  CHECK(settings.backend == Backend::kQdrant);
  CHECK(settings.url == "http://localhost:6333");
  CHECK(warns(made, "http://localhost:6333 is used"));
  CHECK(settings.collection == "codeweaver-embeddings");
  CHECK(settings.dimension == 1024);
  CHECK(settings.metric == Metric::kCosine);
  CHECK(settings.timeout_seconds == 30);
  CHECK(settings.max_retries == 3);
  CHECK(settings.retry_delay_seconds == 2);
  CHECK(settings.batch_rows == 100);
  CHECK(settings.max_uploads == 5);
  CHECK(settings.max_connections == 10);
  CHECK(settings.hybrid_alpha == 0.7);
  CHECK(settings.sparse_dimension == 30000);
  CHECK(settings.m == 16);
  CHECK(settings.ef_construct == 200);
  CHECK(settings.ef == 128);
  CHECK(settings.search_batch == 32);
  CHECK(settings.verify_tls);
  CHECK(settings.embedder == "static");
}

TEST_CASE("a local path is the embedded engine, an address is a server") {
  struct Case {
    const char* name;
    Json values;
    Backend backend;
    const char *path, *url;
    bool memory;
  };
  const Case cases[] = {
      {"lancedb", {{"vectordb", {{"backend", "lancedb"}, {"path", "p"}}}}, Backend::kEmbedded, "p", "", false},
      {"lancedb", {{"vectordb", {{"path", "p"}}}}, Backend::kEmbedded, "p", "", false},
      {"lancedb",
       {{"vectordb", Json::object()}, {"embedding", {{"provider", "static"}}}},
       Backend::kEmbedded,
       ".specmem/vectordb",
       "",
       false},
      {"chroma",
       {{"vectordb", {{"backend", "chroma"}, {"path", "p"}, {"chroma", {{"mode", "local"}}}}}},
       Backend::kEmbedded,
       "p",
       "",
       false},
      {"chroma",
       {{"vectordb", {{"backend", "chroma"}, {"path", "p"}, {"chroma", {{"mode", "memory"}}}}}},
       Backend::kEmbedded,
       "",
       "",
       true},
      {"chroma", {{"vectordb", {{"backend", "chroma"}}}}, Backend::kEmbedded, ".specmem/vectordb", "", false},
      {"chroma",
       {{"vectordb", {{"backend", "chroma"}, {"chroma", {{"host", "c.example.com"}, {"port", 9000}, {"ssl", true}}}}}},
       Backend::kChroma,
       "",
       "https://c.example.com:9000",
       false},
      {"chroma",
       {{"vectordb", {{"backend", "chroma"}, {"chroma", {{"host", "localhost"}}}}}},
       Backend::kChroma,
       "",
       "http://localhost:8000",
       false},
      {"qdrant", {{"vectordb", {{"backend", "qdrant"}, {"path", "p"}}}}, Backend::kEmbedded, "p", "", false},
      {"qdrant",
       {{"vectordb", {{"backend", "qdrant"}, {"qdrant", {{"url", "http://localhost:6333"}}}}}},
       Backend::kQdrant,
       "",
       "http://localhost:6333",
       false},
      {"qdrant",
       {{"vectordb", {{"backend", "qdrant"}, {"path", "p"}, {"qdrant_url", "http://localhost:1"}}}},
       Backend::kQdrant,
       "",
       "http://localhost:1",
       false},
      {"weaviate", {{"vectordb", {{"backend", "weaviate"}}}}, Backend::kWeaviate, "", "http://localhost:8080", false},
      {"memory", {{"vectordb", {{"backend", "memory"}}}}, Backend::kEmbedded, "", "", true},
      {"embedded",
       {{"vectordb", {{"backend", "embedded"}, {"lancedb", {{"table", "t"}}}}}},
       Backend::kEmbedded,
       ".specmem/vectordb",
       "",
       false},
      {"docarray",
       {{"backend", {{"provider", "docarray"}, {"backend_type", "memory"}}}},
       Backend::kEmbedded,
       "",
       "",
       true},
      {"docarray",
       {{"backend", {{"provider", "docarray"}, {"backend_type", "qdrant"}, {"qdrant_url", "https://q"}}}},
       Backend::kQdrant,
       "",
       "https://q",
       false},
      {"docarray",
       {{"backend", {{"provider", "docarray"}, {"backend_type", "weaviate"}, {"weaviate_url", "https://w"}}}},
       Backend::kWeaviate,
       "",
       "https://w",
       false},
      {"embedded", {{"backend", {{"provider", "embedded"}}}}, Backend::kEmbedded, ".nearfield", "", false},
      {"qdrant", {{"backend", {{"provider", "qdrant"}, {"path", "p"}}}}, Backend::kEmbedded, "p", "", false},
      {"chroma", {{"backend", {{"provider", "chroma"}}}}, Backend::kChroma, "", "http://localhost:8000", false},
      {"qdrant",
       {{"backend", {{"tls_cert_path", "c"}, {"tls_key_path", "k"}}}},
       Backend::kQdrant,
       "",
       "https://localhost:6333",
       false},
      {"qdrant",
       {{"backend", {{"url", "https://old"}, {"use_private_network", true}, {"private_endpoint", "https://private"}}}},
       Backend::kQdrant,
       "",
       "https://private",
       false},
  };
  for (const Case& each : cases) {
    const Configuration made = read_file(each.values);
    INFO(each.values.dump() << " " << error_of(made));
    CHECK(error_of(made) == "");
    CHECK(made.settings.backend == each.backend);
    if (made.settings.name != "qdrant") CHECK(made.settings.name == each.name);
    CHECK(made.settings.path == each.path);
    CHECK(made.settings.url == each.url);
    CHECK(made.settings.memory == each.memory);
  }
}

TEST_CASE("later layers win, tables merge, and the source of each value is kept") {
  Json first = {{"name", ".codeweaver.toml"},
                {"values",
                 {{"backend",
                   {{"provider", "qdrant"},
                    {"url", "https://a"},
                    {"timeout", 10},
                    {"index_config", {{"m", 8}, {"ef_construct", 50}}}}}}},
                {"lines", {{"backend.timeout", 4u}, {"backend.index_config.m", 7u}}}};
  Json second = {{"name", ".codeweaver.dev.toml"},
                 {"values", {{"backend", {{"timeout", 20}, {"index_config", {{"m", 9}}}}}}},
                 {"lines", {{"backend.timeout", 2u}}}};
  Json options = layer("options", {{"backend", {{"ef", 77}}}});
  const Configuration made =
      read({{"layers", {first, second}},
            {"options", options},
            {"environment", {{"CW_VECTOR_BACKEND_URL", "https://b"}, {"CW_ENABLE_HYBRID_SEARCH", "true"}}}});
  REQUIRE(error_of(made) == "");
  CHECK(made.settings.timeout_seconds == 20);
  CHECK(made.settings.m == 9);
  CHECK(made.settings.ef_construct == 50);
  CHECK(made.settings.ef == 77);
  CHECK(made.settings.url == "https://b");
  CHECK(made.settings.hybrid);
  CHECK(report_of(made, "backend.timeout").source == ".codeweaver.dev.toml");
  CHECK(report_of(made, "backend.timeout").line == 2);
  CHECK(report_of(made, "backend.index_config.m").line == 0);
  CHECK(report_of(made, "backend.index_config.ef_construct").source == ".codeweaver.toml");
  CHECK(report_of(made, "backend.url").source == "CW_VECTOR_BACKEND_URL");
  CHECK(report_of(made, "backend.ef").source == "options");
}

TEST_CASE("options win over the environment, which wins over files") {
  const Json environment = {{"CW_VECTOR_BACKEND_COLLECTION", "of-environment"}};
  Json message = {{"layers", {layer("f", {{"backend", {{"collection", "of-file"}}}})}}, {"environment", environment}};
  CHECK(read(message).settings.collection == "of-environment");
  message["options"] = layer("options", {{"backend", {{"collection", "of-options"}}}});
  CHECK(read(message).settings.collection == "of-options");
}

TEST_CASE("the environment speaks to either dialect") {
  const Json environment = {{"CW_VECTOR_BACKEND_PROVIDER", "qdrant"},
                            {"CW_VECTOR_BACKEND_URL", "https://q"},
                            {"CW_VECTOR_BACKEND_API_KEY", "sesame-open"},
                            {"CW_VECTOR_BACKEND_COLLECTION", "c"}};
  for (const Json& file : {Json{{"vectordb", {{"backend", "qdrant"}}}}, Json{{"backend", {{"provider", "qdrant"}}}}}) {
    const Configuration made = read_file(file, environment);
    INFO(error_of(made));
    CHECK(error_of(made) == "");
    CHECK(made.settings.backend == Backend::kQdrant);
    CHECK(made.settings.url == "https://q");
    CHECK(made.settings.api_key.expose() == "sesame-open");
    CHECK(made.settings.collection == "c");
  }
  const Configuration lance =
      read_file({{"vectordb", {{"backend", "lancedb"}}}}, {{"CW_VECTOR_BACKEND_COLLECTION", "c"}});
  CHECK(lance.settings.collection == "c");
  const Configuration none =
      read_file({{"vectordb", {{"backend", "lancedb"}}}}, {{"CW_VECTOR_BACKEND_URL", "https://q"}});
  CHECK(error_of(none).find("CW_VECTOR_BACKEND_URL") != std::string::npos);
  CHECK(error_of(read_file(kQdrant, {{"CW_ENABLE_HYBRID_SEARCH", "yes"}})).find("must be true or false") !=
        std::string::npos);
  CHECK(warns(read_file(kQdrant, {{"CW_VECTOR_BACKEND_URI", "x"}}), "did you mean CW_VECTOR_BACKEND_URL?"));
  // Unset, as shells do it.
  CHECK(read_file(kQdrant, {{"CW_VECTOR_BACKEND_URL", ""}}).settings.url == "https://db.example.com");
  // Not looked at again.
  CHECK(read_file(kQdrant, {{"CW_VECTOR_BACKEND_API_KEY", "a${B}$${C}$"}}).settings.api_key.expose() == "a${B}$${C}$");
}

TEST_CASE("a later file may choose another backend without clearing what the first one said") {
  const Json base = {
      {"backend",
       {{"provider", "qdrant"}, {"url", "https://q"}, {"api_key", "${PRODUCTION_KEY}"}, {"verify_ssl", true}}}};
  const Json dev = {{"backend", {{"provider", "docarray"}, {"backend_type", "memory"}}}};
  const Configuration made = read_files({base, dev});
  INFO(error_of(made));
  CHECK(error_of(made) == "");
  CHECK(made.settings.backend == Backend::kEmbedded);
  CHECK(made.settings.memory);
  CHECK(report_of(made, "backend.url").state == KeyState::kReported);
  CHECK(report_of(made, "backend.api_key").state == KeyState::kReported);
  CHECK(warns(made, "backend.url"));
  // In one file they contradict each other.
  Json one = base;
  one.merge_patch(dev);
  check_error(one, "backend.");
  // A later path, a later url.
  CHECK(read_files({kQdrant, {{"backend", {{"path", "here"}}}}}).settings.backend == Backend::kEmbedded);
  CHECK(read_files({{{"backend", {{"path", "here"}}}}, kQdrant}).settings.backend == Backend::kQdrant);
  CHECK(error_of(read_files({{{"backend", {{"path", "here"}}}}, kQdrant})) == "");
}

TEST_CASE("two keys for one setting: the later layer wins, one layer must agree") {
  const Configuration later =
      read_files({{{"backend", {{"collection_name", "a"}}}}, {{"backend", {{"collection", "b"}}}}});
  CHECK(error_of(later) == "");
  CHECK(later.settings.collection == "b");
  CHECK(report_of(later, "backend.collection_name").note == "overridden by backend.collection of file1");
  CHECK(read_files({{{"backend", {{"collection", "b"}}}}, {{"backend", {{"collection_name", "a"}}}}})
            .settings.collection == "a");
  CHECK(error_of(read_file({{"backend", {{"collection_name", "a"}, {"collection", "a"}}}})) == "");
  check_error({{"backend", {{"collection_name", "a"}, {"collection", "b"}}}}, "contradicts backend.collection");
  check_error({{"vectordb", {{"backend", "qdrant"}, {"qdrant_url", "https://a"}, {"qdrant", {{"url", "https://b"}}}}}},
              "contradicts");
}

TEST_CASE("every number has its range, and says it with its unit") {
  for (const Key& key : keys()) {
    if (key.type != KeyType::kWhole && key.type != KeyType::kNumber) continue;
    INFO(key.path);
    Value value;
    const auto reason = [&](const Json& given, std::string_view odd = "") {
      return read_value(key, given, odd, Json::object(), value).reason;
    };
    CHECK(reason(key.low) == "");
    CHECK(reason(key.high) == "");
    std::vector<Json> bad = {key.low - 1,
                             key.high + 1,
                             key.low - 0.001,
                             key.high * 2 + 1,
                             -1,
                             1e300,
                             true,
                             nullptr,
                             "7",
                             "2s",
                             "",
                             Json::array({1}),
                             Json::object(),
                             std::numeric_limits<int64_t>::min(),
                             std::numeric_limits<uint64_t>::max()};
    if (key.type == KeyType::kWhole) bad.push_back(key.low + 0.5);
    if (key.high < 2147483648.0) bad.push_back(int64_t{1} << 31);
    for (const Json& each : bad) {
      INFO(each.dump());
      CHECK(reason(each).starts_with("must be "));
      CHECK(reason(each).find(expectation(key)) != std::string::npos);
    }
    CHECK(reason(nullptr, "nan").find("got nan") != std::string::npos);
    CHECK(reason(nullptr, "inf").find("got inf") != std::string::npos);
  }
  check_error(with(kQdrant, "backend.retry_delay", "2s"),
              "backend.retry_delay in config.toml must be seconds, a number from 0 to 60, got \"2s\"");
  check_error(with(kQdrant, "backend.batch_size", 0), "a whole number from 1 to 10000 (rows), got 0");
  check_error(with(kQdrant, "backend.hybrid_alpha", 1.5),
              "a number from 0 to 1 (0: words alone, 1: vectors alone), got 1.5");
  CHECK(read_file(with(kQdrant, "backend.batch_size", 1e3)).settings.batch_rows == 1000);
  CHECK(read_file(with(kQdrant, "backend.timeout", 1.5)).settings.timeout_seconds == 1.5);
}

TEST_CASE("values of the wrong type are refused for every key") {
  const Json wrong[] = {nullptr,
                        true,
                        5,
                        1.5,
                        "some text",
                        Json::array(),
                        Json::array({1}),
                        Json::array({"a b"}),
                        Json::object(),
                        Json{{"a", 1}},
                        "",
                        std::string(100'000, 'a'),
                        "a\nb",
                        std::string("a\0b", 3)};
  for (const Key& key : keys()) {
    size_t refused = 0;
    for (const Json& each : wrong) {
      Value value;
      refused += read_value(key, each, "", Json::object(), value).reason.empty() ? 0 : 1;
    }
    INFO(key.path);
    CHECK(refused >= std::size(wrong) - 2);
  }
}

TEST_CASE("choices, windows, hosts and addresses") {
  check_error(with(kQdrant, "backend.distance_metric", "cosin"),
              "must be one of cosine, euclidean, dot, manhattan, got \"cosin\"; did you mean \"cosine\"?");
  check_error({{"vectordb", {{"lancedb", {{"index_type", "ivf_pq"}}}}}}, "did you mean \"IVF_PQ\"?");
  for (const char* bad :
       {"02:00", "24:00-01:00", "02:60-03:00", "2:00-4:00", "02:00-02:00", "02:00-04:00Z", "", "02-00:04:00"}) {
    CHECK(error_of(read_file(with(kQdrant, "backend.maintenance_window", bad))).find("supported yet") ==
          std::string::npos);
    check_error(with(kQdrant, "backend.maintenance_window", bad), "backend.maintenance_window");
  }
  for (const char* bad :
       {"http://a", "a/b", "*.example.com", "a b", "a:0", "a:99999", "a:", ".", "-\xc3\xa4", "[::1", "u@h"}) {
    check_error(with(kQdrant, "backend.allowed_hosts", {bad}), "backend.allowed_hosts");
  }
  check_error(with(kQdrant, "backend.allowed_hosts", Json::array()), "allow no host");
  CHECK(read_file(with(kQdrant, "backend.allowed_hosts", {"DB.example.com:443", "[::1]:80"})).settings.allowed_hosts ==
        std::vector<std::string>{"db.example.com:443", "[::1]:80"});
  for (const char* bad : {"db.example.com", "ftp://a", "https://", "https:///x", "https://a b", "https://u@h",
                          "https://u:sesame-open@h", "https://h?api_key=sesame-open", "https://h#x", "https://h:0",
                          "https://h:x", "//h", "javascript:1", "https://h\\@evil", "file:///etc/passwd"}) {
    const Configuration made = read_file(with(kQdrant, "backend.url", bad));
    INFO(bad << " " << configuration_json(made));
    CHECK(!made.problems.empty());
    CHECK(configuration_json(made).find("sesame") == std::string::npos);
  }
  check_error({{"vectordb", {{"backend", "chroma"}, {"chroma", {{"host", "http://h"}}}}}}, "a host's name alone");
  check_error({{"vectordb", {{"backend", "chroma"}, {"chroma", {{"host", "h:8000"}}}}}}, "give the port as port");
}

TEST_CASE("names nobody knows are errors with the nearest that is known, or warnings") {
  const std::tuple<const char*, const char*> cases[] = {
      {"backend.ef_construct", "did you mean `backend.index_config.ef_construct`?"},
      {"backend.index_config.ef_constuct", "did you mean `backend.index_config.ef_construct`?"},
      {"backend.timout", "did you mean `backend.timeout`?"},
      {"backend.tiemout", "did you mean `backend.timeout`?"},
      {"backend.apikey", "did you mean `backend.api_key`?"},
      {"backend.Collection", "did you mean `backend.collection`?"},
      {"backned.url", "did you mean `backend`?"},
      {"vectordb.lancdb.table", "did you mean `vectordb.lancedb`?"},
      {"vectordb.lancedb.num_partition", "did you mean `vectordb.lancedb.num_partitions`?"},
      {"services.x", "services in config.toml is no key that nearfield knows"},
      {"backend.zebra", "backend.zebra in config.toml is no key that nearfield knows"},
  };
  for (const auto& [path, words] : cases) {
    const Json values = at_path(path, 5);
    check_error(values, words);
    Json message = {{"layers", {layer("config.toml", values)}}, {"strict", false}};
    const Configuration lenient = read(message);
    CHECK(error_of(lenient) == "");
    CHECK(warns(lenient, words) != warns(lenient, "zzz"));
    CHECK(lenient.keys.back().state == KeyState::kUnknown);
  }
  CHECK(error_of(read_file({{"strict", false}, {"backend", {{"zebra", 1}}}})) == "");
  check_error({{"strict", true}, {"backend", {{"zebra", 1}}}}, "zebra");
  check_error({{"backend.timeout", 5}}, "\"backend.timeout\" in config.toml is no key");
  check_error({{"", 5}}, "is no key");
  check_error({{"backend", 5}}, "must be a table, got a value");
  check_error({{"backend", Json::array({Json::object()})}}, "must be a table, got a list");
  check_error({{"backend", {{"timeout", {{"a", 1}}}}}}, "got a table");
}

TEST_CASE("what is not supported yet is named, unless it is off") {
  const Configuration made =
      read_file(with(with(kQdrant, "backend.enable_backups", true), "backend.backup_retention_days", 30));
  REQUIRE(made.problems.size() == 2);
  CHECK(made.status().code() == Code::kUnsupported);
  CHECK(error_of(made).find("(and 1 more problem)") != std::string::npos);
  CHECK(error_of(read_file(with(kQdrant, "backend.enable_backups", false))) == "");
  // What is wrong comes before what is missing.
  CHECK(read_file(with(with(kQdrant, "backend.enable_backups", true), "backend.zebra", 30)).status().code() ==
        Code::kInvalidConfig);
}

TEST_CASE("keys that only make sense together are compared") {
  check_error({{"backend", {{"vector_size", 1024}}}, {"providers", {{"openai", {{"dimensions", 1536}}}}}},
              "Vector dimension mismatch: expected 1024, got 1536; vector_size = 1536");
  CHECK(error_of(read_file(
            {{"backend", {{"vector_size", 1536}}}, {"providers", {{"openai", {{"dimensions", 1536}}}}}})) == "");
  const Json lance = {{"vectordb", {{"backend", "qdrant"}, {"qdrant", {{"vector_params", {{"size", 384}}}}}}}};
  CHECK(error_of(read_file(lance)) == "");
  check_error({{"backend", {{"provider", "chroma"}, {"distance_metric", "manhattan"}}}}, "Chroma has no such space");
  check_error({{"backend", {{"provider", "docarray"}}}}, "backend.backend_type in config.toml is missing");
  check_error({{"backend", {{"provider", "qdrant"}, {"backend_type", "qdrant"}}}},
              "belongs to provider = \"docarray\"");
  check_error({{"backend", {{"provider", "docarray"}, {"backend_type", "chroma"}}}}, "backend.backend_type");
  check_error({{"backend", {{"provider", "qdrnt"}}}}, "did you mean \"qdrant\"?");
  check_error({{"vectordb", {{"backend", "milvus"}}}}, "names no backend: \"milvus\"; known are lancedb");
  check_error(with(kQdrant, "backend.use_private_network", true), "needs private_endpoint");
  check_error(with(kQdrant, "backend.private_endpoint", "https://p"), "says nothing without use_private_network");
  check_error(with(kQdrant, "backend.tls_cert_path", "c.pem"), "needs tls_key_path");
  check_error(with(kQdrant, "backend.tls_key_path", "k.pem"), "needs tls_cert_path");
  check_error({{"backend", {{"url", "http://h"}, {"tls_cert_path", "c"}, {"tls_key_path", "k"}}}},
              "needs an address from https://");
  check_error({{"backend", {{"ef", 5}}}, {"vectordb", {{"path", "x"}}}}, "both say where vectors are");
  check_error({{"embedding", {{"provider", "openai"}}}}, "names no embedder");
  for (const char* const path : {"https://user:sesame-open@host/x", "s3://bucket/x", "HTTP://host"}) {
    const Configuration made = read_file({{"backend", {{"provider", "embedded"}, {"path", path}}}});
    CHECK(error_of(made).find("must be a path, and is an address") != std::string::npos);
    CHECK(configuration_json(made).find("host") == std::string::npos);
  }
  CHECK(error_of(read_file({{"backend", {{"provider", "embedded"}, {"path", "C://x"}}}})) == "");
  check_error(with(kQdrant, "backend.allowed_hosts", {1}), "must be a list of hosts' names, and holds 1");
  CHECK(
      warns(read_file(with(kQdrant, "backend.allowed_hosts", {"other.example.com"})), "does not have db.example.com"));
  CHECK(!warns(read_file(with(kQdrant, "backend.allowed_hosts", {"db.example.com:443"})), "does not have"));
  CHECK(warns(read_file(with(kQdrant, "backend.allowed_hosts", {"db.example.com:80"})), "does not have"));
  CHECK(warns(read_file(with(kQdrant, "backend.url", "http://db.example.com")), "by plain http"));
  CHECK(!warns(read_file(with(kQdrant, "backend.url", "http://127.0.0.1:6333")), "plain http"));
  CHECK(warns(read_file(with(kQdrant, "backend.hybrid_alpha", 0.5)), "does nothing by itself"));
  CHECK(warns(read_file(with(kQdrant, "backend.verify_ssl", false)), "accepts any certificate"));
}

TEST_CASE("sub-vectors divide the dimension") {
  CHECK(nearest_divisors(384, 96).below == 96);
  CHECK(nearest_divisors(384, 100).below == 96);
  CHECK(nearest_divisors(384, 100).above == 128);
  CHECK(nearest_divisors(7, 5).below == 1);
  CHECK(nearest_divisors(7, 5).above == 7);
  Settings settings;
  settings.sub_vectors = 100;
  CHECK(check_dimension(settings, 384).error().message ==
        "num_sub_vectors must divide the dimension 384, got 100; the nearest that do are 96 and 128");
  settings.sub_vectors = 96;
  CHECK(check_dimension(settings, 384).ok());
  settings.dimension = 1024;
  CHECK(check_dimension(settings, 1536).error().message == "Vector dimension mismatch: expected 1024, got 1536");
  CHECK(check_dimension(settings, 1536).code() == Code::kDimensionMismatch);
}

TEST_CASE("index kinds of LanceDB") {
  const std::tuple<const char*, std::optional<IndexKind>, bool> cases[] = {
      {"IVF_PQ", IndexKind::kIvfPq, false},     {"IVF_FLAT", IndexKind::kIvfFlat, false},
      {"HNSW", IndexKind::kHnsw, false},        {"FLAT", IndexKind::kFlat, false},
      {"IVF_RQ", IndexKind::kIvfRabitq, false}, {"IVF_HNSW_SQ", IndexKind::kHnsw, true}};
  for (const auto& [name, kind, sq] : cases) {
    const Configuration made = read_file(
        {{"vectordb", {{"lancedb", {{"index_type", name}, {"num_partitions", 256}, {"num_sub_vectors", 96}}}}}});
    INFO(name << error_of(made));
    CHECK(error_of(made) == "");
    CHECK(made.settings.index.kind == kind);
    CHECK((made.settings.index.code == CodeKind::kSq8) == sq);
    const bool partitioned = std::string_view(name).starts_with("IVF") && !sq;
    CHECK(made.settings.partitions == (partitioned ? 256 : 0));
    CHECK(made.settings.sub_vectors == (std::string_view(name) == "IVF_PQ" ? 96 : 0));
    CHECK(warns(made, "num_partitions") == !partitioned);
  }
}

TEST_CASE("certificates are for Node") {
  Json message = {
      {"layers", {layer("f", with(with(kQdrant, "backend.tls_cert_path", "c"), "backend.tls_key_path", "k"))}},
      {"host", "browser"}};
  CHECK(read(message).problems.size() == 2);
  message["host"] = "node";
  CHECK(error_of(read(message)) == "");
  Json verify = {{"layers", {layer("f", with(kQdrant, "backend.verify_ssl", false))}}, {"host", "edge"}};
  CHECK(error_of(read(verify)).find("only Node") != std::string::npos);
  verify["layers"][0] = layer("f", with(kQdrant, "backend.verify_ssl", true));
  CHECK(error_of(read(verify)) == "");
}

TEST_CASE("registered backends get their own table, others are told about it") {
  Json message = {{"layers",
                   {layer("f", {{"backend",
                                 {{"provider", "mystore"},
                                  {"batch_size", 7},
                                  {"mystore", {{"where", "${PLACE}"}, {"deep", {{"a", 1}}}}}}}}),
                    layer("g", {{"backend", {{"mystore", {{"deep", {{"b", 2}}}}}}}})}},
                  {"environment", {{"PLACE", "somewhere-secret"}}},
                  {"backends", {"mystore"}}};
  const Configuration made = read(message);
  INFO(error_of(made));
  CHECK(error_of(made) == "");
  CHECK(made.settings.backend == Backend::kCustom);
  CHECK(made.settings.name == "mystore");
  CHECK(made.settings.batch_rows == 7);
  CHECK(Json::parse(made.settings.custom) == Json{{"where", "somewhere-secret"}, {"deep", {{"a", 1}, {"b", 2}}}});
  CHECK(configuration_json(made).find("somewhere") == std::string::npos);
  message["backends"] = Json::array();
  CHECK(!read(message).problems.empty());
  Json other = {{"layers", {layer("f", {{"backend", {{"provider", "memory"}, {"mystore", {{"a", 1}}}}}})}},
                {"backends", {"mystore"}}};
  CHECK(warns(read(other), "used with the backend mystore"));
}

TEST_CASE("what a registered backend is not told is said") {
  Json message = {{"layers",
                   {layer("f", {{"backend",
                                 {{"provider", "mystore"},
                                  {"url", "https://a.example.com"},
                                  {"api_key", "sesame-open"},
                                  {"timeout", 5},
                                  {"use_private_network", false},
                                  {"vector_size", 3},
                                  {"ef", 7}}}})}},
                  {"backends", {"mystore"}}};
  const Configuration made = read(message);
  CHECK(error_of(made) == "");
  for (const char* const key : {"url", "api_key", "timeout", "use_private_network"}) {
    INFO(key);
    CHECK(report_of(made, std::string("backend.") + key).state == KeyState::kReported);
    CHECK(warns(made, std::string("backend.") + key + " in f does nothing here: a backend of your own is not told; " +
                          "give it in [backend.mystore]"));
  }
  for (const char* const key : {"provider", "vector_size", "ef"}) {
    CHECK(report_of(made, std::string("backend.") + key).state == KeyState::kImplemented);
  }
  CHECK(made.settings.api_key.empty());
  for (const auto& [key, value] : made.defaults) CHECK(key != "backend.max_retries");
  // One that C++ registered has all of the settings.
  message["stores"] = {"mystore"};
  const Configuration whole = read(message);
  CHECK(report_of(whole, "backend.url").state == KeyState::kImplemented);
  CHECK(whole.settings.url == "https://a.example.com");
  CHECK(whole.settings.timeout_seconds == 5);
}

TEST_CASE("a secret shows up nowhere") {
  const std::string canary = "CANARY-7f3a\"quoted\\-key";
  const Json environment = {{"API", canary}, {"CW_VECTOR_BACKEND_API_KEY", canary}};
  std::vector<Json> files = {
      {{"backend", {{"api_key", canary}}}},
      {{"backend",
        {{"api_key", "${API}"},
         {"collection", "${API}"},
         {"timeout", "${API}"},
         {"url", "https://h"},
         {"sparse_vector_name", "${API}"}}}},
      {{"backend",
        {{"api_key", canary},
         {"collection", canary},
         {"distance_metric", canary},
         {"provider", canary},
         {"timeout", canary}}}},
      {{"backend", {{"api_key", {canary}}}}},
      {{"backend", {{"api_key", {{canary, canary}}}}}},
      {{"backend", {{"apikey", canary}, {"url", "https://" + canary + "@h"}}}},
      {{"backend", {{"api_key", canary + "\n"}}}},
      {{"backend", {{"encryption_key", canary}, {"url", "https://h/?k=" + canary}, {"allowed_hosts", {canary}}}}},
      {{"vectordb", {{"backend", "qdrant"}, {"qdrant_api_key", canary}, {"path", canary}}}},
      {{"vectordb", {{"backend", "chroma"}, {"chroma", {{"api_key", canary}, {"host", "https://" + canary}}}}}},
      {{"embedding", {{"api_key", canary}, {"model", canary}, {"provider", canary}}}},
      {{"backend", {{"zebra", canary}, {"providers", canary}}}, {"strict", false}},
  };
  for (const Json& file : files) {
    for (const Json& variables : {environment, Json{{"API", canary}}}) {
      const Configuration made = read_file(file, variables);
      const std::string all = configuration_json(made) + error_of(made);
      INFO(file.dump() << "\n" << all);
      CHECK(all.find("CANARY") == std::string::npos);
      CHECK(Json::accept(configuration_json(made)));
    }
  }
  // Text that is no JSON, with the key on the bad line.
  for (const std::string& text : {"{\"backend\": {\"api_key\": \"CANARY\",}}", "{\"backend\": {\"api_key\": CANARY}}",
                                  "\"CANARY\"", "{\"CANARY\": 1, \"CANARY\": 2}"}) {
    const Configuration made = read({{"layers", {{{"name", "c.json"}, {"text", text}}}}});
    INFO(text << configuration_json(made));
    CHECK(!made.problems.empty());
    CHECK(configuration_json(made).find("CANARY") == std::string::npos);
  }
}

TEST_CASE("JSON text is read like tables, and says where it is wrong") {
  const auto of = [](const std::string& text) { return read({{"layers", {{{"name", "c.json"}, {"text", text}}}}}); };
  CHECK(of(R"({"backend": {"provider": "memory"}})").settings.memory);
  CHECK(error_of(of("{\n\"backend\": {\n  \"url\": }\n}")) == "c.json:3 is not JSON");
  CHECK(error_of(of("")).find("is not JSON") != std::string::npos);
  CHECK(error_of(of("[1]")).find("must be an object") != std::string::npos);
  CHECK(error_of(of(R"({"backend": {"ef": 1, "ef": 2}})")).find("twice") != std::string::npos);
  CHECK(error_of(of(std::string(2 << 20, ' ') + "{}")).find("too large") != std::string::npos);
  CHECK(error_of(of(std::string(100'000, '['))).find("too large or too deep") != std::string::npos);
}

TEST_CASE("hostile shapes are problems, never crashes, and do not grow") {
  Json many = Json::object();
  for (int i = 0; i < 5000; ++i) many["k" + std::to_string(i)] = i;
  const Configuration made = read_file({{"backend", many}});
  CHECK(made.problems.size() == 100);
  CHECK(made.more_problems > 0);
  CHECK(error_of(made).find("more problems)") != std::string::npos);
  Json providers = Json::object();
  for (int i = 0; i < 900; ++i) providers["p" + std::to_string(i)] = {{"dimensions", 7}};
  CHECK(read_file({{"providers", providers}}).problems.size() == 100);
  check_error({{"backend", {{"collection", std::string(10 << 20, 'a')}}}}, "at most 4096");
  check_error({{"backend", {{"api_key", std::string(10 << 20, 'a')}}}}, "at most 16384");
  check_error({{std::string(1 << 20, 'a'), 1}}, "is no key");
  CHECK(error_of(read_file({{std::string(1 << 20, 'a'), 1}})).size() < 2000);
  check_error({{"__proto__", {{"backend", 1}}}}, "never allowed");
  check_error({{"backend", {{"__proto__", {{"url", "https://evil"}}}}}}, "never allowed");
  check_error({{"backend", {{"constructor", 1}}}}, "never allowed");
  check_error({{"strict", false}, {"backend", {{"prototype", 1}}}}, "never allowed");
  Json custom = {{"layers", {layer("f", {{"backend", {{"provider", "mine"}, {"mine", {{"a", {{"__proto__", 1}}}}}}}})}},
                 {"backends", {"mine"}}};
  CHECK(error_of(read(custom)).find("never allowed") != std::string::npos);
  check_error(with(kQdrant, "backend.collection", "${${API}}"), "without a variable's name");
  check_error(with(kQdrant, "backend.collection", "a\x1b[2J"), "control character");
  check_error(with(kQdrant, "backend.collection", "a/b"), "none of");
  check_error({{"backend", {{"provider", "memory"}, {"collection", "a b"}}}}, "letters, digits");
  Json deep = 1;
  for (int i = 0; i < 60; ++i) deep = {{"backend", deep}};
  CHECK(!read_file(deep).problems.empty());

  // Messages of another shape are our own mistakes, and still errors.
  for (const Json& bad : {Json(), Json::array(), Json::object(), Json{{"layers", 5}}, Json{{"layers", {5}}},
                          Json{{"layers", {Json::object()}}}, Json{{"layers", {{{"name", "x"}}}}},
                          Json{{"layers", {{{"name", 5}, {"values", 5}}}}}}) {
    INFO(bad.dump());
    CHECK(read_configuration(bad).code() == Code::kFormatError);
  }
  Json layers = Json::array();
  for (int i = 0; i < 17; ++i) layers.push_back(layer("f", Json::object()));
  CHECK(read_configuration({{"layers", layers}}).code() == Code::kLimitExceeded);
  // Members of other types than meant do no harm.
  CHECK(read_configuration({{"layers", Json::array()},
                            {"environment", 5},
                            {"backends", 5},
                            {"embedders", "x"},
                            {"strict", "no"},
                            {"host", 5},
                            {"lines", 5}})
            .ok());
  CHECK(error_of(read({{"layers", {{{"name", "f"}, {"values", 5}, {"lines", 5}, {"odd", 5}}}}}))
            .find("must be an object") != std::string::npos);
}

TEST_CASE("all problems are collected, the first is thrown with their number") {
  const Configuration made =
      read_file({{"backend", {{"timeout", -1}, {"max_retries", 1e9}, {"zebra", 1}, {"url", "x"}}}});
  CHECK(made.problems.size() == 4);
  CHECK(error_of(made).find("(and 3 more problems)") != std::string::npos);
  const Json shown = Json::parse(configuration_json(made));
  CHECK(shown["ok"] == false);
  CHECK(shown["problems"].size() == 4);
  CHECK(shown["error"]["code"] == static_cast<unsigned>(Code::kInvalidConfig));
  CHECK(shown["problems"][0]["code"] == "InvalidConfig");
}

TEST_CASE("variables stand in the table of the backend that a variable chooses") {
  const Json environment = {{"CW_VECTOR_BACKEND_PROVIDER", "qdrant"},
                            {"CW_VECTOR_BACKEND_URL", "https://a.example.com"},
                            {"CW_VECTOR_BACKEND_API_KEY", "sesame-open"},
                            {"CW_VECTOR_BACKEND_COLLECTION", "notes"}};
  const Configuration made = read_file({{"vectordb", {{"lancedb", {{"table", "other"}}}}}}, environment);
  CHECK(error_of(made) == "");
  CHECK(made.settings.backend == Backend::kQdrant);
  CHECK(made.settings.url == "https://a.example.com");
  CHECK(!made.settings.api_key.empty());
  CHECK(made.settings.collection == "notes");
}
