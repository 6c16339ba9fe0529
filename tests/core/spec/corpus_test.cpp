// The parser against real spec trees and the ground truth derived from them (../shared/data/specs/README.md).

#include <algorithm>
#include <catch_amalgamated.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/spec/parser.h"

using namespace nearfield;

namespace {

namespace fs = std::filesystem;

const char* const kCorpora[] = {"awslabs__osml-model-runner",
                                "docktermj__senzing-bootcamp-kiro-powers",
                                "gotalab__cc-sdd",
                                "kasbench__globeco-trade-service",
                                "neutryx-lab__neutryx-rust",
                                "rservant__indoor-golf-scheduler"};

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Corpus {
  std::string name;
  std::map<std::string, std::string> texts;          // by path
  std::map<std::string, std::vector<Block>> blocks;  // by path, links resolved
  std::vector<Json> units;
  std::vector<Json> relevance;
};

std::vector<Json> read_lines(const fs::path& path) {
  std::vector<Json> out;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) out.push_back(Json::parse(line));
  return out;
}

std::vector<Corpus> load_corpora() {
  std::vector<Corpus> corpora;
  for (const char* name : kCorpora) {
    const fs::path root = fs::path(std::string(NEARFIELD_SOURCE_DIR) + "/../shared/data/specs") / name;
    if (!fs::exists(root / "units.jsonl")) return {};
    Corpus& corpus = corpora.emplace_back();
    corpus.name = name;
    std::vector<Block> all;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
      if (entry.path().extension() != ".md") continue;
      const std::string path = entry.path().lexically_relative(root).generic_string();
      corpus.texts[path] = read_all(entry.path());
      for (Block& block : parse_spec(path, corpus.texts[path])) all.push_back(std::move(block));
    }
    resolve_links(all);
    for (Block& block : all) corpus.blocks[block.source].push_back(std::move(block));
    corpus.units = read_lines(root / "units.jsonl");
    corpus.relevance = read_lines(root / "relevance.jsonl");
  }
  return corpora;
}

const std::vector<Corpus>& corpora() {
  static const std::vector<Corpus> loaded = load_corpora();
  return loaded;
}

bool has_tag(const Block& block, std::string_view tag) {
  return std::ranges::find(block.tags, tag) != block.tags.end();
}

std::string tag_after(const Block& block, std::string_view prefix) {
  for (const std::string& tag : block.tags) {
    if (tag.starts_with(prefix)) return tag.substr(prefix.size());
  }
  return {};
}

// "path#requirement.criterion" as in units.jsonl.
std::string unit_name(const Block& block) {
  std::string name = block.source + '#' + tag_after(block, "req_");
  if (const std::string criterion = tag_after(block, "ac_"); !criterion.empty()) name += '.' + criterion;
  return name;
}

}  // namespace

TEST_CASE("every non-blank line of every file is in exactly one block") {
  if (corpora().empty()) SKIP("the spec corpora are not here");
  for (const Corpus& corpus : corpora()) {
    std::set<std::string> ids;
    for (const auto& [path, text] : corpus.texts) {
      CAPTURE(corpus.name, path);
      std::vector<int> covered(static_cast<size_t>(std::ranges::count(text, '\n')) + 2);
      const auto found = corpus.blocks.find(path);
      for (const Block& block : found == corpus.blocks.end() ? std::vector<Block>() : found->second) {
        REQUIRE(ids.insert(block.id).second);
        REQUIRE(!block.text.empty());
        for (uint32_t line = block.first_line; line <= block.last_line; ++line) ++covered.at(line);
      }
      std::istringstream lines(text);
      size_t number = 0;
      for (std::string line; std::getline(lines, line);) {
        ++number;
        const bool blank = line.find_first_not_of(" \t\r") == std::string::npos;
        CAPTURE(number, line);
        REQUIRE((blank ? covered[number] <= 1 : covered[number] == 1));
      }
    }
  }
}

TEST_CASE("blocks line up with the units of the ground truth") {
  if (corpora().empty()) SKIP("the spec corpora are not here");
  size_t agreeing = 0;
  size_t total = 0;
  for (const Corpus& corpus : corpora()) {
    for (const Json& unit : corpus.units) {
      ++total;
      const std::string requirement = unit["requirement"];
      bool agrees = false;
      for (const Block& block : corpus.blocks.at(unit["path"])) {
        const bool same_criterion = unit["criterion"].is_null()
                                        ? tag_after(block, "ac_").empty()
                                        : has_tag(block, "ac_" + std::to_string(unit["criterion"].get<int>()));
        agrees = agrees ||
                 (tag_after(block, "req_") == requirement && same_criterion && block.first_line == unit["line_start"] &&
                  block.last_line == unit["line_end"] && block.title == unit["title"].get<std::string>());
      }
      agreeing += agrees;
    }
  }
  INFO(agreeing << " of " << total << " units have a block with the same name, title and lines");
  CHECK(static_cast<double>(agreeing) >= .999 * static_cast<double>(total));
}

TEST_CASE("links agree with the references of the ground truth") {
  if (corpora().empty()) SKIP("the spec corpora are not here");
  size_t agreeing = 0;
  size_t total = 0;
  for (const Corpus& corpus : corpora()) {
    std::map<std::string, const Block*> by_id;
    for (const auto& [path, blocks] : corpus.blocks) {
      for (const Block& block : blocks) by_id[block.id] = &block;
    }
    for (const Json& row : corpus.relevance) {
      if (row["kind"] == "story") continue;
      ++total;
      std::set<std::string> wanted;
      for (const Json& relevant : row["relevant"]) {
        std::string name = relevant["path"].get<std::string>() + '#' + relevant["requirement"].get<std::string>();
        if (!relevant["criterion"].is_null()) name += '.' + std::to_string(relevant["criterion"].get<int>());
        wanted.insert(name);
      }
      std::set<std::string> linked;
      for (const Block& block : corpus.blocks.at(row["path"])) {
        if (block.last_line < row["line_start"] || block.first_line > row["line_end"]) continue;
        for (const std::string& link : block.links) linked.insert(unit_name(*by_id.at(link)));
      }
      agreeing += linked == wanted;
    }
  }
  INFO(agreeing << " of " << total << " tasks and properties link exactly what they reference");
  CHECK(static_cast<double>(agreeing) >= .98 * static_cast<double>(total));
}

TEST_CASE("the spelling of a path changes no id") {
  if (corpora().empty()) SKIP("the spec corpora are not here");
  for (const auto& [path, text] : corpora()[0].texts) {
    std::string spelled = "./" + path;
    for (size_t at = spelled.find('/', 2); at != std::string::npos; at = spelled.find('/', at + 2)) {
      spelled.replace(at, 1, at % 2 == 0 ? "\\" : "//");
    }
    const std::vector<Block> plain = parse_spec(path, text);
    const std::vector<Block> other = parse_spec(spelled, text);
    REQUIRE(plain.size() == other.size());
    for (size_t i = 0; i < plain.size(); ++i) {
      CHECK(plain[i].id == other[i].id);
      CHECK(plain[i].source == other[i].source);
    }
  }
}
