// A small Qdrant for native tests: one collection, plain loops, scores as f32. Its filters are QdrantConditions.
//
// It is strict about what adapters send: whatever it does not know, a real server may understand otherwise, and so it
// throws. The thorough fake, which is checked against recordings, is tests/support/fakes/qdrant.mjs.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/network.h"
#include "tests/support/qdrant_conditions.h"

namespace nearfield {

class QdrantServer {
 public:
  struct Request {
    std::string method, path;
    Json body;
  };

  explicit QdrantServer(std::string collection) : name_(std::move(collection)) {}

  NetworkReply handle(const HttpEffect& http) {
    const std::string text(http.body.begin(), http.body.end());
    std::string path = http.url.substr(http.url.find('/', 8));
    requests.push_back({http.method, path, text.empty() ? Json() : Json::parse(text)});
    if (http.body.size() > max_body) {
      return error(400, "JSON payload (" + std::to_string(http.body.size()) +
                            " bytes) is larger than allowed (limit: " + std::to_string(max_body) + " bytes).");
    }
    if (path == "/") return NetworkReply::of(200, R"({"title":"qdrant","version":"1.18.3","commit":"x"})");
    if (path == "/readyz") return NetworkReply::of(200, "all shards are ready");
    const std::string prefix = "/collections/" + name_;
    demand(path.starts_with(prefix), path);
    path = path.substr(prefix.size());
    if (const size_t query = path.find('?'); query != std::string::npos) {
      demand(path.substr(query) == "?wait=true", path);
      path = path.substr(0, query);
    }
    try {
      return NetworkReply::of(200,
                              Json{{"result", answer(requests.back(), path)}, {"status", "ok"}, {"time", 0}}.dump());
    } catch (const Refusal& refusal) {
      return error(refusal.status, refusal.words);
    }
  }

  size_t count(const std::string& method, const std::string& ending) const {
    return static_cast<size_t>(std::count_if(requests.begin(), requests.end(), [&](const Request& request) {
      const std::string path = request.path.substr(0, request.path.find('?'));
      return request.method == method && path.ends_with(ending);
    }));
  }

  std::vector<Request> requests;
  std::optional<Json> config;  // the body it was created with
  std::map<std::string, std::string> indexes;
  std::map<std::string, Json> points;  // by key, numbers first; {"payload", "vector"}
  size_t max_body = 32 << 20;

 private:
  struct Refusal {
    uint64_t status;
    std::string words;
  };

  static void demand(bool condition, const std::string& what) {
    if (!condition) throw std::logic_error("the server does not know: " + what);
  }
  static NetworkReply error(uint64_t status, const std::string& words) {
    return NetworkReply::of(status, Json{{"status", {{"error", words}}}, {"time", 0}}.dump());
  }
  // Numbers before UUIDs, both ascending.
  static std::string key_of(const Json& id) {
    if (id.is_string()) return "u" + id.get<std::string>();
    demand(id.is_number_unsigned(), id.dump());
    const std::string digits = std::to_string(id.get<uint64_t>());
    return "n" + std::string(20 - digits.size(), '0') + digits;
  }
  static Json id_of(const std::string& key) {
    if (key[0] == 'u') return key.substr(1);
    return std::stoull(key.substr(1));
  }

  const Json& vector_config() const {
    const Json& vectors = (*config)["vectors"];
    return vectors.contains("size") ? vectors : vectors.begin().value();
  }
  std::string vector_name() const {
    const Json& vectors = (*config)["vectors"];
    return vectors.contains("size") ? "" : vectors.begin().key();
  }

