// PartitionLists: the rows of each partition and what is compared of them, append-only.
//
// A list is a chain of blocks of places, so appending to one moves nothing. Codes of one bit and pq4 lie 32 rows side
// by side, for scans that look up in registers (scan_kernels.h); other codes lie one behind the other, eight rows a
// block, and of vectors that are in memory nothing is kept but their rows. On average half a block a list is empty.
#pragma once

#include <memory>
#include <optional>

#include "core/base/row_set.h"
#include "core/index/best_rows.h"
#include "core/index/node_distance.h"
#include "core/quant/code_table.h"

namespace nearfield {

class PartitionLists {
 public:
  // What is compared is `code`; or, where that is null, the vectors of `table`, to which a reference is kept.
  PartitionLists(size_t count, std::unique_ptr<const VectorCode> code, const VectorTable* table, Metric metric);

  // Null where vectors are compared.
  const VectorCode* code() const { return code_.get(); }
  size_t count() const { return lists_.size(); }
  // Rows in a list, and in all of them. REQUIRES: list < count().
  size_t size(size_t list) const { return lists_[list].size; }
  size_t row_count() const { return row_count_; }

  // REQUIRES: `row` is in no list. May throw std::bad_alloc, after which this can only be destroyed.
  void append(size_t list, RowId row, std::span<const float> vector);

  // Makes `query` the one that scans compare with.
  void prepare(std::span<const float> query);
  // Offers the rows of a list that are in `allowed`; all of them where that is null. Returns how many these were.
  size_t scan(size_t list, const RowSet* allowed, BestRows& best);

  size_t memory_bytes() const;

  // "ivf.sizes", "ivf.rows", list by list, and "ivf.codes" if wanted: those of a list begin with a block of their own.
  void append_sections(bool with_codes, StateSections& sections) const;
  // Fills fresh lists from such sections with rows below `rows`, the same as the ones that were written; where there
  // are no codes, by making them of the vectors in `table`. Fails with kFormatError on anything else. REQUIRES: `table`
  // is null or has these rows.
  Status load(const SectionViews& sections, size_t rows, const VectorTable* table);

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct List {
    uint32_t size = 0, first_block = kNone, last_block = kNone;
  };

  // The place for one more row: its block, and where in it.
  std::pair<uint32_t, size_t> new_place(size_t list);
  template <typename Visit>
  void each_block(size_t list, Visit visit) const;
  void compare(std::span<const RowId> rows, std::span<const uint8_t* const> codes, BestRows& best);
  void compare_block(uint32_t block, std::span<const RowId> rows, const RowSet* allowed, BestRows& best);

  std::unique_ptr<const VectorCode> code_;
  std::unique_ptr<NodeDistance> vectors_;  // of the table's vectors; node and row are the same number
  RowId next_node_ = 0;
  bool side_by_side_;
  size_t block_rows_;
  std::vector<List> lists_;
  std::vector<uint32_t> next_block_;  // by block, of the same list
  std::vector<RowId> row_of_;         // by block and place
  std::optional<CodeTable> blocks_;
  size_t row_count_ = 0;
  CodeScratch scratch_;
  std::vector<uint8_t> encoded_;
  PreparedQuery query_;
};

}  // namespace nearfield
