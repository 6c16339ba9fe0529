// A small Weaviate for native tests: classes of one vector, plain loops, distances as f32. Its filters are
// WeaviateWhere.
//
// It is strict about what adapters send: whatever it does not know, and whatever a real server would guess a class or
// a type for, throws. The thorough fake, which is checked against recordings, is tests/support/fakes/weaviate.mjs.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/graphql.h"
#include "tests/support/network.h"
#include "tests/support/weaviate_where.h"

namespace nearfield {

class WeaviateServer {
 public:
  struct Request {
    std::string method, path;
    Json body;
  };
  struct Class {
    Json schema;
    std::map<std::string, Json> objects;  // by UUID; {"properties", "vector"}
    size_t dimension = 0;
  };

  NetworkReply handle(const HttpEffect& http) {
    const std::string text(http.body.begin(), http.body.end());
    const std::string path = http.url.substr(http.url.find('/', 8));
    requests.push_back({http.method, path, text.empty() ? Json() : Json::parse(text)});
    try {
      return answer(requests.back());
    } catch (const Refusal& refusal) {
      const Json body = {{"error", Json::array({{{"message", refusal.words}}})}};
      return NetworkReply::of(refusal.status, refusal.words.empty() ? "" : body.dump());
    }
  }

  size_t count(const std::string& method, const std::string& ending) const {
    return static_cast<size_t>(std::ranges::count_if(
        requests, [&](const Request& request) { return request.method == method && request.path.ends_with(ending); }));
  }

  std::vector<Request> requests;
  std::map<std::string, Class> classes;
  std::string version = "1.40.0-dev";
  Json modules = {{"backup-filesystem", {{"backupsPath", "/backups"}}}};
  size_t delete_limit = 10'000;
  int polls = 2;  // of a backup, before it is there

 private:
  struct Refusal {
    uint64_t status;
    std::string words;
  };

  static void demand(bool condition, const std::string& what) {
    if (!condition) throw std::logic_error("the server does not know: " + what);
  }
  static NetworkReply ok(const Json& body) { return NetworkReply::of(200, body.dump()); }

  NetworkReply answer(const Request& request) {
    const std::string& method = request.method;
    std::string path = request.path;
    if (path == "/v1/.well-known/ready") return NetworkReply::of(200, "");
    if (path == "/v1/meta") return ok({{"hostname", "x"}, {"version", version}, {"modules", modules}});
    if (path == "/v1/schema" && method == "POST") return create(request.body);
    if (path.starts_with("/v1/schema/")) {
      const std::string name = path.substr(11);
      if (method == "DELETE") {
        classes.erase(name);
        return NetworkReply::of(200, "");
      }
      if (!classes.contains(name)) throw Refusal{404, ""};
      return ok(classes[name].schema);
    }
    if (path == "/v1/batch/objects") return method == "POST" ? write(request.body) : erase(request.body);
    if (path == "/v1/graphql") return ok(query(request.body));
    if (path == "/v1/graphql/batch") {
      Json out = Json::array();
      for (const Json& each : request.body) out.push_back(query(each));
      return ok(out);
    }
    if (path.starts_with("/v1/backups/")) return backup(request, path.substr(12));
    throw std::logic_error("the server does not know: " + method + ' ' + path);
  }

