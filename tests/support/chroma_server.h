// A small Chroma for native tests: one collection, plain loops, distances as f32. Its conditions are ChromaWhere.
//
// It is strict about what adapters send: whatever it does not know, a real server may understand otherwise, and so it
// throws. The thorough fake, which is checked against recordings, is tests/support/fakes/chroma.mjs.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/chroma_where.h"
#include "tests/support/network.h"

namespace nearfield {

class ChromaServer {
 public:
  struct Request {
    std::string method, path;
    Json body;
  };
  struct Record {
    std::string id;
    std::vector<float> vector;
    Json document, metadata;  // null: none
  };

  explicit ChromaServer(std::string collection) : name_(std::move(collection)) {}

  NetworkReply handle(const HttpEffect& http) {
    const std::string text(http.body.begin(), http.body.end());
    const std::string path = http.url.substr(http.url.find('/', 8));
    requests.push_back({http.method, path, text.empty() ? Json() : Json::parse(text)});
    if (http.body.size() > max_body) return NetworkReply::of(413, "Payload too large");
    try {
      return NetworkReply::of(200, answer(requests.back()).dump());
    } catch (const Refusal& refusal) {
      return NetworkReply::of(refusal.status, Json{{"error", refusal.kind}, {"message", refusal.words}}.dump());
    }
  }

  // Somebody drops the collection and makes it anew.
  void make_anew() {
    records.clear();
    dimension = 0;
    uuid = "00000000-0000-4000-8000-0000000000" + std::to_string(10 + ++made_);
  }

  size_t count(const std::string& method, const std::string& ending) const {
    return static_cast<size_t>(std::count_if(requests.begin(), requests.end(), [&](const Request& request) {
      return request.method == method && request.path.ends_with(ending);
    }));
  }
  Record* find(const std::string& id) {
    for (Record& record : records) {
      if (record.id == id) return &record;
    }
    return nullptr;
  }

  std::vector<Request> requests;
  std::string uuid;      // empty: there is no collection
  Json described;        // what it was created with
  size_t dimension = 0;  // 0: nothing was written yet
  std::vector<Record> records;
  size_t max_body = 40 << 20, max_batch = 5461;
  std::string prefix = "/api/v2/tenants/default_tenant/databases/default_database/collections";

 private:
  struct Refusal {
    uint64_t status;
    std::string kind, words;
  };

  static void demand(bool condition, const std::string& what) {
    if (!condition) throw std::logic_error("the server does not know: " + what);
  }

  Json answer(const Request& request) {
    const std::string& method = request.method;
    const Json& body = request.body;
    if (request.path == "/api/v2/heartbeat") return {{"nanosecond heartbeat", 1795219080993652499}};
    if (request.path == "/api/v2/version") return "1.0.0";
    if (request.path == "/api/v2/auth/identity") {
      return {{"user_id", ""}, {"tenant", "default_tenant"}, {"databases", {"default_database"}}};
    }
    if (request.path == "/api/v2/pre-flight-checks") {
      return {{"max_batch_size", max_batch}, {"supports_base64_encoding", true}};
    }
    demand(request.path.starts_with(prefix), request.path);
    const std::string path = request.path.substr(prefix.size());
    if (path.empty()) {
      demand(method == "POST" && body.at("name") == name_ && body.at("get_or_create") == false, body.dump());
      if (!uuid.empty()) throw Refusal{409, "ChromaError", "Collection [" + name_ + "] already exists"};
      make_anew();
      described = body;
      return describe();
    }
    if (path == '/' + name_) {
      if (uuid.empty()) throw Refusal{404, "NotFoundError", "Collection [" + name_ + "] does not exist"};
      if (method == "GET") return describe();
      demand(method == "DELETE", method);
      uuid.clear();
      records.clear();
      return Json::object();
    }
    demand(path.size() > 37 && path[37] == '/', path);
    const std::string asked = path.substr(1, 36), rest = path.substr(37);
    if (asked != uuid) throw Refusal{404, "NotFoundError", "Collection [" + asked + "] does not exist."};
    if (rest == "/count" && method == "GET") return records.size();
    demand(method == "POST", path);
    if (rest == "/upsert") return upsert(body);
    if (rest == "/get") return get(body);
    if (rest == "/delete") return remove(body);
    if (rest == "/query") return query(body);
    throw std::logic_error("the server does not know: " + path);
  }

