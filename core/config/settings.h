// Settings: what a configuration says, checked, whichever dialect it was written in.
//
// read_configuration() fills it; stores and the HTTP policy use it. Every number is in the range that keys.def gives,
// and every default is that of keys.def.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/secret.h"
#include "core/base/status.h"
#include "core/index/kinds.h"
#include "core/metric/metric.h"
#include "core/quant/code.h"

namespace nearfield {

enum class Backend : uint8_t {
  kEmbedded,
  kQdrant,
  kChroma,
  kWeaviate,
  kCustom,  // registered by the caller
};

// "embedded", "qdrant", ...
std::string_view backend_name(Backend backend);

struct IndexChoice {
  std::optional<IndexKind> kind;  // nullopt: the size decides
  std::optional<CodeKind> code;   // nullopt: the kind's own
  bool operator==(const IndexChoice&) const = default;
};

struct Settings {
  Backend backend = Backend::kEmbedded;
  std::string name;  // as the configuration says it: "lancedb", "docarray", ...

  // Where. Embedded: path, unless memory. Servers: url, from http:// or https://, without user, query and fragment.
  std::string path;
  bool memory = false;
  std::string url;
  Secret api_key;                // empty: none
  std::string tenant, database;  // Chroma

  std::string collection;
  uint64_t dimension = 0;  // 0: as the embedder, or the first vector, says
  Metric metric = Metric::kCosine;

  IndexChoice index;
  uint64_t m = 0, ef_construct = 0;  // of graphs
  uint64_t partitions = 0;           // of ivf kinds; 0: by the number of rows
  uint64_t sub_vectors = 0;          // of IvfPq; 0: about a fourth of the dimension
  uint64_t indexing_threshold = 0;   // KB; 0: the server's own
  bool vectors_on_demand = false, payload_on_demand = false;
  bool payload_index = false;

  bool hybrid = false;
  std::string sparse_vector, text_field;
  double hybrid_alpha = 0;  // 0: words alone, 1: vectors alone
  uint64_t sparse_dimension = 0;
  bool sparse_compressed = false;

  uint64_t ef = 0;  // of searches that do not say
  uint64_t search_batch = 0;

  double timeout_seconds = 0, retry_delay_seconds = 0;
  uint64_t max_retries = 0;  // after the first attempt
  uint64_t batch_rows = 0, max_uploads = 0, max_connections = 0;
  std::vector<std::string> allowed_hosts;  // lower case, "host" or "host:port"; empty: that of the url
  bool verify_tls = true;
  std::string tls_certificate_path, tls_key_path;  // both or neither
  bool cross_origin = true;                        // false: a page asks servers of its own origin only

  std::string embedder;  // "static" or a registered name
  std::string embedding_model;
  Secret embedding_key;

  // Of a custom backend: its own table, JSON text of an object; may hold secrets.
  std::string custom;
};

// The two divisors of `dimension` that are nearest to `wanted`, below and above; equal where it divides.
// REQUIRES: dimension and wanted are not 0.
struct Divisors {
  uint64_t below, above;
};
Divisors nearest_divisors(uint64_t dimension, uint64_t wanted);

// For when the dimension is known after all: kInvalidConfig where sub_vectors does not divide it, kDimensionMismatch
// ("Vector dimension mismatch: expected 1024, got 1536") where the settings name another one.
Status check_dimension(const Settings& settings, uint64_t dimension);

}  // namespace nearfield
