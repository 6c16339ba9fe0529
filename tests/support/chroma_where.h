// Chroma's conditions on metadata, evaluated by plain loops: as its server of one node does.
//
// Throws std::logic_error on what that server refuses, which fails the test.
#pragma once

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "core/base/json.h"

namespace nearfield {

class ChromaWhere {
 public:
  static bool passes(const Json& where, const Json& metadata) {
    demand(where.is_object() && where.size() == 1, where);
    const std::string& key = where.begin().key();
    const Json& operand = where.begin().value();
    if (key == "$and" || key == "$or") {
      demand(operand.is_array() && !operand.empty(), where);
      const auto test = [&](const Json& part) { return passes(part, metadata); };
      // All are looked at, so that a bad one is found.
      const auto count = std::count_if(operand.begin(), operand.end(), test);
      return key == "$and" ? count == static_cast<ptrdiff_t>(operand.size()) : count > 0;
    }
    demand(!key.empty() && key[0] != '$' && key[0] != '#' && !key.starts_with("chroma:"), where);
    demand(operand.is_object() && operand.size() == 1, where);
    const std::string& op = operand.begin().key();
    return compare(op, operand.begin().value(), metadata.contains(key) ? &metadata[key] : nullptr, where);
  }

  // What metadata may hold.
  static bool is_metadata(const std::string& key, const Json& value) {
    if (key.empty() || key[0] == '$' || key[0] == '#' || key.starts_with("chroma:")) return false;
    if (!value.is_array()) return value.is_null() || kind(value) != 0;
    return std::all_of(value.begin(), value.end(),
                       [&](const Json& each) { return kind(each) != 0 && kind(each) == kind(value[0]); });
  }

 private:
  static void demand(bool condition, const Json& what) {
    if (!condition) throw std::logic_error("Chroma refuses: " + what.dump());
  }

  static char kind(const Json& value) {
    if (value.is_string()) return 's';
    if (value.is_boolean()) return 'b';
    if (value.is_number_float()) return 'f';
    const bool i64 =
        value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{INT64_MAX});
    return i64 ? 'i' : 0;
  }

  // A float is compared as one, an integer with the whole part of the operand.
  static int order(const Json& value, const Json& operand) {
    if (value.is_number_float()) {
      const auto a = value.get<double>(), b = operand.get<double>();
      return a < b ? -1 : a > b ? 1 : 0;
    }
    const auto a = value.get<int64_t>();
    const auto b =
        operand.is_number_float() ? static_cast<int64_t>(std::trunc(operand.get<double>())) : operand.get<int64_t>();
    return a < b ? -1 : a > b ? 1 : 0;
  }

  static bool equal(const Json& value, const Json& operand) {
    if (value.is_number() && operand.is_number()) return order(value, operand) == 0;
    return kind(value) != 0 && kind(value) == kind(operand) && value == operand;
  }

  static bool compare(const std::string& op, const Json& operand, const Json* value, const Json& where) {
    if (op == "$eq" || op == "$ne") {
      demand(kind(operand) != 0, where);
      return (value != nullptr && equal(*value, operand)) == (op == "$eq");
    }
    if (op == "$in" || op == "$nin") {
      demand(operand.is_array() && !operand.empty() && kind(operand[0]) != 0, where);
      demand(
          std::all_of(operand.begin(), operand.end(), [&](const Json& each) { return kind(each) == kind(operand[0]); }),
          where);
      const bool in = value != nullptr && std::any_of(operand.begin(), operand.end(),
                                                      [&](const Json& each) { return equal(*value, each); });
      return in == (op == "$in");
    }
    if (op == "$contains" || op == "$not_contains") {
      demand(kind(operand) != 0, where);
      const bool holds =
          value != nullptr && value->is_array() && std::any_of(value->begin(), value->end(), [&](const Json& each) {
            return kind(each) == kind(operand) && equal(each, operand);
          });
      return holds == (op == "$contains");
    }
    demand(op == "$gt" || op == "$gte" || op == "$lt" || op == "$lte", where);
    demand(kind(operand) == 'i' || kind(operand) == 'f', where);
    if (value == nullptr || !value->is_number()) return false;
    const int sign = order(*value, operand);
    return op == "$gt" ? sign > 0 : op == "$gte" ? sign >= 0 : op == "$lt" ? sign < 0 : sign <= 0;
  }
};

}  // namespace nearfield
