// Filter: which points a search may return.
//
//   { field: value }                        equal
//   { field: { $eq $ne $gt $gte $lt $lte $in $nin $contains $exists: ... } }    all of them
//   { $and: [...] }, { $or: [...] }, { $not: {...} }
//
// Several fields side by side must all match; {} matches everything. operators.def is the list of operators.
//
// Fields are dotted paths into the payload ("author.name"); a path goes into each element of an array on its way, and
// a key that holds a dot itself cannot be named. Arrays match if any element does, however deep they nest. $ne, $nin
// and $not are the plain negation of $eq, $in and the filter, so they also match points where the field is missing.
//
// Values are equal when they are the same JSON: numbers compare as numbers and exactly (1 is 1.0, 2^53 + 1 is not
// 2^53), strings by bytes, arrays and objects as a whole; null equals only null, not a missing field; true is not 1.
// Ranges match numbers with numbers and strings with strings, nothing else. $contains: an array holds the value, or a
// string the substring (a string inside an array is compared as a whole).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"
#include "core/base/status.h"

namespace nearfield {

struct FilterNode;

class Filter {
 public:
  // Fails with kFilterError; the message carries the path of the offending node ("filter.$and[1].year.$foo") and the
  // value is what stands there. At most 32 levels, 1,000 clauses, 10,000 values in one $in.
  static Result<Filter> parse(const Json& json);

  ~Filter();
  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;

  // REQUIRES: payload is a JSON object (or null for a point without one).
  bool matches(const Json& payload) const;

  // The top-level fields that `matches` looks at, each once.
  const std::vector<std::string>& fields() const { return fields_; }

  // The filter as a tree (core/filter/filter_node.h).
  const FilterNode& root() const { return *root_; }

 private:
  explicit Filter(std::unique_ptr<FilterNode> root);
  std::unique_ptr<FilterNode> root_;
  std::vector<std::string> fields_;
};

}  // namespace nearfield
