#include "core/spec/parser.h"

#include <algorithm>

#include "core/base/utf8.h"
#include "core/spec/block_writer.h"
#include "core/spec/markdown.h"
#include "core/spec/readers.h"

namespace nearfield {
namespace {

constexpr uint32_t kMaxFrontMatterLines = 1000;

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::string_view file_name(std::string_view source) { return source.substr(source.rfind('/') + 1); }

struct FrontMatter {
  size_t end = 0;  // of the closing line, 0 where there is none
  uint32_t last_line = 0;
  std::string_view inclusion;  // the first word of "inclusion:", empty where it is not said
};

FrontMatter find_front_matter(std::string_view text) {
  FrontMatter found;
  LineScanner lines(text);
  Line line;
  if (!lines.next(line) || trimmed(line.text) != "---") return {};
  while (lines.next(line) && line.number <= kMaxFrontMatterLines) {
    if (line.indent == 0 && (trimmed(line.text) == "---" || trimmed(line.text) == "...")) {
      found.end = line.end;
      found.last_line = line.number;
      return found;
    }
    constexpr std::string_view kInclusion = "inclusion:";
    if (starts_with_caseless(line.text, kInclusion)) {
      const std::string_view value = trimmed(line.text.substr(kInclusion.size()));
      const size_t begin = std::min(value.find_first_not_of("\"'"), value.size());
      found.inclusion = value.substr(begin, value.find_first_of("\"' ", begin) - begin);
    }
  }
  return {};
}

// The front matter becomes one block; answers a scanner for what follows.
LineScanner read_front_matter(std::string_view text, const FrontMatter& front, BlockWriter& writer,
                              const BlockHead& head) {
  const size_t unclosed = find_unclosed_fence(text);
  if (front.end == 0) return LineScanner(text, 0, 1, unclosed);
  LineScanner lines(text.substr(0, front.end));
  Line line;
  while (lines.next(line)) {
    if (line.blank) continue;
    if (line.number == 1 || line.number == front.last_line) {
      writer.add_break(line);
    } else if (writer.is_open()) {
      writer.add(line);
    } else {
      writer.open_text(line, head);
    }
  }
  writer.close();
  const size_t newline = text.find('\n', front.end);
  return LineScanner(text, newline == std::string_view::npos ? text.size() : newline + 1, front.last_line + 1,
                     unclosed);
}

}  // namespace

std::string normalise_source(std::string_view path) {
  std::string out;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find_first_of("/\\", at), path.size());
    const std::string_view name = path.substr(at, end - at);
    at = end + 1;
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      const size_t slash = out.rfind('/');
      out.resize(slash == std::string::npos ? 0 : slash);
      continue;
    }
    if (!out.empty()) out += '/';
    out += name;
  }
  return to_utf8(out);
}

DocumentKind document_kind(std::string_view source) {
  const std::string path = '/' + lowered(source);
  const std::string_view name = file_name(path);
  constexpr std::string_view kFolders[] = {"/steering/", "/.cursor/rules/", "/.github/instructions/"};
  constexpr std::string_view kNames[] = {"agents.md",   "agent.md", "claude.md", "gemini.md",
                                         "opencode.md", "qwen.md",  "power.md",  "copilot-instructions.md",
                                         "skill.md"};
  const bool steering =
      std::ranges::any_of(kFolders, [&](std::string_view f) { return path.find(f) != std::string::npos; }) ||
      std::ranges::find(kNames, name) != std::end(kNames);
  if (steering) return DocumentKind::kSteering;
  if (name == "requirements.md" || name == "bugfix.md") return DocumentKind::kRequirements;
  if (name == "design.md") return DocumentKind::kDesign;
  if (name == "tasks.md") return DocumentKind::kTasks;
  return DocumentKind::kMarkdown;
}

std::string feature_of(std::string_view source) {
  const size_t slash = source.rfind('/');
  if (slash == std::string_view::npos) return {};
  const std::string_view folder = source.substr(0, slash + 1);
  constexpr std::string_view kSpecs = ".kiro/specs/";
  size_t begin = folder.rfind(kSpecs);
  if (begin != std::string_view::npos && (begin == 0 || folder[begin - 1] == '/')) {
    begin += kSpecs.size();
  } else {
    const DocumentKind kind = document_kind(source);
    if (kind == DocumentKind::kSteering || kind == DocumentKind::kMarkdown) return {};
    begin = folder.starts_with("specs/") ? std::string_view("specs/").size() : 0;
  }
  return begin < slash ? std::string(source.substr(begin, slash - begin)) : std::string();
}

std::vector<Block> parse_spec(std::string_view path, std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::string source = normalise_source(path);
  const DocumentKind kind = document_kind(source);
  const FrontMatter front = find_front_matter(text);
  BlockWriter writer(text, source, feature_of(source));
  BlockHead head;
  std::string_view prefix;
  switch (kind) {
    case DocumentKind::kRequirements:
      prefix = "requirement";
      head.type = BlockType::kRequirement;
      break;
    case DocumentKind::kDesign:
      prefix = "design";
      head.type = BlockType::kDesign;
      break;
    case DocumentKind::kTasks:
      prefix = "tasks";
      head.type = BlockType::kTask;
      break;
    case DocumentKind::kSteering:
      prefix = "knowledge";
      head.type = BlockType::kKnowledge;
      head.pinned =
          (front.inclusion.empty() || lowered(front.inclusion) == "always") && lowered(file_name(source)) != "skill.md";
      break;
    case DocumentKind::kMarkdown: prefix = "md"; break;
  }
  head.key = std::string(prefix) + "_front_matter";
  LineScanner lines = read_front_matter(text, front, writer, head);
  switch (kind) {
    case DocumentKind::kRequirements: read_requirements(lines, writer); break;
    case DocumentKind::kDesign: read_design(lines, writer); break;
    case DocumentKind::kTasks: read_tasks(lines, writer); break;
    case DocumentKind::kSteering:
    case DocumentKind::kMarkdown: read_sections(lines, writer, head.type, prefix, head.pinned); break;
  }
  return writer.finish();
}

}  // namespace nearfield