  Json answer(const Request& request, const std::string& path) {
    const std::string& method = request.method;
    const Json& body = request.body;
    if (path == "/exists") return {{"exists", config.has_value()}};
    if (path.empty() && method == "PUT") {
      if (config) throw Refusal{409, "Wrong input: Collection `" + name_ + "` already exists!"};
      config = body;
      return true;
    }
    if (path.empty() && method == "DELETE") {
      const bool was = config.has_value();
      config.reset();
      points.clear();
      return was;
    }
    if (!config) throw Refusal{404, "Not found: Collection `" + name_ + "` doesn't exist!"};
    if (path.empty()) return describe();
    if (path == "/index") {
      indexes[body.at("field_name").get<std::string>()] = body.at("field_schema").get<std::string>();
      return completed();
    }
    if (path == "/points" && method == "PUT") return upsert(body);
    if (path == "/points") {
      Json out = Json::array();
      for (const Json& id : body.at("ids")) {
        if (const auto point = points.find(key_of(id)); point != points.end()) out.push_back(record(*point, body));
      }
      return out;
    }
    if (path == "/points/delete") {
      if (body.contains("filter")) {
        const Json& filter = body["filter"];
        std::erase_if(points, [&](const auto& point) { return filter.empty() || passes(filter, point); });
      } else {
        if (body.at("points").empty()) throw Refusal{400, "Bad request: Empty update request"};
        for (const Json& id : body["points"]) points.erase(key_of(id));
      }
      return completed();
    }
    if (path == "/points/count") {
      demand(body.at("exact") == true, body.dump());
      return {{"count", std::count_if(points.begin(), points.end(), [&](const auto& point) {
                 return !body.contains("filter") || passes(body["filter"], point);
               })}};
    }
    if (path == "/points/scroll") return scroll(body);
    if (path == "/points/query") return query(body);
    if (path == "/points/query/batch") {
      Json out = Json::array();
      for (const Json& search : body.at("searches")) out.push_back(query(search));
      return out;
    }
    if (path == "/snapshots" && method == "POST") {
      snapshots_.push_back({{"name", "s" + std::to_string(snapshots_.size())}, {"size", 7}, {"creation_time", "now"}});
      return snapshots_.back();
    }
    if (path == "/snapshots") return snapshots_;
    if (path.starts_with("/snapshots/") && method == "DELETE") {
      for (size_t i = 0; i < snapshots_.size(); ++i) {
        if ("/snapshots/" + snapshots_[i]["name"].get<std::string>() != path) continue;
        snapshots_.erase(i);
        return true;
      }
      throw Refusal{404, "Not found: Snapshot not found"};
    }
    throw std::logic_error("the server does not know: " + method + ' ' + path);
  }

  static Json completed() { return {{"operation_id", 1}, {"status", "completed"}}; }

  Json describe() const {
    Json schema = Json::object();
    for (const auto& [key, type] : indexes) schema[key] = {{"data_type", type}, {"points", 0}};
    Json params = {{"vectors", (*config)["vectors"]}, {"on_disk_payload", config->value("on_disk_payload", true)}};
    if (config->contains("sparse_vectors")) params["sparse_vectors"] = (*config)["sparse_vectors"];
    Json hnsw = {{"m", 16}, {"ef_construct", 100}};
    if (config->contains("hnsw_config")) hnsw.update((*config)["hnsw_config"]);
    return {{"status", "green"},
            {"points_count", points.size()},
            {"payload_schema", schema},
            {"config",
             {{"params", params},
              {"hnsw_config", hnsw},
              {"optimizer_config", config->value("optimizers_config", Json{{"indexing_threshold", 10000}})}}}};
  }

  Json upsert(const Json& body) {
    if (body.at("points").empty()) throw Refusal{400, "Bad request: Empty update request"};
    for (const Json& point : body["points"]) {
      Json vectors = point.at("vector");
      if (vectors.is_array()) vectors = Json{{"", vectors}};
      for (auto& [name, vector] : vectors.items()) {
        if (vector.is_object()) {
          demand(vector["indices"].size() == vector["values"].size(), vector.dump());
          if (!config->contains("sparse_vectors") || !(*config)["sparse_vectors"].contains(name)) {
            throw Refusal{400, "Wrong input: Not existing vector name error: " + name};
          }
          continue;
        }
        if (name != vector_name()) throw Refusal{400, "Wrong input: Not existing vector name error: " + name};
        const size_t size = vector_config()["size"].get<size_t>();
        if (vector.size() != size) {
          throw Refusal{400, "Wrong input: Vector dimension error: expected dim: " + std::to_string(size) + ", got " +
                                 std::to_string(vector.size())};
        }
        vector = stored_vector(floats(vector));
      }
      points[key_of(point.at("id"))] = {{"payload", point.at("payload")}, {"vector", vectors}};
    }
    return completed();
  }

  static std::vector<float> floats(const Json& json) {
    std::vector<float> out;
    for (const Json& value : json) out.push_back(value.get<float>());
    return out;
  }
  // Scaled to length 1 where vectors are compared by cosine, but for those that are that already, or nearly 0.
  std::vector<float> stored_vector(std::vector<float> vector) const {
    if (vector_config()["distance"] != "Cosine") return vector;
    float length = 0;
    for (const float value : vector) length += value * value;
    if (length < 1.1920929e-7f || std::abs(length - 1) <= 1e-6f) return vector;
    for (float& value : vector) value /= std::sqrt(length);
    return vector;
  }

  static bool passes(const Json& filter, const std::pair<const std::string, Json>& point) {
    return QdrantConditions::passes(filter, point.second["payload"], id_of(point.first));
  }

