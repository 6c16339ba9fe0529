#include "core/collection/schema.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/utf8.h"
#include "core/collection/options.h"

namespace nearfield {

namespace {

constexpr size_t kMaxDimension = 65'536;
constexpr size_t kMaxPartitions = 65'536;
constexpr size_t kMaxNameBytes = 100;
constexpr size_t kMaxTextFields = 64;
constexpr size_t kMaxFieldBytes = 1024;

constexpr std::string_view kSchemaKeys[] = {"dimension", "metric", "index", "text", "vectorStorage", "payloadStorage"};
constexpr std::string_view kIndexKeys[] = {"kind", "code", "m", "efConstruct", "recall", "partitions", "subVectors"};
constexpr std::string_view kTextKeys[] = {"fields", "stemming"};

std::string_view kind_name(const std::optional<IndexKind>& kind) { return kind ? index_kind_name(*kind) : "auto"; }

Status read_kind(const Json& value, std::string_view path, std::string_view key, Schema& schema) {
  if (!value.is_string()) return option_error(Code::kConfigError, path, key, "the name of an index kind", value);
  const auto& name = value.get_ref<const std::string&>();
  if (name == "auto") return {};
  ASSIGN_OR_RETURN(schema.kind, parse_index_kind(name));
  return {};
}

Status read_index(const Json& json, Schema& schema) {
  // The short form: "index": "flat".
  if (json.is_string()) return read_kind(json, "schema", "index", schema);
  RETURN_IF_ERROR(check_keys(json, "schema.index", kIndexKeys));
  if (const Json* kind = find_option(json, "kind")) RETURN_IF_ERROR(read_kind(*kind, "schema.index", "kind", schema));
  if (const Json* code = find_option(json, "code")) {
    if (!code->is_string()) {
      return option_error(Code::kConfigError, "schema.index", "code", "the name of a code", *code);
    }
    ASSIGN_OR_RETURN(schema.code, parse_code_kind(code->get_ref<const std::string&>()));
  }
  if (const Json* recall = find_option(json, "recall")) {
    if (schema.kind == IndexKind::kFlat) {
      return Error{Code::kConfigError, "schema.index.recall has no meaning for the kind flat", shown("recall")};
    }
    if (!recall->is_number()) return option_error(Code::kConfigError, "schema.index", "recall", "a number", *recall);
    schema.recall = recall->get<double>();
    if (!(*schema.recall >= 0.5 && *schema.recall <= 1)) {
      return option_error(Code::kInvalidArgument, "schema.index", "recall", "a number from 0.5 to 1", *recall);
    }
  }
  const IndexKind kind = schema.kind.value_or(IndexKind::kHnsw);
  struct Number {
    std::string_view key;
    bool means;  // something for the kind
    size_t least, most;
    size_t& value;
  };
  for (const Number& number : {Number{"m", kind == IndexKind::kHnsw, 2, 100, schema.hnsw.m},
                               Number{"efConstruct", kind == IndexKind::kHnsw, 1, 2'000, schema.hnsw.ef_construct},
                               Number{"partitions", is_partitioned(kind), 1, kMaxPartitions, schema.partitions},
                               Number{"subVectors", kind == IndexKind::kIvfPq, 1, kMaxDimension, schema.sub_vectors}}) {
    const Json* value = find_option(json, number.key);
    if (value == nullptr) continue;
    if (!number.means) {
      return Error{Code::kConfigError,
                   "schema.index." + std::string(number.key) + " has no meaning for the kind " +
                       std::string(kind_name(schema.kind)),
                   shown(number.key)};
    }
    ASSIGN_OR_RETURN(number.value,
                     read_size(*value, "schema.index", number.key, number.least, number.most, Code::kConfigError));
  }
  return {};
}

Result<TextSchema> read_text(const Json& json) {
  RETURN_IF_ERROR(check_keys(json, "schema.text", kTextKeys));
  TextSchema text;
  if (const Json* stemming = find_option(json, "stemming")) {
    if (!stemming->is_boolean()) {
      return option_error(Code::kConfigError, "schema.text", "stemming", "true or false", *stemming);
    }
    text.stemming = stemming->get<bool>();
  }
  if (const Json* fields = find_option(json, "fields")) {
    if (!fields->is_array()) {
      return option_error(Code::kConfigError, "schema.text", "fields", "an array of field names", *fields);
    }
    if (fields->empty() || fields->size() > kMaxTextFields) {
      return option_error(Code::kInvalidArgument, "schema.text", "fields",
                          "1 to " + std::to_string(kMaxTextFields) + " field names", *fields);
    }
    text.fields.clear();
    for (const Json& field : *fields) {
      if (!field.is_string()) {
        return option_error(Code::kConfigError, "schema.text", "fields", "an array of field names", field);
      }
      const auto& name = field.get_ref<const std::string&>();
      if (name.empty() || name.size() > kMaxFieldBytes) {
        return option_error(Code::kInvalidArgument, "schema.text", "fields",
                            "names of 1 to " + std::to_string(kMaxFieldBytes) + " bytes", field);
      }
      if (std::find(text.fields.begin(), text.fields.end(), name) != text.fields.end()) {
        return option_error(Code::kInvalidArgument, "schema.text", "fields", "names that differ", field);
      }
      text.fields.push_back(name);
    }
  }
  return text;
}

// REQUIRES: the metric, dimension, index and storage are known.
Status check_index(const Schema& schema) {
  if (schema.dimension == 0) return {};
  if (schema.sub_vectors > schema.dimension) {
    return Error{Code::kInvalidArgument,
                 "schema.index.subVectors must be at most the dimension, " + std::to_string(schema.dimension),
                 shown(static_cast<int64_t>(schema.sub_vectors))};
  }
  const IndexKind kind = schema.kind.value_or(IndexKind::kHnsw);
  return check_code(kind, schema.index(kind).code, schema.metric, "schema.index");
}

// Whether `key` asks for storage on demand.
Result<bool> read_storage(const Json& json, std::string_view key) {
  const Json* value = find_option(json, key);
  if (value == nullptr || *value == "memory") return false;
  if (*value == "onDemand") return true;
  return option_error(Code::kConfigError, "schema", key, "memory or onDemand", *value);
}

std::string_view storage_name(bool on_demand) { return on_demand ? "onDemand" : "memory"; }

}  // namespace

IndexOptions Schema::index(IndexKind of_kind) const {
  IndexOptions options{of_kind, CodeKind::kF32, hnsw, partitions, sub_vectors};
  const size_t rq8_bytes = (dimension + 63) / 64 * 64 + 16;
  const bool pays = metric != Metric::kManhattan && 2 * rq8_bytes <= dimension * sizeof(float);
  const bool graph = of_kind == IndexKind::kHnsw || (of_kind == IndexKind::kIvfFlat && vectors_on_demand);
  if (code) {
    options.code = *code;
  } else if (of_kind == IndexKind::kIvfPq) {
    options.code = CodeKind::kPq8;
  } else if (of_kind == IndexKind::kIvfRabitq) {
    options.code = CodeKind::kRaBitQ;
  } else if (graph && pays) {
    options.code = CodeKind::kRq8;
  }
  return options;
}

Status check_collection_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (!name.empty() && name.size() <= kMaxNameBytes && std::all_of(name.begin(), name.end(), allowed)) return {};
  return Error{Code::kInvalidArgument,
               "a collection name is 1 to " + std::to_string(kMaxNameBytes) + " of A-Z a-z 0-9 _ -, got " + shown(name),
               shown(name)};
}

Result<Schema> parse_schema(const Json& json) {
  RETURN_IF_ERROR(check_keys(json, "schema", kSchemaKeys));
  Schema schema;
  if (const Json* dimension = find_option(json, "dimension")) {
    ASSIGN_OR_RETURN(schema.dimension,
                     read_size(*dimension, "schema", "dimension", 0, kMaxDimension, Code::kConfigError));
  }
  if (const Json* metric = find_option(json, "metric")) {
    if (!metric->is_string()) {
      return option_error(Code::kConfigError, "schema", "metric", "the name of a metric", *metric);
    }
    ASSIGN_OR_RETURN(schema.metric, parse_metric(metric->get_ref<const std::string&>()));
  }
  if (const Json* index = find_option(json, "index")) RETURN_IF_ERROR(read_index(*index, schema));
  if (const Json* text = find_option(json, "text")) {
    ASSIGN_OR_RETURN(schema.text, read_text(*text));
  }
  ASSIGN_OR_RETURN(schema.vectors_on_demand, read_storage(json, "vectorStorage"));
  ASSIGN_OR_RETURN(schema.payload_on_demand, read_storage(json, "payloadStorage"));
  RETURN_IF_ERROR(check_index(schema));
  return schema;
}

Json schema_json(const Schema& schema) {
  Json index = {{"kind", kind_name(schema.kind)}};
  if (schema.kind.value_or(IndexKind::kHnsw) == IndexKind::kHnsw) {
    index["m"] = schema.hnsw.m;
    index["efConstruct"] = schema.hnsw.ef_construct;
  }
  if (schema.partitions > 0) index["partitions"] = schema.partitions;
  if (schema.sub_vectors > 0) index["subVectors"] = schema.sub_vectors;
  if (schema.code) index["code"] = code_kind_name(*schema.code);
  if (schema.recall) index["recall"] = *schema.recall;
  Json json = {{"dimension", schema.dimension}, {"metric", metric_name(schema.metric)}, {"index", std::move(index)}};
  if (schema.text) json["text"] = {{"fields", schema.text->fields}, {"stemming", schema.text->stemming}};
  if (schema.vectors_on_demand) json["vectorStorage"] = storage_name(true);
  if (schema.payload_on_demand) json["payloadStorage"] = storage_name(true);
  return json;
}

std::string schema_difference(const Schema& stored, const Schema& wanted) {
  std::string differences;
  const auto compare = [&](std::string_view what, const Json& has, const Json& asked) {
    if (has == asked) return;
    if (!differences.empty()) differences += "; ";
    differences += std::string(what) + " is " + write_json(has) + ", not " + write_json(asked);
  };
  compare("dimension", stored.dimension, wanted.dimension);
  compare("metric", metric_name(stored.metric), metric_name(wanted.metric));
  if (stored.kind && wanted.kind) compare("index.kind", kind_name(stored.kind), kind_name(wanted.kind));
  // The graph's parameters matter where both sides ask for the same thing.
  if (stored.kind == wanted.kind) {
    const IndexOptions has = stored.index(stored.kind.value_or(IndexKind::kHnsw));
    const IndexOptions asked = wanted.index(stored.kind.value_or(IndexKind::kHnsw));
    compare("index.code", code_kind_name(has.code), code_kind_name(asked.code));
    compare("index.recall", stored.recall.value_or(0), wanted.recall.value_or(0));
    compare("index.partitions", stored.partitions, wanted.partitions);
    compare("index.subVectors", stored.sub_vectors, wanted.sub_vectors);
    if (has.kind == IndexKind::kHnsw) {
      compare("index.m", has.hnsw.m, asked.hnsw.m);
      compare("index.efConstruct", has.hnsw.ef_construct, asked.hnsw.ef_construct);
    }
  }
  if (stored.text.has_value() != wanted.text.has_value()) {
    if (!differences.empty()) differences += "; ";
    differences += stored.text ? "it has a text index" : "it has no text index";
  } else if (stored.text) {
    compare("text.fields", stored.text->fields, wanted.text->fields);
    compare("text.stemming", stored.text->stemming, wanted.text->stemming);
  }
  compare("vectorStorage", storage_name(stored.vectors_on_demand), storage_name(wanted.vectors_on_demand));
  compare("payloadStorage", storage_name(stored.payload_on_demand), storage_name(wanted.payload_on_demand));
  return differences;
}

}  // namespace nearfield
