// Weaviate's `where` over one object, evaluated plainly: lists of exact strings ("field") and ids, nothing else.
//
// It follows what a real server was seen to do: NotEqual and Not also pass objects without the property, LIKE knows *
// and ?, an empty list of values and an empty list of operands are refused.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace nearfield {

class WeaviateWhere {
 public:
  // `properties`: an object of strings and lists of strings.
  static bool passes(const Json& where, const Json& properties, const std::string& id) {
    const Json& given = where.at("operator");
    const std::string op = given.is_object() ? given.at("word").get<std::string>() : given.get<std::string>();
    if (op == "And" || op == "Or" || op == "Not") {
      const Json& operands = where.at("operands");
      demand(!operands.empty() && where.size() == 2, where);
      const auto part = [&](const Json& each) { return passes(each, properties, id); };
      if (op == "And") return std::ranges::all_of(operands, part);
      if (op == "Or") return std::ranges::any_of(operands, part);
      demand(operands.size() == 1, where);
      return !part(operands[0]);
    }
    demand(where.size() == 3 && where.at("path").size() == 1, where);
    const std::string name = where["path"][0].get<std::string>();
    std::vector<std::string> values;
    const Json& value = where.contains("valueTextArray") ? where["valueTextArray"] : where.at("valueText");
    if (value.is_array()) {
      demand(op == "ContainsAny", where);
      for (const Json& each : value) values.push_back(each.get<std::string>());
    } else {
      demand(op != "ContainsAny", where);
      values.push_back(value.get<std::string>());
    }
    demand(!values.empty(), where);
    std::vector<std::string> held;
    if (name == "id") {
      held.push_back(id);
    } else if (properties.contains(name)) {
      const Json& property = properties[name];
      if (property.is_string()) held.push_back(property.get<std::string>());
      if (property.is_array()) held = property.get<std::vector<std::string>>();
    }
    const auto one = [&](const std::string& term) {
      if (op == "Like") return like(values[0], term);
      return std::ranges::find(values, term) != values.end();
    };
    const bool found = std::ranges::any_of(held, one);
    if (op == "NotEqual") return !found;
    demand(op == "Equal" || op == "ContainsAny" || op == "Like", where);
    return found;
  }

 private:
  static void demand(bool condition, const Json& where) {
    if (!condition) throw std::logic_error("the server does not know: " + where.dump());
  }

  // The last * takes one more character each time that what follows does not fit.
  static bool like(const std::string& pattern, const std::string& text) {
    size_t p = 0, t = 0, star = std::string::npos, from = 0;
    while (t < text.size()) {
      if (p < pattern.size() && pattern[p] == '*') {
        star = p++;
        from = t;
      } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
        ++p;
        ++t;
      } else if (star != std::string::npos) {
        p = star + 1;
        t = ++from;
      } else {
        return false;
      }
    }
    return pattern.find_first_not_of('*', p) == std::string::npos;
  }
};

}  // namespace nearfield
