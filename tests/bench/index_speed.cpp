// How fast an index is built and searched, without anything around it: the same program natively and as WebAssembly.
//
//   index_speed [CODE] [ROWS] [M] [EF_CONSTRUCT] [EF...]     a graph
//   index_speed flat/CODE [ROWS]                             a scan of codes
//
// Needs the development vectors. Prints rows a second while building, then recall@10 and queries a second (median of 5
// rounds over all queries) for each ef.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "core/index/flat.h"
#include "core/index/make_index.h"
#include "tests/support/index_search.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

int main(int count, char** arguments) {
  const auto number = [&](int i, size_t fallback) {
    return i < count ? static_cast<size_t>(std::strtoull(arguments[i], nullptr, 10)) : fallback;
  };
  const size_t rows = number(2, 50'000);
  IndexOptions options;
  std::string_view code = count > 1 ? arguments[1] : "f32";
  const bool flat = code.starts_with("flat/");
  if (flat) code.remove_prefix(5);
  options.kind = flat ? IndexKind::kFlat : IndexKind::kHnsw;
  options.code = parse_code_kind(code).value();
  options.hnsw.m = number(3, 16);
  options.hnsw.ef_construct = number(4, 200);
  std::vector<size_t> efs;
  for (int i = 5; i < count; ++i) efs.push_back(number(i, 0));
  if (flat) efs = {1};
  if (efs.empty()) efs = {24, 32, 48, 64, 96, 128};

  const std::vector<float> base = real_vectors(rows);
  const std::vector<float> query_values = real_queries(1000);
  if (base.empty() || query_values.empty()) {
    std::printf("the development vectors are absent\n");
    return 0;
  }
  const VectorTable table = table_of({base, kRealDim});
  const MatrixView queries(query_values, kRealDim);
  const RowSet all(table.count(), true);
  std::vector<double> floor(queries.count());
  double start = seconds();
  for (size_t i = 0; i < queries.count(); ++i) {
    floor[i] = flat_search(table, Metric::kCosine, queries.row(i), all, 10)[9].score;
  }
  std::printf("flat: %.0f queries/s\n", static_cast<double>(queries.count()) / (seconds() - start));

  start = seconds();
  const IndexPlace place{Metric::kCosine, kRealDim, &table};
  std::unique_ptr<VectorIndex> index;
  if (learns(options)) {
    const size_t sample = std::min(rows, rows_to_learn(options, kRealDim, rows)) * kRealDim;
    IndexTraining training(options, place, {base.begin(), base.begin() + static_cast<ptrdiff_t>(sample)}, rows);
    while (training.advance()) {
    }
    index = training.take();
  } else {
    index = make_index(options, place);
  }
  add_all(*index, table);
  const double built = seconds() - start;
  std::printf("built: %.0f rows/s, %.0f bytes a row beside the vectors\n", static_cast<double>(rows) / built,
              static_cast<double>(index->memory_bytes()) / static_cast<double>(rows));
  for (const size_t ef : efs) {
    size_t right = 0, compared = 0;
    std::vector<double> rounds;
    for (int round = 0; round < 5; ++round) {
      start = seconds();
      for (size_t i = 0; i < queries.count(); ++i) {
        size_t scored = 0;
        const auto found = search_index(*index, table, Metric::kCosine, queries.row(i), all, 10, ef, &scored);
        compared += scored;
        for (size_t j = 0; j < 10 && j < found.size(); ++j) right += found[j].score >= floor[i] ? 1 : 0;
      }
      rounds.push_back(seconds() - start);
    }
    std::sort(rounds.begin(), rounds.end());
    const double answers = static_cast<double>(queries.count()) * 5;
    std::printf("ef %3zu: recall@10 %.4f, %.0f queries/s, %.0f compared\n", ef,
                static_cast<double>(right) / (answers * 10), static_cast<double>(queries.count()) / rounds[2],
                static_cast<double>(compared) / answers);
  }
}
