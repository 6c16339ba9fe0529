// Making an index of any kind: new, learned from rows, or read from sections.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/index/hnsw.h"
#include "core/index/ivf.h"
#include "core/index/vector_index.h"
#include "core/index/vector_table.h"

namespace nearfield {

struct IndexOptions {
  IndexKind kind = IndexKind::kFlat;
  CodeKind code = CodeKind::kF32;  // what is compared; not f32 with the kind flat, which is a scan without an index
  HnswOptions hnsw;
  size_t partitions = 0;   // as IvfOptions
  size_t sub_vectors = 0;  // as IvfOptions
};

// What of an index depends on its collection.
struct IndexPlace {
  Metric metric = Metric::kCosine;
  size_t dim = 0;
  const VectorTable* vectors = nullptr;  // null: not in memory. An index may keep a reference.
};

// Why a code cannot serve an index of that kind, for that metric: kUnsupported, naming `what`.
Status check_code(IndexKind kind, CodeKind code, Metric metric, std::string_view what);

// Of an index whose rows fall in partitions, which searches look at nprobe of.
bool is_partitioned(IndexKind kind);

// Whether an index is made of rows like those it will hold.
bool learns(const IndexOptions& options);
// So many rows are worth learning from, and so many of `rows` are enough.
inline constexpr size_t kLeastRowsToLearn = 1'000;
size_t rows_to_learn(const IndexOptions& options, size_t dim, size_t rows);

// The effort of a search that does not say, and the most that is worth trying for a recall.
size_t default_effort(const VectorIndex& index);
size_t most_effort(const VectorIndex& index);

// REQUIRES: check_code() was content; !learns(options).
std::unique_ptr<VectorIndex> make_index(const IndexOptions& options, const IndexPlace& place);

// Learning, in slices of at most some 8 ms. REQUIRES: check_code() was content; learns(options); the sample has rows.
class IndexTraining {
 public:
  // `sample`: of the `rows` that are to come, one behind the other.
  IndexTraining(const IndexOptions& options, const IndexPlace& place, std::vector<float> sample, size_t rows);
  // Does a slice; false once all is done.
  bool advance();
  // The index, without a row. REQUIRES: advance() was false; once.
  std::unique_ptr<VectorIndex> take();

 private:
  IndexOptions options_;
  IndexPlace place_;
  std::vector<float> sample_;       // of a code
  std::optional<IvfTraining> ivf_;  // or this
};

// The index whose sections(with_codes) these are, made by the same options; with_codes was true if place.vectors is
// null. Its rows are below `rows`. Fails with kFormatError on anything but such sections.
Result<std::unique_ptr<VectorIndex>> load_index(const SectionViews& sections, const IndexOptions& options,
                                                const IndexPlace& place, size_t rows);

}  // namespace nearfield