  NetworkReply create(const Json& body) {
    const std::string name = body.at("class").get<std::string>();
    demand(name[0] >= 'A' && name[0] <= 'Z', name);
    for (const auto& [other, there] : classes) {
      if (lower(other) == lower(name)) throw Refusal{422, "class name " + name + " already exists"};
    }
    Json schema = body;
    Json& index = schema.at("vectorConfig").at("default").at("vectorIndexConfig");
    Json defaults = {{"maxConnections", 32}, {"efConstruction", 128}, {"ef", -1}, {"flatSearchCutoff", 40'000}};
    defaults["pq"] = {{"enabled", false}};
    defaults.update(index);
    index = defaults;
    classes[name] = {schema, {}, 0};
    return ok(schema);
  }
  static std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return text;
  }

  NetworkReply write(const Json& body) {
    demand(!body.at("objects").empty(), "no objects");
    Json out = Json::array();
    for (const Json& object : body["objects"]) {
      const std::string name = object.at("class").get<std::string>();
      demand(classes.contains(name), "an object of a class that is not there");
      Class& there = classes[name];
      for (const auto& [property, value] : object.at("properties").items()) {
        const Json& declared = declaration(there, property);
        const std::string type = declared.at("dataType")[0].get<std::string>();
        demand(type == "text"     ? value.is_string()
               : type == "number" ? value.is_number()
                                  : type == "text[]" && value.is_array() && !value.empty(),
               property + ": " + value.dump());
      }
      Json result = {{"class", name}, {"id", object.at("id")}, {"result", {{"status", "SUCCESS"}}}};
      const Json vector = object.contains("vectors") ? object["vectors"].at("default") : Json();
      if (there.dimension > 0 && vector.is_array() && vector.size() != there.dimension) {
        const std::string words = "new node has a vector with length " + std::to_string(vector.size()) +
                                  ". Existing nodes have vectors with length " + std::to_string(there.dimension) +
                                  ": vector dimensions do not match the index dimensions";
        result["result"] = {{"status", "FAILED"}, {"errors", {{"error", Json::array({{{"message", words}}})}}}};
      } else {
        if (vector.is_array()) there.dimension = vector.size();
        there.objects[object["id"].get<std::string>()] = {{"properties", object["properties"]},
                                                          {"vector", vector.is_array() ? rounded(vector) : vector}};
      }
      out.push_back(std::move(result));
    }
    return ok(out);
  }
  static const Json& declaration(const Class& there, const std::string& property) {
    for (const Json& each : there.schema.at("properties")) {
      if (each.at("name") == property) return each;
    }
    throw std::logic_error("the server would guess a type for " + property);
  }
  static Json rounded(const Json& vector) {
    Json out = Json::array();
    for (const Json& value : vector) out.push_back(value.get<float>());
    return out;
  }

  NetworkReply erase(const Json& body) {
    const std::string name = body.at("match").at("class").get<std::string>();
    if (!classes.contains(name)) throw Refusal{422, "validate: failed to get class: " + name};
    Class& there = classes[name];
    std::vector<std::string> gone;
    for (const auto& [id, object] : there.objects) {
      if (gone.size() < delete_limit && WeaviateWhere::passes(body["match"].at("where"), object["properties"], id)) {
        gone.push_back(id);
      }
    }
    for (const std::string& id : gone) there.objects.erase(id);
    return ok(
        {{"results", {{"matches", gone.size()}, {"limit", delete_limit}, {"successful", gone.size()}, {"failed", 0}}}});
  }

  // GraphQL

  struct QueryError {
    std::string words;
    bool whole = false;  // of the query, not of its execution
  };

  Json query(const Json& body) {
    if (classes.empty()) throw Refusal{422, "no graphql provider present, this is most likely because no schema"};
    const std::string text = body.at("query").get<std::string>();
    const Json operation = GraphqlReader(text).read();
    demand(operation.size() == 1 && operation[0]["fields"].size() == 1, text);
    const std::string root = operation[0]["name"].get<std::string>();
    const Json& field = operation[0]["fields"][0];
    const std::string name = field["name"].get<std::string>();
    try {
      if (!classes.contains(name)) {
        throw QueryError{"Cannot query field \"" + name + "\" on type \"" + root + "ObjectsObj\".", true};
      }
      const Class& there = classes[name];
      const Json list = root == "Get" ? get(there, field) : aggregate(there, field);
      return {{"data", {{root, {{name, list}}}}}};
    } catch (const QueryError& error) {
      Json out = {{"errors", Json::array({{{"message", error.words}, {"path", nullptr}}})}};
      if (!error.whole) out["data"] = {{root, {{name, nullptr}}}};
      return out;
    }
  }

  struct Found {
    const std::string* id;
    const Json* object;
    double value = 0;  // distance or score
  };

  static std::vector<Found> candidates(const Class& there, const Json& args) {
    std::vector<Found> out;
    for (const auto& [id, object] : there.objects) {
      if (!args.contains("where") || WeaviateWhere::passes(args["where"], object["properties"], id)) {
        out.push_back({&id, &object});
      }
    }
    return out;
  }

  static Json aggregate(const Class& there, const Json& field) {
    return Json::array({{{"meta", {{"count", candidates(there, field["args"]).size()}}}}});
  }

  static Json get(const Class& there, const Json& field) {
    const Json& args = field["args"];
    const size_t limit = args.at("limit").get<size_t>(), offset = args.value("offset", size_t{0});
    demand(limit > 0, "limit 0");
    if (limit + offset > 10'000) throw QueryError{"query maximum results exceeded"};
    std::vector<Found> hits = candidates(there, args);
    if (args.contains("nearVector")) {
      near(there, args["nearVector"].at("vector"), hits);
    } else if (args.contains("bm25")) {
      words(there, args["bm25"], hits);
    } else if (args.contains("hybrid")) {
      hybrid(there, args["hybrid"], hits);
    } else if (args.contains("after")) {
      demand(!args.contains("where") && offset == 0, "after with where or offset");
      std::erase_if(hits, [&](const Found& hit) { return *hit.id <= args["after"].get<std::string>(); });
    }
    Json out = Json::array();
    for (size_t i = offset; i < std::min(hits.size(), offset + limit); ++i) {
      out.push_back(projected(there, hits[i], field["fields"]));
    }
    return out;
  }

  static Json projected(const Class& there, const Found& hit, const Json& fields) {
    Json out = Json::object();
    for (const Json& field : fields) {
      const std::string name = field["name"].get<std::string>();
      if (name != "_additional") {
        try {
          declaration(there, name);
        } catch (const std::logic_error&) {
          throw QueryError{"Cannot query field \"" + name + "\" on type \"Docs\".", true};
        }
        out[name] = (*hit.object)["properties"].value(name, Json());
        continue;
      }
      for (const Json& each : field["fields"]) {
        const std::string what = each["name"].get<std::string>();
        Json& place = out[name][what];
        if (what == "id") place = *hit.id;
        if (what == "distance") place = hit.value;
        if (what == "score") place = std::to_string(hit.value);
        if (what == "vectors") place = {{"default", (*hit.object)["vector"]}};
      }
    }
    return out;
  }

  static double distance(const std::string& metric, const Json& x, const Json& y) {
    float sum = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const auto a = x[i].get<float>(), b = y[i].get<float>();
      const float d = a - b;
      sum += metric == "l2-squared" ? d * d : metric == "manhattan" ? std::abs(d) : a * b;
      xx += a * a;
      yy += b * b;
    }
    if (metric == "dot") return -sum;
    if (metric != "cosine") return sum;
    const float lengths = std::sqrt(xx) * std::sqrt(yy);
    return lengths == 0 || !std::isfinite(lengths) ? 1.0F : std::max(0.0F, 1 - sum / lengths);
  }

  static void near(const Class& there, const Json& vector, std::vector<Found>& hits) {
    if (there.dimension > 0 && vector.size() != there.dimension) {
      throw QueryError{"explorer: distance between entrypoint and query node: " + std::to_string(there.dimension) +
                       " vs " + std::to_string(vector.size()) + ": vector lengths don't match"};
    }
    const std::string metric =
        there.schema["vectorConfig"]["default"]["vectorIndexConfig"]["distance"].get<std::string>();
    std::erase_if(hits, [](const Found& hit) { return !(*hit.object)["vector"].is_array(); });
    for (Found& hit : hits) hit.value = distance(metric, vector, (*hit.object)["vector"]);
    std::ranges::stable_sort(hits, [](const Found& a, const Found& b) { return a.value < b.value; });
  }

  // How many of the query's words the text has.
  static void words(const Class& there, const Json& bm25, std::vector<Found>& hits) {
    const std::string property = bm25.at("properties").at(0).get<std::string>();
    demand(declaration(there, property).at("indexSearchable") == true, property);
    const std::vector<std::string> asked = split(bm25.at("query").get<std::string>());
    for (Found& hit : hits) {
      for (const std::string& word : split((*hit.object)["properties"].value(property, ""))) {
        hit.value += static_cast<double>(std::ranges::count(asked, word));
      }
    }
    std::erase_if(hits, [](const Found& hit) { return hit.value == 0; });
    std::ranges::stable_sort(hits, [](const Found& a, const Found& b) { return a.value > b.value; });
  }
  static std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> out(1);
    for (const char c : text) {
      if (c >= 'a' && c <= 'z') {
        out.back() += c;
      } else if (!out.back().empty()) {
        out.emplace_back();
      }
    }
    if (out.back().empty()) out.pop_back();
    return out;
  }

