#include "core/spec/parser.h"

#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/base/random.h"
#include "core/base/utf8.h"
#include "core/spec/block_writer.h"

using namespace nearfield;

namespace {

// "first-last key [tags] status: title | text", with '!' before a pinned block and '\n' as "/".
std::string shown_block(const Block& block) {
  std::string out = std::to_string(block.first_line) + '-' + std::to_string(block.last_line) + ' ';
  if (block.pinned) out += '!';
  out += block.key + " [";
  for (const std::string& tag : block.tags) out += (out.back() == '[' ? "" : " ") + tag;
  out += "]";
  if (block.status != "active") out += ' ' + block.status;
  out += ": " + block.title + " | ";
  for (const char c : block.text) out += c == '\n' ? '/' : c;
  for (const std::string& link : block.links) out += " -> " + link;
  return out;
}

std::vector<std::string> shown_blocks(std::string_view path, std::string_view text) {
  std::vector<std::string> out;
  for (const Block& block : parse_spec(path, text)) out.push_back(shown_block(block));
  return out;
}

using Shown = std::vector<std::string>;

const std::string kRequirements = ".kiro/specs/login/requirements.md";
const std::string kBugfix = ".kiro/specs/login/bugfix.md";
const std::string kDesign = ".kiro/specs/login/design.md";
const std::string kTasks = ".kiro/specs/login/tasks.md";

// The promises of parser.h that hold for any bytes at all.
void check_promises(std::string_view path, std::string_view text) {
  const std::vector<Block> blocks = parse_spec(path, text);
  std::unordered_set<std::string> ids;
  uint32_t last = 0;
  std::vector<std::pair<uint32_t, uint32_t>> ranges;
  for (const Block& block : blocks) {
    // One assertion for all, as there may be a hundred thousand blocks.
    bool good = ids.insert(block.id).second && !block.text.empty();
    good = good && is_utf8(block.text) && is_utf8(block.title) && is_utf8(block.key);
    good = good && block.first_line <= block.last_line;
    // Only parts of one long line share a line.
    good = good && (block.first_line > last || (block.first_line == last && block.key.find('/') != std::string::npos));
    if (!good) FAIL("block " << block.key << " at " << block.first_line << "-" << block.last_line);
    last = block.last_line;
    ranges.emplace_back(block.first_line, block.last_line);
  }
  uint32_t number = 0;
  size_t next = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    ++number;
    std::string_view line = text.substr(at, end - at);
    if (at == 0 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    at = end + 1;
    if (line.find_first_not_of(" \t\r\v\f") == std::string_view::npos) continue;
    while (next < ranges.size() && ranges[next].second < number) ++next;
    if (next == ranges.size() || ranges[next].first > number) FAIL("line " << number << " is in no block");
  }
}

}  // namespace

TEST_CASE("paths are spelled one way") {
  CHECK(normalise_source("./a//b\\c.md") == "a/b/c.md");
  CHECK(normalise_source("/a/./b/../c.md") == "a/c.md");
  CHECK(normalise_source("../../a.md") == "a.md");
  CHECK(normalise_source("a/../../b/") == "b");
  CHECK(normalise_source("") == "");
  CHECK(normalise_source("a\xFF.md") == "a\uFFFD.md");
  CHECK(parse_spec("./x//design.md", "# A\n")[0].id == parse_spec("x\\design.md", "# A\n")[0].id);
}

TEST_CASE("the kind and the feature follow from the path") {
  CHECK(document_kind(".kiro/specs/a/b/requirements.md") == DocumentKind::kRequirements);
  CHECK(document_kind("bugfix.md") == DocumentKind::kRequirements);
  CHECK(document_kind("a/Tasks.MD") == DocumentKind::kTasks);
  CHECK(document_kind("a/design.md") == DocumentKind::kDesign);
  CHECK(document_kind(".kiro/steering/design.md") == DocumentKind::kSteering);
  CHECK(document_kind("docs/AGENTS.md") == DocumentKind::kSteering);
  CHECK(document_kind("POWER.md") == DocumentKind::kSteering);
  CHECK(document_kind("agents.md/readme.md") == DocumentKind::kMarkdown);
  CHECK(document_kind(".kiro/specs/a/research.md") == DocumentKind::kMarkdown);
  CHECK(feature_of(".kiro/specs/a/b/tasks.md") == "a/b");
  CHECK(feature_of("x/.kiro/specs/a/research.md") == "a");
  CHECK(feature_of(".kiro/specs/README.md") == "");
  CHECK(feature_of("specs/a/tasks.md") == "a");
  CHECK(feature_of("a/tasks.md") == "a");
  CHECK(feature_of("tasks.md") == "");
  CHECK(feature_of("a/readme.md") == "");
  CHECK(feature_of(".kiro/steering/a.md") == "");
}

