// VectorTable: the vectors of a collection, append-only, in blocks that never move.
//
// Growing does not copy what is there, so memory peaks at the data plus one block, and a row's address stays valid for
// the table's life. Rows are `dim` floats, row-major inside a block, blocks aligned to 16 bytes. The length of each row
// is computed once, when it is appended: cosine and the error bound of dot products ask for it on every query.
#pragma once

#include <cassert>
#include <memory>
#include <span>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/matrix.h"
#include "core/base/row_set.h"

namespace nearfield {

// Whether no component is infinite or not a number.
bool all_finite(Elements<float> components);

class VectorTable {
 public:
  // REQUIRES: dim > 0.
  explicit VectorTable(size_t dim);

  size_t dim() const { return dim_; }
  size_t count() const { return count_; }
  // Rows in each block but the last: a power of two.
  size_t block_rows() const { return size_t{1} << block_shift_; }
  size_t block_count() const { return (count_ + block_rows() - 1) >> block_shift_; }

  // Copies `row` to the end. REQUIRES: row.size() == dim(). May throw std::bad_alloc and then has not changed.
  RowId append(std::span<const float> row);

  // Copies rows.size() / dim() rows to the end. REQUIRES: rows.size() is a multiple of dim(). May throw std::bad_alloc
  // and then has not changed.
  void append_all(Elements<float> rows);

  // REQUIRES: row < count().
  std::span<const float> row(RowId row) const {
    assert(row < count_);
    return {blocks_[row >> block_shift_].get() + (row & (block_rows() - 1)) * dim_, dim_};
  }
  // |row|, rounded from double precision: 0 only for a row of zeros, infinite where a float cannot hold it.
  // REQUIRES: row < count().
  float norm(RowId row) const {
    assert(row < count_);
    return blocks_[row >> block_shift_].get()[block_rows() * dim_ + (row & (block_rows() - 1))];
  }
  // The filled part of a block. REQUIRES: block < block_count().
  MatrixView block(size_t block) const;

  size_t memory_bytes() const { return blocks_.size() * block_rows() * (dim_ + 1) * sizeof(float); }

 private:
  struct Free {
    void operator()(float* block) const;
  };

  // Makes blocks for as many rows in all.
  void make_blocks(size_t rows);

  size_t dim_;
  size_t block_shift_;
  size_t count_ = 0;
  // A block is its rows, then their norms.
  std::vector<std::unique_ptr<float[], Free>> blocks_;
};

}  // namespace nearfield
