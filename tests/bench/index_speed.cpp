// How fast an index is made and searched, without anything around it: the same program natively and as WebAssembly.
//
//   index_speed [KIND] [CODE] [ROWS] [A] [B] [EFFORT...]
//
// A and B are m and ef_construct of hnsw, or partitions and sub-vectors of the partitioned kinds; 0 for the default.
// Needs the development vectors. Prints what learning and adding take and the longest slice of learning, then recall@10
// and queries a second (median of 5 rounds over all queries) for each effort.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/index/flat.h"
#include "core/index/make_index.h"
#include "tests/support/index_search.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::vector<size_t> usual_efforts(IndexKind kind) {
  if (kind == IndexKind::kFlat) return {1};
  if (kind == IndexKind::kHnsw) return {24, 32, 48, 64, 96, 128};
  return {16, 32, 64, 96, 128, 192, 256};
}

}  // namespace

int main(int count, char** arguments) {
  const auto number = [&](int i, size_t fallback) {
    const size_t given = i < count ? static_cast<size_t>(std::strtoull(arguments[i], nullptr, 10)) : 0;
    return given > 0 ? given : fallback;
  };
  IndexOptions options;
  options.kind = count > 1 ? parse_index_kind(arguments[1]).value() : IndexKind::kHnsw;
  options.code = count > 2 ? parse_code_kind(arguments[2]).value() : CodeKind::kRq8;
  const size_t rows = number(3, 50'000);
  options.hnsw.m = number(4, 16);
  options.hnsw.ef_construct = number(5, 200);
  options.partitions = number(4, 0);
  options.sub_vectors = number(5, 0);
  std::vector<size_t> efforts;
  for (int i = 6; i < count; ++i) efforts.push_back(number(i, 1));
  if (efforts.empty()) efforts = usual_efforts(options.kind);

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
  std::printf("exact: %.0f queries/s\n", static_cast<double>(queries.count()) / (seconds() - start));

  const IndexPlace place{Metric::kCosine, kRealDim, &table};
  std::unique_ptr<VectorIndex> index;
  start = seconds();
  if (learns(options)) {
    const size_t learned = std::min(rows, rows_to_learn(options, kRealDim, rows));
    std::vector<float> sample;
    for (size_t i = 0; i < learned; ++i) {
      const auto row = table.row(static_cast<RowId>(i * rows / learned));
      sample.insert(sample.end(), row.begin(), row.end());
    }
    IndexTraining training(options, place, std::move(sample), rows);
    double longest = 0;
    for (bool more = true; more;) {
      const double before = seconds();
      more = training.advance();
      longest = std::max(longest, seconds() - before);
    }
    index = training.take();
    std::printf("learned from %zu rows: %.2f s, longest slice %.1f ms\n", learned, seconds() - start, longest * 1e3);
  } else {
    index = make_index(options, place);
  }
  add_all(*index, table);
  const double built = seconds() - start;
  std::printf("built: %.2f s, %.0f rows/s, %.0f bytes a row beside the vectors\n", built,
              static_cast<double>(rows) / built,
              static_cast<double>(index->memory_bytes()) / static_cast<double>(rows));
  for (const size_t effort : efforts) {
    size_t right = 0, compared = 0;
    std::vector<double> rounds;
    for (int round = 0; round < 5; ++round) {
      start = seconds();
      for (size_t i = 0; i < queries.count(); ++i) {
        size_t scored = 0;
        const auto found = search_index(*index, table, Metric::kCosine, queries.row(i), all, 10, effort, &scored);
        compared += scored;
        for (size_t j = 0; j < 10 && j < found.size(); ++j) right += found[j].score >= floor[i] ? 1 : 0;
      }
      rounds.push_back(seconds() - start);
    }
    std::sort(rounds.begin(), rounds.end());
    const double answers = static_cast<double>(queries.count()) * 5;
    std::printf("effort %3zu: recall@10 %.4f, %.0f queries/s, %.0f compared\n", effort,
                static_cast<double>(right) / (answers * 10), static_cast<double>(queries.count()) / rounds[2],
                static_cast<double>(compared) / answers);
  }
}
