#include "core/remote/chroma_filter.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "core/filter/filter_node.h"
#include "core/remote/chroma_points.h"
#include "core/remote/json_text.h"

namespace nearfield {

namespace {

constexpr double kExactIntegers = 0x1p53;
// Of SQLite's expressions, which are 1,000 deep, with "a or b or c" as deep as it is long.
constexpr size_t kWidest = 64;
constexpr size_t kMostLeaves = 2'000;
// Of the reader's 128 levels of JSON, a clause takes two.
constexpr size_t kDeepest = 50;

Error unsupported(const std::string& clause, std::string_view reason, const Json& value) {
  return {Code::kUnsupported, clause + ": Chroma " + std::string(reason), shown_json(value)};
}

struct Where {
  // kUnsaid: Chroma has no words for it.
  enum class Kind : uint8_t { kAll, kNone, kUnsaid, kLeaf, kAnd, kOr };
  Kind kind = Kind::kAll;
  std::string text;          // of a leaf
  std::vector<Where> parts;  // of $and and $or, at least two
};

Where all_points() { return {}; }
Where no_points() { return {Where::Kind::kNone, {}, {}}; }
Where every_or_none(bool every) { return every ? all_points() : no_points(); }

// Parts that say nothing go, one that decides is all; parts of the same kind are taken in.
Where join(Where::Kind kind, std::vector<Where> parts) {
  const bool all = kind == Where::Kind::kAnd;
  const auto has = [&](Where::Kind what) {
    return std::ranges::any_of(parts, [what](const Where& part) { return part.kind == what; });
  };
  if (has(all ? Where::Kind::kNone : Where::Kind::kAll)) return every_or_none(!all);
  if (has(Where::Kind::kUnsaid)) return {Where::Kind::kUnsaid, {}, {}};
  Where out{kind, {}, {}};
  for (Where& part : parts) {
    if (part.kind == (all ? Where::Kind::kAll : Where::Kind::kNone)) continue;
    if (part.kind == kind) {
      std::move(part.parts.begin(), part.parts.end(), std::back_inserter(out.parts));
    } else {
      out.parts.push_back(std::move(part));
    }
  }
  if (out.parts.empty()) return every_or_none(all);
  if (out.parts.size() == 1) return std::move(out.parts[0]);
  return out;
}

template <typename... Parts>
Where all_of(Parts... parts) {
  std::vector<Where> list;
  (list.push_back(std::move(parts)), ...);
  return join(Where::Kind::kAnd, std::move(list));
}

template <typename... Parts>
Where any_of(Parts... parts) {
  std::vector<Where> list;
  (list.push_back(std::move(parts)), ...);
  return join(Where::Kind::kOr, std::move(list));
}

// {"<key>":{"<op>":<operand>}}
Where leaf(std::string_view key, std::string_view op, std::string_view operand) {
  Where out{Where::Kind::kLeaf, "{", {}};
  append_json_string(out.text, key);
  out.text += ":{\"";
  out.text += op;
  out.text += "\":";
  out.text += operand;
  out.text += "}}";
  return out;
}

size_t leaves(const Where& where) {
  if (where.parts.empty()) return 1;
  size_t count = 0;
  for (const Where& part : where.parts) count += leaves(part);
  return count;
}

void append_join(std::string& out, Where::Kind kind, std::span<const Where> parts);

void append_where(std::string& out, const Where& where) {
  if (where.kind == Where::Kind::kLeaf) {
    out += where.text;
  } else {
    append_join(out, where.kind, where.parts);
  }
}

void append_join(std::string& out, Where::Kind kind, std::span<const Where> parts) {
  out += kind == Where::Kind::kAnd ? "{\"$and\":[" : "{\"$or\":[";
  size_t share = 1;
  while (parts.size() > share * kWidest) share *= kWidest;
  for (size_t first = 0; first < parts.size(); first += share) {
    if (first > 0) out += ',';
    const auto some = parts.subspan(first, std::min(share, parts.size() - first));
    if (some.size() == 1) {
      append_where(out, some[0]);
    } else {
      append_join(out, kind, some);
    }
  }
  out += "]}";
}

size_t depth(std::string_view json) {
  size_t deep = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (in_string) {
      if (json[i] == '\\') {
        ++i;
      } else if (json[i] == '"') {
        in_string = false;
      }
    } else if (json[i] == '"') {
      in_string = true;
    } else if (json[i] == '{' || json[i] == '[') {
      deepest = std::max(deepest, ++deep);
    } else if (json[i] == '}' || json[i] == ']') {
      --deep;
    }
  }
  return deepest;
}

std::string dotted(const std::vector<std::string>& names) {
  std::string out = names[0];
  for (size_t i = 1; i < names.size(); ++i) out += '.' + names[i];
  return out;
}

// Whether a term is among those of a point that the store wrote; or is not.
Where term(const std::string& text, bool negated) {
  return leaf(kChromaTerms, negated ? "$not_contains" : "$contains", json_quoted(text));
}

std::string_view range_operator(FilterOperator op, bool negated) {
  switch (op) {
    case FilterOperator::kGreater: return negated ? "$lte" : "$gt";
    case FilterOperator::kGreaterOrEqual: return negated ? "$lt" : "$gte";
    case FilterOperator::kLess: return negated ? "$gte" : "$lt";
    default: return negated ? "$gt" : "$lte";
  }
}

bool is_upward(FilterOperator op) { return op == FilterOperator::kGreater || op == FilterOperator::kGreaterOrEqual; }

// One half: of the points that the store wrote, or of those that others wrote. Negations are carried down to the
// comparisons, each of which Chroma can negate.
class Compiler {
 public:
  explicit Compiler(bool own) : own_(own) {}