TEST_CASE("requirements, stories and criteria") {
  CHECK(shown_blocks(kRequirements, R"(# Requirements Document

## Introduction

Users sign in.

## Glossary

- **User**: a person

## Requirements

### Requirement 1: Sign in

**User Story:** As a user, I want in.

#### Acceptance Criteria

1. WHEN a password is right THEN the system SHALL open.
2. IF it is wrong
   the system must wait
   - and count

   1. nested
3) Lazy
continuation MUST hold

Prose after the list.

### Requirement 1.2

#### Acceptance Criteria

1.2.1 One
1.2.2. Two
2. Three
)") == Shown{
           "1-5 requirement_introduction [introduction]: Introduction | Requirements "
           "Document//Users sign in.",
           "7-9 requirement_glossary [glossary]: Glossary | - **User**: a person",
           "11-17 req_1 [req_1 user_story]: Sign in | **User Story:** As a user, I want "
           "in.",
           "19-19 !req_1_ac_1 [req_1 ac_1 acceptance_criteria]: Sign in | WHEN a password "
           "is right THEN the system SHALL open.",
           "20-24 req_1_ac_2 [req_1 ac_2 acceptance_criteria]: Sign in | IF it is wrong/the "
           "system must wait/- and count//1. nested",
           "25-26 !req_1_ac_3 [req_1 ac_3 acceptance_criteria]: Sign in | "
           "Lazy/continuation MUST hold",
           "28-28 req_1_note [req_1]: Sign in | Prose after the list.",
           "30-32 req_1.2 [req_1.2]:  | Requirement 1.2",
           "34-34 req_1.2_ac_1 [req_1.2 ac_1 acceptance_criteria]:  | One",
           "35-35 req_1.2_ac_2 [req_1.2 ac_2 acceptance_criteria]:  | Two",
           "36-36 req_1.2_ac_2~2 [req_1.2 ac_2 acceptance_criteria]:  | Three",
       });
}

TEST_CASE("requirements in Japanese and functional requirements without criteria") {
  CHECK(shown_blocks(kRequirements, R"(## 要件

### 要件1: 入力
**ユーザーストーリー:** ユーザーとして送信したい。

#### 受け入れ基準
1. WHEN 送信 THEN システムは SHALL 保存する

### FR-1.1: Paths
**When** it runs

---

### FR-1.2: More
)") == Shown{
           "1-6 req_1 [req_1 user_story]: 入力 | **ユーザーストーリー:** "
           "ユーザーとして送信したい。",
           "7-7 !req_1_ac_1 [req_1 ac_1 acceptance_criteria]: 入力 | WHEN 送信 THEN "
           "システムは SHALL 保存する",
           "9-12 req_FR1.1 [req_FR1.1]: Paths | **When** it runs",
           "14-14 req_FR1.2 [req_FR1.2]: More | FR-1.2: More",
       });
}

TEST_CASE("a break after a criterion belongs to what follows") {
  CHECK(shown_blocks(kRequirements, "### Requirement 1\n1. a\n\n---\n\n### Requirement 2\n1. b\n---\n") ==
        Shown{"1-1 req_1 [req_1]:  | Requirement 1", "2-2 req_1_ac_1 [req_1 ac_1 acceptance_criteria]:  | a",
              "4-6 req_2 [req_2]:  | Requirement 2", "7-8 req_2_ac_1 [req_2 ac_1 acceptance_criteria]:  | b"});
}

TEST_CASE("the lines of a bugfix name their requirement") {
  CHECK(shown_blocks(kBugfix, R"(## Bug Analysis

The cause is version
3.1 of the library.

### Current Behavior (Defect)

1.1 WHEN asked THEN it hangs

1.2 WHEN told THEN it hangs

### Expected Behavior

Prose first.

2.1 WHEN asked THEN it SHALL answer
)") == Shown{
           "1-4 requirement_bug_analysis []: Bug Analysis | The cause is version/3.1 of the "
           "library.",
           "6-6 req_1 [req_1]: Current Behavior (Defect) | Current Behavior (Defect)",
           "8-8 req_1_ac_1 [req_1 ac_1 acceptance_criteria]: Current Behavior (Defect) | WHEN "
           "asked THEN it hangs",
           "10-10 req_1_ac_2 [req_1 ac_2 acceptance_criteria]: Current Behavior (Defect) | WHEN "
           "told THEN it hangs",
           "12-14 req_2 [req_2]: Expected Behavior | Prose first.",
           "16-16 !req_2_ac_1 [req_2 ac_1 acceptance_criteria]: Expected Behavior | WHEN asked "
           "THEN it SHALL answer",
       });
}

