#include "core/spec/ingest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "core/base/hash.h"
#include "core/spec/links.h"
#include "core/spec/parser.h"

namespace nearfield {
namespace {

std::string hex(uint64_t number) {
  std::string out(16, '0');
  for (size_t i = 0; i < out.size(); ++i) out[i] = "0123456789abcdef"[number >> (60 - 4 * i) & 15];
  return out;
}

// What the "files" collection says of one file.
struct Record {
  std::string hash;
  std::string context;
  std::vector<std::string> ids;
};

std::optional<Record> find_record(const Collection& files, std::string_view source) {
  const std::optional<RowView> row = files.find(source);
  if (!row) return std::nullopt;
  Record record;
  // A record we did not write counts as one of another version: its file is read again.
  if (const Result<Json> payload = parse_json(row->payload, "file record"); payload.ok() && payload->is_object()) {
    if (const auto it = payload->find("hash"); it != payload->end() && it->is_string()) record.hash = *it;
    if (const auto it = payload->find("context"); it != payload->end() && it->is_string()) record.context = *it;
  }
  for (std::string_view left = row->text; !left.empty();) {
    const std::string_view id = left.substr(0, left.find('\n'));
    if (!id.empty()) record.ids.emplace_back(id);
    left.remove_prefix(std::min(left.size(), id.size() + 1));
  }
  return record;
}

// One file of the group on its way into the plan.
struct Planned {
  std::string source;
  ByteView bytes;
  DocumentKind kind = DocumentKind::kMarkdown;
  std::string hash;
  std::string context;
  std::optional<Record> record;
  bool changed = false;
  std::vector<Block> blocks;
};

Status check_source(const std::string& source, std::string_view path) {
  if (source.empty() || source.find('\0') != std::string::npos) {
    return Error{Code::kInvalidArgument, "a file's path must name a file", shown(path)};
  }
  if (source.size() > kMaxIdBytes) {
    return Error{
        Code::kLimitExceeded,
        "a file's path has " + std::to_string(source.size()) + " bytes; at most " + std::to_string(kMaxIdBytes),
        shown(path)};
  }
  return {};
}

// A repair after damage may have lost blocks and kept the record that lists them.
bool has_all(const Collection& blocks, std::span<const std::string> ids) {
  return std::ranges::all_of(ids, [&](const std::string& id) { return blocks.contains(id); });
}

bool has_links(DocumentKind kind) { return kind == DocumentKind::kDesign || kind == DocumentKind::kTasks; }

std::string embedded_text(const Block& block) {
  // A task's title is its first line.
  if (block.title.empty() || block.text.starts_with(block.title)) return block.text;
  return block.title + ". " + block.text;
}

void write_blocks(const Planned& file, const Collection& blocks, const Embedder& embedder, IngestPlan& plan) {
  std::unordered_set<std::string_view> kept;
  for (const Block& block : file.blocks) {
    kept.insert(block.id);
    std::string payload = write_json(block_payload(block));
    const std::optional<RowView> stored = blocks.find(block.id);
    if (stored && stored->text == block.text && stored->payload == payload) continue;
    Point& point = plan.blocks.upserts.emplace_back();
    point.id = block.id;
    point.text = block.text;
    point.payload = std::move(payload);
    point.vector.resize(embedder.dimension());
    embedder.embed(embedded_text(block), point.vector);
    // Without a known word there is no direction to search by.
    if (std::ranges::all_of(point.vector, [](float x) { return x == 0; })) point.vector.clear();
    ++plan.report.blocks_written;
  }
  if (!file.record) return;
  for (const std::string& id : file.record->ids) {
    if (kept.contains(id)) continue;
    plan.report.blocks_removed += blocks.contains(id);
    plan.blocks.deletes.push_back(id);
  }
}

void write_record(const Planned& file, IngestPlan& plan) {
  Point& point = plan.files.upserts.emplace_back();
  point.id = file.source;
  point.text.reserve(file.blocks.size() * 17);
  for (const Block& block : file.blocks) {
    point.text += block.id;
    point.text += '\n';
  }
  const std::string_view text = as_text(file.bytes);
  Json payload = Json::object();
  payload["hash"] = file.hash;
  payload["context"] = file.context;
  payload["bytes"] = file.bytes.size();
  payload["lines"] = std::ranges::count(text, '\n') + (!text.empty() && text.back() != '\n');
  payload["blocks"] = file.blocks.size();
  point.payload = write_json(payload);
}

}  // namespace

Schema spec_blocks_schema(size_t dimension) {
  Schema schema;
  schema.dimension = dimension;
  schema.metric = Metric::kCosine;
  schema.text = TextSchema{{"title", "text"}, true};
  return schema;
}

Schema spec_files_schema() { return Schema{}; }

Result<IngestPlan> plan_index(const Collection& blocks, const Collection& files, std::span<const SourceFile> group,
                              const Embedder& embedder) {
  IngestPlan plan;
  std::vector<Planned> planned;
  std::unordered_map<std::string, size_t> by_source;
  for (const SourceFile& given : group) {
    Planned file;
    file.source = normalise_source(given.path);
    RETURN_IF_ERROR(check_source(file.source, given.path));
    if (!by_source.emplace(file.source, planned.size()).second) continue;
    file.bytes = given.bytes;
    file.kind = document_kind(file.source);
    file.hash = hex(hash64(given.bytes)) + '.' + std::to_string(kParserVersion);
    file.record = find_record(files, file.source);
    file.changed = !file.record || file.record->hash != file.hash || !has_all(blocks, file.record->ids);
    if (file.changed) file.blocks = parse_spec(file.source, as_text(file.bytes));
    plan.report.bytes_read += file.bytes.size();
    planned.push_back(std::move(file));
  }

  for (Planned& file : planned) {
    if (has_links(file.kind)) {
      std::unordered_set<std::string> targets;
      std::string named;
      for (const std::string& target : link_targets(file.source)) {
        std::vector<std::string> ids;
        const auto sibling = by_source.find(target);
        if (sibling != by_source.end() && planned[sibling->second].changed) {
          for (const Block& block : planned[sibling->second].blocks) ids.push_back(block.id);
        } else if (std::optional<Record> record = find_record(files, target)) {
          ids = std::move(record->ids);
        }
        for (std::string& id : ids) {
          named += id;
          targets.insert(std::move(id));
        }
      }
      file.context = hex(hash64(as_bytes(named)));
      if (!file.changed && file.record->context != file.context) {
        file.changed = true;
        file.blocks = parse_spec(file.source, as_text(file.bytes));
      }
      resolve_links(file.blocks, targets);
    }
    if (!file.changed) {
      ++plan.report.files_unchanged;
      continue;
    }
    ++plan.report.files_indexed;
    write_blocks(file, blocks, embedder, plan);
    write_record(file, plan);
  }
  return plan;
}

IngestPlan plan_removal(const Collection& blocks, const Collection& files, std::span<const std::string> present) {
  IngestPlan plan;
  std::unordered_set<std::string> kept;
  for (const std::string& path : present) kept.insert(normalise_source(path));
  files.matching(nullptr).for_each([&](RowId row) {
    const std::string source(files.row(row).id);
    if (kept.contains(source)) return;
    const std::optional<Record> record = find_record(files, source);
    for (const std::string& id : record->ids) {
      plan.report.blocks_removed += blocks.contains(id);
      plan.blocks.deletes.push_back(id);
    }
    plan.files.deletes.push_back(source);
    ++plan.report.files_removed;
  });
  return plan;
}

}  // namespace nearfield
