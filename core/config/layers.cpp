#include "core/config/layers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

namespace nearfield {

namespace {

constexpr size_t kMaxLayers = 16;
constexpr size_t kMaxKeys = 1000;
constexpr size_t kMaxPathBytes = 200;
constexpr size_t kMaxFileBytes = 1 << 20;

// Environment variables that are keys, the backend first. `flag`: true, false, 1 or 0. In [vectordb] the key stands in
// the table of the backend, unless it is the backend itself.
struct Variable {
  std::string_view name, backend_path, vectordb_name;
  bool flag;
};
constexpr std::string_view kPrefix = "CW_VECTOR_BACKEND_";
constexpr Variable kVariables[] = {
    {"CW_VECTOR_BACKEND_PROVIDER", "backend.provider", "backend", false},
    {"CW_VECTOR_BACKEND_URL", "backend.url", "url", false},
    {"CW_VECTOR_BACKEND_API_KEY", "backend.api_key", "api_key", false},
    {"CW_VECTOR_BACKEND_COLLECTION", "backend.collection", "collection", false},
    {"CW_ENABLE_HYBRID_SEARCH", "backend.enable_hybrid_search", "", true},
};

Error bad_message(const char* what) {
  return Error{Code::kFormatError, std::string("configuration: ") + what + " is missing or of another type", ""};
}

class Reader {
 public:
  Reader(const Json& message, std::vector<ConfigProblem>& problems) : message_(message), problems_(problems) {}

  Result<Layers> read() {
    const auto layers = message_.find("layers");
    if (layers == message_.end() || !layers->is_array()) return bad_message("layers");
    if (layers->size() > kMaxLayers) return Error{Code::kLimitExceeded, "more than 16 layers of configuration", ""};
    for (const Json& layer : *layers) RETURN_IF_ERROR(read_layer(layer));
    // Which dialect the environment's variables stand for depends on what comes after them, too.
    const size_t before = layers_.count;
    layers_.count = before + 1;
    if (const auto options = message_.find("options"); options != message_.end()) RETURN_IF_ERROR(read_layer(*options));
    find_dialect();
    layer_ = before;
    read_environment();
    return std::move(layers_);
  }

 private:
  Status read_layer(const Json& layer) {
    layer_ = layers_.count++;
    if (!layer.is_object()) return bad_message("a layer");
    const auto name = layer.find("name");
    if (name == layer.end() || !name->is_string()) return bad_message("a layer's name");
    source_ = name->get<std::string>();
    lines_ = member(layer, "lines");
    odd_ = member(layer, "odd");
    if (const auto text = layer.find("text"); text != layer.end() && text->is_string()) {
      read_text(text->get_ref<const std::string&>());
      return {};
    }
    if (const auto broken = layer.find("broken"); broken != layer.end() && broken->is_string()) {
      const auto line = layer.find("line");
      const bool known = line != layer.end() && line->is_number_unsigned();
      problems_.push_back({Code::kInvalidConfig, "", source_, known ? line->get<uint64_t>() : 0,
                           broken->get<std::string>().substr(0, 200), ""});
      return {};
    }
    const auto values = layer.find("values");
    if (values == layer.end()) return bad_message("a layer's values");
    read_top(*values);
    return {};
  }

  static const Json* member(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_object() ? &*found : nullptr;
  }

  // What the parser says of a bad text may quote it, and with it a secret.
  void read_text(const std::string& text) {
    auto parsed = parse_json(text, source_, {.max_bytes = kMaxFileBytes});
    if (parsed.ok()) {
      read_top(*parsed);
      return;
    }
    std::string reason = parsed.error().message;
    uint64_t line = 0;
    constexpr std::string_view kPlace = "not JSON at byte ";
    if (const size_t at = reason.find(kPlace); at != std::string::npos) {
      size_t byte = 0;
      for (size_t i = at + kPlace.size(); i < reason.size() && reason[i] >= '0' && reason[i] <= '9'; ++i) {
        byte = byte * 10 + static_cast<size_t>(reason[i] - '0');
      }
      const auto end = text.begin() + static_cast<ptrdiff_t>(std::min(byte, text.size()));
      line = 1 + static_cast<uint64_t>(std::count(text.begin(), end, '\n'));
      reason = "is not JSON";
    } else if (parsed.code() == Code::kFormatError) {
      reason = "has a key twice in one object";
    } else {
      reason = "is too large or too deep";
    }
    problems_.push_back({Code::kInvalidConfig, "", source_, line, std::move(reason), ""});
  }

