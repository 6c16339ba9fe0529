// VectorTable: the vectors of a collection, append-only, in blocks that never move.
//
// Growing does not copy what is there, so memory peaks at the data plus one block, and a row's address stays valid for
// the table's life. Rows are `dim` floats, row-major inside a block, blocks aligned to 16 bytes.
#pragma once

#include <cassert>
#include <memory>
#include <span>
#include <vector>

#include "core/base/matrix.h"
#include "core/base/row_set.h"

namespace nearfield {

class VectorTable {
 public:
  // REQUIRES: dim > 0.
  explicit VectorTable(size_t dim);

  size_t dim() const { return dim_; }
  size_t count() const { return count_; }
  // Rows in each block but the last: a power of two.
  size_t block_rows() const { return size_t{1} << block_shift_; }
  size_t block_count() const { return blocks_.size(); }

  // Copies `row` to the end. REQUIRES: row.size() == dim(). May throw std::bad_alloc and then has not changed.
  RowId append(std::span<const float> row);

  // REQUIRES: row < count().
  std::span<const float> row(RowId row) const {
    assert(row < count_);
    return {blocks_[row >> block_shift_].get() + (row & (block_rows() - 1)) * dim_, dim_};
  }
  // The filled part of a block. REQUIRES: block < block_count().
  MatrixView block(size_t block) const;

  size_t memory_bytes() const { return blocks_.size() * block_rows() * dim_ * sizeof(float); }

 private:
  struct Free {
    void operator()(float* block) const;
  };

  size_t dim_;
  size_t block_shift_;
  size_t count_ = 0;
  std::vector<std::unique_ptr<float[], Free>> blocks_;
};

}  // namespace nearfield
