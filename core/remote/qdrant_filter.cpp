#include "core/remote/qdrant_filter.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/filter/filter_node.h"
#include "core/remote/json_text.h"

namespace nearfield {

namespace {

constexpr size_t kMaxNames = 5;
constexpr double kExactIntegers = 0x1p53;

Error unsupported(const std::string& clause, std::string_view reason, const Json& value) {
  return {Code::kUnsupported, clause + ": Qdrant " + std::string(reason), shown_json(value)};
}

// A condition; or that every point passes, or none, which simplifies what it stands in.
struct Condition {
  enum class Kind : uint8_t { kAll, kNone, kText };
  Kind kind = Kind::kAll;
  std::string text;

  static Condition of(std::string text) { return {Kind::kText, std::move(text)}; }
};

// {"must": [...]}, {"should": [...]} or {"must_not": [...]}.
std::string clause_text(std::string_view clause, const std::vector<Condition>& parts) {
  std::string out = "{\"";
  out += clause;
  out += "\":[";
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += ',';
    out += parts[i].text;
  }
  return out += "]}";
}

// Parts of kind `identity` say nothing, one of kind `absorbing` decides.
Condition join(std::string_view clause, std::vector<Condition> parts, Condition::Kind identity,
               Condition::Kind absorbing) {
  std::erase_if(parts, [&](const Condition& part) { return part.kind == identity; });
  if (parts.empty()) return {identity, ""};
  for (const Condition& part : parts) {
    if (part.kind == absorbing) return {absorbing, ""};
  }
  return parts.size() == 1 ? std::move(parts[0]) : Condition::of(clause_text(clause, parts));
}

Condition all_of(std::vector<Condition> parts) {
  return join("must", std::move(parts), Condition::Kind::kAll, Condition::Kind::kNone);
}

Condition any_of(std::vector<Condition> parts) {
  return join("should", std::move(parts), Condition::Kind::kNone, Condition::Kind::kAll);
}

Condition not_of(Condition part) {
  switch (part.kind) {
    case Condition::Kind::kAll: return {Condition::Kind::kNone, ""};
    case Condition::Kind::kNone: return {Condition::Kind::kAll, ""};
    case Condition::Kind::kText: break;
  }
  std::vector<Condition> parts;
  parts.push_back(std::move(part));
  return Condition::of(clause_text("must_not", parts));
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

std::string spelt_name(const std::string& name) { return is_plain_name(name) ? name : '"' + name + '"'; }

// The paths that `names` may take, where each but the last may lead to an object or to an array of them.
std::vector<std::string> spelt_paths(const std::vector<std::string>& names) {
  std::vector<std::string> paths = {spelt_name(names[0])};
  for (size_t i = 1; i < names.size(); ++i) {
    const size_t count = paths.size();
    for (size_t j = 0; j < count; ++j) {
      paths.push_back(paths[j] + "[]." + spelt_name(names[i]));
      paths[j] += '.' + spelt_name(names[i]);
    }
  }
  return paths;
}

// {"<what>":{"key":"<key>"}}
Condition key_condition(std::string_view what, std::string_view key) {
  std::string out = "{\"";
  out += what;
  out += "\":{\"key\":";
  append_json_string(out, key);
  return Condition::of(out += "}}");
}

// {"key":"<key>",<predicate>}
Condition field_condition(std::string_view key, std::string_view predicate) {
  std::string out = "{\"key\":";
  append_json_string(out, key);
  out += ',';
  out += predicate;
  return Condition::of(out += '}');
}

std::string match(std::string_view kind, std::string_view json) {
  return "\"match\":{\"" + std::string(kind) + "\":" + std::string(json) + '}';
}

std::string match_string(std::string_view kind, std::string_view text) {
  std::string json;
  append_json_string(json, text);
  return match(kind, json);
}

// What a value at some key has to be, for any of several reasons.
struct Wanted {
  std::vector<std::string> predicates;
  std::string type;  // the index that serves them; empty: none, or several
  bool null = false;
};

class Compiler {
 public:
  explicit Compiler(std::string_view text_field) : text_field_(text_field) {}

  // REQUIRES: a filter object, which is an $and of its members.
  Result<Condition> object(const FilterNode& node, const std::string& path) {
    std::vector<Condition> parts;
    for (const FilterNode& child : node.children) {
      ASSIGN_OR_RETURN(Condition part, member(child, path));
      parts.push_back(std::move(part));
    }
    return all_of(std::move(parts));
  }

  QdrantFilter out;

 private:
  Result<Condition> member(const FilterNode& node, const std::string& path) {
    if (!node.path.empty()) {
      ASSIGN_OR_RETURN(Condition found, field(node, path));
      const bool negated = node.op == FilterOperator::kNotEqual || node.op == FilterOperator::kNotIn ||
                           (node.op == FilterOperator::kExists && !node.operand.get<bool>());
      return negated ? not_of(std::move(found)) : std::move(found);
    }
    const std::string at = path + '.' + std::string(filter_operator_name(node.op));
    std::vector<Condition> parts;
    for (size_t i = 0; i < node.children.size(); ++i) {
      const bool lone = node.op == FilterOperator::kNot;
      ASSIGN_OR_RETURN(Condition part, object(node.children[i], lone ? at : at + '[' + std::to_string(i) + ']'));
      if (lone) return not_of(std::move(part));
      parts.push_back(std::move(part));
    }
    return node.op == FilterOperator::kOr ? any_of(std::move(parts)) : all_of(std::move(parts));
  }

  // Whether a value at the node's path passes its test, without the negation.
  Result<Condition> field(const FilterNode& node, const std::string& path) {
    std::string at = path;
    for (size_t i = 0; i < node.path.size(); ++i) at += '.' + node.path[i];
    at += '.';
    at += filter_operator_name(node.op);
    RETURN_IF_ERROR(check_path(node, at));
    switch (node.op) {
      case FilterOperator::kExists: return exists(node.path);
      case FilterOperator::kContains: return contains(node, at);
      case FilterOperator::kEqual:
      case FilterOperator::kNotEqual:
      case FilterOperator::kIn:
      case FilterOperator::kNotIn: {
        ASSIGN_OR_RETURN(const Wanted wanted, equal(node, at));
        return anywhere(node.path, "", wanted);
      }
      case FilterOperator::kGreater: return range(node, at, "gt");
      case FilterOperator::kGreaterOrEqual: return range(node, at, "gte");
      case FilterOperator::kLess: return range(node, at, "lt");
      case FilterOperator::kLessOrEqual: return range(node, at, "lte");
      case FilterOperator::kAnd:
      case FilterOperator::kOr:
      case FilterOperator::kNot: break;
    }
    return Condition();
  }

  Status check_path(const FilterNode& node, const std::string& at) const {
    if (node.path[0] == kQdrantReserved || (!text_field_.empty() && node.path[0] == text_field_)) {
      return unsupported(at, "holds the store's own data in this field", node.operand);
    }
    if (node.path.size() > kMaxNames) {
      return unsupported(at, "takes a path of at most " + std::to_string(kMaxNames) + " names here", node.operand);
    }
    for (const std::string& name : node.path) {
      if (name.find_first_of("\"\\") == std::string::npos) continue;
      return unsupported(at, "cannot name a field that has \" or \\ in its name", node.operand);
    }
    return {};
  }

  // `suffix`: "[]" for the elements of an array alone.
  Condition anywhere(const std::vector<std::string>& names, std::string_view suffix, const Wanted& wanted) {
    std::vector<Condition> parts;
    for (std::string& key : spelt_paths(names)) {
      key += suffix;
      for (const std::string& predicate : wanted.predicates) parts.push_back(field_condition(key, predicate));
      // It does not look into arrays by itself.
      if (wanted.null) {
        parts.push_back(key_condition("is_null", key));
        if (suffix.empty()) parts.push_back(key_condition("is_null", key + "[]"));
      }
      if (!wanted.type.empty()) serve({std::move(key), wanted.type});
    }
    return any_of(std::move(parts));
  }

  void serve(QdrantFilter::Field served) {
    if (std::ranges::find(out.fields, served) == out.fields.end()) out.fields.push_back(std::move(served));
  }

  Result<Condition> range(const FilterNode& node, const std::string& at, std::string_view bound) {
    if (!node.operand.is_number()) return unsupported(at, "has ranges of numbers only", node.operand);
    ASSIGN_OR_RETURN(const std::string number, bound_text(node.operand, at));
    Wanted wanted;
    wanted.predicates.push_back("\"range\":{\"" + std::string(bound) + "\":" + number + '}');
    wanted.type = "float";
    return anywhere(node.path, "", wanted);
  }

  // A number that compares as a double just as it compares exactly.
  static Result<std::string> bound_text(const Json& number, const std::string& at) {
    const auto value = number.get<double>();
    if (!(std::abs(value) < kExactIntegers)) {
      return unsupported(at, "compares numbers from 2^53 on as doubles, which rounds them", number);
    }
    if (!is_short_decimal(value)) {
      if (value != std::trunc(value)) {
        return unsupported(at, "rounds numbers of more than 15 digits, or next to 0", number);
      }
      return std::to_string(static_cast<int64_t>(value));
    }
    std::string text;
    append_json_double(text, value == 0 ? 0 : value);
    return text;
  }

  // $eq and $in: what one of the values has to be.
  Result<Wanted> equal(const FilterNode& node, const std::string& at) {
    const bool list = node.op == FilterOperator::kIn || node.op == FilterOperator::kNotIn;
    if (!list) return equal_to_any({&node.operand, 1}, at);
    const auto& values = node.operand.get_ref<const Json::array_t&>();
    return equal_to_any(values, at);
  }

  static Result<Wanted> equal_to_any(std::span<const Json> values, const std::string& at) {
    Wanted wanted;
    std::vector<std::string> types;
    std::string strings, integers;
    for (const Json& value : values) {
      const auto of_type = [&](std::string_view type) {
        if (std::ranges::find(types, type) == types.end()) types.emplace_back(type);
      };
      if (value.is_null()) {
        wanted.null = true;
        of_type("");
      } else if (value.is_boolean()) {
        wanted.predicates.push_back(match("value", value.get<bool>() ? "true" : "false"));
        of_type("bool");
      } else if (value.is_string()) {
        strings += strings.empty() ? '[' : ',';
        append_json_string(strings, value.get_ref<const std::string&>());
        of_type("keyword");
      } else if (value.is_number()) {
        if (std::abs(value.get<double>()) < kExactIntegers) {
          ASSIGN_OR_RETURN(const std::string number, bound_text(value, at));
          wanted.predicates.push_back("\"range\":{\"gte\":" + number + ",\"lte\":" + number + '}');
          of_type("float");
        } else {
          // As integers, which is how the store writes them.
          ASSIGN_OR_RETURN(const int64_t integer, large_integer(value, at));
          integers += integers.empty() ? '[' : ',';
          integers += std::to_string(integer);
          of_type("");
        }
      } else {
        return unsupported(at, "looks into arrays and objects, and compares none as a whole", value);
      }
    }
    if (!strings.empty()) wanted.predicates.push_back(match("any", strings + ']'));
    if (!integers.empty()) wanted.predicates.push_back(match("any", integers + ']'));
    // One index is as good as none where other values need another one: all of the `should` has to be served.
    if (types.size() == 1) wanted.type = types[0];
    return wanted;
  }

  static Result<int64_t> large_integer(const Json& value, const std::string& at) {
    if (value.is_number_unsigned() ? value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()}
                                   : value.is_number_integer()) {
      return value.get<int64_t>();
    }
    if (value.is_number_float() && std::abs(value.get<double>()) < 0x1p63) {
      return static_cast<int64_t>(value.get<double>());
    }
    return unsupported(at, "compares whole numbers of 64 bits with a sign only", value);
  }

  // An element of an array, or a piece of a string. A string in an array is an element: it is compared as a whole.
  Result<Condition> contains(const FilterNode& node, const std::string& at) {
    ASSIGN_OR_RETURN(Wanted wanted, equal_to_any({&node.operand, 1}, at));
    wanted.type.clear();
    std::vector<Condition> parts;
    parts.push_back(anywhere(node.path, "[]", wanted));
    if (node.operand.is_string()) {
      parts.push_back(has_substring(node.path, 0, "", node.operand.get_ref<const std::string&>()));
      out.substrings.push_back({at, node.path});
    }
    return any_of(std::move(parts));
  }

  // Whether `names` from `first` on lead to a string, not an array, that holds `piece`. `key` is the way there so far.
  // Here arrays are entered one element at a time: what is asked about one of them must not mix with the next.
  Condition has_substring(const std::vector<std::string>& names, size_t first, std::string key,
                          const std::string& piece) {
    if (!key.empty()) key += '.';
    key += spelt_name(names[first]);
    if (first + 1 == names.size()) {
      // An array with a string in it has elements that are something.
      std::vector<Condition> both;
      both.push_back(field_condition(key, match_string("text", piece)));
      both.push_back(key_condition("is_empty", key + "[]"));
      return all_of(std::move(both));
    }
    std::string nested = "{\"nested\":{\"key\":";
    append_json_string(nested, key);
    nested += ",\"filter\":" + as_filter(has_substring(names, first + 1, "", piece)) + "}}";
    std::vector<Condition> parts;
    parts.push_back(Condition::of(std::move(nested)));
    parts.push_back(has_substring(names, first + 1, std::move(key), piece));
    return any_of(std::move(parts));
  }

  // A null counts; an empty array is told by the list that the store keeps of them.
  static Condition exists(const std::vector<std::string>& names) {
    std::vector<Condition> parts;
    for (const std::string& key : spelt_paths(names)) {
      parts.push_back(not_of(key_condition("is_empty", key)));
      parts.push_back(key_condition("is_null", key));
    }
    std::string dotted = names[0];
    for (size_t i = 1; i < names.size(); ++i) dotted += '.' + names[i];
    parts.push_back(field_condition(std::string(kQdrantReserved) + ".empty", match_string("value", dotted)));
    return any_of(std::move(parts));
  }

 public:
  // The conditions of clauses are joined as Filter objects already; a lone one becomes one here.
  static std::string as_filter(Condition condition) {
    if (condition.kind == Condition::Kind::kNone) return R"({"must":[{"has_id":[]}]})";
    const std::string& text = condition.text;
    if (text.starts_with("{\"must\":") || text.starts_with("{\"should\":") || text.starts_with("{\"must_not\":")) {
      return std::move(condition.text);
    }
    std::vector<Condition> parts;
    parts.push_back(std::move(condition));
    return clause_text("must", parts);
  }

 private:
  std::string_view text_field_;
};

}  // namespace

Result<QdrantFilter> compile_qdrant_filter(const Filter& filter, std::string_view text_field) {
  Compiler compiler(text_field);
  ASSIGN_OR_RETURN(Condition root, compiler.object(filter.root(), "filter"));
  QdrantFilter out = std::move(compiler.out);
  out.everything = root.kind == Condition::Kind::kAll;
  if (!out.everything) out.text = Compiler::as_filter(std::move(root));
  return out;
}

std::string qdrant_path(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    if (!out.empty()) out += '.';
    out += spelt_name(name);
  }
  return out;
}

std::vector<std::string> split_qdrant_path(std::string_view path) {
  std::vector<std::string> names;
  for (size_t at = 0; at < path.size();) {
    if (path[at] == '[') {
      at = path.find(']', at);
      if (at == std::string_view::npos) return {};
      ++at;
    } else if (path[at] == '.') {
      ++at;
    } else {
      const bool quoted = path[at] == '"';
      if (quoted) ++at;
      const size_t end = std::min(quoted ? path.find('"', at) : path.find_first_of(".[", at), path.size());
      names.emplace_back(path.substr(at, end - at));
      at = end + (quoted ? 1 : 0);
    }
  }
  return names;
}

}  // namespace nearfield
