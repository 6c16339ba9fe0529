// ScanTable: RaBitQ codes laid out for scans, 32 rows side by side (scan_kernels.h), append-only.
//
// A row takes as many bytes as its code. Scores are those that RaBitQ::score gives for the codes, to the bit.
#pragma once

#include "core/quant/code_table.h"
#include "core/quant/rabitq.h"

namespace nearfield {

class ScanTable {
 public:
  // Keeps a reference to `code`.
  explicit ScanTable(const RaBitQ& code);

  size_t count() const { return count_; }
  // Blocks of kScanRows rows; the last may be filled in part.
  size_t block_count() const { return blocks_.count(); }

  // Copies `row`, of code.code_bytes() bytes, to the end. May throw std::bad_alloc and then has not changed.
  void append(std::span<const uint8_t> row);
  // The code of a row. REQUIRES: row < count(); to.size() == code.code_bytes().
  void read(RowId row, std::span<uint8_t> to) const;

  // Scores of the rows of a block, and the most their exact scores may be (rabitq.h). Of places behind count() both are
  // finite and mean nothing. REQUIRES: block < block_count(); `query` was prepared by the code.
  void score_block(const PreparedQuery& query, size_t block, std::span<float, kScanRows> scores,
                   std::span<float, kScanRows> most) const;

  size_t memory_bytes() const { return blocks_.memory_bytes(); }

  // All blocks as one section of bytes with that name, a literal.
  StateSection section(std::string_view name) const { return blocks_.section(name); }
  // The table that was written, with `rows` rows. Fails with kFormatError, naming the section, when its length differs
  // or a code is not sound. May throw std::bad_alloc.
  static Result<ScanTable> from_section(const SectionViews& sections, std::string_view name, const RaBitQ& code,
                                        size_t rows);

 private:
  size_t number_bytes() const { return code_->bit_count() / 4 * 16; }

  const RaBitQ* code_;
  size_t count_ = 0;
  // A block is its groups' numbers, then each row's tail.
  CodeTable blocks_;
};

}  // namespace nearfield
