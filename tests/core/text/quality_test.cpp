// Retrieval quality over the development corpora, by the protocol in their README: for every query of a corpus its
// units are ranked and scored with nDCG@10. Run with the tag: tests_wasm.cjs "[.quality]".
#include <algorithm>
#include <array>
#include <catch_amalgamated.hpp>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/text/analyzer.h"
#include "core/text/bm25.h"
#include "core/text/embedder.h"

using namespace nearfield;

namespace {

const std::string kSource = NEARFIELD_SOURCE_DIR;
constexpr size_t kBest = 10;
constexpr size_t kFused = 100;
const std::array<const char*, 6> kCorpora = {"docktermj__senzing-bootcamp-kiro-powers",
                                             "neutryx-lab__neutryx-rust",
                                             "kasbench__globeco-trade-service",
                                             "gotalab__cc-sdd",
                                             "awslabs__osml-model-runner",
                                             "rservant__indoor-golf-scheduler"};
const std::array<const char*, 6> kModes = {"text", "dense", "convex .30", "convex .35", "convex .40", "convex .50"};
const std::array<const char*, 3> kKinds = {"task", "title", "story"};

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<Json> read_lines(const std::string& path) {
  std::vector<Json> out;
  std::ifstream file(path, std::ios::binary);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) out.push_back(*parse_json(line, path));
  }
  return out;
}

struct Sum {
  double total = 0;
  size_t count = 0;
  double mean() const { return count == 0 ? 0 : total / static_cast<double>(count); }
};
// [mode][kind]
using Scores = std::array<std::array<Sum, 3>, 6>;

double ndcg(const std::vector<Scored>& ranking, const std::set<RowId>& relevant) {
  double gain = 0;
  double ideal = 0;
  for (size_t rank = 0; rank < kBest; ++rank) {
    const double discount = 1 / std::log2(static_cast<double>(rank) + 2);
    if (rank < ranking.size() && relevant.count(ranking[rank].row) != 0) gain += discount;
    if (rank < relevant.size()) ideal += discount;
  }
  return gain / ideal;
}

void order(std::vector<Scored>& hits, size_t limit) {
  std::sort(hits.begin(), hits.end(), [](const Scored& left, const Scored& right) {
    return left.score != right.score ? left.score > right.score : left.row < right.row;
  });
  if (hits.size() > limit) hits.resize(limit);
}

// Convex combination of two rankings, each stretched to 0..1; a row that is missing from one has 0 there.
std::vector<Scored> convex(const std::vector<Scored>& dense, const std::vector<Scored>& text, double weight) {
  std::map<RowId, double> sums;
  const auto add = [&](const std::vector<Scored>& leg, double factor) {
    if (leg.empty()) return;
    const double range = leg.front().score - leg.back().score;
    for (const Scored& hit : leg) sums[hit.row] += factor * (range > 0 ? (hit.score - leg.back().score) / range : 1);
  };
  add(dense, weight);
  add(text, 1 - weight);
  std::vector<Scored> out;
  for (const auto& [row, score] : sums) out.push_back({row, score});
  order(out, kBest);
  return out;
}

class Corpus {
 public:
  Corpus(const std::string& folder, const Embedder& embedder) : embedder_(embedder) {
    for (const Json& unit : read_lines(folder + "/units.jsonl")) {
      const auto row = static_cast<RowId>(rows_++);
      const std::string requirement =
          unit.at("path").get<std::string>() + "#" + unit.at("requirement").get<std::string>();
      by_criterion_[requirement + "." + unit.at("criterion").dump()].insert(row);
      by_requirement_[requirement].insert(row);
      const auto title = unit.at("title").get<std::string>();
      const auto text = unit.at("text").get<std::string>();
      const std::string indexed = title.empty() ? text : title + ". " + text;
      index_.add(row, terms_of(indexed));
      vectors_.resize(rows_ * embedder.dimension());
      embedder.embed(indexed, std::span(vectors_).subspan(row * embedder.dimension()));
    }
    for (const Json& query : read_lines(folder + "/relevance.jsonl")) score(query);
  }

  const Scores& scores() const { return scores_; }

 private:
  std::vector<std::string_view> terms_of(const std::string& text) {
    analyzer_.analyze(text, terms_);
    std::vector<std::string_view> out;
    for (const Term& term : terms_) out.push_back(term.text);
    return out;
  }