  // REQUIRES: a filter object, which is an $and of its members.
  Result<Where> object(const FilterNode& node, const std::string& path, bool negated) {
    std::vector<Where> parts;
    for (const FilterNode& child : node.children) {
      ASSIGN_OR_RETURN(Where part, member(child, path, negated));
      parts.push_back(std::move(part));
    }
    return join(negated ? Where::Kind::kOr : Where::Kind::kAnd, std::move(parts));
  }

  std::vector<ChromaFilter::Probe> probes;  // of the store's own points
  std::string unsaid;                       // of the others': the first clause that cannot be said of them

 private:
  Result<Where> member(const FilterNode& node, const std::string& path, bool negated) {
    if (!node.path.empty()) {
      std::string at = path;
      for (const std::string& name : node.path) at += '.' + name;
      at += '.';
      at += filter_operator_name(node.op);
      return own_ ? own(node, at, negated) : others(node, at, negated);
    }
    const std::string at = path + '.' + std::string(filter_operator_name(node.op));
    if (node.op == FilterOperator::kNot) return object(node.children[0], at, !negated);
    std::vector<Where> parts;
    for (size_t i = 0; i < node.children.size(); ++i) {
      ASSIGN_OR_RETURN(Where part, object(node.children[i], at + '[' + std::to_string(i) + ']', negated));
      parts.push_back(std::move(part));
    }
    return join((node.op == FilterOperator::kOr) != negated ? Where::Kind::kOr : Where::Kind::kAnd, std::move(parts));
  }

  static std::span<const Json> operands(const FilterNode& node) {
    if (node.op != FilterOperator::kIn && node.op != FilterOperator::kNotIn) return {&node.operand, 1};
    return node.operand.get_ref<const Json::array_t&>();
  }

  Result<Where> own(const FilterNode& node, const std::string& at, bool negated) {
    const std::string path = dotted(node.path);
    switch (node.op) {
      case FilterOperator::kNotEqual:
      case FilterOperator::kNotIn: negated = !negated; [[fallthrough]];
      case FilterOperator::kEqual:
      case FilterOperator::kIn: {
        std::vector<Where> parts;
        for (const Json& value : operands(node)) {
          if (parts.size() > kMostLeaves) break;
          parts.push_back(term(chroma_term('=', chroma_value(value), path), negated));
        }
        return join(negated ? Where::Kind::kAnd : Where::Kind::kOr, std::move(parts));
      }
      case FilterOperator::kContains:
        if (node.operand.is_string()) {
          std::string where;
          append_where(where, term('"' + path, false));
          probes.push_back({std::move(where), at + ": Chroma searches for substrings in documents alone, and points of "
                                                   "this collection have a string in this field"});
        }
        return term(chroma_term('[', chroma_value(node.operand), path), negated);
      case FilterOperator::kExists: {
        negated = negated != !node.operand.get<bool>();
        std::vector<Where> parts;
        for (const char kind : {'?', '#', '"'}) parts.push_back(term(kind + path, negated));
        return join(negated ? Where::Kind::kAnd : Where::Kind::kOr, std::move(parts));
      }
      case FilterOperator::kGreater:
      case FilterOperator::kGreaterOrEqual:
      case FilterOperator::kLess:
      case FilterOperator::kLessOrEqual: {
        RETURN_IF_ERROR(check_bound(node.operand, at));
        // Some number is greater where the greatest is.
        std::string key(is_upward(node.op) ? kChromaMax : kChromaMin);
        Where bound = leaf(key += path, range_operator(node.op, negated),
                           std::to_string(chroma_order(node.operand.get<double>())));
        // A record that was written again may have the bounds of before.
        Where number = term('#' + path, negated);
        return negated ? any_of(std::move(number), std::move(bound)) : all_of(std::move(number), std::move(bound));
      }
      case FilterOperator::kAnd:
      case FilterOperator::kOr:
      case FilterOperator::kNot: break;
    }
    return all_points();
  }

