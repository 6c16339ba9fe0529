// Filters in Weaviate's words, over the terms of payloads (core/remote/weaviate_terms.h).
//
// A filter becomes a condition that selects exactly what Filter::matches selects, or is refused. What Weaviate cannot
// say exactly:
//
//   $gt, $gte, $lt, $lte of a string of more than 64 bytes       one condition for each digit that differs
//   filters of more than 10,000 conditions
//   $contains of a string where a point has a long one there     the store asks first: `substrings`
//   $not and the like of some operators, before Weaviate 1.33    the store asks first: `needs_not`
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/filter/filter.h"

namespace nearfield {

// The property that has the terms.
inline constexpr std::string_view kWeaviateTerms = "nf_terms";

struct WeaviateCondition {
  enum class Kind : uint8_t {
    kAll,   // every object
    kNone,  // no object
    kAnd,   // of parts, at least two
    kOr,
    kNot,       // of one part
    kAny,       // has one of `terms`, at least one
    kLacks,     // does not have the one of `terms`
    kLike,      // has a term that begins with terms[0]
    kLikeMore,  // and goes on
    kLikePart,  // begins with terms[0] and has terms[1] after that
  };

  Kind kind = Kind::kAll;
  std::vector<WeaviateCondition> parts;
  std::vector<std::string> terms;

  // The `where` of a GraphQL query, and of a body of REST: each always selects something to say, also kAll and kNone.
  std::string graphql() const;
  std::string rest() const;
};

struct WeaviateFilter {
  WeaviateCondition condition;
  std::string needs_not;  // the first clause that is said with `Not`; empty: none

  // A clause that means what it says only where no point has `term`.
  struct Substring {
    std::string clause;  // for messages: "filter.title.$contains"
    std::string term;
  };
  std::vector<Substring> substrings;
};

// Fails with kUnsupported; the message begins with the clause ("filter.$and[1].year.$gt: ...").
Result<WeaviateFilter> compile_weaviate_filter(const Filter& filter);

}  // namespace nearfield