TEST_CASE("a flat list of requirements") {
  CHECK(
      shown_blocks(kRequirements,
                   "# Why\n\n1. no criterion\n\n## Requirements\n\n1. First\n2. Second SHALL\n\n## Other\n\n1. no\n") ==
      Shown{"1-3 requirement_why []: Why | 1. no criterion",
            "5-5 requirement_requirements []: Requirements | Requirements",
            "7-7 ac_1 [ac_1 acceptance_criteria]:  | First", "8-8 !ac_2 [ac_2 acceptance_criteria]:  | Second SHALL",
            "10-12 requirement_other []: Other | 1. no"});
}

TEST_CASE("words that pin stand alone") {
  const auto pinned = [](std::string_view text) {
    return parse_spec(kRequirements, "### Requirement 1\n1. " + std::string(text))[1].pinned;
  };
  CHECK(pinned("it **SHALL** go"));
  CHECK(pinned("CONSTRAINT: x"));
  CHECK_FALSE(pinned("MARSHALL it"));
  CHECK_FALSE(pinned("MUST_NOT_NAME"));
  CHECK_FALSE(pinned("it shall go"));
}

TEST_CASE("design sections, decisions and properties") {
  CHECK(shown_blocks(kDesign, R"(# Design

## Overview
Text.
```md
# not a heading
```

## Key Decisions

### Use a file
Because.

## Correctness Properties

**Property 1: Round trip.** *For all* x.

**Validates: Requirements 1.2, 3**

Property 2: Bare
**Validates: Requirements 2.1-2.3; design 9**

### Property 3: Headed ###
*Validates Requirement 4*
## Overview
)") == Shown{
           "1-7 design_overview []: Overview | Design//Text./```md/# not a heading/```",
           "9-12 design_use_a_file []: Use a file | Key Decisions//Because.",
           "14-14 design_correctness_properties []: Correctness Properties | Correctness "
           "Properties",
           "16-18 property_1 [property_1]: Property 1: Round trip. | **Property 1: Round trip.** "
           "*For all* x.//**Validates: Requirements 1.2, 3** -> req:1.2 -> req:3",
           "20-21 property_2 [property_2]: Property 2: Bare | Property 2: Bare/**Validates: "
           "Requirements 2.1-2.3; design 9** -> req:2.1 -> req:2.2 -> req:2.3",
           "23-24 property_3 [property_3]: Property 3: Headed | *Validates Requirement 4* -> req:4",
           "25-25 design_overview~2 []: Overview | Overview",
       });
  const std::vector<Block> blocks = parse_spec(kDesign, "## 設計判断\n\n### A\nx\n\n## B\ny\n");
  CHECK(blocks[0].type == BlockType::kDecision);
  CHECK(blocks[1].type == BlockType::kDesign);
}

TEST_CASE("tasks at any depth and in any state") {
  CHECK(shown_blocks(kTasks, R"(# Implementation Plan

Do it in order.

- [x] 1. Set up
  - detail one
  - _Requirements: 1.1, 2.3_
  - [ ]* 1.1 Write tests
    more
    - [-] 1.1.1 Deep
  - [X] Unnumbered thing

* [ ] 2.1 Flush left
- [ ] 3.2* Star behind
- [ ] 100 users can sign in
1. [~] 4 Numbered list
- [link] no task

## Notes

- [ ] 2.1 Again
  ```
- [ ] in code
  ```
> **Requirements:** Req 5, FR-1.2 – FR-1.4; Property 9
)") == Shown{
           "1-3 tasks_implementation_plan []: Implementation Plan | Do it in order.",
           "5-7 task_1 [task_1] done: Set up | Set up/- detail one/- _Requirements: 1.1, 2.3_ -> "
           "req:1.1 -> req:2.3",
           "8-9 task_1.1 [task_1.1 optional] todo: Write tests | Write tests/more",
           "10-10 task_1.1.1 [task_1.1.1] in_progress: Deep | Deep",
           "11-11 task_unnumbered_thing [] done: Unnumbered thing | Unnumbered thing",
           "13-13 task_2.1 [task_2.1] todo: Flush left | Flush left",
           "14-14 task_3.2 [task_3.2 optional] todo: Star behind | Star behind",
           "15-15 task_100_users_can_sign_in [] todo: 100 users can sign in | 100 users can sign in",
           "16-17 task_4 [task_4] in_progress: Numbered list | Numbered list/- [link] no task",
           "19-19 tasks_notes []: Notes | Notes",
           "21-25 task_2.1~2 [task_2.1] todo: Again | Again/  ```/- [ ] in code/  ```/> "
           "**Requirements:** Req 5, FR-1.2 – FR-1.4; Property 9 -> req:5 -> req:FR1.2 -> "
           "req:FR1.3 -> req:FR1.4",
       });
}

