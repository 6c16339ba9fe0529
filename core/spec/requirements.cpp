#include <algorithm>
#include <optional>

#include "core/spec/links.h"
#include "core/spec/readers.h"

namespace nearfield {
namespace {

struct RequirementHeading {
  std::string id;  // "3", "1.2", "FR1.1"
  std::string_view title;
};

// "Requirement 3: Title", "要件3: Title", "FR-1.1: Title".
std::optional<RequirementHeading> parse_requirement_heading(std::string_view text) {
  size_t at = 0;
  for (const std::string_view word : {"requirement", "req", "要件", "要求"}) {
    if (starts_with_caseless(text, word)) {
      at = word.size();
      break;
    }
  }
  const bool names_functional = text.starts_with("FR") || text.starts_with("NFR");
  if (at == 0 && !names_functional) return std::nullopt;
  const size_t number = text.find_first_not_of(" -#.", at);
  if (number == std::string_view::npos) return std::nullopt;
  // "Req1" is one word to read_requirement_id, so it sees only what follows.
  std::string_view rest = text.substr(number);
  size_t position = 0;
  std::string id = read_requirement_id(rest, position);
  if (id.empty()) return std::nullopt;
  rest.remove_prefix(position);
  for (const std::string_view mark : {":", "：", ".", ")", "-", "–", "—"}) {
    if (trimmed(rest).starts_with(mark)) {
      rest = trimmed(rest).substr(mark.size());
      break;
    }
  }
  return RequirementHeading{std::move(id), trimmed(rest)};
}

bool is_any_of(std::string_view title, std::initializer_list<std::string_view> names) {
  return std::ranges::any_of(
      names, [&](std::string_view name) { return title.size() == name.size() && starts_with_caseless(title, name); });
}

// "Acceptance Criteria", also with a number or "for Requirement 3" behind.
bool is_criteria_heading(std::string_view title) {
  return starts_with_caseless(title, "acceptance criteria") || title.starts_with("受け入れ基準") ||
         title.starts_with("受入基準") || title.starts_with("受け入れ条件");
}

bool is_requirements_heading(std::string_view title) {
  return is_any_of(title, {"requirements", "functional requirements", "要件", "機能要件", "要求"});
}

// A label at the start of a line, behind emphasis, list and quote marks.
bool is_story(const Line& line) {
  std::string_view text = line.content();
  const size_t mark = text.find_first_not_of("*_->+ ");
  if (mark == std::string_view::npos) return false;
  text.remove_prefix(mark);
  return starts_with_caseless(text, "user story") || starts_with_caseless(text, "objective:") ||
         starts_with_caseless(text, "as a ") || starts_with_caseless(text, "as an ") ||
         text.starts_with("ユーザーストーリー") || text.starts_with("目的:") || text.starts_with("目的：");
}

struct Numbered {
  std::string_view number;  // "2", "1.2", "1.2.3"
  size_t text_offset = 0;   // in the line
};

// "2. text", "2) text", "1.2 text", "1.2. text", "- 1.2 text", "**1.2** text".
std::optional<Numbered> parse_numbered(const Line& line) {
  const std::string_view text = line.text;
  size_t at = text.size() - line.content().size();
  const bool bullet = text.substr(at).starts_with("- ") || text.substr(at).starts_with("* ");
  if (bullet) at = std::min(text.find_first_not_of(' ', at + 1), text.size());
  const bool bold = text.substr(at).starts_with("**");
  if (bold) at += 2;
  const size_t length = number_at(text, at);
  if (length == 0 || length > 16) return std::nullopt;
  const std::string_view number = text.substr(at, length);
  const bool dotted = number.find('.') != std::string_view::npos;
  at += length;
  bool marked = false;
  if (at < text.size() && (text[at] == '.' || text[at] == ')' || (dotted && text[at] == ':'))) {
    marked = true;
    ++at;
  }
  if (bold) {
    if (!text.substr(at).starts_with("**")) return std::nullopt;
    at += 2;
    if (at < text.size() && (text[at] == '.' || text[at] == ':')) ++at;
  }
  if (!(dotted || (marked && !bullet))) return std::nullopt;
  if (at >= text.size() || !is_space(text[at])) return std::nullopt;
  while (at < text.size() && is_space(text[at])) ++at;
  if (at == text.size()) return std::nullopt;
  return Numbered{number, at};
}

// MUST, SHALL or CONSTRAINT as a word.
bool is_binding(std::string_view text) {
  for (const std::string_view word : {"MUST", "SHALL", "CONSTRAINT"}) {
    for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
      const size_t end = at + word.size();
      if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) return true;
    }
  }
  return false;
}

class RequirementsReader {
 public:
  RequirementsReader(LineScanner& lines, BlockWriter& writer) : lines_(lines), writer_(writer) {}

  void read() {
    Line line;
    while (lines_.next(line)) {
      if (line.blank) {
        after_blank_ = true;
        continue;
      }
      if (line.code) {
        read_text(line, !was_code_);
      } else if (const auto heading = parse_heading(line)) {
        read_heading(line, *heading);
      } else if (const auto numbered = parse_numbered(line); numbered && is_criterion(line, *numbered)) {
        read_criterion(line, *numbered);
      } else if (is_thematic_break(line)) {
        writer_.add_break(line);
        after_blank_ = true;
        continue;
      } else {
        read_text(line, true);
      }
      after_blank_ = false;
      was_code_ = line.code;
    }
  }

