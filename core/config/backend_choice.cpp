#include "core/config/backend_choice.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/config/expand.h"
#include "core/config/values.h"

namespace nearfield {

namespace {

constexpr std::string_view kBackendNames[] = {"qdrant",  "chroma",   "weaviate", "docarray",
                                              "lancedb", "embedded", "memory"};
constexpr std::string_view kVectordbNames[] = {"lancedb", "chroma", "qdrant", "weaviate", "embedded", "memory"};

const Json& environment_of(const Json& message) {
  static const Json kNone(Json::value_t::object);
  const auto found = message.find("environment");
  return found != message.end() && found->is_object() ? *found : kNone;
}

class Chooser {
 public:
  Chooser(const Layers& layers, const Json& message) : layers_(layers), message_(message) {}

  BackendChoice choose(size_t end) const { return layers_.dialect == "vectordb" ? of_vectordb(end) : of_backend(end); }

  bool registered(std::string_view name) const {
    const auto names = message_.find("backends");
    return names != message_.end() && names->is_array() &&
           std::find(names->begin(), names->end(), Json(std::string(name))) != names->end();
  }

  std::string text(std::string_view path, size_t end, std::string_view otherwise) const {
    const Given* given = layers_.find(path, end);
    if (given == nullptr || !given->value.is_string()) return std::string(otherwise);
    auto expanded = expand(given->value.get_ref<const std::string&>(), environment_of(message_));
    return expanded.ok() ? std::move(expanded).value() : std::string(otherwise);
  }

 private:
  // 0: in none before `end`; else one more than the last layer that has one of them.
  size_t last_of(std::initializer_list<std::string_view> paths, size_t end) const {
    size_t last = 0;
    for (const std::string_view path : paths) {
      if (const Given* given = layers_.find(path, end)) last = std::max(last, given->layer + 1);
    }
    return last;
  }

  BackendChoice of_vectordb(size_t end) const {
    std::string name = text("vectordb.backend", end, "lancedb");
    if (registered(name)) return {Backend::kCustom, std::move(name), false, 0};
    if (name == "memory") return {Backend::kEmbedded, std::move(name), true, 0};
    if (name == "weaviate") return {Backend::kWeaviate, std::move(name), false, 0};
    if (name == "chroma") {
      const size_t host = last_of({"vectordb.chroma.host"}, end);
      const bool server = host > 0 && last_of({"vectordb.path", "vectordb.chroma.mode"}, end) <= host;
      return {server ? Backend::kChroma : Backend::kEmbedded, std::move(name), false, 0};
    }
    if (name == "qdrant") {
      const size_t url = last_of({"vectordb.qdrant.url", "vectordb.qdrant_url"}, end);
      const bool server = url > 0 && last_of({"vectordb.path"}, end) <= url;
      return {server ? Backend::kQdrant : Backend::kEmbedded, std::move(name), false, 0};
    }
    return {Backend::kEmbedded, std::move(name), false, 0};
  }

  BackendChoice of_backend(size_t end) const {
    std::string name = text("backend.provider", end, "qdrant");
    if (registered(name)) return {Backend::kCustom, std::move(name), false, 0};
    std::string kind = name;
    if (name == "docarray") kind = text("backend.backend_type", end, "qdrant");
    if (kind == "memory") return {Backend::kEmbedded, std::move(name), true, 0};
    if (kind == "weaviate") return {Backend::kWeaviate, std::move(name), false, 0};
    if (kind == "embedded" || kind == "lancedb") return {Backend::kEmbedded, std::move(name), false, 0};
    const size_t path = last_of({"backend.path"}, end);
    const bool local =
        path > 0 && path > last_of({"backend.url", "backend.qdrant_url", "backend.private_endpoint"}, end);
    if (local) return {Backend::kEmbedded, std::move(name), false, 0};
    return {kind == "chroma" ? Backend::kChroma : Backend::kQdrant, std::move(name), false, 0};
  }

  const Layers& layers_;
  const Json& message_;
};

}  // namespace

bool is_built_in(std::string_view name) { return std::ranges::find(kBackendNames, name) != std::end(kBackendNames); }

BackendChoice choose_backend(const Layers& layers, const Json& message, std::vector<ConfigProblem>& problems) {
  const Chooser chooser(layers, message);
  BackendChoice choice = chooser.choose(layers.count);
  choice.since = layers.count;
  while (choice.since > 0) {
    const BackendChoice before = chooser.choose(choice.since - 1);
    if (before.backend != choice.backend || before.name != choice.name) break;
    --choice.since;
  }
  if (choice.since > 0) --choice.since;  // the last layer that was needed for it

  const bool vectordb = layers.dialect == "vectordb";
  const std::string_view path = vectordb ? "vectordb.backend" : "backend.provider";
  const Given* given = layers.find(path);
  const std::span<const std::string_view> names =
      vectordb ? std::span<const std::string_view>(kVectordbNames) : std::span<const std::string_view>(kBackendNames);
  if (choice.backend != Backend::kCustom && std::find(names.begin(), names.end(), choice.name) == names.end()) {
    std::string known;
    for (const std::string_view name : names) known += (known.empty() ? "" : ", ") + std::string(name);
    const std::string_view near = nearest_name(choice.name, names);
    problems.push_back({Code::kInvalidConfig, std::string(path), given->source, given->line,
                        "names no backend: " + short_text(choice.name) + "; known are " + known,
                        near.empty() ? "register it first, if it is yours" : "did you mean " + shown(near) + "?"});
  }
  if (vectordb) return choice;
  const Given* type = layers.find("backend.backend_type");
  if (choice.name == "docarray" && type == nullptr) {
    problems.push_back({Code::kInvalidConfig, "backend.backend_type", given->source, given->line,
                        "is missing, and provider = \"docarray\" needs it", "qdrant, memory or weaviate"});
  }
  return choice;
}

}  // namespace nearfield
