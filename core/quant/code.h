// Vector codes: vectors in fewer bytes, and scores computed from those.
//
// A VectorCode turns a row into code_bytes() bytes and a query into a PreparedQuery, and estimates exact_score from the
// two: greater is closer, in the metric's own units, always finite. How far off an estimate may be stands in the header
// of each code. Whoever needs exact scores computes them for the best rows from the vectors.
//
//   code   bytes a row (d: dimension, D: d rounded up to 64)   trained   metrics             a row with another
//   f32    4 d, rounded up to 16                               no        all                 fast
//   f16    2 d + 16, rounded up to 16                          no        all                 slow
//   sq8    d, rounded up to 16, + 16                           yes       all                 slow
//   rq8    D + 16                                              no        all but manhattan   fast
//   rq4    D / 2 + 16                                          no        all but manhattan   fast
//   pq     m, rounded up to 16, + 16; m (pq.h) is about d / 4  yes       all                 no
//   pq4    m / 2, rounded up to 16, + 16                       yes       all                 no
//   rabitq D / 8 + 16, D at least 256                          yes       all but manhattan   no
//
// A code never changes. Its const methods may run concurrently, with a scratch or query each. The same seed, and the
// same training rows, give the same bytes on every platform.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/matrix.h"
#include "core/base/section.h"
#include "core/base/status.h"
#include "core/metric/metric.h"

namespace nearfield {

enum class CodeKind : uint8_t {
#define NEARFIELD_CODE(name, number, spelling) k##name = number,
#include "core/quant/codes.def"
#undef NEARFIELD_CODE
};

std::string_view code_kind_name(CodeKind kind);

// Fails with kInvalidArgument, listing the known names.
Result<CodeKind> parse_code_kind(std::string_view name);

// Memory for encode() and prepare(), kept from call to call so that neither allocates once warm.
struct CodeScratch {
  std::vector<float> a, b, c, spare;
  std::vector<uint8_t> bytes;
};

// A query in the form its code's kernels read. Made by prepare(), of use only to the code that made it.
struct PreparedQuery {
  CodeScratch scratch;
  std::vector<float> floats;
  std::vector<int16_t> integers;
  std::vector<uint8_t> tables;   // of scan_kernels.h
  std::vector<uint64_t> planes;  // bit p of each integer, 64 a word, for p = 0, 1, ...
  double norm = 0;               // of the query, or of what is compared of it
  double scale = 0;              // what one unit of an integer sum is worth
  double offset = 0;             // what every row's sum lacks
  double total = 0;              // of the integers
  int32_t table_offset = 0;      // what the tables' entries have too much, together
  bool live = true;              // not a query of zeros where the metric is cosine
};

class VectorCode {
 public:
  // Whether a kind learns from rows first.
  static bool is_trained(CodeKind kind);
  // A code that needs no training. Fails with kUnsupported for a metric it does not preserve, for a kind that must be
  // trained and for one this version does not have. REQUIRES: 1 <= dim <= kMaxCodeDim.
  static Result<std::unique_ptr<VectorCode>> make(CodeKind kind, Metric metric, size_t dim, uint64_t seed);

  // A code that learns from `sample`, rows like those it will encode: a few thousand are plenty. `sub_vectors` is for
  // pq and pq4: into how many a row is cut, at most the dimension; 0 for about a fourth of it. Fails with
  // kInvalidArgument for a sample without rows, with kUnsupported for a kind that needs no training or a metric it does
  // not preserve. REQUIRES: sample.dim() <= kMaxCodeDim; all components finite.
  static Result<std::unique_ptr<VectorCode>> train(CodeKind kind, Metric metric, MatrixView sample, uint64_t seed,
                                                   size_t sub_vectors = 0);

  virtual ~VectorCode() = default;
  VectorCode(const VectorCode&) = delete;
  VectorCode& operator=(const VectorCode&) = delete;

  CodeKind kind() const { return kind_; }
  Metric metric() const { return metric_; }
  size_t dim() const { return dim_; }
  // Distance between rows in bytes: a multiple of 16.
  size_t code_bytes() const { return code_bytes_; }

  // Writes the code of `row` to all of `code`. REQUIRES: row.size() == dim(), all finite; code.size() == code_bytes().
  virtual void encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const = 0;

  // REQUIRES: query.size() == dim(), all finite.
  virtual void prepare(std::span<const float> query, PreparedQuery& prepared) const = 0;

  // Scores of rows anywhere: of a filtered scan, or a node's neighbours. One virtual call a batch.
  // REQUIRES: `query` was prepared by this code; scores.size() == codes.size(); every code is sound() and lies at a
  // multiple of 16 bytes.
  virtual void score(const PreparedQuery& query, std::span<const uint8_t* const> codes,
                     std::span<float> scores) const = 0;
  // Scores of scores.size() rows that lie one behind the other from `first` on.
  virtual void score_block(const PreparedQuery& query, const uint8_t* first, std::span<float> scores) const;

  // Whether between() can be called.
  virtual bool compares_rows() const { return true; }
  // Scores of rows with one of their own kind, for building graphs: the estimate of exact_score between two encoded
  // rows, the same from both sides. REQUIRES: as for score(); compares_rows().
  virtual void between(const uint8_t* code, std::span<const uint8_t* const> codes, std::span<float> scores) const = 0;

  // Whether these bytes, from outside, could have been written by encode(): every score of a sound code is finite.
  // REQUIRES: code.size() == code_bytes().
  virtual bool sound(std::span<const uint8_t> code) const = 0;

  // Without the codes themselves.
  virtual size_t memory_bytes() const = 0;

  // State as sections named "code.*". What from_sections makes of them encodes and scores as this one does. Fails with
  // kFormatError on anything but the state of a code of this version.
  virtual StateSections sections() const;
  static Result<std::unique_ptr<VectorCode>> from_sections(const SectionViews& sections);

 protected:
  VectorCode(CodeKind kind, Metric metric, size_t dim, uint64_t seed, size_t code_bytes)
      : kind_(kind), metric_(metric), dim_(dim), seed_(seed), code_bytes_(code_bytes) {}

 private:
  CodeKind kind_;
  Metric metric_;
  size_t dim_;
  uint64_t seed_;
  size_t code_bytes_;
};

// As large as a collection's dimension may be.
constexpr size_t kMaxCodeDim = 65'536;

}  // namespace nearfield
