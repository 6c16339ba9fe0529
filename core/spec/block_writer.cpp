#include "core/spec/block_writer.h"

#include <algorithm>
#include <cassert>

#include "core/base/utf8.h"

namespace nearfield {
namespace {

struct Part {
  size_t begin = 0;
  size_t end = 0;  // after the last non-blank line
  uint32_t first_line = 0;
  uint32_t last_line = 0;

  size_t size() const { return end - begin; }
};

// A tail shorter than this stays with the part before it.
constexpr size_t kShortTailBytes = 300;

// Cuts document[begin, end), whose first byte is on line `first_line`, into parts: at good places once a part has
// `wanted` bytes, anywhere before it has more than kMaxBlockBytes.
std::vector<Part> split(std::string_view document, size_t begin, size_t end, uint32_t first_line, size_t wanted) {
  std::vector<Part> parts;
  Part part;
  bool is_empty = true;
  const auto finish_part = [&] {
    if (!is_empty) parts.push_back(part);
    is_empty = true;
  };
  LineScanner lines(document.substr(0, end), begin, first_line);
  Line line;
  bool after_gap = true;  // the line before was blank or in other code than this one
  bool was_code = false;
  while (lines.next(line)) {
    if (line.blank) {
      after_gap = after_gap || !line.code;
      continue;
    }
    const bool in_code = line.code && was_code;
    const bool good_place =
        !in_code && (after_gap || line.code != was_code || (line.indent == 0 && is_list_item(line)));
    after_gap = false;
    was_code = line.code;
    if (!is_empty && ((good_place && part.size() >= wanted) || line.end - part.begin > kMaxBlockBytes)) finish_part();

    size_t from = line.begin;
    while (line.end - from > kMaxBlockBytes) {
      const size_t cut = cut_utf8(document.substr(from, line.end - from), kMaxBlockBytes).size();
      parts.push_back({from, from + cut, line.number, line.number});
      from += cut;
    }
    if (is_empty) {
      part = {from, line.end, line.number, line.number};
      is_empty = false;
    } else {
      part.end = line.end;
      part.last_line = line.number;
    }
  }
  finish_part();
  if (parts.size() > 1) {
    Part& before = parts[parts.size() - 2];
    const Part& tail = parts.back();
    if (tail.size() < kShortTailBytes && tail.end - before.begin <= kMaxBlockBytes) {
      before.end = tail.end;
      before.last_line = tail.last_line;
      parts.pop_back();
    }
  }
  return parts;
}

// How many bytes of white space every non-blank line after the first begins with.
size_t shared_indentation(std::string_view text) {
  size_t shared = std::string_view::npos;
  LineScanner lines(text);
  Line line;
  lines.next(line);
  while (shared > 0 && lines.next(line)) {
    if (!line.blank) shared = std::min(shared, line.text.size() - line.content().size());
  }
  return shared == std::string_view::npos ? 0 : shared;
}

// Carriage returns before newlines go, and so do `indentation` bytes of white space at each line after the first.
std::string clean(std::string_view text, size_t indentation) {
  if (indentation == 0 && text.find('\r') == std::string_view::npos) return to_utf8(text);
  std::string out;
  out.reserve(text.size());
  LineScanner lines(text);
  Line line;
  while (lines.next(line)) {
    std::string_view kept = line.text;
    if (line.number > 1) {
      out += '\n';
      kept.remove_prefix(std::min(indentation, kept.size() - line.content().size()));
    }
    out += kept;
  }
  return is_utf8(out) ? out : to_utf8(out);
}

}  // namespace

std::string slug(std::string_view title) {
  std::string out;
  bool gap = false;
  for (const char c : cut_utf8(title, 96)) {
    const bool kept = static_cast<unsigned char>(c) >= 0x80 || (is_word(c) && c != '_');
    if (kept) {
      if (gap && !out.empty()) out += '_';
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
    gap = !kept;
  }
  return out.empty() ? "untitled" : to_utf8(out);
}

OpenBlock& BlockWriter::open(const Line& line, BlockHead head) {
  close();
  OpenBlock& open = open_.emplace();
  open.head = std::move(head);
  open.first_line = waiting_break_.value_or(line.number);
  open.last_line = line.number;
  waiting_break_.reset();
  return open;
}

void BlockWriter::open_section(const Line& line, const Heading& heading, BlockHead head) {
  if (is_full() && is_open()) return add(line);
  std::optional<uint32_t> first_line;
  std::string prefix;
  if (is_bare() && open_->level < heading.level && !open_->head.alone && (open_->head.quiet || !head.alone)) {
    first_line = open_->first_line;
    prefix = std::move(open_->prefix);
    if (!open_->head.quiet) {
      if (!prefix.empty()) prefix += '\n';
      prefix += open_->heading;
    }
    open_.reset();
  }
  OpenBlock& opened = open(line, std::move(head));
  if (first_line) opened.first_line = *first_line;
  opened.level = heading.level;
  opened.heading = heading.text;
  opened.prefix = std::move(prefix);
}

void BlockWriter::open_item(const Line& line, size_t text_offset, BlockHead head) {
  if (is_full() && is_open()) return add(line);
  OpenBlock& opened = open(line, std::move(head));
  opened.item = true;
  opened.has_body = true;
  opened.body_line = line.number;
  // Without a text of its own a block shows the whole line.
  opened.body_begin = text_offset < line.text.size() ? line.begin + text_offset : line.end - line.content().size();
  opened.body_end = line.end;
}

void BlockWriter::open_text(const Line& line, BlockHead head) {
  if (is_full() && is_open()) return add(line);
  open(line, std::move(head));
  add(line);
}

void BlockWriter::add(const Line& line) {
  assert(is_open());
  waiting_break_.reset();
  if (!open_->has_body) {
    open_->has_body = true;
    open_->body_begin = line.begin;
    open_->body_line = line.number;
  }
  open_->body_end = line.end;
  open_->last_line = line.number;
}

void BlockWriter::cover(const Line& line) {
  assert(is_open());
  waiting_break_.reset();
  open_->last_line = line.number;
}

void BlockWriter::add_break(const Line& line) {
  if (is_open() && !open_->item) return cover(line);
  if (!waiting_break_) waiting_break_ = line.number;
  waiting_break_end_ = line.number;
}

void BlockWriter::link(std::string target) {
  assert(is_open());
  if (open_->links.size() >= kMaxLinksPerBlock || !open_->linked.insert(target).second) return;
  open_->links.push_back(std::move(target));
}

std::string BlockWriter::unique_key(std::string key) {
  // Slugs hold no '~', so a numbered key is nobody's plain key.
  const uint32_t uses = ++key_uses_[key];
  if (uses > 1) key += '~' + std::to_string(uses);
  return key;
}

void BlockWriter::emit(const std::string& key, std::string text, uint32_t first_line, uint32_t last_line) {
  Block& block = blocks_.emplace_back();
  block.id = block_id(source_, key);
  block.key = key;
  block.type = open_->head.type;
  block.title = open_->head.title;
  block.text = std::move(text);
  block.source = source_;
  block.first_line = first_line;
  block.last_line = last_line;
  block.feature = feature_;
  block.status = open_->head.status;
  block.tags = open_->head.tags;
  block.links = open_->links;
  block.pinned = open_->head.pinned;
}

void BlockWriter::close() {
  if (!open_) return;
  OpenBlock& open = *open_;
  open.head.title = to_utf8(open.head.title);
  for (std::string& tag : open.head.tags) tag = to_utf8(tag);
  open.heading = to_utf8(open.heading);
  open.prefix = to_utf8(open.prefix);
  const std::string key = unique_key(to_utf8(open.head.key));
  const size_t body_size = open.has_body ? open.body_end - open.body_begin : 0;
  const size_t limit = open.item ? kMaxBlockBytes : kSplitSectionBytes;
  if (!open.has_body) {
    std::string text = open.prefix.empty() ? open.heading : open.prefix + '\n' + open.heading;
    emit(key, std::move(text), open.first_line, open.last_line);
  } else if (body_size <= limit) {
    const std::string_view body = document_.substr(open.body_begin, body_size);
    std::string text = clean(body, open.item ? shared_indentation(body) : 0);
    if (!open.prefix.empty()) text = open.prefix + "\n\n" + text;
    emit(key, std::move(text), open.first_line, open.last_line);
  } else {
    const size_t wanted = open.item ? kMaxBlockBytes : kPartBytes;
    const std::vector<Part> parts = split(document_, open.body_begin, open.body_end, open.body_line, wanted);
    for (size_t i = 0; i < parts.size(); ++i) {
      std::string text = clean(document_.substr(parts[i].begin, parts[i].size()), 0);
      if (i == 0 && !open.prefix.empty()) text = open.prefix + "\n\n" + text;
      emit(i == 0 ? key : key + '/' + std::to_string(i + 1), std::move(text),
           i == 0 ? open.first_line : parts[i].first_line, i + 1 == parts.size() ? open.last_line : parts[i].last_line);
    }
  }
  open_.reset();
}

std::vector<Block> BlockWriter::finish() {
  close();
  if (waiting_break_) {
    if (blocks_.empty()) {
      // A document of breaks alone.
      OpenBlock& open = open_.emplace();
      open.head.key = "break";
      open.heading = "---";
      open.first_line = *waiting_break_;
      open.last_line = waiting_break_end_;
      close();
    } else {
      blocks_.back().last_line = waiting_break_end_;
    }
    waiting_break_.reset();
  }
  return std::move(blocks_);
}

}  // namespace nearfield