  static Status check_bound(const Json& operand, const std::string& at) {
    if (!operand.is_number()) return unsupported(at, "has ranges of numbers only", operand);
    if (std::abs(operand.get<double>()) < kExactIntegers) return {};
    return unsupported(at, "compares numbers from 2^53 on as doubles, which rounds them", operand);
  }

  // Metadata as they are: flat, with scalars and arrays of them, and none of them null.
  Result<Where> others(const FilterNode& node, const std::string& at, bool negated) {
    const std::string& key = node.path[0];
    const bool there = node.path.size() == 1 && is_chroma_key(key);
    switch (node.op) {
      case FilterOperator::kNotEqual:
      case FilterOperator::kNotIn: negated = !negated; [[fallthrough]];
      case FilterOperator::kEqual:
      case FilterOperator::kIn:
        if (!there) return every_or_none(negated);
        return one_of(operands(node), key, at, negated);
      case FilterOperator::kContains:
        if (!there) return every_or_none(negated);
        if (node.operand.is_string()) return unsay(at);
        return element(node.operand, key, at, negated);
      case FilterOperator::kExists:
        if (!there) return every_or_none(negated != !node.operand.get<bool>());
        return unsay(at);
      case FilterOperator::kGreater:
      case FilterOperator::kGreaterOrEqual:
      case FilterOperator::kLess:
      case FilterOperator::kLessOrEqual:
        if (!there) return every_or_none(negated);
        RETURN_IF_ERROR(check_bound(node.operand, at));
        if (negated) return unsay(at);
        return range(node, key, at);
      case FilterOperator::kAnd:
      case FilterOperator::kOr:
      case FilterOperator::kNot: break;
    }
    return all_points();
  }

  Where unsay(const std::string& at) {
    if (unsaid.empty()) unsaid = at;
    return {Where::Kind::kUnsaid, {}, {}};
  }

  // A number in the words of Chroma's reader, which rounds the others. Whole numbers as integers.
  static std::optional<std::string> number_text(const Json& value) {
    const auto number = value.get<double>();
    if (!(std::abs(number) < kExactIntegers)) return std::nullopt;
    if (number == std::trunc(number)) return std::to_string(static_cast<int64_t>(number));
    if (!is_short_decimal(number)) return std::nullopt;
    std::string out;
    append_json_double(out, number);
    return out;
  }

  static std::string whole_part(const Json& value) {
    return std::to_string(static_cast<int64_t>(std::trunc(value.get<double>())));
  }

  // The value is one of them, or an array that holds one of them.
  Where one_of(std::span<const Json> values, const std::string& key, const std::string& at, bool negated) {
    const std::string_view in = negated ? "$nin" : "$in";
    std::string strings, integers, floats;
    const auto add = [](std::string& list, const std::string& text) {
      list += list.empty() ? '[' : ',';
      list += text;
    };
    std::vector<Where> parts;
    for (const Json& value : values) {
      if (parts.size() > kMostLeaves) break;
      if (value.is_array() && !value.empty()) return unsay(at);
      parts.push_back(element(value, key, at, negated));
      if (value.is_string()) add(strings, json_quoted(value.get_ref<const std::string&>()));
      if (value.is_boolean()) parts.push_back(leaf(key, negated ? "$ne" : "$eq", value.get<bool>() ? "true" : "false"));
      if (!value.is_number()) continue;
      const std::optional<std::string> text = number_text(value);
      if (!text) return unsay(at);
      if (*text == whole_part(value)) {
        // As both: a server may take 1 and 1.0 for different values.
        add(integers, *text);
        add(floats, *text + ".0");
      } else {
        // An integer is compared with the whole part of a number.
        Where same = leaf(key, negated ? "$ne" : "$eq", *text);
        Where whole = leaf(key, negated ? "$eq" : "$ne", whole_part(value));
        parts.push_back(negated ? any_of(std::move(same), std::move(whole))
                                : all_of(std::move(same), std::move(whole)));
      }
    }
    for (const std::string* list : {&strings, &integers, &floats}) {
      if (!list->empty()) parts.push_back(leaf(key, in, *list + ']'));
    }
    return join(negated ? Where::Kind::kAnd : Where::Kind::kOr, std::move(parts));
  }

