// Bm25: full-text search over rows.
//
// Okapi BM25 with the non-negative idf ln(1 + (n - df + .5) / (df + .5)) (Lucene's form of Robertson and Zaragoza,
// "The Probabilistic Relevance Framework", 2009), k1 1.2, b .75. Statistics count live rows only.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/row_set.h"
#include "core/base/section.h"
#include "core/base/status.h"

namespace nearfield {

struct Bm25Options {
  double k1 = 1.2;  // >= 0: how soon repeated terms stop counting
  double b = 0.75;  // 0..1: how much long rows are held back
};

class Bm25 {
 public:
  explicit Bm25(Bm25Options options = {});
  ~Bm25();
  Bm25(Bm25&&) noexcept;
  Bm25& operator=(Bm25&&) noexcept;

  // REQUIRES: rows are added in ascending order. `terms` may repeat; none is fine.
  void add(RowId row, std::span<const std::string_view> terms);
  // Takes the row out of the statistics; `terms` must be those it was added with. Its postings are skipped from now on.
  void remove(RowId row, std::span<const std::string_view> terms);

  // The best `limit` rows of `allowed` that hold at least one of `terms` (a term that repeats counts each time),
  // by score, then by row. More than `limit` come back when the last score is shared, so that the caller can break ties.
  // `scored` (may be null) receives how many rows were touched.
  std::vector<Scored> search(std::span<const std::string_view> terms, const RowSet& allowed, size_t limit,
                             size_t* scored) const;

  size_t memory_bytes() const;

  // State as sections named "bm25.*". Reading checks every relation it relies on: kFormatError.
  // REQUIRES of the caller: the sections belong to rows 0..row_count-1.
  Sections sections() const;
  static Result<Bm25> from_sections(const Sections& sections, size_t row_count, Bm25Options options = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield
