#include "core/remote/weaviate_filter.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/filter/filter_node.h"
#include "core/remote/json_text.h"
#include "core/remote/weaviate_terms.h"

namespace nearfield {

namespace {

using Condition = WeaviateCondition;
using Kind = Condition::Kind;

constexpr size_t kMaxRangeBytes = 64;
constexpr size_t kMaxConditions = 10'000;
// More terms than this are lacked by saying `Not`.
constexpr size_t kMaxLacks = 16;
// No term: every object lacks it.
constexpr std::string_view kNoTerm = "-";

Error unsupported(const std::string& clause, std::string_view reason, const Json& value) {
  return {Code::kUnsupported, clause + ": Weaviate " + std::string(reason), shown_json(value)};
}

Condition of_terms(Kind kind, std::vector<std::string> terms) { return {kind, {}, std::move(terms)}; }

// Parts of kind `identity` say nothing, one of kind `absorbing` decides.
Condition join(Kind kind, std::vector<Condition> parts, Kind identity, Kind absorbing) {
  std::erase_if(parts, [&](const Condition& part) { return part.kind == identity; });
  if (parts.empty()) return {identity, {}, {}};
  for (const Condition& part : parts) {
    if (part.kind == absorbing) return {absorbing, {}, {}};
  }
  if (parts.size() == 1) return std::move(parts[0]);
  return {kind, std::move(parts), {}};
}

Condition all_of(std::vector<Condition> parts) { return join(Kind::kAnd, std::move(parts), Kind::kAll, Kind::kNone); }
Condition any_of(std::vector<Condition> parts) { return join(Kind::kOr, std::move(parts), Kind::kNone, Kind::kAll); }

class Compiler {
 public:
  // REQUIRES: a filter object, which is an $and of its members.
  Result<Condition> object(const FilterNode& node, const std::string& path) {
    std::vector<Condition> parts;
    for (const FilterNode& child : node.children) {
      ASSIGN_OR_RETURN(Condition part, member(child, path));
      parts.push_back(std::move(part));
    }
    return all_of(std::move(parts));
  }

  WeaviateFilter out;

 private:
  Result<Condition> member(const FilterNode& node, const std::string& path) {
    if (!node.path.empty()) {
      std::string at = path;
      for (const std::string& name : node.path) at += '.' + name;
      at += '.';
      at += filter_operator_name(node.op);
      ASSIGN_OR_RETURN(Condition found, field(node, at));
      // So that 1,000 clauses are not so many conditions each.
      if (conditions_ > kMaxConditions) {
        return unsupported(at,
                           "would be asked more than " + std::to_string(kMaxConditions) + " conditions for this filter",
                           node.operand);
      }
      const bool negated = node.op == FilterOperator::kNotEqual || node.op == FilterOperator::kNotIn ||
                           (node.op == FilterOperator::kExists && !node.operand.get<bool>());
      return negated ? not_of(std::move(found), at) : std::move(found);
    }
    const std::string at = path + '.' + std::string(filter_operator_name(node.op));
    std::vector<Condition> parts;
    for (size_t i = 0; i < node.children.size(); ++i) {
      const bool lone = node.op == FilterOperator::kNot;
      ASSIGN_OR_RETURN(Condition part, object(node.children[i], lone ? at : at + '[' + std::to_string(i) + ']'));
      if (lone) return not_of(std::move(part), at);
      parts.push_back(std::move(part));
    }
    return node.op == FilterOperator::kOr ? any_of(std::move(parts)) : all_of(std::move(parts));
  }

