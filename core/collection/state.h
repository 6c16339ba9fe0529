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
#include "core/collection/id_window.h"
#include "core/collection/resident_rows.h"
#include "core/collection/row_store.h"
#include "core/index/planner.h"
#include "core/index/tuning.h"
#include "core/text/analyzer.h"

namespace nearfield {

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

  // Derived state. `index` holds every live row before `unindexed` that has a vector, and maybe dead ones; `postings`
  // every live row. A search scans the rows that the index does not have yet.
  Bm25 postings;
  std::unique_ptr<VectorIndex> index;       // null: every search scans
  std::unique_ptr<IndexTraining> training;  // of the index to be
  std::unique_ptr<Tuning> tuning;           // of the index, once it has every row
  size_t effort = 0;                        // that tuning found; 0: none yet
  size_t rescored_rows = 0;                 // candidates for the best ten that it found; 0: none yet
  size_t tuned_rows = 0;                    // rows the index then had
  size_t learned_rows = 0;                  // live rows when it was learned; 0: it learns nothing
  RowId unindexed = 0;                      // the first row that advance_index() has to look at
  Choice choice;                            // the kind of index there is or will be, and why
  bool gave_up = false;                     // there was no memory for an index; none is begun
  bool deferred = false;                    // apply() leaves derived state alone
  bool stale = false;                       // derived state misses rows

  std::unique_ptr<Analyzer> analyzer;  // null where the schema has no text; its cache is all that a search changes
  IdWindow window;                     // where pages are read; all that reading one changes

  std::optional<RowId> live_row(std::string_view id) const;
  // The row alone, live, without derived state. An empty vector is none.
  RowId append_row(std::string_view id, std::span<const float> vector, std::string_view text, std::string_view payload);
  RowView view(RowId row) const;
  // Up to `limit` live rows that `passes` takes, by ascending id, that come after `after`.
  template <typename Passes>
  std::vector<RowId> page(std::string_view after, size_t limit, Passes passes) {
    std::vector<RowId> page;
    while (page.size() < limit) {
      const std::span<const RowId> next = window.next(rows, live, after, limit);
      if (next.empty()) break;
      for (size_t i = 0; i < next.size() && page.size() < limit; ++i) {
        if (live.contains(next[i]) && passes(next[i])) page.push_back(next[i]);
      }
      after = rows.id(next.back());
    }
    return page;
  }
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
  // What an index of the kind that was chosen is made by.
  IndexOptions index_options() const { return schema.index(choice.kind); }
  IndexPlace index_place() const { return {schema.metric, schema.dimension, vectors.get()}; }
  // Asks the planner while there is no index, and begins one, without a row, once it wants one that learns from none.
  void choose_index();
  // Whether the index that was chosen is to learn from the rows that are there, or its effort from how it finds them.
  bool wants_training() const;
  bool wants_tuning() const;
  // The recall that the effort of searches is to reach, where they leave it to the collection; 0: effort is fixed.
  double recall_target() const;
  // A slice of making the index: of its training, or up to `rows` more rows into it.
  IndexStep advance_index(size_t rows);
  // The first row from `row` on that the index should have and does not; rows.count() where there is none.
  // REQUIRES: index.
  RowId next_unindexed(RowId row) const;
  // The first row from `row` on that tuning is to be shown; rows.count() where there is none.
  RowId next_unshown(RowId row) const;
  // Candidates for so many hits, where a search does not say.
  size_t default_rescore(size_t limit) const;
  RowSet random_rows(size_t count, uint64_t seed) const;
  // Live rows with a vector to learn from, the same ones for the same rows; and what is begun with their vectors.
  RowSet sample_rows() const;
  void take_sample(std::vector<float> sample);
  void drop_index();
  // Why the index is what it is.
  std::string_view reason() const;
  // From nothing, for the live rows.
  void rebuild();
  // Starts, without a row, with the kind of index that `other` has, for rows that will come from there.
  void adopt_choice(const State& other);

  // `allowed`, or in `narrowed` what of it has a vector.
  const RowSet& with_vectors(const RowSet& allowed, RowSet& narrowed) const;
  // What the index names, nearest first; nullopt: all are to be scored. Says why in `leg`.
  std::optional<std::vector<Scored>> ask_index(const SearchRequest& request, const RowSet& searchable, size_t limit,
                                               LegResult& leg) const;
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
