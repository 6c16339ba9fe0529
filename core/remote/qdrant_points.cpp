#include "core/remote/qdrant_points.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/hash.h"
#include "core/base/sort.h"
#include "core/remote/answer.h"
#include "core/remote/ids.h"
#include "core/remote/json_text.h"
#include "core/remote/scaled.h"

namespace nearfield {

namespace {

constexpr double kExactIntegers = 0x1p53;
// Qdrant leaves a vector alone whose squared length is this near to 1, or nearer.
constexpr double kUnitLength = 5e-7;

// Whether a stored payload has to differ from this value, or Qdrant makes it differ.
bool changes(const Json& value, bool in_array) {
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    return std::abs(number) >= kExactIntegers || !is_short_decimal(number);
  }
  if (value.is_array() && in_array) return true;
  if (!value.is_structured()) return false;
  return std::ranges::any_of(value, [&](const Json& part) { return changes(part, value.is_array()); });
}

bool has_float(const Json& value) {
  if (value.is_number_float()) return true;
  return value.is_structured() && std::ranges::any_of(value, has_float);
}

// Arrays in arrays are one array; what is a whole number for filters is an integer.
Json stored_value(const Json& value) {
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    if (std::abs(number) >= kExactIntegers && std::abs(number) < 0x1p63) return static_cast<int64_t>(number);
    return value;
  }
  if (value.is_object()) {
    Json out = Json::object();
    for (const auto& [name, member] : value.items()) out.emplace(name, stored_value(member));
    return out;
  }
  if (!value.is_array()) return value;
  Json out = Json::array();
  for (const Json& element : value) {
    Json stored = stored_value(element);
    if (!stored.is_array()) {
      out.push_back(std::move(stored));
      continue;
    }
    for (Json& inner : stored) out.push_back(std::move(inner));
  }
  return out;
}

// Paths as filters name them; null: of the payload itself. A name with a dot cannot be named.
// REQUIRES: as stored, no array in an array.
void find_empty_arrays(const Json& value, const std::string* path, std::vector<std::string>& found) {
  if (value.is_array()) {
    if (value.empty() && std::ranges::find(found, *path) == found.end()) found.push_back(*path);
    for (const Json& element : value) find_empty_arrays(element, path, found);
  } else if (value.is_object()) {
    for (const auto& [name, member] : value.items()) {
      if (!member.is_structured() || name.find('.') != std::string::npos) continue;
      const std::string at = path == nullptr ? name : *path + '.' + name;
      find_empty_arrays(member, &at, found);
    }
  }
}

// The members of an object's text, without its braces.
std::string members_of(std::string_view object) {
  const size_t begin = object.find('{') + 1, end = object.rfind('}');
  const size_t first = object.find_first_not_of(" \t\r\n", begin);
  return first == end ? std::string() : std::string(object.substr(begin, end - begin));
}

void append_payload(std::string& out, const StorePoint& point, const QdrantLayout& layout, double norm) {
  std::vector<std::string> own;  // members of "_nearfield"
  std::string members;
  if (!is_uuid(point.id) && !parse_u64(point.id).has_value()) own.push_back("\"id\":" + json_quoted(point.id));
  if (norm != 1) {
    own.emplace_back("\"norm\":");
    append_json_double(own.back(), norm);
  }
  if (!point.payload.empty()) {
    Json payload = read_checked_json(point.payload);
    const bool hides = payload.contains(kQdrantReserved) || payload.contains(layout.text_field);
    if (hides || payload.empty() || changes(payload, false)) {
      own.push_back("\"payload\":" + json_quoted(point.payload));
      payload = stored_value(payload);
      payload.erase(std::string(kQdrantReserved));
      payload.erase(layout.text_field);
      members = members_of(write_json(payload));
    } else {
      // Numbers in their shortest spelling, which is the one that changes() looked at.
      members = members_of(has_float(payload) ? write_json(payload) : point.payload);
    }
    std::vector<std::string> empty;
    find_empty_arrays(payload, nullptr, empty);
    if (!empty.empty()) {
      own.push_back("\"empty\":" + json_strings(empty));
    }
  }
  out += '{';
  char separator = 0;
  const auto next = [&] {
    if (separator != 0) out += separator;
    separator = ',';
  };
  if (!own.empty()) {
    next();
    out += json_quoted(kQdrantReserved) + ":{";
    for (size_t i = 0; i < own.size(); ++i) {
      if (i > 0) out += ',';
      out += own[i];
    }
    out += '}';
  }
  if (!point.text.empty()) {
    next();
    append_json_string(out, layout.text_field);
    out += ':';
    append_json_string(out, point.text);
  }
  if (!members.empty()) {
    next();
    out += members;
  }
  out += '}';
}

// What a vector is scaled by to be stored; 1 where it stays as it is.
double scaled_by(std::span<const float> vector, Metric metric) {
  if (metric != Metric::kCosine || vector.empty()) return 1;
  const double norm = vector_norm(vector);
  return norm == 0 || std::abs(norm * norm - 1) <= kUnitLength ? 1 : norm;
}

