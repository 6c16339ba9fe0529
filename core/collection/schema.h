// Schema: what a collection is, fixed when it is created.
//
// JSON form (options of db.collection, also how a schema is stored):
//   { "dimension": 384, "metric": "cosine",
//     "index": { "kind": "auto" | "flat" | "hnsw" | "ivf_flat" | ..., "code": "rq8", "recall": 0.95,
//                "m": 16, "efConstruct": 200,  "partitions": 256,  "subVectors": 96 },
//     "text": { "fields": ["text"], "stemming": true },
//     "vectorStorage": "memory" | "onDemand", "payloadStorage": "memory" | "onDemand" }
// "index" may also be the kind's name alone. m and efConstruct are for graphs (auto, hnsw), partitions for the kinds
// ivf_*, subVectors for ivf_pq; the other kinds refuse them. The storages stand in a stored schema only where they are
// "onDemand", the code only where it was asked for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/index/make_index.h"
#include "core/metric/metric.h"

namespace nearfield {

struct TextSchema {
  // What BM25 indexes, joined by newlines: "text" is the point's text, any other name a (dotted) payload field whose
  // strings, or array of strings, are taken.
  std::vector<std::string> fields = {"text"};
  bool stemming = true;  // English (Snowball) on words; identifiers are kept whole as well
  bool operator==(const TextSchema&) const = default;
};

struct Schema {
  size_t dimension = 0;  // 1..65,536; 0: no vectors, only text and payload
  Metric metric = Metric::kCosine;
  std::optional<IndexKind> kind;  // nullopt: `auto`, the planner decides by size
  HnswOptions hnsw;
  size_t partitions = 0;         // 1..65,536; 0: by the number of rows, see IvfOptions
  size_t sub_vectors = 0;        // 1..dimension; 0: about a fourth of it
  std::optional<CodeKind> code;  // that was asked for; nullopt: the kind's own
  // Of the nearest ten, the share that searches find which leave ef, or nprobe, to the collection: 0.5..1. nullopt: an
  // ef of 128 for graphs, 0.95 for partitioned kinds.
  std::optional<double> recall;
  std::optional<TextSchema> text;  // nullopt: no full-text search
  // On demand: not kept in memory, but read from storage when a call needs them. Texts go with the payloads.
  bool vectors_on_demand = false;
  bool payload_on_demand = false;

  bool on_demand() const { return vectors_on_demand || payload_on_demand; }
  // Of an index of that kind, with the code that was asked for or the kind's own: pq for ivf_pq and rabitq for
  // ivf_rabitq; f32, the vectors themselves, for flat and ivf_flat; rq8 for graphs, but f32 where the metric is
  // manhattan or rq8 would not halve them. Where vectors are on demand, ivf_flat has the code of graphs.
  IndexOptions index(IndexKind of_kind) const;

  bool operator==(const Schema&) const = default;
};

// Collection names are 1 to 100 bytes of [A-Za-z0-9_-] (they stand in file contents and messages, not in paths).
Status check_collection_name(std::string_view name);

// Fails with kConfigError, naming the option, on unknown keys and wrong types; kInvalidArgument on values out of range.
Result<Schema> parse_schema(const Json& json);
Json schema_json(const Schema& schema);

// A sentence naming each difference, or empty where the two are equal. `auto` agrees with any kind.
std::string schema_difference(const Schema& stored, const Schema& wanted);

}  // namespace nearfield
