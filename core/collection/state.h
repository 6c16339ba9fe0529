// Collection::State: what a collection holds. Private to this folder.
//
// Rows are the truth; derived state (the graph, the postings) can always be rebuilt from them. collection.cpp changes
// rows, derived.cpp keeps derived state in step with them, search.cpp only reads.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/collection/collection.h"
#include "core/collection/resident_rows.h"
#include "core/collection/row_store.h"
#include "core/index/planner.h"
#include "core/text/analyzer.h"

namespace nearfield {

// Fails with kDimensionMismatch or, naming `what` and the first component that is not finite, kInvalidArgument.
Status check_vector(std::span<const float> vector, size_t dimension, std::string_view what);

struct Collection::State {
  State(std::string collection_name, Schema collection_schema);

  const std::string name;
  const Schema schema;

  // Rows. Every row has a place in `vectors`; one without a vector has zeros there and is not in `with_vector`. What
  // the schema keeps on demand is in `resident` instead, for the newest rows.
  RowStore rows;
  std::unique_ptr<VectorTable> vectors;  // null where the schema has no vectors, or keeps them on demand
  ResidentRows resident;                 // empty where everything is in memory
  RowSet live;
  RowSet with_vector;
  size_t live_count = 0;
  size_t live_vector_count = 0;

  // Derived state. `graph` holds every live row before `unindexed` that has a vector, and maybe dead ones; `postings`
  // every live row. A search scans the rows that the graph does not have yet.
  Bm25 postings;
  std::unique_ptr<Hnsw> graph;  // null while the index is flat
  RowId unindexed = 0;          // the first row that advance_index() has to look at
  Choice choice;                // why it is, or is not
  bool deferred = false;        // apply() leaves derived state alone
  bool stale = false;           // derived state misses rows

  std::unique_ptr<Analyzer> analyzer;  // null where the schema has no text; its cache is all that a search changes

  std::optional<RowId> live_row(std::string_view id) const;
  // The row alone, live, without derived state. An empty vector is none.
  RowId append_row(std::string_view id, std::span<const float> vector, std::string_view text, std::string_view payload);
  RowView view(RowId row) const;
  // Puts the row's strings and, where it is kept on demand, its vector where they belong.
  RowId append_body(std::string_view id, std::string_view text, std::string_view payload, Elements<float> vector);
  // Counts the newest row as live.
  void add_live(RowId row, bool has_vector);
  // The vectors of rows that are about to be appended; zeros where one has none.
  void append_vectors(const RowColumns& columns);
  // Marks the row of that id dead; false where there is none.
  bool remove(std::string_view id);

  // Derived state for one row that appeared or is about to die. No-ops while deferred or stale.
  void derive_added(RowId row);
  void derive_removed(RowId row);
  // Asks the planner while the index is flat, and begins a graph, without a row, once it wants one.
  void choose_index();
  // Puts up to `rows` more rows into the graph; false once it has them all.
  bool advance_index(size_t rows);
  // From nothing, for the live rows.
  void rebuild();
  // Starts, without a row, with the kind of index that `other` has, for rows that will come from there.
  void adopt_choice(const State& other);

  // The legs. REQUIRES: the schema has the leg; the vector was checked; allowed.size() == rows.count().
  LegResult search_dense(const SearchRequest& request, const RowSet& allowed, size_t limit) const;
  LegResult search_text(const SearchRequest& request, const RowSet& allowed, size_t limit) const;

 private:
  // The row's terms, as views that hold until the next call.
  std::span<const std::string_view> terms_of(RowId row);
  std::string_view indexed_text(RowId row);

  std::vector<float> no_vector_;  // zeros, stored in the place of a missing vector
  std::string text_scratch_;
  std::vector<Term> term_scratch_;
  std::vector<std::string_view> term_views_;
};

}  // namespace nearfield
