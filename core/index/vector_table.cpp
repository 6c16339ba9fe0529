#include "core/index/vector_table.h"

#include <algorithm>
#include <bit>
#include <new>

#include "core/metric/kernels.h"

namespace nearfield {

namespace {

constexpr std::align_val_t kAlignment{16};
// A block of about this size: small beside a collection, large beside the cost of starting a scan.
constexpr size_t kBlockBytes = 256 << 10;

}  // namespace

void VectorTable::Free::operator()(float* block) const { ::operator delete[](block, kAlignment); }

VectorTable::VectorTable(size_t dim) : dim_(dim) {
  assert(dim > 0);
  const size_t rows = std::max<size_t>(1, kBlockBytes / (dim * sizeof(float)));
  block_shift_ = static_cast<size_t>(std::bit_width(rows)) - 1;
}

RowId VectorTable::append(std::span<const float> row) {
  assert(row.size() == dim_);
  if (count_ == blocks_.size() * block_rows()) {
    std::unique_ptr<float[], Free> block(
        static_cast<float*>(::operator new[](block_rows() * (dim_ + 1) * sizeof(float), kAlignment)));
    blocks_.push_back(std::move(block));
  }
  const size_t position = count_ & (block_rows() - 1);
  float* block = blocks_.back().get();
  std::copy(row.begin(), row.end(), block + position * dim_);
  block[block_rows() * dim_ + position] = narrowed(vector_norm(row));
  return static_cast<RowId>(count_++);
}

MatrixView VectorTable::block(size_t block) const {
  assert(block < blocks_.size());
  const size_t rows = std::min(block_rows(), count_ - block * block_rows());
  return {{blocks_[block].get(), rows * dim_}, dim_};
}

}  // namespace nearfield
