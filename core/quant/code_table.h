// CodeTable: the codes of a collection's rows, append-only, in blocks that never move.
//
// Rows lie one behind the other inside a block, blocks begin at a multiple of 64 bytes. Growing copies nothing, so
// memory peaks at the codes plus one block, and a row's address stays valid for the table's life.
#pragma once

#include <cassert>
#include <memory>
#include <span>
#include <vector>

#include "core/base/row_set.h"
#include "core/base/section.h"
#include "core/quant/code.h"

namespace nearfield {

class CodeTable {
 public:
  // REQUIRES: code_bytes > 0, a multiple of 16.
  explicit CodeTable(size_t code_bytes);

  size_t code_bytes() const { return code_bytes_; }
  size_t count() const { return count_; }
  // Rows in each block but the last: a power of two.
  size_t block_rows() const { return size_t{1} << block_shift_; }
  size_t block_count() const { return (count_ + block_rows() - 1) >> block_shift_; }

  // Memory for as many rows in all. May throw std::bad_alloc and then holds what it held.
  void reserve(size_t rows);
  // Adds a row and returns its bytes, all zero, for its code. May throw std::bad_alloc and then has not changed.
  std::span<uint8_t> append();

  // REQUIRES: row < count().
  const uint8_t* row(RowId row) const {
    assert(row < count_);
    return blocks_[row >> block_shift_].get() + (row & (block_rows() - 1)) * code_bytes_;
  }
  // For a row whose vector changed. REQUIRES: row < count().
  std::span<uint8_t> mutable_row(RowId row) {
    assert(row < count_);
    return {blocks_[row >> block_shift_].get() + (row & (block_rows() - 1)) * code_bytes_, code_bytes_};
  }
  // The filled part of a block. REQUIRES: block < block_count().
  std::span<const uint8_t> block(size_t block) const;

  size_t memory_bytes() const { return blocks_.size() * block_rows() * code_bytes_; }

  // All rows as one section of bytes with that name, a literal.
  StateSection section(std::string_view name) const;
  // The table that was written, with `rows` rows. Fails with kFormatError, naming the section, when its length differs
  // or a code is not sound. May throw std::bad_alloc.
  static Result<CodeTable> from_section(const SectionViews& sections, std::string_view name, const VectorCode& code,
                                        size_t rows);

 private:
  struct Free {
    void operator()(uint8_t* block) const;
  };

  size_t code_bytes_;
  size_t block_shift_;
  size_t count_ = 0;
  std::vector<std::unique_ptr<uint8_t[], Free>> blocks_;
};

}  // namespace nearfield
