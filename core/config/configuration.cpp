#include "core/config/configuration.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "core/config/backend_choice.h"
#include "core/config/expand.h"
#include "core/config/layers.h"
#include "core/config/show.h"
#include "core/config/values.h"

namespace nearfield {

namespace {

constexpr size_t kMaxProblems = 100;

bool sounds_secret(std::string_view name) {
  for (const std::string_view word : {"key", "token", "secret", "password", "KEY", "TOKEN", "SECRET", "PASSWORD"}) {
    if (name.find(word) != std::string_view::npos) return true;
  }
  return false;
}

// A key that is in use: implemented on this backend, and not overridden by another key for the same setting.
struct Used {
  const Key* key;
  std::string path;
  const Given* given;
  Value value;
};

class Maker {
 public:
  Maker(const Json& message, Layers layers, std::vector<ConfigProblem> problems)
      : message_(message), layers_(std::move(layers)) {
    out_.problems = std::move(problems);
  }

  Configuration make() {
    out_.dialect = layers_.dialect;
    if (const auto found = message_.find("environment"); found != message_.end() && found->is_object()) {
      environment_ = *found;
    }
    // Also where nothing refers to them: somebody may have written the value itself.
    for (const auto& [name, value] : environment_.items()) {
      if (value.is_string() && sounds_secret(name)) mask_.add(value.get_ref<const std::string&>());
    }
    const auto host = message_.find("host");
    in_node_ = host == message_.end() || *host == "node";
    choice_ = choose_backend(layers_, message_, out_.problems);
    settings_.backend = choice_.backend;
    settings_.name = choice_.name;
    set_defaults();
    read_known();
    read_unknown();
    read_custom();
    settings_.memory = settings_.memory || choice_.memory;
    check_place();
    check_requests();
    check_vectors();
    check_embedder();
    return finish();
  }

 private:
  // ---- Keys ----

  bool is_of_dialect(std::string_view path) const {
    const std::string_view other = layers_.dialect == "vectordb" ? "backend." : "vectordb.";
    return !path.starts_with(other);
  }

  // Tables of [vectordb] are for the backend they are named after; the embedded engine by its own name has LanceDB's.
  bool is_owned(const Key& key) const {
    const std::string_view owner = key.owner();
    return owner.empty() || owner == choice_.name ||
           (owner == "lancedb" && (choice_.name == "embedded" || choice_.name == "memory"));
  }

  bool is_named(const char* list, const std::string& name) const {
    const auto names = message_.find(list);
    return names != message_.end() && names->is_array() &&
           std::find(names->begin(), names->end(), Json(name)) != names->end();
  }

  // A backend registered in JavaScript gets what BackendSettings of js/src/backends.ts has, one in C++ all of Settings.
  bool is_handed_over(const Key& key) const {
    if (choice_.backend != Backend::kCustom || is_named("stores", choice_.name)) return true;
    if (std::holds_alternative<std::monostate>(key.target)) {
      return !key.path.starts_with("backend.") || key.path == "backend.provider" || key.path == "backend.backend_type";
    }
    const Target handed[] = {&Settings::collection, &Settings::dimension,    &Settings::metric,
                             &Settings::ef,         &Settings::batch_rows,   &Settings::search_batch,
                             &Settings::hybrid,     &Settings::hybrid_alpha, &Settings::embedder};
    return std::ranges::find(handed, key.target) != std::end(handed);
  }

  void set_defaults() {
    const Json nothing(Json::value_t::object);
    for (const std::string_view dialect : {std::string_view("backend."), std::string_view("vectordb.")}) {
      if (dialect == "vectordb." && layers_.dialect != "vectordb") break;
      for (const Key& key : keys()) {
        // Where it is comes later: that depends on more than one key.
        const std::string_view fallback = key.fallback_on(choice_.backend);
        if (fallback.empty() || key.type == KeyType::kUrl || std::holds_alternative<std::monostate>(key.target)) {
          continue;
        }
        if (!key.path.starts_with(dialect) && key.path.find("embedding.") != 0) continue;
        if (!is_owned(key)) continue;
        Value value;
        if (read_value(key, read_checked_json(fallback), "", nothing, value).reason.empty()) {
          assign(settings_, key, value);
        }
      }
    }
    // This dialect leaves it to the embedder.
    if (layers_.dialect == "vectordb") settings_.dimension = 0;
  }

