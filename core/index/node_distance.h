// NodeDistance: what a graph is built and walked by. Of a query to nodes, and of nodes to each other; smaller is
// closer, always finite.
//
// A node is a position in the graph: nodes are numbered in the order they were added. The distances order rows nearly
// as exact_score does; whoever answers a search rescores what it found.
#pragma once

#include <memory>
#include <span>

#include "core/base/row_set.h"
#include "core/index/vector_table.h"
#include "core/metric/metric.h"
#include "core/quant/code_table.h"

namespace nearfield {

using NodeId = uint32_t;

class NodeDistance {
 public:
  virtual ~NodeDistance() = default;

  // The next node stands for `row`, with that vector. May throw std::bad_alloc and then has not changed.
  virtual void append(RowId row, std::span<const float> vector) = 0;
  // Makes `query` the one that to_query() compares with.
  virtual void prepare(std::span<const float> query) = 0;
  // One distance for each of `nodes`. REQUIRES: nodes that were appended; a query that was prepared.
  virtual void to_query(std::span<const NodeId> nodes, float* distances) = 0;
  virtual void between(NodeId from, std::span<const NodeId> nodes, float* distances) = 0;
  // Beyond the table's own.
  virtual size_t memory_bytes() const = 0;
};

// By the vectors themselves, in single precision. Keeps a reference to `table`.
std::unique_ptr<NodeDistance> vector_distance(const VectorTable& table, Metric metric);
// By codes, which are made of the vectors as nodes are appended; `codes` are those of the first ones. Both belong to
// the caller and stay where they are. REQUIRES: code.compares_rows().
std::unique_ptr<NodeDistance> code_distance(const VectorCode& code, CodeTable& codes);

}  // namespace nearfield