  void read_top(const Json& values) {
    if (!values.is_object()) {
      problems_.push_back({Code::kInvalidConfig, "", source_, 0, "must be an object, with tables in it", ""});
      return;
    }
    walk(values, "");
  }

  uint64_t line_of(const std::string& path) const {
    if (lines_ == nullptr) return 0;
    const auto found = lines_->find(path);
    return found != lines_->end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
  }

  Given given_at(const std::string& path, const Json& value) const {
    std::string odd;
    if (odd_ != nullptr) {
      if (const auto found = odd_->find(path); found != odd_->end() && found->is_string()) {
        odd = found->get<std::string>().substr(0, 40);
      }
    }
    return {value, std::move(odd), layer_, source_, line_of(path)};
  }

  // Of a registered backend, its own table: vectordb.<name> or backend.<name>.
  std::optional<std::string> custom_name(std::string_view path) const {
    const auto names = message_.find("backends");
    if (names == message_.end() || !names->is_array()) return std::nullopt;
    for (const Json& each : *names) {
      if (!each.is_string()) continue;
      const std::string& name = each.get_ref<const std::string&>();
      if (path == "vectordb." + name || path == "backend." + name) return name;
    }
    return std::nullopt;
  }

  // Some names mean something to JavaScript, which reads what is written here.
  bool refuse(const std::string& name, const std::string& path) {
    if (name != "__proto__" && name != "constructor" && name != "prototype") return false;
    problems_.push_back({Code::kInvalidConfig, path, source_, line_of(path), "is a name that is never allowed", ""});
    return true;
  }

  void merge(Json& into, const Json& from, const std::string& prefix) {
    for (const auto& [name, value] : from.items()) {
      if (refuse(name, prefix + name)) continue;
      Json& place = into[name];
      if (place.is_object() && value.is_object()) {
        merge(place, value, prefix + name + ".");
      } else if (value.is_object()) {
        place = Json(Json::value_t::object);
        merge(place, value, prefix + name + ".");
      } else {
        place = value;
      }
    }
  }

  void walk(const Json& table, const std::string& prefix) {
    for (const auto& [name, value] : table.items()) {
      if (++seen_ > kMaxKeys) {
        if (seen_ == kMaxKeys + 1) {
          problems_.push_back({Code::kLimitExceeded, "", source_, 0, "more than 1000 keys", ""});
        }
        return;
      }
      const std::string path = prefix + name;
      if (refuse(name, path)) continue;
      // A dot in a name is part of the name, not a way down.
      const bool plain = !name.empty() && name.find('.') == std::string::npos && path.size() <= kMaxPathBytes;
      if (const Key* key = plain ? find_key(path) : nullptr; key != nullptr) {
        layers_.known[{key, path}].push_back(given_at(path, value));
      } else if (const auto custom = plain ? custom_name(path) : std::nullopt; custom && value.is_object()) {
        auto& place =
            layers_.custom.try_emplace(*custom, Json(Json::value_t::object), given_at(path, Json())).first->second;
        merge(place.first, value, path + ".");
      } else if (plain && is_table(path)) {
        if (value.is_object()) {
          has_vectordb_ = has_vectordb_ || path == "vectordb";
          has_backend_ = has_backend_ || path == "backend";
          walk(value, path + ".");
        } else {
          problems_.push_back({Code::kInvalidConfig, path, source_, line_of(path),
                               "must be a table, got " + std::string(value.is_array() ? "a list" : "a value"),
                               "[" + path + "]"});
        }
      } else {
        layers_.unknown.push_back({plain ? path : prefix + shown(name), given_at(path, Json())});
      }
    }
  }

