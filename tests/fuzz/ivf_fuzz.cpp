// Fuzz target: the sections of partitioned indexes. Changes to good sections of every kind; what still loads is
// searched and grows.
//
// The first byte chooses the kind; four bytes are a change each: which section, where, what; or its length. See
// scripts/fuzz for running and replaying.
#include "core/index/make_index.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

constexpr size_t kDim = 6, kRows = 80;

constexpr IndexOptions kOptions[] = {{.kind = IndexKind::kIvfFlat, .code = CodeKind::kF32, .hnsw = {}},
                                     {.kind = IndexKind::kIvfFlat, .code = CodeKind::kRq8, .hnsw = {}},
                                     {.kind = IndexKind::kIvfPq, .code = CodeKind::kPq8, .hnsw = {}},
                                     {.kind = IndexKind::kIvfPq, .code = CodeKind::kPq4, .hnsw = {}},
                                     {.kind = IndexKind::kIvfRabitq, .code = CodeKind::kRaBitQ, .hnsw = {}}};

// Half of the rows, so that loaded indexes can grow.
Sections written(const IndexOptions& options, const VectorTable& table, const IndexPlace& where) {
  std::vector<float> sample;
  for (RowId row = 0; row < kRows; ++row) {
    sample.insert(sample.end(), table.row(row).begin(), table.row(row).end());
  }
  IndexTraining training(options, where, std::move(sample), 1'000'000);
  while (training.advance()) continue;
  const std::unique_ptr<VectorIndex> ivf = training.take();
  for (RowId row = 0; row < kRows; row += 2) ivf->add(row, table.row(row));
  return gathered(ivf->sections(true));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const VectorTable kTable = random_table(kRows, kDim, 1);
  if (size < 1) return 0;
  const size_t chosen = data[0] % (2 * std::size(kOptions));
  const IndexOptions& options = kOptions[chosen / 2];
  const IndexPlace where{Metric::kDot, kDim, chosen % 2 == 0 ? &kTable : nullptr};
  static std::vector<Sections> good(2 * std::size(kOptions));
  if (good[chosen].empty()) good[chosen] = written(options, kTable, where);
  Sections sections = good[chosen];
  for (size_t i = 1; i + 4 <= size; i += 4) {
    Section& section = sections[data[i] % sections.size()];
    const size_t place = static_cast<size_t>(data[i + 1] | data[i + 2] << 8);
    if (data[i] >= 240) {
      const size_t elements = place % (section.bytes.size() / element_size(section.type) + 4);
      section.bytes.resize(elements * element_size(section.type), data[i + 3]);
      section.shape[0] = elements;
    } else if (!section.bytes.empty()) {
      section.bytes[place % section.bytes.size()] = data[i + 3];
    }
  }
  const auto ivf = load_index(sections, options, where, kRows);
  if (!ivf.ok()) return 0;
  const RowSet all(kRows, true);
  std::vector<Scored> found;
  size_t compared = 0;
  for (int round = 0; round < 2; ++round) {
    for (const size_t effort : {size_t{1}, kExhaustive}) {
      (*ivf)->find({kTable.row(3), all, (*ivf)->count(), 10, 30, effort}, found, compared);
      if (found.size() < std::min<size_t>(10, (*ivf)->count())) std::abort();
    }
    for (RowId row = 0; row < kRows; ++row) {
      if (!(*ivf)->rows().contains(row)) (*ivf)->add(row, kTable.row(row));
    }
  }
  return 0;
}
