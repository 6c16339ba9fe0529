#include "core/spec/block.h"

#include <nlohmann/json.hpp>

#include "core/base/hash.h"

namespace nearfield {

std::string_view block_type_name(BlockType type) {
  switch (type) {
    case BlockType::kRequirement: return "requirement";
    case BlockType::kDesign: return "design";
    case BlockType::kTask: return "task";
    case BlockType::kDecision: return "decision";
    case BlockType::kKnowledge: return "knowledge";
    case BlockType::kMarkdown: return "md";
  }
  return "";
}

std::string block_id(std::string_view source, std::string_view key) {
  std::string named;
  named.reserve(source.size() + 1 + key.size());
  named += source;
  named += '\0';
  named += key;
  const uint64_t hash = hash64(as_bytes(named));
  std::string id(16, '0');
  for (size_t i = 0; i < id.size(); ++i) id[i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
  return id;
}

Json block_payload(const Block& block) {
  Json payload = Json::object();
  payload["type"] = block_type_name(block.type);
  payload["source"] = block.source;
  payload["lines"] = {block.first_line, block.last_line};
  payload["title"] = block.title;
  payload["feature"] = block.feature;
  payload["status"] = block.status;
  payload["tags"] = block.tags;
  payload["links"] = block.links;
  payload["pinned"] = block.pinned;
  return payload;
}

}  // namespace nearfield
