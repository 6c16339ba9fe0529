// Filters in Chroma's words.
//
// A filter becomes a condition ("where") that selects exactly what Filter::matches selects, or is refused. Of points
// that ChromaStore wrote it asks for the terms among their metadata (core/remote/chroma_points.h), of points that
// others wrote for their metadata themselves; so it has two halves. What Chroma cannot say exactly:
//
//   $gt, $gte, $lt, $lte of a string    ranges are for numbers
//   ranges from 2^53 on                 compared as doubles
//   more than 2,000 comparisons (an $in is one for each value), or some 40 levels of $and and $or
//
// and, depending on what is in the collection, which `probes` find out:
//
//   $contains of a string               where the field is a string: it searches for substrings in documents alone
//   $exists, negated ranges, numbers beyond 2^53 or of more than 15 digits
//                                       where others wrote points
//
// A range does not look into arrays of points that others wrote.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/filter/filter.h"

namespace nearfield {

struct ChromaFilter {
  // A condition that must hold for no point, or the filter is refused with `refusal`.
  struct Probe {
    std::string where;
    std::string refusal;
  };

  bool everything = false;  // passes: no condition is to be sent
  bool nothing = false;     // passes: no request is to be sent
  std::string where;        // otherwise the condition, JSON text
  std::vector<Probe> probes;
};

// Fails with kUnsupported; the message begins with the clause ("filter.$and[1].year.$gt: ...").
Result<ChromaFilter> compile_chroma_filter(const Filter& filter);

}  // namespace nearfield
