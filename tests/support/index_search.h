// A search of an index as a collection does it: candidates, then exact scores.
#pragma once

#include <vector>

#include "core/index/flat.h"
#include "core/index/rescoring.h"
#include "core/index/vector_index.h"

namespace nearfield {

// `scored` (may be null) receives how many codes or vectors the index compared.
inline std::vector<Scored> search_index(const VectorIndex& index, const VectorTable& table, Metric metric,
                                        std::span<const float> query, const RowSet& allowed, size_t limit,
                                        size_t effort, size_t* scored = nullptr) {
  size_t compared = 0;
  std::vector<Scored> candidates;
  const size_t available = allowed.count_common(index.rows());
  if (limit > 0) {
    index.find({query, allowed, available, limit, rescored(index.code(), limit), effort}, candidates, compared);
  }
  if (scored != nullptr) *scored = compared;
  return rescore(table, metric, query, candidates, limit);
}

inline void add_all(VectorIndex& index, const VectorTable& table) {
  for (RowId row = 0; row < table.count(); ++row) index.add(row, table.row(row));
}

}  // namespace nearfield
