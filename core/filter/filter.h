// Filter: which points a search may return.
//
//   { field: value }                        equal
//   { field: { $eq $ne $gt $gte $lt $lte $in $nin $contains $exists: ... } }    all of them
//   { $and: [...] }, { $or: [...] }, { $not: {...} }
//
// Fields are dotted paths into the payload ("author.name"); a path goes into each element of an array on its way. Arrays
// match if any element does. $ne, $nin and $not also match points where the field is missing. Numbers compare as
// numbers, strings by bytes, other types never match a range. $contains: an array holds the value, or a string the
// substring. operators.def is the list.
#pragma once

#include <memory>
#include <string_view>

#include "core/base/json.h"
#include "core/base/status.h"

namespace nearfield {

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

 private:
  struct Node;
  explicit Filter(std::unique_ptr<Node> root);
  std::unique_ptr<Node> root_;
};

}  // namespace nearfield
