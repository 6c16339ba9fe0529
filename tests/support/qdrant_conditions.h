// Qdrant's filters, evaluated by plain loops: as its server checks a payload without indexes.
//
// Throws std::logic_error on what that server refuses, which fails the test.
#pragma once

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "core/base/json.h"

namespace nearfield {

class QdrantConditions {
 public:
  // `key`: of the point, as JSON.
  static bool passes(const Json& filter, const Json& payload, const Json& key = nullptr) {
    demand(filter.is_object(), "a filter is an object");
    for (const auto& [clause, conditions] : filter.items()) {
      demand(clause == "must" || clause == "should" || clause == "must_not", "unknown clause " + clause);
      demand(conditions.is_array() && !conditions.empty(), "an empty " + clause);
      const auto test = [&](const Json& condition) { return holds(condition, payload, key); };
      if (clause == "must" && !std::all_of(conditions.begin(), conditions.end(), test)) return false;
      if (clause == "should" && !std::any_of(conditions.begin(), conditions.end(), test)) return false;
      if (clause == "must_not" && std::any_of(conditions.begin(), conditions.end(), test)) return false;
    }
    return true;
  }

  // What is found at a path, where a step is a name, or "[]" for all elements of an array.
  static std::vector<const Json*> values_at(const Json& payload, const std::string& path) {
    std::vector<const Json*> found = {&payload};
    for (const auto& [name, elements] : steps(path)) {
      std::vector<const Json*> next;
      for (const Json* value : found) {
        if (elements && value->is_array()) {
          for (const Json& element : *value) next.push_back(&element);
        } else if (!elements && value->is_object() && value->contains(name)) {
          next.push_back(&(*value)[name]);
        }
      }
      found = std::move(next);
    }
    return found;
  }

 private:
  struct Step {
    std::string name;
    bool elements = false;
  };

  static void demand(bool condition, const std::string& what) {
    if (!condition) throw std::logic_error("Qdrant refuses: " + what);
  }

  static std::vector<Step> steps(const std::string& path) {
    std::vector<Step> out;
    for (size_t at = 0; at < path.size();) {
      if (path.compare(at, 2, "[]") == 0) {
        demand(!out.empty(), "a path that begins with []");
        out.push_back({"", true});
        at += 2;
        continue;
      }
      if (!out.empty()) demand(path[at] == '.', "path " + path), ++at;
      std::string name;
      if (at < path.size() && path[at] == '"') {
        const size_t end = path.find('"', at + 1);
        demand(end != std::string::npos, "path " + path);
        name = path.substr(at + 1, end - at - 1);
        demand(name.find('\\') == std::string::npos, "path " + path);
        at = end + 1;
      } else {
        while (at < path.size() &&
               (std::isalnum(static_cast<unsigned char>(path[at])) != 0 || path[at] == '_' || path[at] == '-')) {
          name += path[at++];
        }
        demand(!name.empty(), "path " + path);
      }
      out.push_back({name, false});
    }
    demand(!out.empty(), "an empty path");
    return out;
  }

  static bool holds(const Json& condition, const Json& payload, const Json& key) {
    demand(condition.is_object() && !condition.empty(), "a condition " + condition.dump());
    if (condition.contains("has_id")) {
      return std::any_of(condition["has_id"].begin(), condition["has_id"].end(),
                         [&](const Json& id) { return id == key; });
    }
    if (condition.contains("is_empty")) {
      const auto found = values_at(payload, condition["is_empty"]["key"].get<std::string>());
      return std::all_of(found.begin(), found.end(),
                         [](const Json* value) { return value->is_null() || (value->is_array() && value->empty()); });
    }
    if (condition.contains("is_null")) {
      const auto found = values_at(payload, condition["is_null"]["key"].get<std::string>());
      return std::any_of(found.begin(), found.end(), [](const Json* value) { return value->is_null(); });
    }
    if (condition.contains("nested")) {
      const Json& nested = condition["nested"];
      const auto found = values_at(payload, nested["key"].get<std::string>() + "[]");
      return std::any_of(found.begin(), found.end(), [&](const Json* value) {
        return value->is_object() && passes(nested["filter"], *value, key);
      });
    }
    if (!condition.contains("key")) return passes(condition, payload, key);
    demand(condition.size() == 2, "not one predicate in " + condition.dump());
    const auto found = values_at(payload, condition["key"].get<std::string>());
    return std::any_of(found.begin(), found.end(), [&](const Json* value) {
      if (!value->is_array()) return check(condition, *value);
      return std::any_of(value->begin(), value->end(), [&](const Json& element) { return check(condition, element); });
    });
  }

  static bool is_i64(const Json& value) {
    return value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
  }

  static bool check(const Json& condition, const Json& value) {
    if (condition.contains("range")) {
      const Json& range = condition["range"];
      demand(range.is_object() && !range.empty(), "a range " + range.dump());
      if (!value.is_number()) return false;
      const double number = value.get<double>();
      for (const auto& [bound, json] : range.items()) {
        demand(json.is_number(), "a bound " + json.dump());
        const double limit = json.get<double>();
        demand(bound == "gt" || bound == "gte" || bound == "lt" || bound == "lte", "a bound " + bound);
        if (bound == "gt"    ? !(number > limit)
            : bound == "gte" ? !(number >= limit)
            : bound == "lt"  ? !(number < limit)
                             : !(number <= limit)) {
          return false;
        }
      }
      return true;
    }
    demand(condition.contains("match"), "a condition " + condition.dump());
    const Json& match = condition["match"];
    demand(match.size() == 1, "a match " + match.dump());
    if (match.contains("text")) {
      return value.is_string() && value.get<std::string>().find(match["text"].get<std::string>()) != std::string::npos;
    }
    const auto equal = [&](const Json& wanted) {
      if (wanted.is_string()) return value.is_string() && value == wanted;
      if (wanted.is_boolean()) return value.is_boolean() && value == wanted;
      demand(is_i64(wanted), "a match of " + wanted.dump());
      return is_i64(value) && value.get<int64_t>() == wanted.get<int64_t>();
    };
    if (match.contains("value")) return equal(match["value"]);
    const Json& any = match.at("any");
    demand(any.is_array(), "a match " + match.dump());
    const bool strings = std::all_of(any.begin(), any.end(), [](const Json& each) { return each.is_string(); });
    demand(strings || std::all_of(any.begin(), any.end(), is_i64), "a mixed list " + any.dump());
    return std::any_of(any.begin(), any.end(), equal);
  }
};

}  // namespace nearfield