SparseVector counted(Analyzer& analyzer, std::string_view text, uint32_t dimension, size_t& words) {
  std::vector<Term> terms;
  analyzer.analyze(text, terms);
  words = terms.size();
  std::vector<uint32_t> indices(terms.size());
  for (size_t i = 0; i < terms.size(); ++i) {
    indices[i] = static_cast<uint32_t>(hash64(as_bytes(terms[i].text)) % dimension);
  }
  heap_sort(indices);
  SparseVector out;
  for (const uint32_t index : indices) {
    if (out.indices.empty() || out.indices.back() != index) {
      out.indices.push_back(index);
      out.values.push_back(0);
    }
    ++out.values.back();
  }
  return out;
}

Result<SparseVector> read_sparse(const Json& json) {
  const Json* indices = json_member(json, "indices");
  const Json* values = json_member(json, "values");
  if (indices == nullptr || values == nullptr || !indices->is_array()) return answer_has("a malformed sparse vector");
  ASSIGN_OR_RETURN(const std::vector<float> weights, read_floats(*values));
  if (weights.size() != indices->size()) return answer_has("a sparse vector of unequal lengths");
  std::vector<std::pair<uint32_t, float>> pairs;
  pairs.reserve(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const Json& index = (*indices)[i];
    if (!index.is_number_unsigned() || index.get<uint64_t>() > UINT32_MAX) {
      return answer_has("a sparse vector's index out of range");
    }
    pairs.emplace_back(index.get<uint32_t>(), weights[i]);
  }
  heap_sort(pairs);
  SparseVector out;
  for (const auto& [index, weight] : pairs) {
    if (!out.indices.empty() && out.indices.back() == index) return answer_has("a sparse vector's index twice");
    out.indices.push_back(index);
    out.values.push_back(weight);
  }
  return out;
}

Status read_dense(const Json& json, const QdrantLayout& layout, double norm, StorePoint& point) {
  ASSIGN_OR_RETURN(point.vector, read_floats(json));
  if (layout.dimension > 0 && point.vector.size() != layout.dimension) {
    return answer_has("a vector of " + std::to_string(point.vector.size()) + " components, not " +
                      std::to_string(layout.dimension));
  }
  return norm == 1 ? Status() : scale_back(point.vector, norm);
}

// The vector is a list where it is the only one and has no name, or an object of them by name.
Status read_vectors(const Json& json, const QdrantLayout& layout, double norm, StorePoint& point) {
  if (json.is_null()) return {};
  if (json.is_array() && layout.vector.empty()) return read_dense(json, layout, norm, point);
  if (!json.is_object()) return answer_has("vectors that are neither a list nor an object");
  if (const Json* dense = json_member(json, layout.vector)) {
    RETURN_IF_ERROR(read_dense(*dense, layout, norm, point));
  }
  if (layout.sparse_vector.empty()) return {};
  if (const Json* sparse = json_member(json, layout.sparse_vector)) {
    ASSIGN_OR_RETURN(point.sparse, read_sparse(*sparse));
  }
  return {};
}

// The payload without what the store put into it, as it was given.
Result<std::string> given_payload(Json payload, const Json* own, const QdrantLayout& layout) {
  const Json* given = own == nullptr ? nullptr : json_member(*own, "payload");
  if (given != nullptr && given->is_string()) {
    const auto& text = given->get_ref<const std::string&>();
    if (!is_object_text(text)) return answer_has("a \"payload\" of \"_nearfield\" that is no JSON object");
    return text;
  }
  if (const Json* text = json_member(payload, layout.text_field); text != nullptr && text->is_string()) {
    payload.erase(layout.text_field);
  }
  payload.erase(std::string(kQdrantReserved));
  return payload.empty() ? std::string() : write_json(payload);
}

}  // namespace

std::string qdrant_key(std::string_view id) {
  if (parse_u64(id).has_value()) return std::string(id);
  return '"' + uuid_of_id(id) + '"';
}

std::optional<std::string> read_qdrant_key(const Json& id) {
  if (id.is_number_unsigned()) return std::to_string(id.get<uint64_t>());
  if (!id.is_string() || !is_uuid(id.get_ref<const std::string&>())) return std::nullopt;
  return '"' + id.get_ref<const std::string&>() + '"';
}

SparseVector text_weights(Analyzer& analyzer, std::string_view text, uint32_t dimension) {
  constexpr double kK1 = 1.2, kB = 0.75, kMeanWords = 100;
  size_t words = 0;
  SparseVector out = counted(analyzer, text, dimension, words);
  const double norm = kK1 * (1 - kB + kB * static_cast<double>(words) / kMeanWords);
  for (float& value : out.values) value = static_cast<float>(value * (kK1 + 1) / (value + norm));
  return out;
}