  Condition not_of(Condition part, const std::string& clause) {
    switch (part.kind) {
      case Kind::kAll: return {Kind::kNone, {}, {}};
      case Kind::kNone: return {Kind::kAll, {}, {}};
      case Kind::kNot: return std::move(part.parts[0]);
      case Kind::kLacks: return of_terms(Kind::kAny, std::move(part.terms));
      case Kind::kAny: {
        if (part.terms.size() > kMaxLacks) break;
        std::vector<Condition> parts;
        for (std::string& term : part.terms) parts.push_back(of_terms(Kind::kLacks, {std::move(term)}));
        return all_of(std::move(parts));
      }
      case Kind::kAnd:
      case Kind::kOr:
      case Kind::kLike:
      case Kind::kLikeMore:
      case Kind::kLikePart: break;
    }
    if (out.needs_not.empty()) out.needs_not = clause;
    Condition negated{Kind::kNot, {}, {}};
    negated.parts.push_back(std::move(part));
    return negated;
  }

  // Whether a value at the node's path passes its test, without the negation.
  Result<Condition> field(const FilterNode& node, const std::string& at) {
    const std::string path = term_path(node.path);
    switch (node.op) {
      case FilterOperator::kExists: return any_term({path + '!'});
      case FilterOperator::kContains: return contains(node, at, path);
      case FilterOperator::kEqual:
      case FilterOperator::kNotEqual:
        return any_term({path + ':' + term_value(node.operand), path + '@' + term_value(node.operand)});
      case FilterOperator::kIn:
      case FilterOperator::kNotIn: {
        std::vector<std::string> terms;
        for (const Json& value : node.operand) {
          const std::string spelt = term_value(value);
          terms.push_back(path + ':' + spelt);
          terms.push_back(path + '@' + spelt);
        }
        return any_term(std::move(terms));
      }
      case FilterOperator::kGreater:
      case FilterOperator::kGreaterOrEqual:
      case FilterOperator::kLess:
      case FilterOperator::kLessOrEqual: return range(node, at, path);
      case FilterOperator::kAnd:
      case FilterOperator::kOr:
      case FilterOperator::kNot: break;
    }
    return Condition();
  }

  Condition any_term(std::vector<std::string> terms) {
    if (terms.empty()) return {Kind::kNone, {}, {}};
    ++conditions_;
    return of_terms(Kind::kAny, std::move(terms));
  }

  // Digits d1 d2 ... are less than those that have d1 d2 ... up to some place and a greater one there, and than those
  // that go on from all of them.
  Result<Condition> range(const FilterNode& node, const std::string& at, const std::string& path) {
    const bool number = node.operand.is_number();
    if (!number && node.operand.get_ref<const std::string&>().size() > kMaxRangeBytes) {
      return unsupported(at, "has ranges of strings of at most " + std::to_string(kMaxRangeBytes) + " bytes here",
                         node.operand);
    }
    const std::string digits =
        number ? term_number_digits(node.operand) : term_digits(node.operand.get_ref<const std::string&>());
    const bool greater = node.op == FilterOperator::kGreater || node.op == FilterOperator::kGreaterOrEqual;
    const bool equal = node.op == FilterOperator::kGreaterOrEqual || node.op == FilterOperator::kLessOrEqual;
    std::vector<Condition> parts;
    std::vector<std::string> exact;
    for (const char place : {':', '@'}) {
      std::string prefix = path + place + (number ? 'n' : 's');
      for (size_t i = 0; i < digits.size(); ++i) {
        // Two digits are a byte: nothing ends between them.
        if (!greater && i % 2 == 0) exact.push_back(prefix);
        const int value = term_digit_value(digits[i]);
        for (int other = greater ? value + 1 : 0; other < (greater ? 16 : value); ++other) {
          parts.push_back(of_terms(Kind::kLike, {prefix + term_digit_like(digits[i], other)}));
        }
        prefix += digits[i];
      }
      if (equal) exact.push_back(prefix);
      if (greater) parts.push_back(of_terms(Kind::kLikeMore, {prefix}));
    }
    conditions_ += parts.size();
    parts.push_back(any_term(std::move(exact)));
    return any_of(std::move(parts));
  }

