#include "core/config/show.h"

#include <nlohmann/json.hpp>

#include "core/base/json.h"
#include "core/config/configuration.h"
#include "core/config/expand.h"
#include "core/config/values.h"

namespace nearfield {

namespace {

constexpr std::string_view kMasked = "***";

Json shown_secret(const Secret& secret) { return secret.empty() ? Json() : Json(std::string(kMasked)); }

std::string_view state_name(KeyState state) {
  switch (state) {
    case KeyState::kImplemented: return "implemented";
    case KeyState::kReported: return "reported";
    case KeyState::kRejected: return "rejected";
    case KeyState::kUnsupported: return "unsupported";
    case KeyState::kUnknown: return "unknown";
  }
  return "";
}

Json place_json(std::string_view key, std::string_view source, uint64_t line) {
  Json out = {{"key", key}, {"source", source}};
  if (line > 0) out["line"] = line;
  return out;
}

Json problems_json(const std::vector<ConfigProblem>& problems) {
  Json out = Json::array();
  for (const ConfigProblem& problem : problems) {
    Json each = place_json(problem.key, problem.source, problem.line);
    if (problem.code != Code::kOk) each["code"] = code_name(problem.code);
    each["reason"] = problem.reason;
    if (!problem.alternative.empty()) each["alternative"] = problem.alternative;
    each["message"] = problem.message();
    out.push_back(std::move(each));
  }
  return out;
}

}  // namespace

void Mask::add(std::string_view secret) {
  if (secret.size() < kLeastBytes) return;
  secrets_.emplace_back(secret);
  // As it stands in JSON text.
  const std::string quoted = write_json(Json(secret));
  if (quoted.size() != secret.size() + 2) secrets_.push_back(quoted.substr(1, quoted.size() - 2));
}

void Mask::apply(std::string& text) const {
  for (const std::string& secret : secrets_) {
    for (size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at + kMasked.size())) {
      text.replace(at, secret.size(), kMasked);
    }
  }
}

std::string shown_value(const Key& key, const Given& given) {
  if (!given.odd.empty()) return shown(given.odd);
  const std::string masked = shown(kMasked);
  if (key.type == KeyType::kSecret) return masked;
  if (!given.value.is_string()) return given.value.is_object() ? masked : shown_json(given.value);
  const std::string& text = given.value.get_ref<const std::string&>();
  if (key.type == KeyType::kUrl && !has_variable(text)) {
    Address address;
    if (!read_address(text, address).reason.empty()) return masked;
  }
  return key.type == KeyType::kPath && is_address(text) ? masked : shown(text);
}

std::string show_settings(const Settings& settings, const Mask& mask) {
  Json out = Json::object();
  const auto text = [&](const char* name, std::string value) {
    mask.apply(value);
    out[name] = std::move(value);
  };
  out["backend"] = backend_name(settings.backend);
  text("name", settings.name);
  if (settings.backend == Backend::kEmbedded) {
    text("path", settings.path);
    out["memory"] = settings.memory;
  } else if (settings.backend != Backend::kCustom) {
    text("url", settings.url);
    out["apiKey"] = shown_secret(settings.api_key);
    out["timeoutSeconds"] = settings.timeout_seconds;
    out["retryDelaySeconds"] = settings.retry_delay_seconds;
    out["maxRetries"] = settings.max_retries;
    out["maxUploads"] = settings.max_uploads;
    out["maxConnections"] = settings.max_connections;
    Json hosts = Json::array();
    for (std::string host : settings.allowed_hosts) {
      mask.apply(host);
      hosts.push_back(std::move(host));
    }
    out["allowedHosts"] = std::move(hosts);
    out["verifyTls"] = settings.verify_tls;
    text("tlsCertificatePath", settings.tls_certificate_path);
    text("tlsKeyPath", settings.tls_key_path);
    out["crossOrigin"] = settings.cross_origin;
  }
  if (settings.backend == Backend::kChroma) {
    text("tenant", settings.tenant);
    text("database", settings.database);
  }
  text("collection", settings.collection);
  out["dimension"] = settings.dimension;
  out["metric"] = metric_name(settings.metric);
  out["index"] = settings.index.kind ? index_kind_name(*settings.index.kind) : "auto";
  out["code"] = settings.index.code ? Json(code_kind_name(*settings.index.code)) : Json();
  out["m"] = settings.m;
  out["efConstruct"] = settings.ef_construct;
  out["partitions"] = settings.partitions;
  out["subVectors"] = settings.sub_vectors;
  out["indexingThreshold"] = settings.indexing_threshold;
  out["vectorsOnDemand"] = settings.vectors_on_demand;
  out["payloadOnDemand"] = settings.payload_on_demand;
  out["payloadIndex"] = settings.payload_index;
  out["hybrid"] = settings.hybrid;
  text("sparseVector", settings.sparse_vector);
  text("textField", settings.text_field);
  out["hybridAlpha"] = settings.hybrid_alpha;
  out["sparseDimension"] = settings.sparse_dimension;
  out["sparseCompressed"] = settings.sparse_compressed;
  out["ef"] = settings.ef;
  out["searchBatch"] = settings.search_batch;
  out["batchRows"] = settings.batch_rows;
  text("embedder", settings.embedder);
  text("embeddingModel", settings.embedding_model);
  out["embeddingKey"] = shown_secret(settings.embedding_key);
  return write_json(out);
}

std::string configuration_json(const Configuration& configuration) {
  Json out = {{"ok", configuration.problems.empty()},
              {"dialect", configuration.dialect},
              {"backend", backend_name(configuration.settings.backend)},
              {"settings", read_checked_json(configuration.shown_settings)},
              {"problems", problems_json(configuration.problems)},
              {"warnings", problems_json(configuration.warnings)}};
  Json keys = Json::array();
  for (const KeyReport& report : configuration.keys) {
    Json each = place_json(report.key, report.source, report.line);
    each["value"] = read_checked_json(report.value);
    each["state"] = state_name(report.state);
    each["note"] = report.note;
    keys.push_back(std::move(each));
  }
  out["keys"] = std::move(keys);
  Json defaults = Json::array();
  for (const auto& [key, value] : configuration.defaults) {
    defaults.push_back({{"key", key}, {"value", read_checked_json(value)}});
  }
  out["defaults"] = std::move(defaults);
  if (const Status status = configuration.status(); !status.ok()) {
    const Error& error = status.error();
    out["error"] = {{"code", static_cast<unsigned>(error.code)},
                    {"message", error.message},
                    {"value", read_checked_json(error.value)}};
  }
  return write_json(out);
}

}  // namespace nearfield
