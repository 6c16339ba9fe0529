#include "core/index/vector_table.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

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

bool all_finite(Elements<float> components) {
  constexpr uint32_t kExponent = 0x7F800000;
  const Elements<uint32_t> bits(components.bytes());
  // No early end inside a batch, so that a batch takes a few vector instructions.
  constexpr size_t kBatch = 256;
  for (size_t begin = 0; begin < bits.size(); begin += kBatch) {
    const size_t end = std::min(begin + kBatch, bits.size());
    uint32_t found = 0;
    for (size_t i = begin; i < end; ++i) found |= (bits[i] & kExponent) == kExponent ? 1u : 0u;
    if (found != 0) return false;
  }
  return true;
}

void VectorTable::make_blocks(size_t rows) {
  while (blocks_.size() * block_rows() < rows) {
    std::unique_ptr<float[], Free> block(
        static_cast<float*>(::operator new[](block_rows() * (dim_ + 1) * sizeof(float), kAlignment)));
    blocks_.push_back(std::move(block));
  }
}

void VectorTable::append_all(Elements<float> rows) {
  assert(rows.size() % dim_ == 0);
  size_t left = rows.size() / dim_;
  make_blocks(count_ + left);
  while (left > 0) {
    float* const block = blocks_[count_ >> block_shift_].get();
    const size_t position = count_ & (block_rows() - 1);
    const size_t taken = std::min(left, block_rows() - position);
    const size_t read = rows.size() - left * dim_;
    rows.subspan(read, taken * dim_).copy_to({block + position * dim_, taken * dim_});
    for (size_t i = position; i < position + taken; ++i) {
      block[block_rows() * dim_ + i] = narrowed(vector_norm({block + i * dim_, dim_}));
    }
    count_ += taken;
    left -= taken;
  }
}

RowId VectorTable::append(std::span<const float> row) {
  assert(row.size() == dim_);
  make_blocks(count_ + 1);
  const size_t position = count_ & (block_rows() - 1);
  float* block = blocks_[count_ >> block_shift_].get();
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
