#include "core/spec/ingest.h"

#include <catch_amalgamated.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/spec/parser.h"

using namespace nearfield;

namespace {

std::string read_model(const std::string& name) {
  std::ifstream file(std::string(NEARFIELD_SOURCE_DIR) + "/core/text/model/" + name, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

const Embedder& embedder() {
  static const std::unique_ptr<Embedder> loaded = [] {
    const std::string table = read_model("table.bin");
    Result<std::unique_ptr<Embedder>> result = Embedder::load(read_model("vocab.txt"), as_bytes(table));
    REQUIRE(result.ok());
    return std::move(result).value();
  }();
  return *loaded;
}

using Files = std::map<std::string, std::string>;

struct Index {
  Collection blocks{"blocks", spec_blocks_schema(embedder().dimension())};
  Collection files{"files", spec_files_schema()};

  IngestReport apply(IngestPlan plan) {
    REQUIRE(blocks.check(plan.blocks).ok());
    REQUIRE(files.check(plan.files).ok());
    CHECK(blocks.apply(std::move(plan.blocks)) == plan.report.blocks_removed);
    files.apply(std::move(plan.files));
    return plan.report;
  }
  IngestReport index(const Files& texts) {
    std::vector<SourceFile> group;
    for (const auto& [path, text] : texts) group.push_back({path, as_bytes(text)});
    Result<IngestPlan> plan = plan_index(blocks, files, group, embedder());
    REQUIRE(plan.ok());
    return apply(std::move(plan).value());
  }
  IngestReport remove_all_but(const std::vector<std::string>& present) {
    return apply(plan_removal(blocks, files, present));
  }
  // Id and payload of every block, to compare with an index made at once.
  std::map<std::string, std::string> content() const {
    std::map<std::string, std::string> out;
    blocks.matching(nullptr).for_each([&](RowId row) {
      const RowView view = blocks.row(row);
      out[std::string(view.id)] = std::string(view.text) + std::string(view.payload);
    });
    return out;
  }
};

Files small_tree() {
  return {{".kiro/specs/a/requirements.md", "### Requirement 1: Sign in\n1. The system SHALL open\n2. It waits\n"},
          {".kiro/specs/a/tasks.md", "- [ ] 1. Open\n  _Requirements: 1.1, 1.3_\n"},
          {"README.md", "# Read me\nwords\n"}};
}

}  // namespace

TEST_CASE("files are indexed once, changed ones again, missing ones removed") {
  Index index;
  Files files = small_tree();
  IngestReport report = index.index(files);
  CHECK(report.files_indexed == 3);
  CHECK(report.blocks_written == 5);
  CHECK(report.bytes_read ==
        files.begin()->second.size() + files["README.md"].size() + files[".kiro/specs/a/tasks.md"].size());
  CHECK(index.blocks.count() == 5);
  CHECK(index.files.count() == 3);

  report = index.index(files);
  CHECK(report.files_unchanged == 3);
  CHECK(report.files_indexed == 0);
  CHECK(report.blocks_written == 0);

  files["README.md"] = "# Read me\nother words\n# More\nand more\n";
  report = index.index(files);
  CHECK(report.files_indexed == 1);
  CHECK(report.files_unchanged == 2);
  CHECK(report.blocks_written == 2);
  CHECK(report.blocks_removed == 0);

  files["README.md"] = "# More\nand more\n";
  report = index.index(files);
  CHECK(report.blocks_removed == 1);
  // Its lines changed, so its payload did.
  CHECK(report.blocks_written == 1);
  CHECK(index.blocks.count() == 5);

  report = index.remove_all_but({"./README.md", ".kiro\\specs\\a\\tasks.md"});
  CHECK(report.files_removed == 1);
  CHECK(report.blocks_removed == 3);
  CHECK(index.remove_all_but({}).files_removed == 2);
  CHECK(index.blocks.count() == 0);
  CHECK(index.files.count() == 0);
}

TEST_CASE("points hold what search needs") {
  Index index;
  index.index(small_tree());
  const std::string id = block_id(".kiro/specs/a/requirements.md", "req_1_ac_1");
  const std::optional<RowView> row = index.blocks.find(id);
  REQUIRE(row.has_value());
  CHECK(row->text == "The system SHALL open");
  CHECK(Json::parse(row->payload)["title"] == "Sign in");
  std::vector<float> wanted(embedder().dimension());
  embedder().embed("Sign in. The system SHALL open", wanted);
  for (size_t i = 0; i < wanted.size(); ++i) CHECK(std::abs(row->vector[i] - wanted[i]) < 1e-5f);

  const std::optional<RowView> file = index.files.find("README.md");
  REQUIRE(file.has_value());
  const Json record = Json::parse(file->payload);
  CHECK(record["bytes"] == 16);
  CHECK(record["lines"] == 2);
  CHECK(record["blocks"] == 1);

  SearchRequest request;
  request.text = "sign";  // stands in titles only
  const Result<SearchResult> found = index.blocks.search(request);
  REQUIRE(found.ok());
  CHECK(found->hits.size() == 3);
}

TEST_CASE("links follow the requirements they name") {
  Index index;
  Files files = small_tree();
  index.index(files);
  const std::string task = block_id(".kiro/specs/a/tasks.md", "task_1");
  const auto links = [&] { return Json::parse(index.blocks.find(task)->payload)["links"]; };
  const std::string first = block_id(".kiro/specs/a/requirements.md", "req_1_ac_1");
  const std::string third = block_id(".kiro/specs/a/requirements.md", "req_1_ac_3");
  CHECK(links() == Json{first});

  // The tasks are as they were, but what they name now exists.
  files[".kiro/specs/a/requirements.md"] += "3. And closes\n";
  CHECK(index.index(files).files_indexed == 2);
  CHECK(links() == Json{first, third});

  // Other words for the same criteria concern nobody else.
  files[".kiro/specs/a/requirements.md"] = "### Requirement 1: Sign in\n1. b\n2. c\n3. d\n";
  CHECK(index.index(files).files_indexed == 1);

  // A file alone finds the requirements that are in the index.
  files[".kiro/specs/a/tasks.md"] = "- [x] 1. Open\n  _Requirements: 1.3_\n";
  CHECK(index.index({{".kiro/specs/a/tasks.md", files[".kiro/specs/a/tasks.md"]}}).files_indexed == 1);
  CHECK(links() == Json{third});

  Index at_once;
  at_once.index(files);
  CHECK(index.content() == at_once.content());
}

TEST_CASE("awkward files and paths") {
  Index index;
  CHECK(index.index({{"empty.md", ""}, {"bytes.md", "\xFF\xFE" + std::string(1, '\0')}}).files_indexed == 2);
  CHECK(index.index({{"empty.md", ""}}).files_unchanged == 1);
  CHECK(index.index({{"a.md", "one"}, {"./a.md", "two"}}).files_indexed == 1);

  const auto code = [&](std::string_view path) {
    const SourceFile file{path, {}};
    return plan_index(index.blocks, index.files, {&file, 1}, embedder()).code();
  };
  CHECK(code("") == Code::kInvalidArgument);
  CHECK(code("..") == Code::kInvalidArgument);
  CHECK(code(std::string_view("a\0b", 3)) == Code::kInvalidArgument);
  CHECK(code(std::string(kMaxIdBytes + 1, 'x')) == Code::kLimitExceeded);

  // A record of another making is replaced, not trusted.
  Batch forged;
  forged.upserts.push_back({"a.md", {}, "no id\n\nnor this", "{\"hash\":5}"});
  index.files.apply(std::move(forged));
  CHECK(index.index({{"a.md", "one"}}).files_indexed == 1);
}

TEST_CASE("a file with more blocks than a payload holds is removed whole") {
  Index index;
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "- [ ] " + std::to_string(i) + ". T\n";
  CHECK(index.index({{"tasks.md", text}}).blocks_written == 3000);
  CHECK(index.index({{"tasks.md", "- [ ] 7. T\n"}}).blocks_removed == 2999);
  CHECK(index.blocks.count() == 1);
}

TEST_CASE("a file one of whose blocks was lost is indexed again") {
  Index index;
  const Files files = small_tree();
  index.index(files);
  const auto whole = index.content();
  Batch loss;
  const auto lost = whole.find([&] {
    for (const auto& [id, content] : whole) {
      if (content.find("requirements.md") != std::string::npos) return id;
    }
    return std::string();
  }());
  REQUIRE(lost != whole.end());
  loss.deletes.push_back(lost->first);
  index.blocks.apply(std::move(loss));
  REQUIRE(index.content().size() == whole.size() - 1);

  const IngestReport report = index.index(files);
  CHECK(report.files_indexed == 1);
  CHECK(report.files_unchanged == 2);
  CHECK(report.blocks_written == 1);
  CHECK(index.content() == whole);
}