  void read_known() {
    for (const auto& [at, values] : layers_.known) {
      const auto& [key, path] = at;
      if (!is_of_dialect(path)) continue;
      read_key(*key, path, values.back());
    }
    for (const Used& used : used_) {
      const Used* other = stronger(used);
      if (other == nullptr) {
        assign(settings_, *used.key, used.value);
        continue;
      }
      for (KeyReport& report : out_.keys) {
        if (report.key != used.path) continue;
        report.state = KeyState::kReported;
        report.note = "overridden by " + other->path + " of " + other->given->source;
      }
    }
  }

  // Another key for the same setting, of a later layer. Within one layer they must agree.
  const Used* stronger(const Used& used) {
    if (std::holds_alternative<std::monostate>(used.key->target)) return nullptr;
    for (const Used& other : used_) {
      if (other.key->target != used.key->target || &other == &used) continue;
      if (other.given->layer > used.given->layer) return &other;
      if (other.given->layer == used.given->layer && &other < &used && other.value != used.value) {
        complain(used.path, *used.given, {"contradicts " + other.path, "give one of the two"});
      }
    }
    return nullptr;
  }

  void read_key(const Key& key, const std::string& path, const Given& given) {
    KeyReport& report = add_report(path, given, shown_value(key, given));
    Handling handling = key.handling(choice_.backend);
    std::string note(key.note(choice_.backend)), alternative(key.alternative(choice_.backend));
    if (!is_owned(key)) {
      handling = Handling::kReported;
      note = "used with backend = \"" + std::string(key.owner()) + "\"";
    } else if (path == "backend.backend_type" && choice_.name != "docarray" && handling == Handling::kImplemented) {
      handling = Handling::kRejected;
      note = "it belongs to provider = \"docarray\"";
      alternative = "leave it out";
    } else if (!in_node_ && handling == Handling::kImplemented && path.starts_with("backend.tls_")) {
      handling = Handling::kRejected;
      note = "only Node lets a program choose the certificates of a request";
      alternative = "leave it out";
    }
    if (handling == Handling::kImplemented && !is_handed_over(key)) {
      handling = Handling::kReported;
      note = "a backend of your own is not told; give it in [" + layers_.dialect + "." + choice_.name + "]";
    }
    if (handling == Handling::kRejected && given.value == false && key.fallback == "false") {
      handling = Handling::kImplemented;
      note = "off, as always here";
    }
    if (handling == Handling::kRejected && given.layer < choice_.since) {
      handling = Handling::kReported;
      note = "for the backend before " + choice_.name + ", which a later layer chose";
    }
    // A variable that nobody sets is no fault where its value is not used.
    const bool unused = handling == Handling::kReported || handling == Handling::kRejected;
    Value value;
    const Complaint complaint = unused && holds_variable(given.value)
                                    ? Complaint()
                                    : read_value(key, given.value, given.odd, environment_, value);
    if (!complaint.reason.empty()) {
      report.state = KeyState::kRejected;
      report.note = complaint.reason;
      complain(path, given, complaint);
      return;
    }
    remember_secret(key, value);
    switch (handling) {
      case Handling::kImplemented:
        report.note = note.empty() ? std::string(key.meaning) : note;
        used_.push_back({&key, path, &given, std::move(value)});
        return;
      case Handling::kReported:
        report.state = KeyState::kReported;
        report.note = note;
        warn(path, given, {"does nothing here: " + note, ""});
        return;
      case Handling::kRejected:
        report.state = KeyState::kRejected;
        report.note = note;
        complain(path, given, {"cannot be used here: " + note, alternative});
        return;
      case Handling::kLater:
        if (const bool* flag = std::get_if<bool>(&value); flag != nullptr && !*flag) {
          report.note = "off, as everywhere in this version";
          return;
        }
        report.state = KeyState::kUnsupported;
        report.note = "not supported yet: " + std::string(key.meaning);
        complain(path, given, {"is not supported yet: " + std::string(key.meaning), "leave it out"},
                 Code::kUnsupported);
        return;
    }
  }

