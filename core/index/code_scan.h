// CodeScan: a flat index over codes. Every allowed row's code is compared; what is approximate is the code alone.
//
// Codes of one bit lie side by side (ScanTable), the others one behind the other. A row costs its code (core/quant) and
// four bytes.
#pragma once

#include <memory>

#include "core/index/vector_index.h"

namespace nearfield {

class CodeScan : public VectorIndex {
 public:
  explicit CodeScan(std::unique_ptr<const VectorCode> code);
  ~CodeScan() override;

  IndexKind kind() const override { return IndexKind::kFlat; }
  CodeKind code() const override;
  void add(RowId row, std::span<const float> vector) override;
  size_t count() const override;
  const RowSet& rows() const override;
  // Effort means nothing here. Complexity: one code for each allowed row.
  void find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const override;
  size_t memory_bytes() const override;
  // "flat.rows", "flat.codes". Codes of one bit are always there: making them takes longer than reading them.
  StateSections sections(bool with_codes) const override;
  Status load(const SectionViews& sections, size_t rows, const VectorTable* table) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield
