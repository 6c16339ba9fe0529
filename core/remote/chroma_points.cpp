#include "core/remote/chroma_points.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "core/base/hash.h"
#include "core/remote/answer.h"
#include "core/remote/ids.h"
#include "core/remote/json_text.h"
#include "core/remote/scaled.h"

namespace nearfield {

namespace {

constexpr std::string_view kPayload = "_nearfield.payload";
constexpr std::string_view kNorm = "_nearfield.norm";
// A term is not much longer than a path and this.
constexpr size_t kLongestValue = 100;
// Of one point: a long path may have many values.
constexpr size_t kMaxTermBytes = 8 << 20;
// Squares of norms beyond these are no good floats.
constexpr double kLeastNorm = 1e-10, kGreatestNorm = 1e15;

void append_canonical(std::string& out, const Json& value) {
  switch (value.type()) {
    case Json::value_t::boolean: out += value.get<bool>() ? "true" : "false"; return;
    case Json::value_t::number_unsigned: out += std::to_string(value.get<uint64_t>()); return;
    case Json::value_t::number_integer: out += std::to_string(value.get<int64_t>()); return;
    case Json::value_t::number_float: {
      const auto number = value.get<double>();
      if (number == std::trunc(number) && number >= 0 && number < 0x1p64) {
        out += std::to_string(static_cast<uint64_t>(number));
      } else if (number == std::trunc(number) && number < 0 && number >= -0x1p63) {
        out += std::to_string(static_cast<int64_t>(number));
      } else {
        append_json_double(out, number);
      }
      return;
    }
    case Json::value_t::string: append_json_string(out, value.get_ref<const std::string&>()); return;
    case Json::value_t::array:
      out += '[';
      for (const Json& element : value) {
        append_canonical(out, element);
        out += ',';
      }
      out += ']';
      return;
    case Json::value_t::object:
      out += '{';
      for (const auto& [name, member] : value.items()) {
        append_json_string(out, name);
        out += ':';
        append_canonical(out, member);
        out += ',';
      }
      out += '}';
      return;
    case Json::value_t::null:
    case Json::value_t::binary:
    case Json::value_t::discarded: break;
  }
  out += "null";
}

// What Chroma tells apart.
enum class Kind : uint8_t { kNone, kString, kBoolean, kInteger, kFloat };

Kind kind_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::string: return Kind::kString;
    case Json::value_t::boolean: return Kind::kBoolean;
    case Json::value_t::number_integer: return Kind::kInteger;
    case Json::value_t::number_unsigned:
      return value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()} ? Kind::kInteger : Kind::kNone;
    case Json::value_t::number_float: return Kind::kFloat;
    default: return Kind::kNone;
  }
}

// Whether Chroma can hold it: a scalar, or an array of one kind of them.
bool is_flat(const Json& value) {
  if (!value.is_array()) return kind_of(value) != Kind::kNone;
  if (value.empty() || kind_of(value[0]) == Kind::kNone) return false;
  return std::ranges::all_of(value, [&](const Json& element) { return kind_of(element) == kind_of(value[0]); });
}

// All that is at one path.
struct Field {
  std::set<std::string> terms;
  bool number = false, string = false;
  double greatest = 0, least = 0;
  size_t times = 0;             // elements not counted
  const Json* value = nullptr;  // the last of them
};

class Collector {
 public:
  explicit Collector(size_t max_elements) : max_elements_(max_elements) {}

  // `path`: null for the payload itself.
  void members(const Json& object, const std::string* path) {
    for (const auto& [name, member] : object.items()) {
      // No filter can name it.
      if (name.find('.') != std::string::npos) continue;
      value(member, path == nullptr ? name : *path + '.' + name, false);
    }
  }

  std::map<std::string, Field> fields;
  bool too_much = false;

 private:
  void value(const Json& value, const std::string& path, bool element) {
    if (too_much) return;
    add(value, path, element);
    if (value.is_object()) members(value, &path);
    if (!value.is_array()) return;
    for (const Json& each : value) this->value(each, path, true);
  }

  void add(const Json& value, const std::string& path, bool element) {
    Field& field = fields[path];
    const std::string words = chroma_value(value);
    term(field, '=', words, path);
    if (element) {
      term(field, '[', words, path);
    } else {
      ++field.times;
      field.value = &value;
    }
    if (value.is_number()) {
      const auto number = value.get<double>();
      field.greatest = field.number ? std::max(field.greatest, number) : number;
      field.least = field.number ? std::min(field.least, number) : number;
      field.number = true;
    } else if (value.is_string() && !element) {
      field.string = true;
    }
  }

  void term(Field& field, char kind, const std::string& words, const std::string& path) {
    std::string text = chroma_term(kind, words, path);
    const size_t bytes = text.size();
    if (!field.terms.insert(std::move(text)).second) return;
    bytes_ += bytes;
    too_much = too_much || ++elements_ > max_elements_ || bytes_ > kMaxTermBytes;
  }

  const size_t max_elements_;
  size_t elements_ = 0, bytes_ = 0;
};

double scaled_by(std::span<const float> vector, Metric metric) {
  if (metric != Metric::kCosine) return 1;
  const double norm = vector_norm(vector);
  return norm == 0 || (norm >= kLeastNorm && norm <= kGreatestNorm) ? 1 : norm;
}

}  // namespace

bool is_chroma_key(std::string_view name) {
  return !name.empty() && name[0] != '#' && name[0] != '$' && !name.starts_with("chroma:");
}

std::string chroma_value(const Json& value) {
  std::string out;
  append_canonical(out, value);
  return out.size() <= kLongestValue ? out : '~' + derived_uuid(out);
}

std::string chroma_term(char kind, std::string_view value, std::string_view path) {
  std::string out(1, kind);
  out += value;
  out += ' ';
  out += path;
  return out;
}

int64_t chroma_order(double number) {
  const auto bits = std::bit_cast<int64_t>(std::abs(number));
  return number < 0 ? -bits : bits;
}

uint32_t chroma_slot(std::string_view id) { return static_cast<uint32_t>(hash64(as_bytes(id)) >> 32); }

Result<ChromaMetadata> ChromaMetadata::of(const StorePoint& point, Metric metric, size_t max_elements) {
  ChromaMetadata out;
  size_t elements = 0;
  const auto set = [&out](std::string_view key, std::string text) { out.entries[std::string(key)] = std::move(text); };
  set(kChromaOwn, json_quoted(kChromaLayoutVersion));
  set(kChromaSlot, std::to_string(chroma_slot(point.id)));
  // A null takes away what a record had before.
  set(kPayload, point.payload.empty() ? "null" : json_quoted(point.payload));
  set(kChromaTerms, "null");
  set(kNorm, "null");
  if (const double norm = scaled_by(point.vector, metric); norm != 1) {
    std::string text;
    append_json_double(text, norm);
    set(kNorm, std::move(text));
  }
  if (point.payload.empty()) return out;

  const Json payload = read_checked_json(point.payload);
  Collector found(max_elements);
  found.members(payload, nullptr);
  std::string terms;
  const auto add = [&](const std::string& term) {
    terms += terms.empty() ? '[' : ',';
    append_json_string(terms, term);
    ++elements;
  };
  for (const auto& [path, field] : found.fields) {
    for (const std::string& term : field.terms) add(term);
    if (field.number) add('#' + path);
    if (field.string) add('"' + path);
    if (!field.number && !field.string) add('?' + path);
    if (field.number) {
      set(std::string(kChromaMax) + path, std::to_string(chroma_order(field.greatest)));
      set(std::string(kChromaMin) + path, std::to_string(chroma_order(field.least)));
    }
    if (field.times != 1 || !is_flat(*field.value) || !is_chroma_key(path) || path.starts_with(kChromaOwn)) continue;
    set(path, write_json(*field.value));
    if (field.value->is_array()) elements += field.value->size();
  }
  if (found.too_much || elements > max_elements || out.entries.size() > max_elements) {
    return Error{Code::kLimitExceeded,
                 "payload of " + shown(point.id) +
                     " has more fields and elements than this Chroma can keep of a point (" +
                     std::to_string(max_elements) + ", names and copies counted)",
                 shown(point.id)};
  }
  if (!terms.empty()) set(kChromaTerms, terms + ']');
  return out;
}

void append_chroma_vector(std::string& out, std::span<const float> vector, Metric metric) {
  append_scaled(out, vector, scaled_by(vector, metric));
}

Result<StorePoint> read_chroma_point(std::string id, const Json* metadata, const Json* document, const Json* vector,
                                     Metric metric, size_t dimension) {
  StorePoint out;
  out.id = std::move(id);
  if (document != nullptr && !document->is_null()) {
    if (!document->is_string()) return answer_has("a document that is no string");
    out.text = document->get_ref<const std::string&>();
  }
  if (metadata != nullptr && !metadata->is_null() && !metadata->is_object()) {
    return answer_has("metadata that are no object");
  }
  const Json* own = metadata == nullptr ? nullptr : json_member(*metadata, kChromaOwn);
  const Json* norm = nullptr;
  if (own != nullptr && *own == kChromaLayoutVersion) {
    norm = json_member(*metadata, kNorm);
    if (const Json* payload = json_member(*metadata, kPayload)) {
      if (!payload->is_string() || !is_object_text(payload->get_ref<const std::string&>())) {
        return answer_has("a \"_nearfield.payload\" that is no JSON object");
      }
      out.payload = payload->get_ref<const std::string&>();
    }
  } else if (metadata != nullptr && metadata->is_object() && !metadata->empty()) {
    out.payload = write_json(*metadata);
  }
  if (vector == nullptr || vector->is_null()) return out;
  ASSIGN_OR_RETURN(out.vector, read_floats(*vector));
  if (dimension > 0 && out.vector.size() != dimension) {
    return answer_has("a vector of " + std::to_string(out.vector.size()) + " components, not " +
                      std::to_string(dimension));
  }
  if (norm == nullptr || metric != Metric::kCosine) return out;
  const double factor = norm->is_number() ? norm->get<double>() : 0;
  if (!(factor > 0 && std::isfinite(factor))) return answer_has("a \"_nearfield.norm\" that is none");
  RETURN_IF_ERROR(scale_back(out.vector, factor));
  return out;
}

}  // namespace nearfield
