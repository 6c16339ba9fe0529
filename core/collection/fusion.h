// Fusion: one ranking out of the dense and the text ranking of a search.
//
// Pure functions of the two lists; collection/request.h has the formulas. A list is ordered best first, and a row's
// rank is its position in it, from 1.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/base/row_set.h"
#include "core/collection/collection.h"
#include "core/collection/request.h"

namespace nearfield {

struct FusedRow {
  RowId row = 0;
  double score = 0;
  std::optional<LegScore> dense;
  std::optional<LegScore> text;
};

// Every row of either list once, by row, with its fused score. A row that a leg does not have gets nothing from that
// leg. Convex scales a leg so that its best listed row is 1 and its worst 0; where all scores are equal, all are 1.
// REQUIRES: no row stands twice in a list; scores fall.
std::vector<FusedRow> fuse(const Fusion& fusion, std::span<const Scored> dense, std::span<const Scored> text);

}  // namespace nearfield