  static Json record(const std::pair<const std::string, Json>& point, const Json& body) {
    Json out = {{"id", id_of(point.first)}};
    const Json& payload = point.second["payload"];
    const Json wanted = body.value("with_payload", Json(false));
    if (wanted == true) {
      out["payload"] = payload;
    } else if (wanted.is_array()) {
      out["payload"] = Json::object();
      for (const Json& name : wanted) {
        std::string key = name.get<std::string>();
        key.erase(std::remove(key.begin(), key.end(), '"'), key.end());
        if (payload.contains(key)) out["payload"][key] = payload[key];
      }
    }
    const Json with = body.value("with_vector", Json(false));
    Json vectors = point.second["vector"];
    if (with.is_array()) {
      for (auto vector = vectors.begin(); vector != vectors.end();) {
        vector = std::find(with.begin(), with.end(), Json(vector.key())) == with.end() ? vectors.erase(vector)
                                                                                       : std::next(vector);
      }
    }
    if (with != false) out["vector"] = vectors.size() == 1 && vectors.contains("") ? vectors[""] : vectors;
    return out;
  }

  Json scroll(const Json& body) const {
    auto point = body.contains("offset") ? points.lower_bound(key_of(body["offset"])) : points.begin();
    Json out = {{"points", Json::array()}, {"next_page_offset", nullptr}};
    for (; point != points.end(); ++point) {
      if (body.contains("filter") && !passes(body["filter"], *point)) continue;
      if (out["points"].size() == body.at("limit").get<size_t>()) {
        out["next_page_offset"] = id_of(point->first);
        break;
      }
      out["points"].push_back(record(*point, body));
    }
    return out;
  }

  // The score of a stored vector, and whether greater is better.
  double score(const Json& query, const Json& vector, const std::string& name) const {
    float sum = 0;
    if (query.is_object()) {
      const bool idf = (*config)["sparse_vectors"][name].value("modifier", "") == "idf";
      for (size_t i = 0; i < query["indices"].size(); ++i) {
        for (size_t j = 0; j < vector["indices"].size(); ++j) {
          if (query["indices"][i] != vector["indices"][j]) continue;
          float weight = query["values"][i].get<float>() * vector["values"][j].get<float>();
          if (idf) weight *= idf_of(query["indices"][i], name);
          sum += weight;
        }
      }
      return sum;
    }
    const std::vector<float> a = stored_vector(floats(query)), b = floats(vector);
    const std::string distance = vector_config()["distance"].get<std::string>();
    for (size_t i = 0; i < a.size(); ++i) {
      const float d = a[i] - b[i];
      sum += distance == "Euclid" ? d * d : distance == "Manhattan" ? std::abs(d) : a[i] * b[i];
    }
    return distance == "Euclid" ? std::sqrt(sum) : sum;
  }

  float idf_of(const Json& index, const std::string& name) const {
    double n = 0, df = 0;
    for (const auto& [key, point] : points) {
      if (!point["vector"].contains(name)) continue;
      ++n;
      const Json& indices = point["vector"][name]["indices"];
      df += std::find(indices.begin(), indices.end(), index) == indices.end() ? 0 : 1;
    }
    return static_cast<float>(std::log((n - df + 0.5) / (df + 0.5) + 1));
  }

  Json query(const Json& body) const {
    static const std::vector<std::string> kKnown = {"query",  "using",        "limit",       "offset",
                                                    "filter", "with_payload", "with_vector", "params"};
    for (const auto& [key, value] : body.items()) {
      demand(std::find(kKnown.begin(), kKnown.end(), key) != kKnown.end(), body.dump());
    }
    const std::string name = body.value("using", "");
    const size_t limit = body.at("limit").get<size_t>(), offset = body.value("offset", size_t{0});
    if (limit == 0) throw Refusal{422, "Validation error in JSON body: [internal.limit: value 0 invalid]"};
    const Json& what = body.at("query");
    if (what.is_array() && what.size() != vector_config()["size"].get<size_t>()) {
      throw Refusal{400, "Wrong input: Vector dimension error: expected dim: " + vector_config()["size"].dump() +
                             ", got " + std::to_string(what.size())};
    }
    const bool nearest =
        what.is_array() && (vector_config()["distance"] == "Euclid" || vector_config()["distance"] == "Manhattan");
    std::vector<std::pair<double, const std::pair<const std::string, Json>*>> found;
    for (const auto& point : points) {
      if (!point.second["vector"].contains(name)) continue;
      if (body.contains("filter") && !passes(body["filter"], point)) continue;
      const double told = score(what, point.second["vector"][name], name);
      if (what.is_object() && told == 0) continue;
      found.emplace_back(told, &point);
    }
    std::stable_sort(found.begin(), found.end(),
                     [&](const auto& a, const auto& b) { return nearest ? a.first < b.first : a.first > b.first; });
    Json out = Json::array();
    for (size_t i = offset; i < std::min(found.size(), offset + limit); ++i) {
      Json hit = record(*found[i].second, body);
      hit["score"] = found[i].first;
      hit["version"] = 1;
      out.push_back(std::move(hit));
    }
    return {{"points", out}};
  }

  std::string name_;
  Json snapshots_ = Json::array();
};

}  // namespace nearfield