  static bool holds_variable(const Json& value) {
    if (value.is_string()) return has_variable(value.get_ref<const std::string&>());
    return value.is_array() && std::any_of(value.begin(), value.end(), holds_variable);
  }

  void remember_secret(const Key& key, const Value& value) {
    if (key.type != KeyType::kSecret) return;
    if (const auto* text = std::get_if<std::string>(&value)) mask_.add(*text);
  }

  bool is_strict() {
    if (const auto strict = message_.find("strict"); strict != message_.end() && *strict == false) return false;
    const Used* used = find_used("strict");
    return used == nullptr || std::get<bool>(used->value);
  }

  void read_unknown() {
    const bool strict = is_strict();
    for (const Unknown& unknown : layers_.unknown) {
      if (unknown.path.starts_with("CW_")) {
        const std::string hint = unknown.given.odd.empty() ? "" : "did you mean " + unknown.given.odd + "?";
        warn("", {Json(), "", unknown.given.layer, unknown.path, 0}, {"is no variable of nearfield", hint});
        continue;
      }
      const std::string near = suggest_key(unknown.path);
      const std::string hint = near.empty() ? "" : "did you mean `" + near + "`?";
      // What it says may be a key under a misspelt name.
      KeyReport& report = add_report(unknown.path, unknown.given, "\"***\"");
      report.state = KeyState::kUnknown;
      report.note = hint.empty() ? "no key of that name" : "no key of that name; " + hint;
      if (strict) {
        complain(unknown.path, unknown.given, {"is no key that nearfield knows", hint});
      } else {
        warn(unknown.path, unknown.given, {"is no key that nearfield knows, and is left out", hint});
      }
    }
  }

  // Tables of registered backends: variables are put in, nothing else is known about them.
  void read_custom() {
    for (auto& [name, table] : layers_.custom) {
      auto& [values, given] = table;
      const std::string path = layers_.dialect + "." + name;
      KeyReport& report = add_report(path, given, "\"***\"");
      if (choice_.name != name) {
        report.state = KeyState::kReported;
        report.note = "used with the backend " + name;
        warn(path, given, {"does nothing here: " + report.note, ""});
        continue;
      }
      report.note = "handed to the backend";
      if (Complaint complaint = expand_all(values, name); !complaint.reason.empty()) complain(path, given, complaint);
      settings_.custom = write_json(values);
    }
  }

  Complaint expand_all(Json& value, std::string_view name) {
    if (value.is_string()) {
      const std::string text = value.get<std::string>();
      auto expanded = expand(text, environment_);
      if (!expanded.ok()) return {expanded.error().message, "set it, or write the value itself"};
      if (has_variable(text) || sounds_secret(name)) mask_.add(*expanded);
      value = std::move(expanded).value();
    } else if (value.is_object()) {
      for (auto& [key, each] : value.items()) {
        if (Complaint complaint = expand_all(each, key); !complaint.reason.empty()) return complaint;
      }
    } else if (value.is_array()) {
      for (Json& each : value) {
        if (Complaint complaint = expand_all(each, name); !complaint.reason.empty()) return complaint;
      }
    }
    return {};
  }

  const Used* find_used(std::string_view path) const {
    for (const Used& used : used_) {
      if (used.path == path) return &used;
    }
    return nullptr;
  }

  template <typename Kind>
  Kind used_or(std::string_view path, Kind otherwise) const {
    const Used* used = find_used(path);
    return used == nullptr ? otherwise : std::get<Kind>(used->value);
  }

  // ---- What only several keys together say ----

  bool is_server() const { return settings_.backend != Backend::kEmbedded && settings_.backend != Backend::kCustom; }

  void check_place() {
    if (settings_.backend == Backend::kEmbedded) {
      if (settings_.memory) settings_.path.clear();
      check_collection_letters();
      return;
    }
    settings_.path.clear();
    settings_.memory = false;
    check_private_network();
    if (const Used* host = find_used("vectordb.chroma.host")) {
      const std::string& name = std::get<std::string>(host->value);
      settings_.url = (used_or("vectordb.chroma.ssl", false) ? "https://" : "http://") + name + ":" +
                      std::to_string(used_or<uint64_t>("vectordb.chroma.port", 8000));
    }
    if (settings_.url.empty() && is_server() && place_given() == nullptr) use_own_port();
    if (!settings_.url.empty()) check_url();
    check_collection_letters();
  }

