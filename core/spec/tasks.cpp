#include "core/spec/links.h"
#include "core/spec/readers.h"

namespace nearfield {
namespace {

struct Task {
  std::string_view status;
  bool optional = false;
  std::string_view number;  // "2", "2.1", "7.3.5a"; empty without
  size_t text_offset = 0;   // in the line
};

// "- [ ] 1. text", "* [x] 2.1 text", "  - [-]* 2.1.1 text", "1. [X] text", "- [ ] 2.2* text".
std::optional<Task> parse_task(const Line& line) {
  if (line.code || !is_list_item(line)) return std::nullopt;
  const std::string_view text = line.text;
  size_t at = text.find('[');
  const size_t content = text.size() - line.content().size();
  if (at == std::string_view::npos || text.size() - at < 4 || text[at + 2] != ']') return std::nullopt;
  // Between the indentation and the box there is the list marker alone.
  if (text.substr(content, at - content).find_first_not_of("-*+.) 0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  Task task;
  switch (text[at + 1]) {
    case ' ': task.status = "todo"; break;
    case 'x':
    case 'X': task.status = "done"; break;
    case '-':
    case '~':
    case '/': task.status = "in_progress"; break;
    default: return std::nullopt;
  }
  at += 3;
  if (text[at] == '*') {
    task.optional = true;
    ++at;
  }
  if (at < text.size() && !is_space(text[at])) return std::nullopt;
  const auto skip_space = [&](size_t from) {
    while (from < text.size() && is_space(text[from])) ++from;
    return from;
  };
  at = skip_space(at);
  task.text_offset = at;

  size_t length = number_at(text, at);
  if (length == 0 || length > 24) return task;
  const bool dotted = text.substr(at, length).find('.') != std::string_view::npos;
  // "7.3.5a", but not "3D".
  if (dotted && at + length < text.size() && text[at + length] >= 'a' && text[at + length] <= 'z') ++length;
  size_t end = at + length;
  const bool starred = end < text.size() && text[end] == '*';  // "8.4* text"
  if (starred) ++end;
  const bool marked = end < text.size() && (text[end] == '.' || text[end] == ')' || text[end] == ':');
  if (marked) ++end;
  if (end < text.size() && !is_space(text[end])) return task;
  const size_t next = skip_space(end);
  // "- [ ] 100 users can sign in" has no number.
  if (!dotted && !marked && (next == text.size() || (text[next] >= 'a' && text[next] <= 'z'))) return task;
  task.optional = task.optional || starred;
  task.number = text.substr(at, length);
  task.text_offset = next;
  return task;
}

}  // namespace

void read_tasks(LineScanner& lines, BlockWriter& writer) {
  ReferenceReader references;
  std::string section;  // the last heading
  bool in_task = false;
  uint32_t task_indent = 0;
  bool after_blank = true;
  bool was_code = false;
  Line line;
  while (lines.next(line)) {
    if (line.blank) {
      after_blank = true;
      continue;
    }
    BlockHead head;
    head.type = BlockType::kTask;
    if (const auto heading = parse_heading(line)) {
      section = heading->text;
      in_task = false;
      head.title = section;
      head.key = "tasks_" + slug(section);
      writer.open_section(line, *heading, std::move(head));
    } else if (const auto task = parse_task(line)) {
      const std::string_view text = trimmed(line.text.substr(task->text_offset));
      head.title = cut_utf8(text, kMaxTitleBytes);
      head.status = task->status;
      if (task->number.empty()) {
        head.key = "task_" + slug(text);
      } else {
        head.key = "task_" + std::string(task->number);
        head.tags.push_back(head.key);
      }
      if (task->optional) head.tags.push_back("optional");
      writer.open_item(line, task->text_offset, std::move(head));
      in_task = true;
      task_indent = line.indent;
    } else if (is_thematic_break(line)) {
      writer.add_break(line);
      after_blank = true;
      continue;
    } else {
      const bool may_begin = !line.code || !was_code;
      if (!writer.is_open() || (in_task && may_begin && after_blank && line.indent <= task_indent)) {
        in_task = false;
        head.title = section;
        head.key = section.empty() ? "tasks_preamble" : "tasks_" + slug(section);
        writer.open_text(line, std::move(head));
      } else {
        writer.add(line);
      }
      references.read(line, writer);
    }
    after_blank = false;
    was_code = line.code;
  }
}

}  // namespace nearfield
