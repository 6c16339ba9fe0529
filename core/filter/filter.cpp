#include "core/filter/filter.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <compare>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/sort.h"
#include "core/filter/filter_node.h"

namespace nearfield {

namespace {

constexpr size_t kMaxLevels = 32;
constexpr size_t kMaxClauses = 1'000;
constexpr size_t kMaxInValues = 10'000;

enum class Operand : uint8_t { kValue, kOrdered, kValues, kBoolean, kFilter, kFilters };

using Operator = FilterOperator;

struct OperatorEntry {
  std::string_view spelling;
  Operand operand;
};

constexpr OperatorEntry kOperators[] = {
#define NEARFIELD_FILTER_OPERATOR(name, spelling, operand, meaning) {spelling, Operand::k##operand},
#include "core/filter/operators.def"
#undef NEARFIELD_FILTER_OPERATOR
};

Operand operand_of(Operator op) { return kOperators[static_cast<size_t>(op)].operand; }

// Whether an operator stands where a field may stand, or inside one.
bool joins_filters(Operand operand) { return operand == Operand::kFilter || operand == Operand::kFilters; }

std::optional<Operator> find_operator(std::string_view spelling, bool joining) {
  for (size_t i = 0; i < std::size(kOperators); ++i) {
    if (kOperators[i].spelling == spelling && joins_filters(kOperators[i].operand) == joining) {
      return static_cast<Operator>(i);
    }
  }
  return std::nullopt;
}

std::string operator_list(bool joining) {
  std::string list;
  for (const OperatorEntry& entry : kOperators) {
    if (joins_filters(entry.operand) != joining) continue;
    if (!list.empty()) list += ", ";
    list += entry.spelling;
  }
  return list;
}

Error filter_error(const std::string& path, const std::string& reason, const Json& value) {
  return {Code::kFilterError, path + ": " + reason, shown_json(value)};
}

template <typename T>
std::weak_ordering order_plain(const T& a, const T& b) {
  if (a < b) return std::weak_ordering::less;
  return b < a ? std::weak_ordering::greater : std::weak_ordering::equivalent;
}

// An integer of either sign: JSON's reach from -2^63 to 2^64 - 1, which no built-in type covers.
struct WideInteger {
  bool negative = false;
  uint64_t bits = 0;  // two's complement