  // What says where the server is, rightly or wrongly.
  const Given* place_given() const {
    const Given* last = nullptr;
    for (const Key& key : keys()) {
      const bool place = key.type == KeyType::kUrl || key.type == KeyType::kHost;
      if (!place || !is_of_dialect(key.path) || !is_owned(key)) continue;
      const Given* given = layers_.find(key.path);
      if (given != nullptr && (last == nullptr || given->layer > last->layer)) last = given;
    }
    return last;
  }

  void use_own_port() {
    const bool secure = !settings_.tls_certificate_path.empty();
    const char* port = settings_.backend == Backend::kQdrant   ? "6333"
                       : settings_.backend == Backend::kChroma ? "8000"
                                                               : "8080";
    settings_.url = std::string(secure ? "https" : "http") + "://localhost:" + port;
    const std::string key = layers_.dialect == "vectordb" ? "vectordb.weaviate.url" : "backend.url";
    warn(key, Given(), {"is not given: " + settings_.url + " is used", ""});
  }

  void check_private_network() {
    const Used* use = find_used("backend.use_private_network");
    const Used* endpoint = find_used("backend.private_endpoint");
    const bool wanted = use != nullptr && std::get<bool>(use->value);
    if (wanted && endpoint == nullptr && layers_.find("backend.private_endpoint") == nullptr) {
      complain(use->path, *use->given, {"needs private_endpoint", "private_endpoint = \"https://...\""});
    }
    if (endpoint == nullptr) return;
    if (wanted) {
      settings_.url = std::get<std::string>(endpoint->value);
    } else if (use == nullptr) {
      complain(endpoint->path, *endpoint->given,
               {"says nothing without use_private_network", "use_private_network = true, or url"});
    } else {
      warn(endpoint->path, *endpoint->given, {"does nothing while use_private_network = false", ""});
    }
  }

  void check_url() {
    Address address;
    if (!read_address(settings_.url, address).reason.empty()) return;
    const Used* certificate = find_used("backend.tls_cert_path");
    if (certificate != nullptr && !address.secure) {
      complain(certificate->path, *certificate->given,
               {"needs an address from https://, and that of the server is from http://", ""});
    }
    const std::string port = address.port.empty() ? (address.secure ? "443" : "80") : address.port;
    const auto& hosts = settings_.allowed_hosts;
    const bool listed = std::any_of(hosts.begin(), hosts.end(), [&](const std::string& each) {
      return each == address.host || each == address.host + ":" + port;
    });
    const Given* place = place_given();
    if (!hosts.empty() && !listed) {
      const Used* used = find_used("backend.allowed_hosts");
      warn(used->path, *used->given,
           {"does not have " + address.host + ", so that every request will fail with HostNotAllowed",
            "add it to allowed_hosts"});
    } else if (!address.secure && !address.local() && !listed && place != nullptr) {
      warn("", *place,
           {"sends to " + address.host + " by plain http, so that every request will fail with HostNotAllowed",
            "https://, or name the host in allowed_hosts"});
    } else if (!address.secure && !address.local() && !settings_.api_key.empty() && place != nullptr) {
      warn("", *place, {"sends the key to " + address.host + " unencrypted", "https://"});
    }
  }