SparseVector query_weights(Analyzer& analyzer, std::string_view text, uint32_t dimension) {
  size_t words = 0;
  return counted(analyzer, text, dimension, words);
}

void append_sparse(std::string& out, const SparseVector& vector) {
  out += "{\"indices\":[";
  for (size_t i = 0; i < vector.indices.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(vector.indices[i]);
  }
  out += "],\"values\":";
  append_json_floats(out, vector.values);
  out += '}';
}

void append_dense(std::string& out, std::span<const float> vector, Metric metric) {
  append_scaled(out, vector, scaled_by(vector, metric));
}

void append_qdrant_point(std::string& out, const StorePoint& point, const QdrantLayout& layout, Analyzer* analyzer) {
  out += "{\"id\":" + qdrant_key(point.id) + ",\"vector\":";
  const bool sparse = !layout.sparse_vector.empty() && !point.sparse.empty();
  SparseVector words;
  if (analyzer != nullptr) words = text_weights(*analyzer, point.text, layout.sparse_dimension);
  if (layout.vector.empty() && !point.vector.empty() && !sparse && words.empty()) {
    append_dense(out, point.vector, layout.metric);
  } else {
    out += '{';
    const auto name = [&out](const std::string& vector) {
      if (out.back() != '{') out += ',';
      append_json_string(out, vector);
      out += ':';
    };
    if (!point.vector.empty()) {
      name(layout.vector);
      append_dense(out, point.vector, layout.metric);
    }
    if (sparse) {
      name(layout.sparse_vector);
      append_sparse(out, point.sparse);
    }
    if (!words.empty()) {
      name(layout.text_vector);
      append_sparse(out, words);
    }
    out += '}';
  }
  out += ",\"payload\":";
  append_payload(out, point, layout, scaled_by(point.vector, layout.metric));
  out += '}';
}

size_t qdrant_point_bytes(const StorePoint& point) {
  return 200 + 13 * point.vector.size() + 24 * point.sparse.indices.size() + point.id.size() + 2 * point.text.size() +
         point.payload.size();
}

std::string qdrant_selection(const QdrantLayout& layout, StoreParts parts) {
  std::string out = "\"with_payload\":";
  if (parts.payload) {
    out += "true";
  } else {
    out += '[' + json_quoted(kQdrantReserved);
    if (parts.text) out += ',' + json_quoted(qdrant_path({layout.text_field}));
    out += ']';
  }
  out += ",\"with_vector\":";
  if (!parts.vector) return out += "false";
  if (layout.vector.empty() || layout.text_vector.empty()) return out += "true";
  // Not the words.
  out += '[' + json_quoted(layout.vector);
  if (!layout.sparse_vector.empty()) out += ',' + json_quoted(layout.sparse_vector);
  return out += ']';
}

Result<QdrantRecord> read_qdrant_point(const Json& record, const QdrantLayout& layout, StoreParts parts) {
  const Json* id = json_member(record, "id");
  if (id == nullptr) return answer_has("a point without `id`");
  std::optional<std::string> key = read_qdrant_key(*id);
  if (!key.has_value()) return answer_has("a point whose `id` is neither a number nor a UUID");
  QdrantRecord out;
  StorePoint& point = out.point;
  out.key = *std::move(key);
  point.id = id->is_string() ? id->get_ref<const std::string&>() : out.key;

  const Json* payload = json_member(record, "payload");
  if (payload != nullptr && payload->is_null()) payload = nullptr;
  if (payload != nullptr && !payload->is_object()) return answer_has("a payload that is no object");
  const Json* own = payload == nullptr ? nullptr : json_member(*payload, kQdrantReserved);
  if (own != nullptr) {
    // Another client may have copied it to a point that is not of this id.
    const Json* given = json_member(*own, "id");
    if (given != nullptr && given->is_string() && qdrant_key(given->get_ref<const std::string&>()) == out.key) {
      point.id = given->get_ref<const std::string&>();
    }
  }
  if (payload != nullptr && parts.text) {
    const Json* text = json_member(*payload, layout.text_field);
    if (text != nullptr && text->is_string()) point.text = text->get_ref<const std::string&>();
  }
  if (payload != nullptr && parts.payload) {
    ASSIGN_OR_RETURN(point.payload, given_payload(*payload, own, layout));
  }
  if (!parts.vector) return out;
  double norm = 1;
  const Json* given_norm = own == nullptr ? nullptr : json_member(*own, "norm");
  if (layout.metric == Metric::kCosine && given_norm != nullptr && given_norm->is_number()) {
    norm = given_norm->get<double>();
    if (!(norm > 0 && std::isfinite(norm))) return answer_has("a \"norm\" of \"_nearfield\" that is none");
  }
  if (const Json* vectors = json_member(record, "vector")) {
    RETURN_IF_ERROR(read_vectors(*vectors, layout, norm, point));
  }
  return out;
}

}  // namespace nearfield
