// ResidentRows: texts, payloads and vectors of the newest rows of a collection that keeps such parts in storage.
//
// Rows are appended; once storage has them, the rows before some number are evicted. So what is here is always the end
// of the collection, and its size is that of what was written since the last commit.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/row_set.h"

namespace nearfield {

class ResidentRows {
 public:
  struct Row {
    std::string text;
    std::string payload;
    std::vector<float> vector;
  };

  // Stays where it is until it is evicted.
  void append(Row row) {
    bytes_ += size_of(row);
    rows_.push_back(std::move(row));
  }
  // Rows before `end` go. REQUIRES: end <= the number of rows ever appended.
  void evict(RowId end) {
    for (; first_ < end; ++first_) {
      bytes_ -= size_of(rows_.front());
      rows_.pop_front();
    }
  }
  // The first row that is here, or the number of rows ever appended.
  RowId first() const { return first_; }
  // nullptr: evicted. REQUIRES: the row was appended.
  const Row* find(RowId row) const { return row < first_ ? nullptr : &rows_[row - first_]; }
  size_t memory_bytes() const { return bytes_; }

 private:
  static size_t size_of(const Row& row) {
    return sizeof(Row) + row.text.capacity() + row.payload.capacity() + row.vector.capacity() * sizeof(float);
  }

  std::deque<Row> rows_;
  RowId first_ = 0;
  size_t bytes_ = 0;
};

}  // namespace nearfield