  static void hybrid(const Class& there, const Json& args, std::vector<Found>& hits) {
    const double alpha = args.at("alpha").get<double>();
    const bool ranked = args.at("fusionType").at("word") == "rankedFusion";
    std::map<std::string, double> scores;
    const auto leg = [&](std::vector<Found> list, double weight, double sign) {
      for (size_t i = 0; i < list.size(); ++i) {
        const double best = sign * list.front().value, worst = sign * list.back().value;
        const double share = ranked          ? 1 / (60 + static_cast<double>(i))
                             : best == worst ? 1
                                             : (sign * list[i].value - worst) / (best - worst);
        scores[*list[i].id] += weight * share;
      }
    };
    std::vector<Found> dense = hits, text = hits;
    near(there, args.at("vector"), dense);
    words(there, args, text);
    leg(dense, alpha, -1);
    leg(text, 1 - alpha, 1);
    std::erase_if(hits, [&](const Found& hit) { return !scores.contains(*hit.id); });
    for (Found& hit : hits) hit.value = scores[*hit.id];
    std::ranges::stable_sort(hits, [](const Found& a, const Found& b) { return a.value > b.value; });
  }

  NetworkReply backup(const Request& request, const std::string& path) {
    const std::string backend = path.substr(0, path.find('/'));
    if (!modules.contains("backup-" + backend)) {
      throw Refusal{422, "no backup backend \"" + backend + "\": did you enable the right module?"};
    }
    if (request.method == "POST") {
      backups_.push_back({{"id", request.body.at("id")},
                          {"classes", request.body.at("include")},
                          {"startedAt", "2026-01-01T00:00:00.000Z"},
                          {"status", "STARTED"}});
      return ok(backups_.back());
    }
    if (path == backend) return ok(backups_);
    for (Json& each : backups_) {
      if (backend + '/' + each["id"].get<std::string>() != path) continue;
      if (polls-- <= 0) {
        each["status"] = "SUCCESS";
        each["size"] = 0.5;
      }
      return ok(each);
    }
    throw Refusal{404, "not found"};
  }

  Json backups_ = Json::array();
};

}  // namespace nearfield
