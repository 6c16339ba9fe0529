// HNSW: approximate search over a navigable small-world graph (Malkov and Yashunin, 2016), built by hnswlib.
//
// The graph holds row numbers; vectors stay in the VectorTable. Building is deterministic for a seed and an order of
// rows. What compares many nodes, in building and in searching, is our own and works by batches (hnsw_walk.cpp), over
// the vectors or over codes of them. Search skips rows that are not allowed without leaving the graph, rescores the
// best candidates by the vectors, and returns scores computed by exact_score.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/base/row_set.h"
#include "core/base/section.h"
#include "core/base/status.h"
#include "core/index/vector_table.h"
#include "core/metric/metric.h"
#include "core/quant/code.h"

namespace nearfield {

struct HnswOptions {
  size_t m = 16;              // links a node, 2..100; twice as many on the lowest layer
  size_t ef_construct = 200;  // breadth while building, 1..2,000; raised to m
  uint64_t seed = 100;
  // What the graph is built and walked by; answers are rescored by the vectors. kF32 (the vectors themselves) or, not
  // for manhattan, kRq8.
  CodeKind code = CodeKind::kF32;
  bool operator==(const HnswOptions&) const = default;
};

class Hnsw {
 public:
  // Keeps a reference to `table`. REQUIRES: options in the ranges above.
  Hnsw(const VectorTable& table, Metric metric, HnswOptions options);
  ~Hnsw();

  // REQUIRES: rows are added once each; row < table.count(). May throw std::bad_alloc, after which this index can only
  // be destroyed.
  void add(RowId row);
  size_t count() const;
  // Rows that were added; its size may be smaller than the table.
  const RowSet& rows() const;

  // About the best `limit` rows of `allowed`, and further rows it met that share the last one's score, by falling
  // score, then by row. Never fewer than min(limit, allowed rows in the graph): where few rows are allowed, or the walk
  // finds too few, they are scanned, and the answer is exact. `scored` (may be null) receives how many vectors were
  // compared. One search at a time: scratch memory is kept between searches. REQUIRES: query.size() == dim, all finite;
  // allowed.size() == table.count(); ef >= 1.
  std::vector<Scored> search(std::span<const float> query, const RowSet& allowed, size_t limit, size_t ef,
                             size_t* scored) const;

  size_t memory_bytes() const;

  // State as sections named "hnsw.*", to be written before the next add. Reading checks every level, degree and
  // neighbour before use: kFormatError. An index that was read answers and grows like the one that was written, given
  // the same options.
  StateSections sections() const;
  static Result<std::unique_ptr<Hnsw>> from_sections(const SectionViews& sections, const VectorTable& table,
                                                     Metric metric, HnswOptions options);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield
