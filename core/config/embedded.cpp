#include "core/config/embedded.h"

#include <cassert>
#include <nlohmann/json.hpp>

#include "core/base/json.h"

namespace nearfield {

std::string embedded_schema(const Settings& settings) {
  assert(settings.backend == Backend::kEmbedded);
  Json schema = Json::object();
  if (settings.dimension > 0) schema["dimension"] = settings.dimension;
  schema["metric"] = metric_name(settings.metric);
  Json index = Json::object();
  if (settings.index.kind) {
    index["kind"] = index_kind_name(*settings.index.kind);
    const bool graph = *settings.index.kind == IndexKind::kHnsw, flat = *settings.index.kind == IndexKind::kFlat;
    if (settings.index.code) index["code"] = code_kind_name(*settings.index.code);
    if (graph && settings.m > 0) index["m"] = settings.m;
    if (graph && settings.ef_construct > 0) index["efConstruct"] = settings.ef_construct;
    if (!graph && !flat && settings.partitions > 0) index["partitions"] = settings.partitions;
    if (*settings.index.kind == IndexKind::kIvfPq && settings.sub_vectors > 0) {
      index["subVectors"] = settings.sub_vectors;
    }
  } else {
    index["kind"] = "auto";
    if (settings.m > 0) index["m"] = settings.m;
    if (settings.ef_construct > 0) index["efConstruct"] = settings.ef_construct;
  }
  schema["index"] = std::move(index);
  schema["vectorStorage"] = settings.vectors_on_demand ? "onDemand" : "memory";
  schema["payloadStorage"] = settings.payload_on_demand ? "onDemand" : "memory";
  if (settings.hybrid) schema["text"] = Json::object();
  return write_json(schema);
}

}  // namespace nearfield