TEST_CASE("references in their many spellings") {
  const auto links = [](std::string_view line) {
    return parse_spec(kTasks, "- [ ] 1. x\n  - " + std::string(line) + "\n")[0].links;
  };
  using Links = std::vector<std::string>;
  CHECK(links("_Requirements: 1.1–1.3, 2.1-2_") == Links{"req:1.1", "req:1.2", "req:1.3", "req:2.1", "req:2.2"});
  CHECK(links("_要件: 1、2.1_") == Links{"req:1", "req:2.1"});
  CHECK(links("**Validates: Req 1, Property 2, Req 3**") == Links{"req:1", "req:3"});
  CHECK(links("Requirements: 1.1-1.999999, 1.1") == Links{"req:1.1", "req:1.999999"});
  CHECK(links("_Requirements: 9.x, all_") == Links{"req:9"});
  CHECK(links("_Requirements: 1.1,\n    2.2_") == Links{"req:1.1", "req:2.2"});
  CHECK(links("See (Requirement 3): it") == Links{});
  CHECK(links("_Requirements: design §4, 5_") == Links{"req:5"});
}

TEST_CASE("links resolve inside a folder") {
  std::vector<Block> blocks = parse_spec("a/requirements.md", "### Requirement 1\n1. x\n2. y\n");
  const std::string first = blocks[0].id;
  const std::string second = blocks[2].id;
  for (Block& block : parse_spec("a/tasks.md", "- [ ] 1. t\n  _Requirements: 1.2, 1, 1.9, 1.2_\n"))
    blocks.push_back(block);
  for (Block& block : parse_spec("b/tasks.md", "- [ ] 1. t\n  _Requirements: 1.2_\n")) blocks.push_back(block);
  resolve_links(blocks);
  CHECK(blocks[3].links == std::vector<std::string>{second, first});
  CHECK(blocks[4].links.empty());
}

TEST_CASE("steering and front matter") {
  CHECK(shown_blocks(".kiro/steering/a.md", "---\ninclusion: always\n---\n# Rules\nBe kind.\n") ==
        Shown{"1-3 !knowledge_front_matter []:  | inclusion: always", "4-5 !knowledge_rules []: Rules | Be kind."});
  CHECK(parse_spec("AGENTS.md", "hi")[0].pinned);
  CHECK_FALSE(parse_spec(".claude/skills/x/SKILL.md", "hi")[0].pinned);
  CHECK_FALSE(parse_spec("steering/x.md", "---\ninclusion: fileMatch\n---\nhi")[1].pinned);
  CHECK_FALSE(parse_spec("steering/x.md", "---\r\ninclusion: 'manual'\r\n---\r\nhi")[1].pinned);
  CHECK(shown_blocks("a.md", "---\nx: 1\n---\n") == Shown{"1-3 md_front_matter []:  | x: 1"});
  CHECK(shown_blocks("a.md", "---\n---\n").size() == 1);
  CHECK(shown_blocks("a.md", "---\nnever closed\n") == Shown{"1-2 md_preamble []:  | ---/never closed"});
}

TEST_CASE("line ends, marks and bad bytes") {
  CHECK(shown_blocks("a.md", "") == Shown{});
  CHECK(shown_blocks("a.md", "\n \t\r\n") == Shown{});
  CHECK(shown_blocks("a.md", "\xEF\xBB\xBF# A\r\none\r\ntwo\r\n") == Shown{"1-3 md_a []: A | one/two"});
  CHECK(shown_blocks("a.md", "one\rtwo") == Shown{"1-1 md_preamble []:  | one\rtwo"});
  CHECK(shown_blocks("a.md", "a\xFFz") == Shown{"1-1 md_preamble []:  | a\uFFFDz"});
  CHECK(parse_spec("a.md", std::string_view("a\0b", 3))[0].text == std::string_view("a\0b", 3));
  CHECK(shown_blocks("a.md", "```\ncode\n# x\n").size() == 2);  // a fence nobody closes hides nothing
  CHECK(shown_blocks("a.md", "#notag\n####### seven\n    # code\n") ==
        Shown{"1-3 md_preamble []:  | #notag/####### seven/    # code"});
}

