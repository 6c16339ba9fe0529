#include "core/quant/scan_table.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>

#include "core/quant/scan_block.h"

namespace nearfield {

namespace {

size_t block_bytes(const RaBitQ& code) { return code.code_bytes() * kScanRows; }

}  // namespace

ScanTable::ScanTable(const RaBitQ& code) : code_(&code), blocks_(block_bytes(code)) {}

void ScanTable::append(std::span<const uint8_t> row) {
  assert(row.size() == code_->code_bytes());
  const size_t place = count_ % kScanRows;
  if (place == 0) blocks_.append();
  uint8_t* const block = blocks_.mutable_row(static_cast<RowId>(count_ / kScanRows)).data();
  const size_t bytes = code_->bit_count() / 8;
  put_row(block, place, row.first(bytes));
  std::memcpy(block + number_bytes() + place * sizeof(RaBitQTail), &row[bytes], sizeof(RaBitQTail));
  ++count_;
}

void ScanTable::read(RowId row, std::span<uint8_t> to) const {
  assert(row < count_ && to.size() == code_->code_bytes());
  const size_t place = row % kScanRows;
  const uint8_t* const block = blocks_.row(static_cast<RowId>(row / kScanRows));
  const size_t bytes = code_->bit_count() / 8;
  take_row(block, place, to.first(bytes));
  std::memcpy(&to[bytes], block + number_bytes() + place * sizeof(RaBitQTail), sizeof(RaBitQTail));
}

void ScanTable::score_block(const PreparedQuery& query, size_t block, std::span<float, kScanRows> scores,
                            std::span<float, kScanRows> most) const {
  const uint8_t* const numbers = blocks_.row(static_cast<RowId>(block));
  uint32_t sums[kScanRows];
  scan_sums({numbers, number_bytes()}, query.tables, sums);
  int32_t bit_sums[kScanRows];
  for (size_t i = 0; i < kScanRows; ++i) bit_sums[i] = static_cast<int32_t>(sums[i]) - query.table_offset;
  RaBitQTail tails[kScanRows];
  std::memcpy(tails, numbers + number_bytes(), sizeof tails);
  code_->score_rows(query, bit_sums, tails, scores, most);
}

Result<ScanTable> ScanTable::from_section(const SectionViews& sections, std::string_view name, const RaBitQ& code,
                                          size_t rows) {
  ASSIGN_OR_RETURN(PiecedBytes bytes, take_bytes(sections, name));
  const size_t blocks = rows / kScanRows + (rows % kScanRows != 0), stride = block_bytes(code);
  if (bytes.left() / stride != blocks || bytes.left() % stride != 0) {
    return Error{Code::kFormatError,
                 "section " + std::string(name) + " has " + std::to_string(bytes.left()) + " bytes for " +
                     std::to_string(rows) + " codes of " + std::to_string(code.code_bytes()),
                 shown(name)};
  }
  ScanTable table(code);
  for (size_t block = 0; block < blocks; ++block) {
    std::memcpy(table.blocks_.append().data(), bytes.next(stride).data(), stride);
  }
  table.count_ = blocks * kScanRows;
  // Places without a row are looked at too: they are scored like any other.
  std::vector<uint8_t> row(code.code_bytes());
  for (size_t i = 0; i < table.count_; ++i) {
    table.read(static_cast<RowId>(i), row);
    const bool empty = i >= rows && std::ranges::all_of(row, [](uint8_t byte) { return byte == 0; });
    if (!empty && (i >= rows || !code.sound(row))) {
      return Error{
          Code::kFormatError,
          "section " + std::string(name) + ": the code of row " + std::to_string(i) + " is not one that was written",
          shown(name)};
    }
  }
  table.count_ = rows;
  return table;
}

}  // namespace nearfield
