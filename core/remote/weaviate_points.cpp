#include "core/remote/weaviate_points.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/remote/answer.h"
#include "core/remote/ids.h"
#include "core/remote/json_text.h"
#include "core/remote/scaled.h"
#include "core/remote/weaviate_filter.h"
#include "core/remote/weaviate_terms.h"

namespace nearfield {

namespace {

// The server squares components as f32.
constexpr double kLeastNorm = 1e-15, kGreatestNorm = 1e15;

// What a vector is scaled by to be stored or asked for; 1 where it stays as it is.
double scaled_by(std::span<const float> vector, Metric metric) {
  if (metric != Metric::kCosine || vector.empty()) return 1;
  const double norm = vector_norm(vector);
  return norm == 0 || (norm > kLeastNorm && norm < kGreatestNorm) ? 1 : norm;
}

}  // namespace

std::string weaviate_class(std::string_view collection) {
  std::string out;
  for (const char c : collection) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      out += c;
    } else {
      out += '_';
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
  }
  if (out.empty() || out[0] < 'a' || out[0] > 'z') return "X_z" + out;
  out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

void append_weaviate_vector(std::string& out, std::span<const float> vector, Metric metric) {
  append_scaled(out, vector, scaled_by(vector, metric));
}

void append_weaviate_object(std::string& out, const StorePoint& point, std::string_view class_name,
                            const WeaviateLayout& layout) {
  const double scale = scaled_by(point.vector, layout.metric);
  out += "{\"class\":\"" + std::string(class_name) + "\",\"id\":\"" + uuid_of_id(point.id) + "\",\"properties\":{";
  const size_t begin = out.size();
  const auto next = [&](std::string_view name) {
    if (out.size() > begin) out += ',';
    append_json_string(out, name);
    out += ':';
  };
  if (!is_uuid(point.id)) {
    next("nf_id");
    append_json_string(out, point.id);
  }
  if (!point.payload.empty()) {
    next("nf_payload");
    append_json_string(out, point.payload);
  }
  if (layout.payload_index && !point.payload.empty()) {
    const std::vector<std::string> terms = payload_terms(read_checked_json(point.payload));
    if (!terms.empty()) {
      next(kWeaviateTerms);
      out += json_strings(terms);
    }
  }
  if (scale != 1) {
    next("nf_norm");
    append_json_double(out, scale);
  }
  if (!point.text.empty()) {
    next(layout.text_field);
    append_json_string(out, point.text);
  }
  out += '}';
  if (!point.vector.empty()) {
    out += ",\"vectors\":{\"default\":";
    append_scaled(out, point.vector, scale);
    out += '}';
  }
  out += '}';
}

size_t weaviate_object_bytes(const StorePoint& point, const WeaviateLayout& layout) {
  const size_t payload = (layout.payload_index ? 6 : 1) * point.payload.size();
  return 300 + 12 * point.vector.size() + point.id.size() + point.text.size() + payload;
}

std::string weaviate_selection(const WeaviateLayout& layout, StoreParts parts, std::string_view additional) {
  std::string out = "{nf_id";
  if (parts.payload) out += " nf_payload";
  if (parts.text) out += ' ' + layout.text_field;
  if (parts.vector && layout.metric == Metric::kCosine) out += " nf_norm";
  out += " _additional{id";
  if (!additional.empty()) out += ' ' + std::string(additional);
  if (parts.vector) out += " vectors{default}";
  return out += "}}";
}

Result<WeaviateRecord> read_weaviate_object(const Json& object, const WeaviateLayout& layout, StoreParts parts,
                                            size_t dimension) {
  const Json* additional = json_member(object, "_additional");
  const std::string* uuid = additional == nullptr ? nullptr : string_member(*additional, "id");
  if (uuid == nullptr || !is_uuid(*uuid)) return answer_has("an object whose `id` is no UUID");
  // A string; null stands for none.
  const auto text = [&](std::string_view name) -> Result<std::string> {
    const Json* member = json_member(object, name);
    if (member == nullptr || member->is_null()) return std::string();
    if (!member->is_string()) return answer_has("a property that is no string: " + std::string(name));
    return member->get<std::string>();
  };
  WeaviateRecord out;
  out.uuid = *uuid;
  StorePoint& point = out.point;
  ASSIGN_OR_RETURN(point.id, text("nf_id"));
  // Another client may have copied it to an object that is not of this id.
  if (point.id.empty() || uuid_of_id(point.id) != *uuid) point.id = *uuid;
  if (parts.text) {
    ASSIGN_OR_RETURN(point.text, text(layout.text_field));
  }
  if (parts.payload) {
    ASSIGN_OR_RETURN(point.payload, text("nf_payload"));
    if (!point.payload.empty() && !is_object_text(point.payload)) {
      return answer_has("an nf_payload that is no JSON object");
    }
  }
  if (!parts.vector) return out;
  const Json* vector = json_at(*additional, {"vectors", "default"});
  if (vector == nullptr || vector->is_null()) return out;
  ASSIGN_OR_RETURN(point.vector, read_floats(*vector));
  if (dimension > 0 && !point.vector.empty() && point.vector.size() != dimension) {
    return answer_has("a vector of " + std::to_string(point.vector.size()) + " components, not " +
                      std::to_string(dimension));
  }
  const Json* norm = json_member(object, "nf_norm");
  if (norm == nullptr || norm->is_null()) return out;
  const double length = norm->is_number() ? norm->get<double>() : 0;
  if (!(length > 0 && std::isfinite(length))) return answer_has("an nf_norm that is no length");
  RETURN_IF_ERROR(scale_back(point.vector, length));
  return out;
}

}  // namespace nearfield
