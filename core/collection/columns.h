// RowColumns: a batch in columns, as a file holds it.
//
// Nothing is copied: the columns are views into the file's bytes, which stand at any address and are not yet to be
// trusted. That the columns agree with each other is what storage/rows.h checks; whether the points are good ones, what
// Collection::check says.
#pragma once

#include <string_view>

#include "core/base/bytes.h"

namespace nearfield {

// Strings one behind the other, and where each ends.
class StringColumn {
 public:
  StringColumn() = default;
  // REQUIRES: `ends` ascend, and the last one is bytes.size() (no ends: no bytes).
  StringColumn(Elements<uint32_t> ends, std::string_view bytes) : ends_(ends), bytes_(bytes) {}

  size_t size() const { return ends_.size(); }
  // The empty string where the column was left out. REQUIRES: i < size(), or the column is empty.
  std::string_view operator[](size_t i) const {
    if (ends_.empty()) return {};
    const uint32_t begin = i == 0 ? 0 : ends_[i - 1];
    return bytes_.substr(begin, ends_[i] - begin);
  }

 private:
  Elements<uint32_t> ends_;
  std::string_view bytes_;
};

// Deletes first, then rows.
struct RowColumns {
  StringColumn deletes;
  StringColumn ids;                // one a row
  StringColumn texts, payloads;    // as many, or none
  Elements<uint8_t> vector_flags;  // as many, 1 where the row has a vector and 0 elsewhere; or none
  Elements<float> vectors;         // of the rows that have one, row-major
  size_t dimension = 0;            // of these; 0: no row has one

  size_t rows() const { return ids.size(); }
  bool has_vector(size_t row) const { return !vector_flags.empty() && vector_flags[row] != 0; }
};

}  // namespace nearfield