  explicit WideInteger(const Json& json)
      : negative(!json.is_number_unsigned() && json.get<int64_t>() < 0), bits(json.get<uint64_t>()) {}
  // REQUIRES: whole is a whole number in reach.
  explicit WideInteger(double whole)
      : negative(whole < 0),
        bits(negative ? static_cast<uint64_t>(static_cast<int64_t>(whole)) : static_cast<uint64_t>(whole)) {}
};

std::weak_ordering order_integers(WideInteger a, WideInteger b) {
  if (a.negative != b.negative) return a.negative ? std::weak_ordering::less : std::weak_ordering::greater;
  return order_plain(a.bits, b.bits);
}

// Exact where a conversion to double would round.
std::weak_ordering order_integer_with_double(const Json& integer, double number) {
  if (number < -0x1p63) return std::weak_ordering::greater;
  if (number >= 0x1p64) return std::weak_ordering::less;
  const double whole = std::trunc(number);
  const std::weak_ordering order = order_integers(WideInteger(integer), WideInteger(whole));
  return order == 0 ? order_plain(whole, number) : order;
}

std::weak_ordering order_numbers(const Json& a, const Json& b) {
  if (a.is_number_float() && b.is_number_float()) return order_plain(a.get<double>(), b.get<double>());
  if (b.is_number_float()) return order_integer_with_double(a, b.get<double>());
  if (a.is_number_float()) return 0 <=> order_integer_with_double(b, a.get<double>());
  return order_integers(WideInteger(a), WideInteger(b));
}

int type_rank(const Json& json) {
  switch (json.type()) {
    case Json::value_t::null: return 0;
    case Json::value_t::boolean: return 1;
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float: return 2;
    case Json::value_t::string: return 3;
    case Json::value_t::array: return 4;
    case Json::value_t::object: return 5;
    case Json::value_t::binary:
    case Json::value_t::discarded: break;
  }
  return 6;
}

bool same_type(const Json& a, const Json& b) { return type_rank(a) == type_rank(b); }

// One total order over JSON values: by type, then by value. Equality and ranges are read off it, and the values of an
// $in are sorted by it. Recursion is as deep as the shallower value, which parse_json bounds.
std::weak_ordering order_values(const Json& a, const Json& b) {
  if (!same_type(a, b)) return type_rank(a) <=> type_rank(b);
  if (a.is_boolean()) return order_plain(a.get<bool>(), b.get<bool>());
  if (a.is_number()) return order_numbers(a, b);
  if (a.is_string()) return order_plain(a.get_ref<const std::string&>(), b.get_ref<const std::string&>());
  if (!a.is_structured()) return std::weak_ordering::equivalent;
  auto left = a.begin();
  auto right = b.begin();
  for (; left != a.end() && right != b.end(); ++left, ++right) {
    if (a.is_object() && left.key() != right.key()) return order_plain(left.key(), right.key());
    if (const std::weak_ordering order = order_values(*left, *right); order != 0) return order;
  }
  return order_plain(a.size(), b.size());
}

bool value_less(const Json& a, const Json& b) { return order_values(a, b) < 0; }

// An array holds the operand, or a string the substring.
bool contains(const Json& value, const Json& operand) {
  if (value.is_string() && operand.is_string()) {
    return value.get_ref<const std::string&>().find(operand.get_ref<const std::string&>()) != std::string::npos;
  }
  if (!value.is_array()) return false;
  return std::any_of(value.begin(), value.end(), [&](const Json& element) {
    return order_values(element, operand) == 0 || (element.is_array() && contains(element, operand));
  });
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> names;
  for (;;) {
    const size_t dot = path.find('.');
    names.emplace_back(path.substr(0, dot));
    if (dot == std::string_view::npos) return names;
    path.remove_prefix(dot + 1);
  }
}

}  // namespace

std::string_view filter_operator_name(FilterOperator op) { return kOperators[static_cast<size_t>(op)].spelling; }

Result<FilterNode> FilterNode::parse(const Json& json, const std::string& path, size_t level, size_t& clauses) {
  if (!json.is_object()) return filter_error(path, "a filter is an object", json);
  if (level > kMaxLevels) {
    return filter_error(path, "nested deeper than " + std::to_string(kMaxLevels) + " levels", json);
  }
  FilterNode all;
  for (const auto& [name, value] : json.items()) {
    const std::string at = path + "." + name;
    if (++clauses > kMaxClauses) {
      return filter_error(at, "the filter has more than " + std::to_string(kMaxClauses) + " clauses", value);
    }
    if (name.starts_with('$')) {
      const auto op = find_operator(name, /*joining=*/true);
      if (!op && find_operator(name, /*joining=*/false)) {
        return filter_error(at, name + " stands inside a field, as in {\"field\": {\"" + name + "\": ...}}", value);
      }
      if (!op) return filter_error(at, "unknown operator; known here are " + operator_list(/*joining=*/true), value);
      ASSIGN_OR_RETURN(FilterNode child, parse_joining(*op, value, at, level, clauses));
      all.children.push_back(std::move(child));
    } else {
      ASSIGN_OR_RETURN(std::vector<FilterNode> children, parse_field(name, value, at, clauses));
      std::move(children.begin(), children.end(), std::back_inserter(all.children));
    }
  }
  return all;
}

Result<FilterNode> FilterNode::parse_joining(Operator op, const Json& json, const std::string& path, size_t level,
                                             size_t& clauses) {
  FilterNode node;
  node.op = op;
  if (operand_of(op) == Operand::kFilter) {
    ASSIGN_OR_RETURN(FilterNode child, parse(json, path, level + 1, clauses));
    node.children.push_back(std::move(child));
    return node;
  }
  if (!json.is_array()) return filter_error(path, "takes an array of filters", json);
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string at = path + "[" + std::to_string(i) + "]";
    if (++clauses > kMaxClauses) {
      return filter_error(at, "the filter has more than " + std::to_string(kMaxClauses) + " clauses", json[i]);
    }
    ASSIGN_OR_RETURN(FilterNode child, parse(json[i], at, level + 1, clauses));
    node.children.push_back(std::move(child));
  }
  return node;
}

Result<std::vector<FilterNode>> FilterNode::parse_field(const std::string& field, const Json& json,
                                                        const std::string& path, size_t& clauses) {
  std::vector<FilterNode> nodes;
  if (!json.is_object()) {
    FilterNode node;
    node.op = Operator::kEqual;
    node.path = split_path(field);
    node.operand = json;
    nodes.push_back(std::move(node));
    return nodes;
  }
  // {"year": {"gte": 3}} is far more often a forgotten $ than a comparison with an object.
  if (json.empty()) {
    return filter_error(path, "an object here holds operators; compare with an object by {\"$eq\": {...}}", json);
  }
  for (const auto& [name, value] : json.items()) {
    const std::string at = path + "." + name;
    if (++clauses > kMaxClauses) {
      return filter_error(at, "the filter has more than " + std::to_string(kMaxClauses) + " clauses", value);
    }
    const auto op = find_operator(name, /*joining=*/false);
    if (!op && find_operator(name, /*joining=*/true)) {
      return filter_error(at, name + " stands beside fields, not inside one", value);
    }
    if (!op) {
      return filter_error(at,
                          "unknown operator; known here are " + operator_list(/*joining=*/false) +
                              " (compare with an object by {\"$eq\": {...}})",
                          value);
    }
    ASSIGN_OR_RETURN(FilterNode node, parse_operand(*op, value, at));
    node.path = split_path(field);
    nodes.push_back(std::move(node));
  }
  return nodes;
}

