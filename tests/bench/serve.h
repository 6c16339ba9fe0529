// What the native opponents of `npm run bench` share: the rows and queries in plain files, and the conversation.
//
// A program is started with FOLDER ROWS DIM and what it needs of its own; FOLDER holds base.f32 and queries.f32,
// row-major and little-endian. It reads requests from standard input, one a line, and answers each with one line of
// JSON:
//
//   build                        {"seconds": s, "memory": {"rssBytes": growth of the process}}
//   search EFFORT COUNT SECONDS  {"queries": n, "seconds": s, "ids": [10 row numbers a query, -1 where none]}
//
// A search asks the first COUNT queries in order, k 10, and stops after SECONDS. The time is that of the calls alone.
// So several programs can take turns, and one process's memory is one engine's.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace bench {

constexpr size_t kHits = 10;
using Answer = std::array<int, kHits>;

[[noreturn]] inline void fail(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

// Up to `limit` rows of a file, or all of it.
inline std::vector<float> read_floats(const std::string& path, size_t limit = SIZE_MAX) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail("cannot read " + path);
  std::vector<float> floats(std::min(limit, static_cast<size_t>(file.tellg()) / sizeof(float)));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(floats.data()), static_cast<std::streamsize>(floats.size() * sizeof(float)));
  return floats;
}

inline long resident_bytes() {
  long total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * 4096;
}

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Engine: Engine(dim, rows, argv from the fifth on); void add(std::span<const float> all rows);
// Answer search(std::span<const float> query, int effort).
template <typename Engine>
int serve(int argc, char** argv) {
  if (argc < 4) fail("usage: FOLDER ROWS DIM [OPTION...]");
  const std::string folder = argv[1];
  const size_t rows = std::strtoul(argv[2], nullptr, 10), dim = std::strtoul(argv[3], nullptr, 10);
  const std::vector<float> queries = read_floats(folder + "/queries.f32");
  Engine engine(dim, rows, std::span(argv + 4, static_cast<size_t>(argc - 4)));
  char word[16];
  while (std::scanf("%15s", word) == 1) {
    if (std::string(word) == "build") {
      const std::vector<float> base = read_floats(folder + "/base.f32", rows * dim);
      if (base.size() != rows * dim) fail("base.f32 is too short");
      const long before = resident_bytes();
      const Stopwatch watch;
      engine.add(base);
      std::printf("{\"seconds\":%.6f", watch.seconds());
      std::printf(",\"memory\":{\"rssBytes\":%ld}}\n", resident_bytes() - before);
    } else {
      int effort = 0;
      size_t count = 0;
      double limit = 0;
      if (std::scanf("%d %zu %lf", &effort, &count, &limit) != 3) fail("search wants EFFORT COUNT SECONDS");
      count = std::min(count, queries.size() / dim);
      std::vector<Answer> answers;
      answers.reserve(count);
      const Stopwatch watch;
      while (answers.size() < count && watch.seconds() < limit) {
        answers.push_back(engine.search(std::span(queries).subspan(answers.size() * dim, dim), effort));
      }
      std::printf("{\"queries\":%zu,\"seconds\":%.6f,\"ids\":[", answers.size(), watch.seconds());
      for (size_t i = 0; i < answers.size() * kHits; ++i) {
        std::printf("%s%d", i == 0 ? "" : ",", answers[i / kHits][i % kHits]);
      }
      std::printf("]}\n");
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace bench
