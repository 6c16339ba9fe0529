// Speed of the text side on the largest development corpus. Run with the tag: tests_wasm.cjs "[.speed]".
#include <algorithm>
#include <catch_amalgamated.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/text/analyzer.h"
#include "core/text/bm25.h"
#include "core/text/embedder.h"

using namespace nearfield;

namespace {

const std::string kSource = NEARFIELD_SOURCE_DIR;

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <typename Work>
double best_seconds(int rounds, Work work) {
  double best = 1e9;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

}  // namespace

TEST_CASE("speed of analysis, embedding and BM25", "[.speed]") {
  std::ifstream units(kSource + "/../shared/data/specs/docktermj__senzing-bootcamp-kiro-powers/units.jsonl");
  if (!units) SKIP("the development corpora are not here");
  std::string prose;
  for (std::string line; std::getline(units, line);)
    prose += parse_json(line, "unit")->at("text").get<std::string>() + "\n";
  // Blocks of 300 bytes; where a character is cut its halves are dropped.
  std::vector<std::string_view> blocks;
  for (size_t at = 0; at + 300 <= prose.size(); at += 300) blocks.push_back(std::string_view(prose).substr(at, 300));

  Analyzer analyzer;
  std::vector<Term> terms;
  const double analysis = best_seconds(5, [&] {
    for (const std::string_view block : blocks) analyzer.analyze(block, terms);
  });
  std::printf("analyze: %.1f MB/s in blocks\n", static_cast<double>(blocks.size()) * 300e-6 / analysis);
  const std::string unbroken(1 << 20, 'x');
  std::printf("analyze: 1 MiB without spaces in %.1f ms\n",
              best_seconds(5, [&] { analyzer.analyze(unbroken, terms); }) * 1e3);

  const std::string vocabulary = read_whole(kSource + "/core/text/model/vocab.txt");
  const std::string table = read_whole(kSource + "/core/text/model/table.bin");
  const auto begin = std::chrono::steady_clock::now();
  auto embedder = Embedder::load(vocabulary, as_bytes(table));
  REQUIRE(embedder.ok());
  std::printf("embedder: loaded in %.1f ms\n",
              std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() * 1e3);
  std::vector<float> vector((*embedder)->dimension());
  size_t tokens = 0;
  const double tokenizing = best_seconds(3, [&] {
    tokens = 0;
    for (const std::string_view block : blocks) tokens += (*embedder)->token_ids(block).size();
  });
  const double embedding = best_seconds(3, [&] {
    for (const std::string_view block : blocks) (*embedder)->embed(block, vector);
  });
  const auto count = static_cast<double>(blocks.size());
  std::printf("embedder: %.0f blocks/s (tokens alone %.0f blocks/s, %.1f tokens a block)\n", count / embedding,
              count / tokenizing, static_cast<double>(tokens) / count);

  // 25,000 rows of about 60 different terms: the blocks again and again, each time from another place.
  constexpr RowId kRows = 25'000;
  std::vector<std::vector<std::string>> rows(kRows);
  size_t postings = 0;
  for (RowId row = 0; row < kRows; ++row) {
    const size_t at = row * 7919u * 16 % (prose.size() - 480);
    analyzer.analyze(std::string_view(prose).substr(at, 480), terms);
    for (const Term& term : terms) rows[row].push_back(term.text);
    std::vector<std::string> unique = rows[row];
    std::sort(unique.begin(), unique.end());
    postings += static_cast<size_t>(std::unique(unique.begin(), unique.end()) - unique.begin());
  }
  Bm25 index;
  const auto views_of = [&](size_t row) { return std::vector<std::string_view>(rows[row].begin(), rows[row].end()); };
  const double adding = best_seconds(3, [&] {
    index = Bm25();
    for (RowId row = 0; row < kRows; ++row) index.add(row, views_of(row));
  });
  std::printf("bm25: %.0f rows/s added, %.1f postings a row, %.2f bytes a posting, %zu bytes\n", kRows / adding,
              static_cast<double>(postings) / kRows,
              static_cast<double>(index.memory_bytes()) / static_cast<double>(postings), index.memory_bytes());
  const RowSet all(kRows, true);
  std::vector<double> times;
  for (size_t query = 0; query < 200; ++query) {
    std::vector<std::string_view> wanted = views_of(query * 97 % kRows);
    wanted.resize(60, "shall");
    times.push_back(best_seconds(3, [&] { index.search(wanted, all, 100, nullptr); }));
  }
  std::sort(times.begin(), times.end());
  std::printf("bm25: query of 60 terms over %u rows: median %.2f ms, worst %.2f ms\n", kRows,
              times[times.size() / 2] * 1e3, times.back() * 1e3);
  Sections sections;
  const double writing = best_seconds(3, [&] { sections = gathered(index.sections()); });
  const double reading = best_seconds(3, [&] { REQUIRE(Bm25::from_sections(sections, kRows).ok()); });
  std::printf("bm25: sections written in %.1f ms, read in %.1f ms\n", writing * 1e3, reading * 1e3);
}
