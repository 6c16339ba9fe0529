#include "core/store/registry.h"

#include <catch_amalgamated.hpp>

using namespace nearfield;

namespace {

Result<std::unique_ptr<VectorStore>> refuse(EffectQueue&, const Settings& settings) {
  return Error{Code::kUnsupported, "no store for " + settings.collection, ""};
}

}  // namespace

TEST_CASE("stores are registered by names that are free") {
  StoreRegistry registry;
  CHECK(registry.names().empty());
  CHECK(registry.add("mystore", refuse).ok());
  CHECK(registry.add("a-2_b", refuse).ok());
  CHECK(registry.names() == std::vector<std::string>{"a-2_b", "mystore"});
  CHECK(registry.add("mystore", refuse).code() == Code::kConflict);
  for (const char* name : {"qdrant", "lancedb", "docarray", "memory", "embedded"}) {
    CHECK(registry.add(name, refuse).code() == Code::kConflict);
  }
  for (const std::string& name : {std::string(), std::string("2x"), std::string("My"), std::string("a b"),
                                  std::string("a\0b", 3), std::string(65, 'a')}) {
    CHECK(registry.add(name, refuse).code() == Code::kInvalidArgument);
  }
  CHECK(registry.add(std::string(64, 'a'), refuse).ok());
}

TEST_CASE("a store is opened by its name, or the error lists those there are") {
  StoreRegistry registry;
  EffectQueue effects;
  Settings settings;
  settings.name = "mystore";
  settings.collection = "docs";
  auto none = registry.open(effects, settings);
  REQUIRE(none.code() == Code::kNotFound);
  CHECK(none.error().message == "there is no backend \"mystore\"; none is registered");
  CHECK(none.error().value == "\"mystore\"");
  REQUIRE(registry.add("other", refuse).ok());
  CHECK(registry.open(effects, settings).error().message == "there is no backend \"mystore\"; registered are other");
  REQUIRE(registry.add("mystore", refuse).ok());
  CHECK(registry.open(effects, settings).error().message == "no store for docs");
}
