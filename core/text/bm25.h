// Bm25: full-text search over rows.
//
// Okapi BM25 with the non-negative idf (Lucene's form of Robertson and Zaragoza, "The Probabilistic Relevance
// Framework", 2009):
//
//   score(row) = sum over the query's terms of  idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean length))
//   idf        = ln(1 + (n - df + .5) / (df + .5))
//
// tf is how often the term stands in the row, length how many terms the row has, df how many rows hold the term, n how
// many rows there are. All of them count live rows only. Scores are sums of doubles in the order of the query's terms,
// so they are the same on every platform up to std::log.
//
// Const methods may run concurrently.
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

  // REQUIRES: rows are added in ascending order and are below 2^30; terms are UTF-8. `terms` may repeat; none is fine.
  void add(RowId row, std::span<const std::string_view> terms);
  // Takes the row out of the statistics; `terms` must be those it was added with, in any order. Its postings stay and
  // are skipped from now on; they go when the index is built anew. A row that was not added is left alone.
  void remove(RowId row, std::span<const std::string_view> terms);
  // The same where the terms are not at hand. From then on a search counts the rows of its terms itself, which means to
  // go through their postings twice.
  void remove(RowId row);

  // The best `limit` rows of `allowed` that hold at least one of `terms` (a term that repeats counts each time),
  // by score, then by row. More than `limit` come back when the last score is shared, so that the caller can break
  // ties. `scored` (may be null) receives how many allowed rows hold one of the terms. Complexity: linear in the rows
  // and in the postings of the terms.
  std::vector<Scored> search(std::span<const std::string_view> terms, const RowSet& allowed, size_t limit,
                             size_t* scored) const;

  // The share of live rows, 0..1, that hold `term`.
  double share_of_rows(std::string_view term) const;

  size_t memory_bytes() const;

  // State as sections named "bm25.*", to be written before the next change. Reading checks every relation it relies on:
  // kFormatError. REQUIRES of the caller: the sections belong to rows 0..row_count-1.
  StateSections sections() const;
  static Result<Bm25> from_sections(const SectionViews& sections, size_t row_count, Bm25Options options = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield
