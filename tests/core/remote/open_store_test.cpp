// Stores as a configuration describes them: what it says arrives at the server.
#include "core/remote/open_store.h"

#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/config/configuration.h"
#include "tests/support/network.h"
#include "tests/support/weaviate_server.h"

using namespace nearfield;

namespace {

Settings settings_of(Json backend) {
  const Json layer = {{"name", "config.toml"}, {"values", {{"backend", std::move(backend)}}}};
  auto made = read_configuration({{"layers", Json::array({layer})}});
  REQUIRE(made.ok());
  REQUIRE(made.value().problems.empty());
  return std::move(made).value().settings;
}

}  // namespace

TEST_CASE("Weaviate takes filters unless enable_payload_index is false") {
  for (const bool off : {false, true}) {
    Json table = {{"provider", "weaviate"}, {"url", "https://db.example.com"}, {"collection", "docs"}};
    table["vector_size"] = 2;
    if (off) table["enable_payload_index"] = false;
    WeaviateServer server;
    Network network([&](const HttpEffect& request, uint64_t) { return server.handle(request); });
    RemoteStore opened = open_store(network.effects(), settings_of(std::move(table)), false, 1).value();
    REQUIRE(network.run(opened.store->ensure()).ok());
    StorePoint point;
    point.id = "a", point.vector = {1, 0}, point.payload = R"({"year":2024})";
    std::vector<StorePoint> points;
    points.push_back(std::move(point));
    REQUIRE(network.run(opened.store->upsert(std::move(points))).ok());
    const auto count = network.run(opened.store->count(Filter::parse(Json{{"year", 2024}}).value()));
    CHECK(count.ok() != off);
    if (off) CHECK(count.error().message.find("enable_payload_index") != std::string::npos);
  }
}