  void find_dialect() {
    bool vectordb = false, backend = false;
    const Given* first[2] = {};
    for (const auto& [at, values] : layers_.known) {
      if (at.second.starts_with("vectordb.")) vectordb = true, first[0] = &values.back();
      if (at.second.starts_with("backend.")) backend = true, first[1] = &values.back();
    }
    // A table without keys means its defaults.
    layers_.dialect = vectordb || (has_vectordb_ && !has_backend_) ? "vectordb" : "backend";
    if (!vectordb || !backend) return;
    problems_.push_back({Code::kInvalidConfig, "backend", first[1]->source, 0,
                         "stands beside [vectordb] of " + first[0]->source + ", and both say where vectors are",
                         "write all of it in one of the two, or name one file with --config"});
  }

  void read_environment() {
    const Json* environment = member(message_, "environment");
    if (environment == nullptr) return;
    lines_ = odd_ = nullptr;
    std::vector<std::string_view> names;
    // In this order: the backend decides in which table the others stand.
    for (const Variable& variable : kVariables) {
      names.push_back(variable.name);
      const auto found = environment->find(variable.name);
      if (found == environment->end() || !found->is_string() || found->get_ref<const std::string&>().empty()) continue;
      source_ = variable.name;
      read_variable(variable, found->get_ref<const std::string&>());
    }
    for (const auto& [name, value] : environment->items()) {
      if (!value.is_string() || value.get_ref<const std::string&>().empty()) continue;
      if (name.starts_with(kPrefix) && std::ranges::find(names, std::string_view(name)) == names.end()) {
        const std::string_view near = nearest_name(name, names);
        layers_.unknown.push_back({name, {Json(), std::string(near), layer_, "", 0}});
      }
    }
  }

  void read_variable(const Variable& variable, const std::string& text) {
    std::string path(variable.backend_path);
    if (layers_.dialect == "vectordb") {
      path = "vectordb." + std::string(variable.vectordb_name);
      if (variable.vectordb_name != "backend") {
        const Given* backend = layers_.find("vectordb.backend");
        std::string name =
            backend != nullptr && backend->value.is_string() ? backend->value.get<std::string>() : "lancedb";
        path = name == "lancedb" && variable.vectordb_name == "collection"
                   ? "vectordb.lancedb.table"
                   : "vectordb." + name + "." + std::string(variable.vectordb_name);
        if (find_key(path) == nullptr && variable.vectordb_name == "collection") path = "vectordb.collection";
      }
    }
    const Key* key = find_key(path);
    if (key == nullptr) {
      problems_.push_back({Code::kInvalidConfig, "", source_, 0, "says something that [vectordb] has no key for here",
                           "unset it, or write [backend] in place of [vectordb]"});
      return;
    }
    Json value;
    if (!variable.flag) {
      // Taken as it is: a ${ in a variable's value is no variable.
      value = literal(text);
    } else if (text == "true" || text == "1" || text == "TRUE" || text == "True") {
      value = true;
    } else if (text == "false" || text == "0" || text == "FALSE" || text == "False") {
      value = false;
    } else {
      problems_.push_back({Code::kInvalidConfig, path, source_, 0, "must be true or false", ""});
      return;
    }
    auto& values = layers_.known[{key, path}];
    // The options, read before, win.
    const auto place =
        std::find_if(values.begin(), values.end(), [&](const Given& each) { return each.layer > layer_; });
    values.insert(place, {std::move(value), "", layer_, source_, 0});
  }

  // Written so that expand() makes `text` of it.
  static std::string literal(const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{') out += '$';
      out += text[i];
    }
    return out;
  }

  const Json& message_;
  std::vector<ConfigProblem>& problems_;
  Layers layers_;
  size_t layer_ = 0;
  std::string source_;
  const Json* lines_ = nullptr;
  const Json* odd_ = nullptr;
  size_t seen_ = 0;
  bool has_vectordb_ = false, has_backend_ = false;
};

}  // namespace

const Given* Layers::find(std::string_view path, size_t end) const {
  const Key* key = find_key(path);
  if (key == nullptr) return nullptr;
  const auto found = known.find({key, std::string(path)});
  if (found == known.end()) return nullptr;
  const Given* last = nullptr;
  for (const Given& each : found->second) {
    if (each.layer < end) last = &each;
  }
  return last;
}

Result<Layers> read_layers(const Json& message, std::vector<ConfigProblem>& problems) {
  if (!message.is_object()) return bad_message("the message");
  return Reader(message, problems).read();
}

}  // namespace nearfield
