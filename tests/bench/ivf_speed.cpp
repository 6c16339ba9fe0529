// How fast a partitioned index is made and searched, without anything around it: the same program natively and as
// WebAssembly.
//
//   ivf_speed [KIND] [CODE] [ROWS] [PARTITIONS] [PIECES] [EFFORT...]
//
// PARTITIONS and PIECES: 0 for the default. Needs the development vectors. Prints what learning and adding take and the
// longest slice, then recall@10 and queries a second for each effort. Of 7 rounds over all queries, the fastest run of
// each ten queries counts: on a machine with other work the others tell about that work.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "core/index/ivf.h"
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
  IvfOptions options;
  if (count > 1) options.kind = parse_index_kind(arguments[1]).value();
  if (count > 2) options.code = parse_code_kind(arguments[2]).value();
  const size_t rows = number(3, 50'000);
  options.partitions = number(4, 0);
  options.pieces = number(5, 0);
  std::vector<size_t> efforts;
  for (int i = 6; i < count; ++i) efforts.push_back(number(i, 0));
  if (efforts.empty()) efforts = {16, 32, 64, 96, 128, 192, 256};

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
  for (size_t i = 0; i < queries.count(); ++i) {
    floor[i] = flat_search(table, Metric::kCosine, queries.row(i), all, 10)[9].score;
  }

  double start = seconds();
  const size_t learned = std::min(rows, IvfTraining::rows_to_learn(options, kRealDim, rows));
  std::vector<float> sample;
  for (size_t i = 0; i < learned; ++i) {
    const auto row = table.row(static_cast<RowId>(i * rows / learned));
    sample.insert(sample.end(), row.begin(), row.end());
  }
  IvfTraining training(options, Metric::kCosine, kRealDim, std::move(sample), rows, &table);
  double longest = 0;
  for (bool done = false; !done;) {
    const double before = seconds();
    done = training.advance();
    longest = std::max(longest, seconds() - before);
  }
  const auto ivf = training.take();
  const double learning = seconds() - start;
  for (RowId row = 0; row < rows; ++row) ivf->add(row, table.row(row));
  const double built = seconds() - start;
  std::printf("%s, %s, %zu partitions: learned from %zu rows in %.2f s (longest slice %.1f ms), built in %.2f s, ",
              arguments[1], std::string(code_kind_name(ivf->code())).c_str(), ivf->partition_count(), learned, learning,
              longest * 1e3, built);
  std::printf("%.0f rows/s, %.0f bytes a row beside the vectors\n", static_cast<double>(rows) / built,
              static_cast<double>(ivf->memory_bytes()) / static_cast<double>(rows));
  constexpr size_t kRounds = 7, kTogether = 10;
  for (const size_t effort : efforts) {
    size_t right = 0, compared = 0;
    std::vector<double> fastest(queries.count() / kTogether, 1e9);
    for (size_t round = 0; round < kRounds; ++round) {
      for (size_t i = 0; i < fastest.size(); ++i) {
        start = seconds();
        for (size_t query = i * kTogether; query < (i + 1) * kTogether; ++query) {
          size_t scored = 0;
          const auto found = search_index(*ivf, table, Metric::kCosine, queries.row(query), all, 10, effort, &scored);
          compared += scored;
          for (size_t j = 0; j < 10 && j < found.size(); ++j) right += found[j].score >= floor[query] ? 1 : 0;
        }
        fastest[i] = std::min(fastest[i], seconds() - start);
      }
    }
    double total = 0;
    for (const double each : fastest) total += each;
    const double answers = static_cast<double>(queries.count() * kRounds);
    std::printf("effort %3zu: recall@10 %.4f, %.0f queries/s, %.0f compared\n", effort,
                static_cast<double>(right) / (answers * 10), static_cast<double>(queries.count()) / total,
                static_cast<double>(compared) / answers);
  }
}
