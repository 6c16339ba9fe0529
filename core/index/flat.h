// Flat search: every allowed row is scored; the answer is exact.
//
// A SIMD scan in single precision finds all rows whose score could be among the best (within a bound on the rounding
// error), and exact_score orders them, so the result equals a plain loop in double precision.
#pragma once

#include <span>
#include <vector>

#include "core/base/row_set.h"
#include "core/index/vector_table.h"
#include "core/metric/metric.h"

namespace nearfield {

// The best `limit` rows of `allowed` by exact_score, and every further row that shares the last one's score (so that
// the caller can break ties by id), by falling score, then by row.
// REQUIRES: query.size() == table.dim(), all finite; allowed.size() == table.count().
// Complexity: table.count() * dim, one batch of rows a step.
std::vector<Scored> flat_search(const VectorTable& table, Metric metric, std::span<const float> query,
                                const RowSet& allowed, size_t limit);

// The same among the rows of `candidates`, which stand there once each.
std::vector<Scored> rescore(const VectorTable& table, Metric metric, std::span<const float> query,
                            std::span<const Scored> candidates, size_t limit);

}  // namespace nearfield