Result<FilterNode> FilterNode::parse_operand(Operator op, const Json& json, const std::string& path) {
  FilterNode node;
  node.op = op;
  switch (operand_of(op)) {
    case Operand::kValue:
    case Operand::kFilter:
    case Operand::kFilters: break;
    case Operand::kOrdered:
      if (!json.is_number() && !json.is_string()) return filter_error(path, "takes a number or a string", json);
      break;
    case Operand::kBoolean:
      if (!json.is_boolean()) return filter_error(path, "takes true or false", json);
      break;
    case Operand::kValues:
      if (!json.is_array()) return filter_error(path, "takes an array of values", json);
      if (json.size() > kMaxInValues) {
        return filter_error(
            path,
            "has " + std::to_string(json.size()) + " values; at most " + std::to_string(kMaxInValues) + " are allowed",
            json);
      }
      break;
  }
  node.operand = json;
  if (operand_of(op) == Operand::kValues) heap_sort(node.operand.get_ref<Json::array_t&>(), value_less);
  return node;
}

bool FilterNode::matches(const Json& payload) const {
  const auto child_matches = [&](const FilterNode& child) { return child.matches(payload); };
  switch (op) {
    case Operator::kAnd: return std::all_of(children.begin(), children.end(), child_matches);
    case Operator::kOr: return std::any_of(children.begin(), children.end(), child_matches);
    case Operator::kNot: return !children.front().matches(payload);
    case Operator::kNotEqual:
    case Operator::kNotIn: return !any_at(payload, path);
    case Operator::kExists: return any_at(payload, path) == operand.get<bool>();
    case Operator::kEqual:
    case Operator::kGreater:
    case Operator::kGreaterOrEqual:
    case Operator::kLess:
    case Operator::kLessOrEqual:
    case Operator::kIn:
    case Operator::kContains: return any_at(payload, path);
  }
  return false;
}

void FilterNode::collect_fields(std::vector<std::string>& fields) const {
  for (const FilterNode& child : children) child.collect_fields(fields);
  if (path.empty() || std::find(fields.begin(), fields.end(), path.front()) != fields.end()) return;
  fields.push_back(path.front());
}

bool FilterNode::any_at(const Json& value, std::span<const std::string> names) const {
  if (names.empty()) return test(value);
  if (value.is_array()) {
    return std::any_of(value.begin(), value.end(), [&](const Json& element) { return any_at(element, names); });
  }
  if (!value.is_object()) return false;
  const auto member = value.find(names.front());
  return member != value.end() && any_at(*member, names.subspan(1));
}

bool FilterNode::test(const Json& value) const {
  bool passes = false;
  switch (op) {
    case Operator::kExists: return true;
    case Operator::kContains: return contains(value, operand);
    case Operator::kEqual:
    case Operator::kNotEqual: passes = order_values(value, operand) == 0; break;
    case Operator::kGreater: passes = same_type(value, operand) && order_values(value, operand) > 0; break;
    case Operator::kGreaterOrEqual: passes = same_type(value, operand) && order_values(value, operand) >= 0; break;
    case Operator::kLess: passes = same_type(value, operand) && order_values(value, operand) < 0; break;
    case Operator::kLessOrEqual: passes = same_type(value, operand) && order_values(value, operand) <= 0; break;
    case Operator::kIn:
    case Operator::kNotIn: passes = std::binary_search(operand.begin(), operand.end(), value, value_less); break;
    case Operator::kAnd:
    case Operator::kOr:
    case Operator::kNot: assert(false); break;
  }
  if (passes || !value.is_array()) return passes;
  return std::any_of(value.begin(), value.end(), [&](const Json& element) { return test(element); });
}

Result<Filter> Filter::parse(const Json& json) {
  size_t clauses = 0;
  ASSIGN_OR_RETURN(FilterNode root, FilterNode::parse(json, "filter", 1, clauses));
  return Filter(std::make_unique<FilterNode>(std::move(root)));
}

Filter::Filter(std::unique_ptr<FilterNode> root) : root_(std::move(root)) { root_->collect_fields(fields_); }
Filter::~Filter() = default;
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;

bool Filter::matches(const Json& payload) const { return root_->matches(payload); }

}  // namespace nearfield