  Json describe() const {
    Json hnsw = {{"space", "l2"},       {"ef_construction", 100}, {"ef_search", 100},
                 {"max_neighbors", 16}, {"resize_factor", 1.2},   {"sync_threshold", 1000}};
    if (described.contains("configuration")) hnsw.update(described["configuration"]["hnsw"]);
    return {{"id", uuid},
            {"name", name_},
            {"configuration_json", {{"hnsw", hnsw}, {"spann", nullptr}, {"embedding_function", nullptr}}},
            {"metadata", described.value("metadata", Json())},
            {"dimension", dimension == 0 ? Json() : Json(dimension)},
            {"tenant", "default_tenant"},
            {"database", "default_database"}};
  }

  static void only(const Json& body, const std::set<std::string>& known) {
    for (const auto& [key, value] : body.items()) demand(known.count(key) > 0, body.dump());
  }

  // Metadata are merged, a null removes a key, a document that is null stays as it was.
  Json upsert(const Json& body) {
    only(body, {"ids", "embeddings", "documents", "metadatas"});
    const size_t count = body.at("ids").size();
    demand(count > 0 && count <= max_batch, std::to_string(count) + " records");
    for (const char* list : {"embeddings", "documents", "metadatas"}) demand(body.at(list).size() == count, list);
    size_t size = dimension;
    for (size_t i = 0; i < count; ++i) {
      const Json& vector = body["embeddings"][i];
      if (size == 0) size = vector.size();
      if (vector.size() != size) throw wrong_dimension(size, vector.size());
      size_t elements = 0;
      for (const auto& [key, value] : body["metadatas"][i].items()) {
        demand(ChromaWhere::is_metadata(key, value), key + ": " + value.dump());
        elements += value.is_array() ? value.size() : 0;
      }
      // A real one takes it, and is good for no later write.
      demand(elements <= max_batch && body["metadatas"][i].size() <= max_batch, "metadata that break the collection");
    }
    dimension = size;
    for (size_t i = 0; i < count; ++i) {
      const auto id = body["ids"][i].get<std::string>();
      demand(!id.empty(), "an empty id");
      Record* record = find(id);
      if (record == nullptr) {
        records.push_back({id, {}, nullptr, nullptr});
        record = &records.back();
      }
      record->vector = body["embeddings"][i].get<std::vector<float>>();
      if (!body["documents"][i].is_null()) record->document = body["documents"][i];
      for (const auto& [key, value] : body["metadatas"][i].items()) {
        if (value.is_null() || (value.is_array() && value.empty())) {
          if (record->metadata.is_object()) record->metadata.erase(key);
        } else {
          record->metadata[key] = value;
        }
      }
    }
    return Json::object();
  }

  static Refusal wrong_dimension(size_t expected, size_t got) {
    return {400, "InvalidArgumentError",
            "Collection expecting embedding with dimension of " + std::to_string(expected) + ", got " +
                std::to_string(got)};
  }