  // The value is an array that holds it.
  Where element(const Json& value, const std::string& key, const std::string& at, bool negated) {
    const std::string_view holds = negated ? "$not_contains" : "$contains";
    if (value.is_string()) return leaf(key, holds, json_quoted(value.get_ref<const std::string&>()));
    if (value.is_boolean()) return leaf(key, holds, value.get<bool>() ? "true" : "false");
    if (!value.is_number()) return every_or_none(negated);
    const std::optional<std::string> text = number_text(value);
    if (!text) return unsay(at);
    Where same = leaf(key, holds, *text);
    if (*text != whole_part(value)) return same;
    Where other = leaf(key, holds, *text + ".0");
    return negated ? all_of(std::move(same), std::move(other)) : any_of(std::move(same), std::move(other));
  }

  // Where the bound has a fraction, Chroma takes its whole part for integers: nearer to 0.
  Where range(const FilterNode& node, const std::string& key, const std::string& at) {
    const std::optional<std::string> text = number_text(node.operand);
    if (!text) return unsay(at);
    const std::string whole = whole_part(node.operand);
    Where bound = leaf(key, range_operator(node.op, false), *text);
    if (*text == whole) return bound;
    const bool below = node.operand.get<double>() < 0, upward = is_upward(node.op);
    const bool strict = node.op == FilterOperator::kGreater || node.op == FilterOperator::kLess;
    // 1 > 1.5 is taken for 1 > 1, which is as it should be; -1 > -1.5 for -1 > -1, 1 >= 1.5 for 1 >= 1.
    if (upward == below) return strict ? any_of(std::move(bound), leaf(key, "$eq", whole)) : std::move(bound);
    return strict ? std::move(bound) : all_of(std::move(bound), leaf(key, "$ne", whole));
  }

  const bool own_;
};

}  // namespace

Result<ChromaFilter> compile_chroma_filter(const Filter& filter) {
  Compiler own(true), others(false);
  ASSIGN_OR_RETURN(Where mine, own.object(filter.root(), "filter", false));
  ASSIGN_OR_RETURN(Where theirs, others.object(filter.root(), "filter", false));
  ChromaFilter out;
  out.probes = std::move(own.probes);
  if (mine.kind == Where::Kind::kNone) out.probes.clear();
  const std::string version = json_quoted(kChromaLayoutVersion);
  if (theirs.kind == Where::Kind::kUnsaid) {
    std::string where;
    append_where(where, leaf(kChromaOwn, "$ne", version));
    out.probes.push_back({std::move(where), others.unsaid + ": Chroma cannot say this of points that others wrote, and "
                                                            "there are some in this collection"});
    theirs = no_points();
  }
  Where both = mine.kind == Where::Kind::kAll && theirs.kind == Where::Kind::kAll
                   ? all_points()
                   : any_of(all_of(leaf(kChromaOwn, "$eq", version), std::move(mine)),
                            all_of(leaf(kChromaOwn, "$ne", version), std::move(theirs)));
  out.everything = both.kind == Where::Kind::kAll;
  out.nothing = both.kind == Where::Kind::kNone;
  if (out.everything || out.nothing) return out;
  if (const size_t count = leaves(both); count > kMostLeaves) {
    return Error{Code::kUnsupported,
                 "filter: Chroma's database takes no condition of so many comparisons; at most " +
                     std::to_string(kMostLeaves) + " are sent, this filter becomes more",
                 std::to_string(count)};
  }
  append_where(out.where, both);
  if (depth(out.where) > 2 * kDeepest) {
    return Error{Code::kUnsupported, "filter: Chroma reads no condition that is nested so deeply", ""};
  }
  return out;
}

}  // namespace nearfield