 private:
  BlockHead section_head(std::string_view title) const {
    BlockHead head;
    head.type = BlockType::kRequirement;
    head.title = title;
    if (requirement_level_ > 0) {
      head.key = "req_" + requirement_ + "_" + slug(title);
      head.tags = {"req_" + requirement_};
      return head;
    }
    head.key = "requirement_" + slug(title);
    if (is_any_of(title, {"introduction", "overview", "導入", "はじめに", "概要", "イントロダクション"})) {
      head.tags = {"introduction"};
    } else if (is_any_of(title, {"glossary", "definitions", "用語集", "用語", "用語定義"})) {
      head.tags = {"glossary"};
    }
    return head;
  }

  void read_heading(const Line& line, const Heading& heading) {
    in_criterion_ = false;
    if (const auto requirement = parse_requirement_heading(heading.text)) {
      requirement_ = requirement->id;
      requirement_level_ = heading.level;
      title_ = requirement->title;
      BlockHead head;
      head.key = "req_" + requirement_;
      head.type = BlockType::kRequirement;
      head.title = title_;
      head.tags = {"req_" + requirement_};
      head.alone = true;
      writer_.open_section(line, heading, std::move(head));
      story_open_ = true;
      return;
    }
    if (requirement_level_ > 0 && heading.level <= requirement_level_) requirement_level_ = 0;
    const bool criteria = is_criteria_heading(heading.text);
    if (requirement_level_ > 0) {
      if (criteria && story_open_) return writer_.cover(line);
    } else {
      title_ = heading.text;
      counted_.clear();
      if (flat_level_ > 0 && heading.level <= flat_level_) flat_level_ = 0;
      if (flat_level_ == 0 && (criteria || is_requirements_heading(heading.text))) {
        flat_level_ = heading.level;
        title_ = {};
      }
    }
    story_open_ = false;
    BlockHead head = section_head(heading.text);
    head.quiet = criteria || is_requirements_heading(heading.text);
    writer_.open_section(line, heading, std::move(head));
  }

  // A number begins a criterion inside a requirement, in a flat list of requirements, or anywhere if it has two levels
  // and does not just happen to begin a wrapped line.
  bool is_criterion(const Line& line, const Numbered& numbered) const {
    if (in_criterion_ ? line.indent > criterion_indent_ : line.indent > 3) return false;
    if (requirement_level_ > 0) return true;
    if (numbered.number.find('.') == std::string_view::npos) return flat_level_ > 0;
    return in_criterion_ || after_blank_ || !writer_.is_open() || writer_.is_bare();
  }

  void read_criterion(const Line& line, const Numbered& numbered) {
    std::string requirement;
    std::string criterion(numbered.number);
    if (requirement_level_ > 0) {
      requirement = requirement_;
      if (criterion.starts_with(requirement + '.')) {
        criterion.erase(0, requirement.size() + 1);
      } else {
        criterion.erase(0, criterion.find('.') + 1);  // nothing where there is no dot
      }
    } else if (const size_t dot = criterion.find('.'); dot != std::string::npos) {
      requirement = criterion.substr(0, dot);
      criterion.erase(0, dot + 1);
      // In a bugfix.md the section ("Expected Behavior") is the requirement, known by the number of its first
      // criterion.
      if (writer_.is_open() && !in_criterion_ && counted_.empty() && !title_.empty()) {
        BlockHead& head = writer_.head();
        if (head.tags.empty()) {
          head.key = "req_" + requirement;
          head.tags = {"req_" + requirement};
        }
      }
      counted_ = requirement;
    }
    BlockHead head;
    head.key = requirement.empty() ? "ac_" + criterion : "req_" + requirement + "_ac_" + criterion;
    head.type = BlockType::kRequirement;
    head.title = title_;
    if (!requirement.empty()) head.tags.push_back("req_" + requirement);
    head.tags.push_back("ac_" + criterion);
    head.tags.push_back("acceptance_criteria");
    head.pinned = is_binding(line.text.substr(numbered.text_offset));
    writer_.open_item(line, numbered.text_offset, std::move(head));
    in_criterion_ = true;
    story_open_ = false;
    criterion_indent_ = line.indent;
  }

  // `may_begin`: false inside fenced code, which stays with the block it began in.
  void read_text(const Line& line, bool may_begin) {
    if (!writer_.is_open() || (in_criterion_ && may_begin && after_blank_ && line.indent <= criterion_indent_)) {
      in_criterion_ = false;
      BlockHead head = section_head("note");
      head.title = title_;
      return writer_.open_text(line, std::move(head));
    }
    writer_.add(line);
    if (in_criterion_ && !line.code && is_binding(line.text)) writer_.head().pinned = true;
    if (story_open_ && !line.code && is_story(line)) {
      auto& tags = writer_.head().tags;
      if (tags.size() == 1) tags.push_back("user_story");
    }
  }

  LineScanner& lines_;
  BlockWriter& writer_;
  std::string requirement_;    // of the requirement heading we are below
  int requirement_level_ = 0;  // its level; 0 outside
  int flat_level_ = 0;         // of "## Requirements" or "## Acceptance Criteria" whose plain numbers are criteria
  std::string title_;          // what criteria are titled with
  std::string counted_;        // first number of the last criterion of the section, outside requirements
  bool story_open_ = false;    // the open block began with the requirement's heading
  bool in_criterion_ = false;
  uint32_t criterion_indent_ = 0;
  bool after_blank_ = true;
  bool was_code_ = false;
};

}  // namespace

void read_requirements(LineScanner& lines, BlockWriter& writer) { RequirementsReader(lines, writer).read(); }

}  // namespace nearfield