  bool selected(const Json& body, const Record& record) const {
    if (body.contains("ids")) {
      const Json& ids = body["ids"];
      demand(!ids.empty() && ids.size() <= 30'000, "ids");
      if (std::find(ids.begin(), ids.end(), Json(record.id)) == ids.end()) return false;
    }
    return !body.contains("where") ||
           ChromaWhere::passes(body["where"], record.metadata.is_null() ? Json::object() : record.metadata);
  }

  static void put(Json& out, const Json& included, const std::vector<const Record*>& found) {
    Json ids = Json::array(), vectors = ids, documents = ids, metadatas = ids;
    for (const Record* record : found) {
      ids.push_back(record->id);
      vectors.push_back(record->vector);
      documents.push_back(record->document);
      metadatas.push_back(record->metadata);
    }
    const auto one = [&](const char* name, const Json& list) {
      const bool wanted = std::find(included.begin(), included.end(), Json(name)) != included.end();
      if (out.is_array()) {
        out.push_back(wanted ? list : Json());
      } else {
        out[name] = wanted ? list : Json();
      }
    };
    if (out.is_array()) {
      out.push_back(ids);
    } else {
      out["ids"] = ids;
    }
    one("embeddings", vectors);
    one("documents", documents);
    one("metadatas", metadatas);
  }

  Json get(const Json& body) const {
    only(body, {"ids", "where", "limit", "offset", "include"});
    std::vector<const Record*> found;
    size_t offset = body.value("offset", size_t{0});
    const size_t limit = body.value("limit", std::numeric_limits<size_t>::max());
    for (const Record& record : records) {
      if (!selected(body, record)) continue;
      if (offset > 0) {
        --offset;
      } else if (found.size() < limit) {
        found.push_back(&record);
      }
    }
    Json out = {{"include", body.at("include")}, {"uris", nullptr}};
    put(out, body["include"], found);
    return out;
  }

  Json remove(const Json& body) {
    only(body, {"ids", "where", "limit"});
    demand(!body.contains("limit") || body.contains("where"), body.dump());
    if (!body.contains("where") && !body.contains("ids")) return {{"deleted", 0}};
    size_t left = body.value("limit", std::numeric_limits<size_t>::max());
    size_t deleted = 0;
    std::erase_if(records, [&](const Record& record) {
      if (deleted == left || !selected(body, record)) return false;
      ++deleted;
      return true;
    });
    return {{"deleted", body.contains("where") ? deleted : body["ids"].size()}};
  }

  // The real one keeps vectors of cosine at length 1 and their norm, as f32.
  double distance(const std::vector<float>& a, const std::vector<float>& b) const {
    const std::string space = describe()["configuration_json"]["hnsw"]["space"].get<std::string>();
    float sum = 0, length_a = 0, length_b = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      sum += space == "l2" ? (a[i] - b[i]) * (a[i] - b[i]) : a[i] * b[i];
      length_a += a[i] * a[i];
      length_b += b[i] * b[i];
    }
    if (space == "l2") return sum;
    if (space == "ip") return 1 - sum;
    return 1 - (length_a == 0 || length_b == 0 ? 0 : sum / std::sqrt(length_a) / std::sqrt(length_b));
  }

  Json query(const Json& body) const {
    only(body, {"query_embeddings", "n_results", "where", "include"});
    const auto limit = body.at("n_results").get<size_t>();
    demand(limit > 0, "n_results 0, at which the real one panics");
    Json out = {{"include", body.at("include")}, {"uris", nullptr}};
    for (const char* list : {"ids", "embeddings", "documents", "metadatas", "distances"}) out[list] = Json::array();
    for (const Json& asked : body.at("query_embeddings")) {
      const auto vector = asked.get<std::vector<float>>();
      if (dimension != 0 && vector.size() != dimension) throw wrong_dimension(dimension, vector.size());
      std::vector<std::pair<double, const Record*>> found;
      for (const Record& record : records) {
        if (selected(body, record)) found.emplace_back(distance(vector, record.vector), &record);
      }
      std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      found.resize(std::min(found.size(), limit));
      std::vector<const Record*> best;
      Json distances = Json::array();
      for (const auto& [far, record] : found) {
        best.push_back(record);
        distances.push_back(std::isfinite(far) ? Json(static_cast<float>(far)) : Json());
      }
      Json row = Json::array();
      put(row, body["include"], best);
      const char* const names[] = {"ids", "embeddings", "documents", "metadatas"};
      for (size_t i = 0; i < 4; ++i) out[names[i]].push_back(row[i]);
      out["distances"].push_back(distances);
    }
    for (const char* list : {"embeddings", "documents", "metadatas"}) {
      const Json& included = body["include"];
      if (std::find(included.begin(), included.end(), Json(list)) == included.end()) out[list] = nullptr;
    }
    return out;
  }

  std::string name_;
  int made_ = 0;
};

}  // namespace nearfield
