// FilterNode: a filter as a tree, for who evaluates it and for who says it in another language.
//
// A filter object is an $and of its members, and every filter that stands behind $and, $or and $not is such an object.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"
#include "core/base/status.h"

namespace nearfield {

enum class FilterOperator : uint8_t {
#define NEARFIELD_FILTER_OPERATOR(name, spelling, operand, meaning) k##name,
#include "core/filter/operators.def"
#undef NEARFIELD_FILTER_OPERATOR
};

// "$and".
std::string_view filter_operator_name(FilterOperator op);

struct FilterNode {
  FilterOperator op = FilterOperator::kAnd;
  std::vector<FilterNode> children;  // $and, $or, $not
  std::vector<std::string> path;     // the others: the names on the way to the field
  Json operand;                      // $in, $nin: an array in the order of values

  // A filter object: all of its members. `level` counts from 1, `clauses` over the whole filter.
  static Result<FilterNode> parse(const Json& json, const std::string& path, size_t level, size_t& clauses);
  // The filters behind $and, $or or $not.
  static Result<FilterNode> parse_joining(FilterOperator op, const Json& json, const std::string& path, size_t level,
                                          size_t& clauses);
  // A field: one child for each of its operators.
  static Result<std::vector<FilterNode>> parse_field(const std::string& field, const Json& json,
                                                     const std::string& path, size_t& clauses);
  static Result<FilterNode> parse_operand(FilterOperator op, const Json& json, const std::string& path);

  bool matches(const Json& payload) const;
  void collect_fields(std::vector<std::string>& fields) const;
  // Whether one of the values that `names` leads to passes the test.
  bool any_at(const Json& value, std::span<const std::string> names) const;
  // The operator's test without its negation, on one value or the elements of an array.
  bool test(const Json& value) const;
};

}  // namespace nearfield
