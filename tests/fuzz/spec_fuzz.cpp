// The parser of spec documents on any bytes: it never fails, loses no line, and names every block once.
//
// scripts/fuzz builds and runs it, from the real documents of the demo, and says how to replay a finding. Mend it
// with its text in tests/core/spec/parser_test.cpp. The first byte picks the kind of document, the rest is its text.

#include <cstdlib>
#include <set>

#include "core/base/utf8.h"
#include "core/spec/parser.h"

using namespace nearfield;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr std::string_view kPaths[] = {".kiro/specs/a/requirements.md", ".kiro/specs/a/bugfix.md",
                                         ".kiro/specs/a/design.md",       ".kiro/specs/a/tasks.md",
                                         ".kiro/steering/product.md",     "README.md"};
  if (size == 0) return 0;
  const std::string_view text = as_text({data + 1, size - 1});
  std::vector<Block> blocks = parse_spec(kPaths[data[0] % std::size(kPaths)], text);

  std::set<std::string> ids;
  uint32_t last = 0;
  for (const Block& block : blocks) {
    require(ids.insert(block.id).second);
    require(!block.text.empty() && is_utf8(block.text) && is_utf8(block.title) && is_utf8(block.key));
    require(block.first_line <= block.last_line);
    require(block.first_line > last || (block.first_line == last && block.key.find('/') != std::string::npos));
    last = block.last_line;
  }

  uint32_t number = 0;
  auto block = blocks.begin();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (at == 0 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    at = end + 1;
    ++number;
    if (is_blank(line)) continue;
    while (block != blocks.end() && block->last_line < number) ++block;
    require(block != blocks.end() && block->first_line <= number);
  }
  resolve_links(blocks);
  return 0;
}
