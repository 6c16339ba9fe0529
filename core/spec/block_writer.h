// BlockWriter: gathers the lines of one document into blocks.
//
// A reader of one kind of document walks its lines and says where a block opens; the writer keeps the line ranges, cuts
// the text, splits what is too long, and makes keys unique. Every non-blank line must be handed to exactly one call;
// then the ranges cover them all, ascend, and do not overlap. (Parts of one line that is too long share that line.)
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/spec/block.h"
#include "core/spec/markdown.h"

namespace nearfield {

// A section over kSplitSectionBytes is cut into parts of about kPartBytes at paragraphs, list items and fences; no text
// is longer than kMaxBlockBytes, whatever it takes. Bytes, not characters: the embedder reads 512 tokens, and Japanese
// has about as many tokens a byte as English.
inline constexpr size_t kPartBytes = 1500;
inline constexpr size_t kSplitSectionBytes = 2000;
inline constexpr size_t kMaxBlockBytes = 6000;
// Beyond so many blocks a file's structure is no longer read and the rest becomes parts of one long block, so that a
// hostile file costs a bounded multiple of its size.
inline constexpr size_t kMaxStructuredBlocks = 100'000;
inline constexpr size_t kMaxLinksPerBlock = 256;

// What a reader knows of a block when it opens.
struct BlockHead {
  std::string key;  // made unique by the writer
  BlockType type = BlockType::kMarkdown;
  std::string title;
  std::vector<std::string> tags;
  std::string status = "active";
  bool pinned = false;
  // Section headings only. Quiet: the words are no text (headings every document has). Alone: a requirement, which is
  // never joined with the headings around it, except quiet ones above.
  bool quiet = false;
  bool alone = false;
};

// The block a writer is at, before its text is cut.
struct OpenBlock {
  BlockHead head;
  int level = 0;        // of the heading, 0 without one
  std::string heading;  // the words of the heading, the text of a block that has nothing else
  std::string prefix;   // the words of the headings that joined this one
  bool item = false;
  bool has_body = false;
  uint32_t first_line = 0;
  uint32_t last_line = 0;
  uint32_t body_line = 0;  // the line of body_begin
  size_t body_begin = 0;
  size_t body_end = 0;
  std::vector<std::string> links;
  std::set<std::string> linked;
};

class BlockWriter {
 public:
  // Views of `document` and the strings must outlive the writer.
  BlockWriter(std::string_view document, std::string source, std::string feature)
      : document_(document), source_(std::move(source)), feature_(std::move(feature)) {}

  // Starts the section below a heading. A heading with nothing below it but a deeper one joins that one's block: its
  // words then begin the block's text.
  void open_section(const Line& line, const Heading& heading, BlockHead head);
  // Starts a block without a heading; its text begins `text_offset` bytes into the line, and the indentation all
  // further lines share is removed.
  void open_item(const Line& line, size_t text_offset, BlockHead head);
  // Starts a section without a heading.
  void open_text(const Line& line, BlockHead head);

  // One more line of the open block. REQUIRES: is_open().
  void add(const Line& line);
  // As add, but the line is no part of the text unless text follows.
  void cover(const Line& line);
  // A thematic break: belongs to the open section, or after an item to the block that opens next.
  void add_break(const Line& line);

  // Ends the open block, if there is one; the next line must open another.
  void close();

  bool is_open() const { return open_.has_value(); }
  // True while the open block is a heading without text.
  bool is_bare() const { return open_ && open_->level > 0 && !open_->has_body; }
  // The open block, to be completed by what its lines say. REQUIRES: is_open().
  BlockHead& head() { return open_->head; }
  // Adds a link target ("req:1.2") to the open block, once. REQUIRES: is_open().
  void link(std::string target);

  std::vector<Block> finish();

 private:
  bool is_full() const { return blocks_.size() >= kMaxStructuredBlocks; }
  OpenBlock& open(const Line& line, BlockHead head);
  void emit(const std::string& key, std::string text, uint32_t first_line, uint32_t last_line);
  std::string unique_key(std::string key);

  std::string_view document_;
  std::string source_;
  std::string feature_;
  std::optional<OpenBlock> open_;
  std::optional<uint32_t> waiting_break_;  // line of a break that waits for the next block
  uint32_t waiting_break_end_ = 0;
  std::unordered_map<std::string, uint32_t> key_uses_;
  std::vector<Block> blocks_;
};

// A key part made of a title: ASCII letters in lower case, digits, other characters kept, runs of anything else one
// '_'; at most 96 bytes.
std::string slug(std::string_view title);

}  // namespace nearfield
