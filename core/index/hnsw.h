// HNSW: approximate search over a navigable small-world graph (Malkov and Yashunin, 2016), built by hnswlib.
//
// Building is deterministic for a seed and an order of rows. What compares many nodes, in building and in searching, is
// our own and works by batches (hnsw_walk.cpp), over vectors in memory or over codes. A walk skips rows that are not
// allowed without leaving the graph.
#pragma once

#include <memory>

#include "core/index/vector_index.h"
#include "core/metric/metric.h"

namespace nearfield {

struct HnswOptions {
  size_t m = 16;              // links a node, 2..100; twice as many on the lowest layer
  size_t ef_construct = 200;  // breadth while building, 1..2,000; raised to m
  uint64_t seed = 100;
  bool operator==(const HnswOptions&) const = default;
};

class Hnsw : public VectorIndex {
 public:
  // What the graph is built and walked by: codes of that `code`; or, where that is null, the vectors of `table`, to
  // which a reference is kept. REQUIRES: options in the ranges above; code->compares_rows().
  Hnsw(std::unique_ptr<const VectorCode> code, HnswOptions options);
  Hnsw(const VectorTable& table, Metric metric, HnswOptions options);
  ~Hnsw() override;

  IndexKind kind() const override { return IndexKind::kHnsw; }
  CodeKind code() const override;
  void add(RowId row, std::span<const float> vector) override;
  void expect(size_t rows) override;
  size_t count() const override;
  const RowSet& rows() const override;
  // effort is ef, raised to the limit. Where few rows are allowed, or a walk finds too few, all are compared.
  void find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const override;
  size_t memory_bytes() const override;
  // "hnsw.*"; every level, degree and neighbour is checked before use.
  StateSections sections(bool with_codes) const override;
  Status load(const SectionViews& sections, size_t rows, const VectorTable* table) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield
