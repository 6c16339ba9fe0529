// IVF: an inverted file. Rows are kept in lists by the partition they fall in, and a query looks at the lists of the
// partitions nearest to it.
//
// It is made in a tenth of the time of a graph, stores no links, and grows in any order. Deleted rows stay in their
// lists and are not named.
//
//   kind         what lists hold                                    bytes a row at 384 dimensions
//   ivf_flat     nothing, where the vectors are in memory and the   4 beside the vectors
//                code is f32; else codes of f32, f16, sq8, rq8, rq4 those of the code
//   ivf_pq       codes of pq or pq4                                 112, with 96 sub-vectors of 8 bits
//   ivf_rabitq   codes of rabitq                                    64
//
// and 4 bytes for the row, and for each partition half a block of 32 rows (pq4, rabitq) or 8 that is empty on average.
#pragma once

#include <memory>

#include "core/index/partition_lists.h"
#include "core/index/partitions.h"
#include "core/index/vector_index.h"
#include "core/quant/pq.h"

namespace nearfield {

struct IvfOptions {
  IndexKind kind = IndexKind::kIvfRabitq;  // one of the three
  // What ivf_flat compares: f32, f16, sq8, rq8 or rq4; what ivf_pq does: pq or pq4. ivf_rabitq has its own.
  CodeKind code = CodeKind::kRaBitQ;
  // 1..65,536, but at most an eighth of the rows that were learned from; 0: four times the square root of the rows to
  // come, but at least 40 of these each.
  size_t partitions = 0;
  size_t sub_vectors = 0;  // of ivf_pq: 1..dimension; 0: about a fourth of it
  uint64_t seed = 100;
};

class Ivf : public VectorIndex {
 public:
  ~Ivf() override;

  IndexKind kind() const override;
  CodeKind code() const override;
  size_t partition_count() const;

  void add(RowId row, std::span<const float> vector) override;
  size_t count() const override;
  const RowSet& rows() const override;
  // effort: partitions to look at; more of them where few rows are allowed, as their nearest are further away, and as
  // many as it takes to find min(limit, available) rows. Complexity: all centroids, and the codes in those partitions.
  void find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const override;
  size_t memory_bytes() const override;
  // "ivf.*"; codes that were learned are always there: making them again takes longer than reading them.
  StateSections sections(bool with_codes) const override;
  Status load(const SectionViews& sections, size_t rows, const VectorTable* table) override;

  // An index without rows that has learned what those sections say. `table` as in IvfTraining. Fails with kFormatError
  // on anything but the sections of an index with these options, metric and dimension.
  static Result<std::unique_ptr<Ivf>> learned(const SectionViews& sections, const IvfOptions& options, Metric metric,
                                              size_t dim, const VectorTable* table);

 private:
  friend class IvfTraining;
  struct State;
  explicit Ivf(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Makes an index, without a row, in slices of a few milliseconds.
class IvfTraining {
 public:
  // How many rows are worth learning from, where `rows` are to come: 32 a partition, but no more than 64 MB of them.
  static size_t rows_to_learn(const IvfOptions& options, size_t dim, size_t rows);

  // `sample`: rows like those to come, one behind the other. With `table`, an ivf_flat of code f32 compares the vectors
  // there, keeps a reference to it and is only given rows of it. REQUIRES: options in the ranges above, with a code
  // that keeps the metric; the sample is not empty, and finite.
  IvfTraining(const IvfOptions& options, Metric metric, size_t dim, std::vector<float> sample, size_t rows,
              const VectorTable* table);
  ~IvfTraining();

  // Does a slice; false once all is done. May throw std::bad_alloc.
  bool advance();
  // REQUIRES: advance() was false; once.
  std::unique_ptr<Ivf> take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield
