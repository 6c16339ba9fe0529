// VectorIndex: what finds, among the rows that were added to it, those nearest to a query.
//
// An index compares codes (core/quant) or the vectors themselves and names candidates; whoever asked rescores them by
// the vectors, wherever those are. So an index works the same where vectors are in memory, in storage or gone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/row_set.h"
#include "core/base/section.h"
#include "core/index/kinds.h"
#include "core/index/vector_table.h"
#include "core/quant/code.h"

namespace nearfield {

// Compare with everything there is.
inline constexpr size_t kExhaustive = SIZE_MAX;

struct IndexQuery {
  std::span<const float> vector;  // of the index's dimension, all finite
  const RowSet& allowed;          // rows that may be named; its size is beyond every row of the index
  size_t available = 0;           // how many of those the index has
  size_t limit = 0;               // how many of the best are wanted, at least 1
  size_t candidates = 0;          // how many to name so that those are among them: see rescoring.h, at least the limit
  size_t effort = kExhaustive;    // ef of a graph, partitions to look at: at least 1
};

class VectorIndex {
 public:
  virtual ~VectorIndex() = default;

  virtual IndexKind kind() const = 0;
  virtual CodeKind code() const = 0;  // what it compares

  // REQUIRES: each row once; a vector of the index's dimension, all finite. May throw std::bad_alloc, after which this
  // index can only be destroyed.
  virtual void add(RowId row, std::span<const float> vector) = 0;
  // So many rows are likely to be in it: what moves all it has when it grows then makes room for them at once.
  virtual void expect(size_t) {}
  virtual size_t count() const = 0;
  // Rows that were added; its size may be smaller than the collection.
  virtual const RowSet& rows() const = 0;

  // Puts the best query.candidates rows that it meets into `found`, with the scores of their codes, by falling score;
  // never fewer than min(limit, available). `compared` grows by how many codes or vectors were compared. One query at a
  // time: scratch memory is kept.
  virtual void find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const = 0;

  virtual size_t memory_bytes() const = 0;

  // State as sections, to be written before the next add. The kinds name theirs "hnsw.*", "flat.*", "ivf.*".
  // `with_codes`: also what could be made again of the vectors, for whoever will not have them.
  virtual StateSections sections(bool with_codes) const = 0;
  // Puts into a fresh index, made with the same options and what was learned, the state that sections() gave. Its rows
  // are below `rows`; their vectors are in `table`, or, where that is null, their codes in the sections. Fails with
  // kFormatError on anything that sections() could not have given, and can then only be destroyed. Answers and grows
  // like the one that was written.
  virtual Status load(const SectionViews& sections, size_t rows, const VectorTable* table) = 0;
};

// Adds the state of a code that was trained, "code.*"; the others are made again from the schema.
inline void append_learned(const VectorCode& code, StateSections& sections) {
  if (!VectorCode::is_trained(code.kind())) return;
  for (StateSection& section : code.sections()) sections.push_back(std::move(section));
}

}  // namespace nearfield