  void check_collection_letters() {
    const std::string& name = settings_.collection;
    const Used* used = nullptr;
    for (const Used& each : used_) {
      if (each.key->target == Target(&Settings::collection)) used = &each;
    }
    if (used == nullptr) return;
    const auto only = [&](std::string_view more) {
      return std::all_of(name.begin(), name.end(), [&](char letter) {
        return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
               (letter >= '0' && letter <= '9') || more.find(letter) != std::string_view::npos;
      });
    };
    std::string reason;
    switch (settings_.backend) {
      case Backend::kEmbedded:
        if (name.size() > 100 || !only("_-")) reason = "must be 1 to 100 letters, digits, _ and -";
        break;
      case Backend::kQdrant:
        if (name.size() > 255 || name.find_first_of("<>:\"/\\|?*") != std::string::npos) {
          reason = "must be 1 to 255 bytes, none of < > : \" / \\ | ? *";
        }
        break;
      case Backend::kChroma:
        if (name.size() < 3 || name.size() > 512 || !only("._-")) {
          reason = "must be 3 to 512 letters, digits, ., _ and -";
        }
        break;
      case Backend::kWeaviate:
      case Backend::kCustom:
        if (name.size() > 255) reason = "must be 1 to 255 bytes";
        break;
    }
    if (!reason.empty()) complain(used->path, *used->given, {std::move(reason), ""});
  }

  void check_requests() {
    const Used* certificate = find_used("backend.tls_cert_path");
    const Used* key = find_used("backend.tls_key_path");
    if (certificate != nullptr && key == nullptr) {
      complain(certificate->path, *certificate->given, {"needs tls_key_path too", ""});
    }
    if (key != nullptr && certificate == nullptr) complain(key->path, *key->given, {"needs tls_cert_path too", ""});
    const Used* verify = find_used("backend.verify_ssl");
    if (verify != nullptr && !settings_.verify_tls) {
      if (in_node_) {
        warn(verify->path, *verify->given, {"accepts any certificate, also of whoever is in between", ""});
      } else {
        complain(verify->path, *verify->given,
                 {"cannot be used here: only Node lets a program accept any certificate", "leave it out"});
      }
    }
    if (const Used* alpha = find_used("backend.hybrid_alpha"); alpha != nullptr && !settings_.hybrid) {
      warn(alpha->path, *alpha->given, {"does nothing by itself", "enable_hybrid_search = true"});
    }
  }

  void check_vectors() {
    if (settings_.backend == Backend::kChroma && settings_.metric == Metric::kManhattan) {
      const Used* metric = find_used("backend.distance_metric");
      if (metric != nullptr) {
        complain(metric->path, *metric->given,
                 {"cannot be \"manhattan\" here: Chroma has no such space", "cosine, euclidean or dot"});
      }
    }
    for (const Used& used : used_) {
      if (!used.path.starts_with("providers.")) continue;
      const uint64_t made = std::get<uint64_t>(used.value);
      if (settings_.dimension == 0 || settings_.dimension == made) continue;
      const std::string key = layers_.dialect == "vectordb" ? "vector_params.size" : "vector_size";
      complain(used.path, *used.given,
               {"Vector dimension mismatch: expected " + std::to_string(settings_.dimension) + ", got " +
                    std::to_string(made),
                key + " = " + std::to_string(made) + ", or another model"},
               Code::kInvalidConfig);
    }
    check_index();
  }

  void check_index() {
    const auto kind = settings_.index.kind;
    const bool partitioned =
        !kind || *kind == IndexKind::kIvfFlat || *kind == IndexKind::kIvfPq || *kind == IndexKind::kIvfRabitq;
    if (const Used* used = find_used("vectordb.lancedb.num_partitions"); used != nullptr && !partitioned) {
      warn(used->path, *used->given, {"does nothing with this index_type", "IVF_PQ, IVF_FLAT or IVF_RQ"});
      settings_.partitions = 0;
    }
    const Used* used = find_used("vectordb.lancedb.num_sub_vectors");
    if (used == nullptr) return;
    if (kind && *kind != IndexKind::kIvfPq) {
      warn(used->path, *used->given, {"does nothing with this index_type", "IVF_PQ"});
      settings_.sub_vectors = 0;
    } else if (settings_.dimension > 0) {
      const Status divides = check_dimension(settings_, settings_.dimension);
      if (divides.ok()) return;
      const Divisors near = nearest_divisors(settings_.dimension, settings_.sub_vectors);
      complain(used->path, *used->given,
               {"must divide the dimension " + std::to_string(settings_.dimension),
                "the nearest that do are " + std::to_string(near.below) + " and " + std::to_string(near.above)});
    }
  }

