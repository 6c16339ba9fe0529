// Filters in Qdrant's words.
//
// A filter becomes a condition that selects exactly what Filter::matches selects, or is refused. What Qdrant cannot say
// exactly:
//
//   $eq, $in, $contains of an array or an object           arrays are looked into, never compared
//   $gt, $gte, $lt, $lte of a string                       ranges are for numbers
//   ranges from 2^53 on, and $eq of whole numbers beyond i64   compared as doubles
//   numbers of more than 15 digits with a fraction         its reader rounds them
//   a path of more than 5 names, a name with " or \        every name but the last may lead to an array or not, and
//                                                          both have a condition: 2^(names - 1)
//   fields that hold what the store keeps beside payloads  kQdrantReserved and the text
//
// Qdrant looks one array deep and cannot tell an empty array from a missing field. Points that QdrantStore wrote are
// laid out so that the difference is not there (core/remote/qdrant_points.h); of points that others wrote, what is in
// an array in an array is not found, and $exists takes an empty array for nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/filter/filter.h"

namespace nearfield {

// The member of a stored payload that is the store's own.
inline constexpr std::string_view kQdrantReserved = "_nearfield";

struct QdrantFilter {
  // An index that the condition can use: "float" serves every number.
  struct Field {
    std::string key;   // a path as Qdrant spells it
    std::string type;  // "keyword", "float", "bool"
    bool operator==(const Field&) const = default;
  };
  // A clause that means what it says only where Qdrant has no full-text index on that field.
  struct Substring {
    std::string clause;  // for messages: "filter.title.$contains"
    std::vector<std::string> path;
  };

  bool everything = false;  // passes: no filter is to be sent
  std::string text;         // otherwise a Filter object, JSON text
  std::vector<Field> fields;
  std::vector<Substring> substrings;
};

// Fails with kUnsupported; the message begins with the clause ("filter.$and[1].year.$gt: ..."). `text_field`: the
// member of stored payloads that is the point's text; empty: none.
Result<QdrantFilter> compile_qdrant_filter(const Filter& filter, std::string_view text_field);

// A path in Qdrant's spelling: nested.key, "with a space".x. REQUIRES: no name has " or \.
std::string qdrant_path(const std::vector<std::string>& names);

// The names of a path that Qdrant spelt, without its [] and [3]. Empty where it is none.
std::vector<std::string> split_qdrant_path(std::string_view path);

}  // namespace nearfield