TEST_CASE("long sections are split, and nothing is cut away") {
  std::string text = "## Long\n";
  for (int i = 0; i < 40; ++i) text += "\n" + std::string(199, static_cast<char>('a' + i % 26)) + "\n";
  const std::vector<Block> blocks = parse_spec(kDesign, text);
  REQUIRE(blocks.size() > 3);
  size_t letters = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    CHECK(blocks[i].title == "Long");
    CHECK(blocks[i].key == (i == 0 ? "design_long" : "design_long/" + std::to_string(i + 1)));
    CHECK(blocks[i].text.size() < 2200);
    letters += static_cast<size_t>(std::ranges::count_if(blocks[i].text, [](char c) { return c != '\n'; }));
  }
  CHECK(letters == 40 * 199);
  check_promises(kDesign, text);

  // One line, on a character boundary.
  std::string line;
  for (int i = 0; i < 10'000; ++i) line += "あ";
  std::string joined;
  for (const Block& block : parse_spec("a.md", line)) {
    CHECK(block.text.size() <= kMaxBlockBytes);
    CHECK(block.first_line == 1);
    CHECK(block.last_line == 1);
    joined += block.text;
  }
  CHECK(joined == line);
}

TEST_CASE("editing a criterion keeps its id") {
  const auto id = [](std::string_view text) {
    return parse_spec(kRequirements, "### Requirement 7: T\n1. " + std::string(text))[1].id;
  };
  CHECK(id("old") == id("new SHALL"));
  // The recipe of the id is part of what databases hold.
  CHECK(id("x") == block_id(".kiro/specs/login/requirements.md", "req_7_ac_1"));
  CHECK(block_id("a", "b").size() == 16);
}

TEST_CASE("a payload says where a block is") {
  const Block block = parse_spec(kTasks, "- [x]* 1.1 do\n  _Requirements: 2_\n")[0];
  CHECK(block_payload(block).dump() ==
        R"({"feature":"login","lines":[1,2],"links":["req:2"],"pinned":false,"source":".kiro/specs/login/tasks.md",)"
        R"("status":"done","tags":["task_1.1","optional"],"title":"do","type":"task"})");
}

TEST_CASE("any bytes at all keep the promises") {
  const std::string pieces[] = {"\n",
                                "\n\n",
                                "# ",
                                "### Requirement 1: x",
                                "#### Acceptance Criteria",
                                "1. ",
                                "1.2 ",
                                "- [ ] ",
                                "- [x]* 2.1 ",
                                "```",
                                "~~~",
                                "---",
                                "   ",
                                "\t",
                                "\r\n",
                                "**Property 1",
                                "_Requirements: 1.1-9_",
                                "要件1",
                                "\xFF",
                                std::string(1, '\0'),
                                "word ",
                                "SHALL",
                                ">",
                                "## Requirements",
                                "- "};
  Random random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    const uint64_t count = random.next() % 60;
    for (uint64_t i = 0; i < count; ++i) text += pieces[random.next() % std::size(pieces)];
    CAPTURE(text);
    for (const std::string& path :
         {kRequirements, kDesign, kTasks, std::string("steering/a.md"), std::string("a.md")}) {
      check_promises(path, text);
    }
  }
}

TEST_CASE("hostile sizes cost linear time and bounded memory") {
  constexpr size_t kSize = 2 << 20;
  for (const std::string& path : {kRequirements, kTasks, std::string("a.md")}) {
    CAPTURE(path);
    std::string headings;
    for (int i = 0; i < 120'000; ++i) headings += "# a\n";
    CHECK(parse_spec(path, headings).size() < kMaxStructuredBlocks + 1000);
    check_promises(path, std::string(kSize, 'x'));
    check_promises(path, std::string(kSize, '\n'));
    check_promises(path, std::string(kSize, '#'));
    check_promises(path, std::string(kSize, '\xFF'));
    check_promises(path, "- [ ] 1. _Requirements: " + std::string(kSize, '1') + "\n" + std::string(kSize, ' ') + "x");
    std::string references = "- [ ] 1. x\n_Requirements: ";
    while (references.size() < kSize) references += "1.1-1.99,";
    check_promises(path, references);
    std::string criteria = "### Requirement 1\n";
    while (criteria.size() < kSize) criteria += "1. x\n";
    check_promises(path, criteria);
  }
}