  void check_embedder() {
    const bool is_static = settings_.embedder == "static";
    const Used* used = find_used("embedding.provider");
    if (!is_static && used != nullptr) {
      if (!is_named("embedders", settings_.embedder)) {
        complain(used->path, *used->given,
                 {"names no embedder: " + short_text(settings_.embedder),
                  "leave it out: stores are given vectors, whatever made them, and model says what did"});
      }
    }
  }

  // ---- The report ----

  KeyReport& add_report(const std::string& path, const Given& given, std::string value) {
    out_.keys.push_back({path, std::move(value), given.source, given.line, KeyState::kImplemented, ""});
    return out_.keys.back();
  }

  void complain(const std::string& path, const Given& given, const Complaint& complaint,
                Code code = Code::kInvalidConfig) {
    out_.problems.push_back({code, path, given.source, given.line, complaint.reason, complaint.alternative});
  }

  void warn(const std::string& path, const Given& given, const Complaint& complaint) {
    out_.warnings.push_back({Code::kOk, path, given.source, given.line, complaint.reason, complaint.alternative});
  }

  void list_defaults() {
    for (const Key& key : keys()) {
      const std::string_view fallback = key.fallback_on(settings_.backend);
      const bool counts = !fallback.empty() && key.path.find('.') != std::string_view::npos &&
                          is_of_dialect(key.path) && is_owned(key) && is_handed_over(key) &&
                          key.handling(settings_.backend) == Handling::kImplemented;
      // What another key of the same setting says counts in place of it.
      const bool given =
          layers_.find(key.path) != nullptr || std::any_of(used_.begin(), used_.end(), [&](const Used& used) {
            return !std::holds_alternative<std::monostate>(key.target) && used.key->target == key.target;
          });
      if (counts && !given) out_.defaults.emplace_back(key.path, fallback);
    }
  }

  Configuration finish() {
    list_defaults();
    if (out_.problems.size() > kMaxProblems) {
      out_.more_problems = out_.problems.size() - kMaxProblems;
      out_.problems.resize(kMaxProblems);
    }
    if (out_.warnings.size() > kMaxProblems) out_.warnings.resize(kMaxProblems);
    for (auto* list : {&out_.problems, &out_.warnings}) {
      for (ConfigProblem& problem : *list) {
        for (std::string* text : {&problem.key, &problem.source, &problem.reason, &problem.alternative}) {
          mask_.apply(*text);
        }
      }
    }
    for (KeyReport& report : out_.keys) {
      for (std::string* text : {&report.key, &report.value, &report.source, &report.note}) mask_.apply(*text);
    }
    out_.shown_settings = show_settings(settings_, mask_);
    out_.settings = std::move(settings_);
    return std::move(out_);
  }

  const Json& message_;
  Layers layers_;
  Json environment_ = Json(Json::value_t::object);
  bool in_node_ = true;
  BackendChoice choice_;
  Settings settings_;
  std::vector<Used> used_;
  Mask mask_;
  Configuration out_;
};

}  // namespace

std::string ConfigProblem::message() const {
  std::string out = key;
  if (!source.empty()) {
    out += (out.empty() ? "" : " in ") + source;
    if (line > 0) out += ":" + std::to_string(line);
  }
  out += (out.empty() ? "" : " ") + reason;
  if (!alternative.empty()) out += "; " + alternative;
  return out;
}

Status Configuration::status() const {
  if (problems.empty()) return {};
  // Whoever has both to mend begins with what is wrong.
  const ConfigProblem* first = &problems.front();
  for (const ConfigProblem& each : problems) {
    if (first->code == Code::kUnsupported && each.code != Code::kUnsupported) first = &each;
  }
  std::string message = first->message();
  const uint64_t more = problems.size() - 1 + more_problems;
  if (more > 0) message += " (and " + std::to_string(more) + (more == 1 ? " more problem)" : " more problems)");
  return Error{first->code, std::move(message), shown(first->key)};
}

Result<Configuration> read_configuration(const Json& message) {
  std::vector<ConfigProblem> problems;
  ASSIGN_OR_RETURN(Layers layers, read_layers(message, problems));
  return Maker(message, std::move(layers), std::move(problems)).make();
}

}  // namespace nearfield
