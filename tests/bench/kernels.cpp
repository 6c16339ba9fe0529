// Measures every vector code: what a row costs, and what its estimates find. tests/bench/kernels.mjs runs this program
// natively and as WebAssembly and prints both side by side.
//
//   bench_kernels cost                 one JSON object: nanoseconds of each operation, once over
//   bench_kernels recall FOLDER        recall of each code alone on vectors-dev, one JSON object a line
//
// Costs are for 384 dimensions, cosine, over 64 rows that stay in the cache and over 50,000 that do not, as a block and
// at random addresses.
#include "core/metric/kernels.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/matrix.h"
#include "core/base/random.h"
#include "core/quant/byte_kernels.h"
#include "core/quant/code.h"
#include "core/quant/code_table.h"
#include "core/quant/rotation.h"
#include "core/quant/scan_table.h"

using namespace nearfield;

namespace {

constexpr size_t kDim = 384;
constexpr CodeKind kKinds[] = {CodeKind::kF32, CodeKind::kF16, CodeKind::kSq8,
                               CodeKind::kRq8, CodeKind::kRq4, CodeKind::kRaBitQ};

double now_ns() {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Nanoseconds of one of the `items` things `work` does: the quickest of five stretches of at least 10 ms, since the
// first pays for warming up and others may be interrupted.
template <typename Work>
double cost(size_t items, Work work) {
  double least = INFINITY;
  for (size_t stretch = 0; stretch < 5; ++stretch) {
    size_t rounds = 0;
    const double begin = now_ns();
    double end = begin;
    while (end - begin < 1e7) {
      work();
      ++rounds;
      end = now_ns();
    }
    least = std::min(least, (end - begin) / static_cast<double>(rounds * items));
  }
  return least;
}

bool first_line = true;
void print(const std::string& name, double ns) {
  std::printf("%s\"%s\": %.3f", first_line ? "{" : ", ", name.c_str(), ns);
  first_line = false;
}

// A bell-curve-like direction: sums of uniform draws.
std::vector<float> some_vector(Random& random) {
  std::vector<float> vector(kDim);
  for (float& component : vector) {
    component = random.between(-1, 1) + random.between(-1, 1) + random.between(-1, 1);
  }
  return vector;
}

volatile float sink;

std::unique_ptr<VectorCode> made(CodeKind kind, MatrixView sample) {
  if (VectorCode::is_trained(kind)) return VectorCode::train(kind, Metric::kCosine, sample, 1).value();
  return VectorCode::make(kind, Metric::kCosine, kDim, 1).value();
}

void measure_costs() {
  Random random(1);
  std::vector<float> sample;
  for (size_t i = 0; i < 1024; ++i) {
    const std::vector<float> vector = some_vector(random);
    sample.insert(sample.end(), vector.begin(), vector.end());
  }
  const MatrixView rows(sample, kDim);
  {
    const Rotation rotation(kDim, 1);
    std::vector<float> to(kDim), spare(kDim);
    print("rotate", cost(64, [&] {
            for (size_t i = 0; i < 64; ++i) rotation.apply(rows.row(i).data(), to.data(), spare.data());
            sink = to[0];
          }));
  }
  const std::vector<float> query = some_vector(random);
  {
    std::vector<const float*> pointers;
    for (size_t i = 0; i < 64; ++i) pointers.push_back(rows.row(i).data());
    std::vector<float> sums(64);
    print("f32 kernel 64", cost(64, [&] { fast_kernel(Metric::kDot)(query, pointers, sums); }));
    sink = sums[0];
  }
  for (const CodeKind kind : kKinds) {
    const std::string name(code_kind_name(kind));
    const auto code = made(kind, rows);
    CodeScratch scratch;
    std::vector<uint8_t> one(code->code_bytes());
    print(name + " encode", cost(64, [&] {
            for (size_t i = 0; i < 64; ++i) code->encode(rows.row(i), one, scratch);
          }));
    PreparedQuery prepared;
    print(name + " prepare", cost(64, [&] {
            for (size_t i = 0; i < 64; ++i) code->prepare(rows.row(i), prepared);
          }));
    for (const size_t count : {size_t{64}, size_t{50'000}}) {
      const std::string size = count == 64 ? " 64" : " 50k";
      const size_t stride = code->code_bytes();
      CodeTable table(stride);
      for (size_t i = 0; i < count; ++i) {
        // Encoding is not what is measured here: the same codes come again at other addresses.
        const std::span<uint8_t> place = table.append();
        if (i < 1024) {
          code->encode(rows.row(i), place, scratch);
        } else {
          std::memcpy(place.data(), table.row(static_cast<RowId>(i - 1024)), stride);
        }
      }
      std::vector<float> scores(count);
      print(name + " block" + size, cost(count, [&] {
              size_t begin = 0;
              for (size_t block = 0; block < table.block_count(); ++block) {
                const size_t in_block = table.block(block).size() / stride;
                code->score_block(prepared, table.block(block).data(), std::span(scores).subspan(begin, in_block));
                begin += in_block;
              }
              sink = scores[0];
            }));
      // As a graph walk asks: 16 rows a call, anywhere.
      std::vector<const uint8_t*> places;
      for (size_t i = 0; i < 16'384; ++i) places.push_back(table.row(static_cast<RowId>(random.below(count))));
      scores.resize(16);
      print(name + " gather" + size, cost(places.size(), [&] {
              for (size_t i = 0; i < places.size(); i += 16) code->score(prepared, {&places[i], 16}, scores);
              sink = scores[0];
            }));
      if (kind == CodeKind::kRaBitQ) {
        ScanTable scan(static_cast<const RaBitQ&>(*code));
        for (size_t i = 0; i < count; ++i) scan.append({table.row(static_cast<RowId>(i)), stride});
        std::array<float, kScanRows> block_scores, most;
        print(name + " scan" + size, cost(count, [&] {
                for (size_t block = 0; block < scan.block_count(); ++block) {
                  scan.score_block(prepared, block, block_scores, most);
                }
                sink = block_scores[0];
              }));
      }
      if (!code->compares_rows()) continue;
      print(name + " between" + size, cost(places.size(), [&] {
              for (size_t i = 0; i < places.size(); i += 16) {
                code->between(table.row(0), {&places[i], 16}, scores);
              }
              sink = scores[0];
            }));
    }
  }
  std::printf("}\n");
}

float float_of_half(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                        : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

template <typename T>
std::vector<T> read_values(const std::string& path, size_t count) {
  std::ifstream file(path, std::ios::binary);
  std::vector<T> values(count);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(T)));
  if (!file) {
    std::fprintf(stderr, "%s cannot be read\n", path.c_str());
    std::exit(1);
  }
  return values;
}

void measure_recall(const std::string& folder) {
  constexpr size_t kRows = 50'000, kQueries = 1000, kTruth = 100, kK = 10;
  std::vector<float> base;
  base.reserve(kRows * kDim);
  for (const uint16_t half : read_values<uint16_t>(folder + "/base.f16", kRows * kDim)) {
    base.push_back(float_of_half(half));
  }
  const auto queries = read_values<float>(folder + "/queries.f32", kQueries * kDim);
  const auto truth = read_values<int32_t>(folder + "/gt.i32", kQueries * kTruth);
  const auto truth_scores = read_values<float>(folder + "/gt_scores.f32", kQueries * kTruth);
  const MatrixView rows(base, kDim), asked(queries, kDim);
  for (const CodeKind kind : kKinds) {
    const auto code = made(kind, rows);
    CodeTable table(code->code_bytes());
    CodeScratch scratch;
    for (size_t i = 0; i < kRows; ++i) code->encode(rows.row(i), table.append(), scratch);
    constexpr size_t kDepths[] = {10, 20, 40, 100};
    size_t found[std::size(kDepths)] = {};
    double squares = 0;
    PreparedQuery prepared;
    std::vector<float> scores(kRows);
    std::vector<RowId> order(kRows);
    for (size_t q = 0; q < kQueries; ++q) {
      code->prepare(asked.row(q), prepared);
      size_t begin = 0;
      for (size_t block = 0; block < table.block_count(); ++block) {
        const size_t count = table.block(block).size() / code->code_bytes();
        code->score_block(prepared, table.block(block).data(), std::span(scores).subspan(begin, count));
        begin += count;
      }
      for (size_t i = 0; i < kTruth; ++i) {
        const double error = scores[static_cast<size_t>(truth[q * kTruth + i])] - truth_scores[q * kTruth + i];
        squares += error * error;
      }
      for (size_t i = 0; i < kRows; ++i) order[i] = static_cast<RowId>(i);
      std::partial_sort(order.begin(), order.begin() + 100, order.end(),
                        [&](RowId a, RowId b) { return scores[a] > scores[b] || (scores[a] == scores[b] && a < b); });
      const float kth = truth_scores[q * kTruth + kK - 1];
      for (size_t depth = 0; depth < std::size(kDepths); ++depth) {
        size_t hits = 0;
        for (size_t i = 0; i < kDepths[depth]; ++i) {
          float exact = 0;
          for (size_t j = 0; j < kDim; ++j) exact += asked.row(q)[j] * rows.row(order[i])[j];
          hits += exact >= kth - 1e-6f;
        }
        found[depth] += std::min(hits, kK);
      }
    }
    std::printf("{\"code\": \"%s\", \"bytes\": %zu, \"rms error in the best 100\": %.6f",
                std::string(code_kind_name(kind)).c_str(), code->code_bytes(), std::sqrt(squares / kQueries / kTruth));
    for (size_t depth = 0; depth < std::size(kDepths); ++depth) {
      std::printf(", \"10 in %zu\": %.4f", kDepths[depth], static_cast<double>(found[depth]) / kQueries / kK);
    }
    std::printf("}\n");
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "cost" && argc == 2) {
    measure_costs();
  } else if (what == "recall" && argc == 3) {
    measure_recall(argv[2]);
  } else {
    std::fprintf(stderr, "usage: bench_kernels cost | recall FOLDER\n");
    return 2;
  }
}
