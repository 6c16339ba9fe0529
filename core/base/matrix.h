// A view of rows of floats: row-major, component j of row i is data[i * dim + j].
#pragma once

#include <cassert>
#include <cstddef>
#include <span>

namespace nearfield {

class MatrixView {
 public:
  MatrixView() = default;
  // REQUIRES: data.size() == count * dim.
  MatrixView(std::span<const float> data, size_t dim) : data_(data), dim_(dim) {
    assert(dim == 0 ? data.empty() : data.size() % dim == 0);
  }

  size_t count() const { return dim_ == 0 ? 0 : data_.size() / dim_; }
  size_t dim() const { return dim_; }
  std::span<const float> data() const { return data_; }
  // REQUIRES: row < count().
  std::span<const float> row(size_t row) const {
    assert(row < count());
    return data_.subspan(row * dim_, dim_);
  }

 private:
  std::span<const float> data_;
  size_t dim_ = 0;
};

}  // namespace nearfield