  void score(const Json& query) {
    std::set<RowId> relevant;
    for (const Json& one : query.at("relevant")) {
      const std::string requirement =
          one.at("path").get<std::string>() + "#" + one.at("requirement").get<std::string>();
      const auto& found = one.at("criterion").is_null() ? by_requirement_[requirement]
                                                        : by_criterion_[requirement + "." + one.at("criterion").dump()];
      relevant.insert(found.begin(), found.end());
    }
    if (relevant.empty()) return;
    const auto kind = query.at("kind").get<std::string>();
    if (kind == "task") {
      rank(query.at("query").get<std::string>(), relevant, 0);
      rank(query.at("title").get<std::string>(), relevant, 1);
    } else if (kind == "story") {
      rank(query.at("query").get<std::string>(), relevant, 2);
    }
  }

  void rank(const std::string& query, const std::set<RowId>& relevant, size_t kind) {
    std::vector<Scored> text = index_.search(terms_of(query), RowSet(rows_, true), kFused, nullptr);
    order(text, kFused);
    std::vector<float> vector(embedder_.dimension());
    embedder_.embed(query, vector);
    std::vector<Scored> dense;
    for (RowId row = 0; row < rows_; ++row) {
      float sum = 0;
      for (size_t j = 0; j < vector.size(); ++j) sum += vector[j] * vectors_[row * vector.size() + j];
      dense.push_back({row, sum});
    }
    std::partial_sort(dense.begin(), dense.begin() + static_cast<std::ptrdiff_t>(std::min(kFused, dense.size())),
                      dense.end(), [](const Scored& left, const Scored& right) {
                        return left.score != right.score ? left.score > right.score : left.row < right.row;
                      });
    dense.resize(std::min(kFused, dense.size()));
    size_t mode = 0;
    for (const auto& ranking : {text, dense, convex(dense, text, .3), convex(dense, text, .35), convex(dense, text, .4),
                                convex(dense, text, .5)}) {
      Sum& sum = scores_[mode++][kind];
      sum.total += ndcg(ranking, relevant);
      ++sum.count;
    }
  }

  const Embedder& embedder_;
  Analyzer analyzer_;
  std::vector<Term> terms_;
  Bm25 index_;
  std::vector<float> vectors_;
  size_t rows_ = 0;
  std::map<std::string, std::set<RowId>> by_criterion_;
  std::map<std::string, std::set<RowId>> by_requirement_;
  Scores scores_;
};

}  // namespace

TEST_CASE("quality over the development corpora", "[.quality]") {
  const std::string specs = kSource + "/../shared/data/specs/";
  if (!std::ifstream(specs + "README.md")) SKIP("the development corpora are not here");
  const std::string vocabulary = read_whole(kSource + "/core/text/model/vocab.txt");
  const std::string table = read_whole(kSource + "/core/text/model/table.bin");
  auto embedder = Embedder::load(vocabulary, as_bytes(table));
  REQUIRE(embedder.ok());

  Scores pooled{};
  Scores corpora{};  // each corpus counts once
  const auto print = [](const std::string& name, const Scores& scores) {
    for (size_t mode = 0; mode < kModes.size(); ++mode) {
      std::printf("%-40s %-11s", name.c_str(), kModes[mode]);
      for (size_t kind = 0; kind < kKinds.size(); ++kind) {
        std::printf("  %s %.4f (%zu)", kKinds[kind], scores[mode][kind].mean(), scores[mode][kind].count);
      }
      std::printf("\n");
    }
  };
  for (const char* name : kCorpora) {
    const Corpus corpus(specs + name, **embedder);
    print(name, corpus.scores());
    for (size_t mode = 0; mode < kModes.size(); ++mode) {
      for (size_t kind = 0; kind < kKinds.size(); ++kind) {
        const Sum& sum = corpus.scores()[mode][kind];
        pooled[mode][kind].total += sum.total;
        pooled[mode][kind].count += sum.count;
        if (sum.count == 0) continue;
        corpora[mode][kind].total += sum.mean();
        ++corpora[mode][kind].count;
      }
    }
  }
  print("all queries", pooled);
  print("mean of the corpora", corpora);
}
