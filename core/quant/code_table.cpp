#include "core/quant/code_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <string>

namespace nearfield {

namespace {

constexpr std::align_val_t kAlignment{64};
// A block of about this size: small beside a collection, large beside the cost of starting a scan.
constexpr size_t kBlockBytes = 256 << 10;

}  // namespace

void CodeTable::Free::operator()(uint8_t* block) const { ::operator delete[](block, kAlignment); }

CodeTable::CodeTable(size_t code_bytes) : code_bytes_(code_bytes) {
  assert(code_bytes > 0 && code_bytes % 16 == 0);
  const size_t rows = std::max<size_t>(1, kBlockBytes / code_bytes);
  block_shift_ = static_cast<size_t>(std::bit_width(rows)) - 1;
}

void CodeTable::reserve(size_t rows) {
  while (blocks_.size() * block_rows() < rows) {
    std::unique_ptr<uint8_t[], Free> block(
        static_cast<uint8_t*>(::operator new[](block_rows() * code_bytes_, kAlignment)));
    blocks_.push_back(std::move(block));
  }
}

std::span<uint8_t> CodeTable::append() {
  reserve(count_ + 1);
  const std::span<uint8_t> added = mutable_row(static_cast<RowId>(count_++));
  std::ranges::fill(added, uint8_t{0});
  return added;
}

std::span<const uint8_t> CodeTable::block(size_t block) const {
  assert(block < block_count());
  const size_t rows = std::min(block_rows(), count_ - block * block_rows());
  return {blocks_[block].get(), rows * code_bytes_};
}

StateSection CodeTable::section(std::string_view name) const {
  StateSection section = {name, ElementType::kU8, count_ * code_bytes_, {}, nullptr};
  for (size_t i = 0; i < block_count(); ++i) section.pieces.push_back(block(i));
  return section;
}

Result<CodeTable> CodeTable::from_section(const SectionViews& sections, std::string_view name, const VectorCode& code,
                                          size_t rows) {
  ASSIGN_OR_RETURN(PiecedBytes bytes, take_bytes(sections, name));
  const size_t stride = code.code_bytes();
  if (bytes.left() / stride != rows || bytes.left() % stride != 0) {
    return Error{Code::kFormatError,
                 "section " + std::string(name) + " has " + std::to_string(bytes.left()) + " bytes for " +
                     std::to_string(rows) + " codes of " + std::to_string(stride),
                 shown(name)};
  }
  CodeTable table(stride);
  for (size_t row = 0; row < rows; ++row) {
    const ByteView read = bytes.next(stride);
    if (!code.sound(read)) {
      return Error{
          Code::kFormatError,
          "section " + std::string(name) + ": the code of row " + std::to_string(row) + " is not one that was written",
          shown(name)};
    }
    std::memcpy(table.append().data(), read.data(), stride);
  }
  return table;
}

}  // namespace nearfield