  // An element of an array, or a piece of a string. A string in an array is an element: it is compared as a whole.
  Condition contains(const FilterNode& node, const std::string& at, const std::string& path) {
    std::vector<Condition> parts;
    parts.push_back(any_term({path + '@' + term_value(node.operand)}));
    if (node.operand.is_string()) {
      const auto& piece = node.operand.get_ref<const std::string&>();
      // No term has a longer one.
      if (piece.size() <= kTermStringBytes) {
        parts.push_back(of_terms(Kind::kLikePart, {path + ":s", term_digits(piece)}));
        ++conditions_;
      }
      out.substrings.push_back({at, path + '~'});
    }
    return any_of(std::move(parts));
  }

  size_t conditions_ = 0;
};

// How the two spellings differ.
struct Spelling {
  bool quoted = false;  // names and operators
  std::string_view list;

  void name(std::string& out, std::string_view text) const {
    if (quoted) out += '"';
    out += text;
    if (quoted) out += '"';
  }
};

constexpr Spelling kGraphql{false, "valueText"};
constexpr Spelling kRest{true, "valueTextArray"};

void append_operator(std::string& out, const Spelling& spelling, std::string_view op) {
  out += '{';
  spelling.name(out, "operator");
  out += ':';
  spelling.name(out, op);
  out += ',';
}

void append_leaf(std::string& out, const Spelling& spelling, std::string_view op, std::string_view value) {
  append_operator(out, spelling, op);
  spelling.name(out, "path");
  out += ":[\"";
  out += kWeaviateTerms;
  out += "\"],";
  spelling.name(out, value);
  out += ':';
}

void append_where(std::string& out, const Spelling& spelling, const Condition& condition) {
  const auto like = [&](const std::string& pattern) {
    append_leaf(out, spelling, "Like", "valueText");
    append_json_string(out, pattern);
    out += '}';
  };
  const auto one = [&](std::string_view op, std::string_view term) {
    append_leaf(out, spelling, op, "valueText");
    append_json_string(out, term);
    out += '}';
  };
  const std::vector<std::string>& terms = condition.terms;
  switch (condition.kind) {
    case Kind::kAll: return one("NotEqual", kNoTerm);
    case Kind::kNone: return one("Equal", kNoTerm);
    case Kind::kLacks: return one("NotEqual", terms[0]);
    case Kind::kLike: return like(terms[0] + '*');
    case Kind::kLikeMore: return like(terms[0] + "?*");
    case Kind::kLikePart: return like(terms[0] + '*' + terms[1] + '*');
    case Kind::kAny:
      if (terms.size() == 1) return one("Equal", terms[0]);
      append_leaf(out, spelling, "ContainsAny", spelling.list);
      out += '[';
      for (size_t i = 0; i < terms.size(); ++i) {
        if (i > 0) out += ',';
        append_json_string(out, terms[i]);
      }
      out += "]}";
      return;
    case Kind::kAnd:
    case Kind::kOr:
    case Kind::kNot: break;
  }
  append_operator(out, spelling, condition.kind == Kind::kAnd ? "And" : condition.kind == Kind::kOr ? "Or" : "Not");
  spelling.name(out, "operands");
  out += ":[";
  for (size_t i = 0; i < condition.parts.size(); ++i) {
    if (i > 0) out += ',';
    append_where(out, spelling, condition.parts[i]);
  }
  out += "]}";
}

}  // namespace

std::string WeaviateCondition::graphql() const {
  std::string out;
  append_where(out, kGraphql, *this);
  return out;
}

std::string WeaviateCondition::rest() const {
  std::string out;
  append_where(out, kRest, *this);
  return out;
}

Result<WeaviateFilter> compile_weaviate_filter(const Filter& filter) {
  Compiler compiler;
  ASSIGN_OR_RETURN(Condition root, compiler.object(filter.root(), "filter"));
  compiler.out.condition = std::move(root);
  return std::move(compiler.out);
}

}  // namespace nearfield
