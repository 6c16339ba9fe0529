// The bundled embedder, and spec documents.
#include <utility>

#include "wasm/engine.h"
#include "wasm/marshal.h"

namespace nearfield {

namespace {

// Times the greatest dimension and four bytes this stays below what wasm32 can address.
constexpr size_t kMaxEmbeddedTexts = 100'000;

constexpr const char* kBlocks = "blocks";
constexpr const char* kFiles = "files";

}  // namespace

Engine::Answer Engine::load_embedder(Message& message) {
  ASSIGN_OR_RETURN(const size_t vocabulary_bytes, size_option(message.options, "vocabularyBytes"));
  const ByteView vocabulary = message.binary.get_bytes(vocabulary_bytes);
  const ByteView table = message.binary.get_bytes(message.binary.remaining());
  if (!message.binary.ok()) return Error{Code::kFormatError, "the vocabulary is cut short", ""};
  ASSIGN_OR_RETURN(embedder_, Embedder::load(as_text(vocabulary), table));
  return JsonText().open('{').key("dimension").integer(embedder_->dimension()).close('}').take();
}

Engine::Answer Engine::embed(Message& message) {
  if (embedder_ == nullptr) return Error{Code::kUnsupported, "the embedder is not loaded", ""};
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, read_strings(message.binary));
  const size_t dimension = embedder_->dimension();
  if (texts.size() > kMaxEmbeddedTexts) {
    return Error{Code::kLimitExceeded,
                 "embed: " + std::to_string(texts.size()) + " texts in one call; at most " +
                     std::to_string(kMaxEmbeddedTexts) + " are allowed",
                 shown(static_cast<int64_t>(texts.size()))};
  }
  floats_.resize(texts.size() * dimension);
  for (size_t i = 0; i < texts.size(); ++i) {
    embedder_->embed(texts[i], std::span(floats_).subspan(i * dimension, dimension));
  }
  JsonText out;
  out.open('{').key("dimension").integer(dimension).key("vectors").place(floats_.data(), floats_.size());
  return out.close('}').take();
}

Result<std::pair<const Collection*, const Collection*>> Engine::specs() const {
  RETURN_IF_ERROR(require_database());
  const Collection* blocks = database_->find(kBlocks);
  const Collection* files = database_->find(kFiles);
  if (blocks == nullptr || files == nullptr) {
    return Error{Code::kNotFound, "no specs were indexed into this database", ""};
  }
  if (blocks->on_demand() || files->on_demand()) {
    return Error{Code::kSchemaMismatch, "specs are kept in memory; these collections keep parts of them on demand", ""};
  }
  return std::pair(blocks, files);
}

Engine::Answer Engine::open_specs(Message&) {
  RETURN_IF_ERROR(require_database());
  return start(run_open_specs());
}

Task<Engine::Answer> Engine::run_open_specs() {
  if (embedder_ != nullptr) {
    Schema schema = spec_blocks_schema(embedder_->dimension());
    CO_RETURN_IF_ERROR(co_await database_->collection(kBlocks, std::move(schema)));
    CO_RETURN_IF_ERROR(co_await database_->collection(kFiles, spec_files_schema()));
  }
  co_return JsonText().open('{').key("ready").boolean(specs().ok()).close('}').take();
}

Engine::Answer Engine::index_files(Message& message) {
  if (embedder_ == nullptr) return Error{Code::kUnsupported, "the embedder is not loaded", ""};
  RETURN_IF_ERROR(require_database());
  const auto files = message.options.find("files");
  if (files == message.options.end() || !files->is_array()) {
    return Error{Code::kInvalidArgument, "files must be an array", ""};
  }
  std::vector<std::string> paths;
  std::vector<Bytes> contents;
  for (const Json& file : *files) {
    ASSIGN_OR_RETURN(std::string path, string_option(file, "path"));
    ASSIGN_OR_RETURN(const uint64_t length, whole_option(file, "bytes"));
    const ByteView bytes = message.binary.get_bytes(length);
    if (!message.binary.ok()) return Error{Code::kFormatError, "message from JavaScript: a file is cut short", ""};
    paths.push_back(std::move(path));
    contents.emplace_back(bytes.begin(), bytes.end());
  }
  return start(run_index_files(std::move(paths), std::move(contents), durability_option(message.options)));
}

Task<Engine::Answer> Engine::run_index_files(std::vector<std::string> paths, std::vector<Bytes> contents,
                                             Durability durability) {
  const auto plan = [&]() -> Result<IngestPlan> {
    ASSIGN_OR_RETURN(const auto targets, specs());
    const auto& [blocks, files] = targets;
    if (blocks->schema().dimension != embedder_->dimension()) {
      return Error{Code::kSchemaMismatch,
                   "these specs were indexed with " + std::to_string(blocks->schema().dimension) +
                       " dimensions, the embedder has " + std::to_string(embedder_->dimension()) +
                       "; index them into a new database",
                   shown(static_cast<int64_t>(embedder_->dimension()))};
    }
    std::vector<SourceFile> group;
    for (size_t i = 0; i < paths.size(); ++i) group.push_back({paths[i], contents[i]});
    ASSIGN_OR_RETURN(IngestPlan made, plan_index(*blocks, *files, group, *embedder_));
    // The plan holds copies of all it needs; the write may take much memory of its own.
    contents = {};
    return made;
  };
  co_return co_await run_plan(plan, durability);
}

Engine::Answer Engine::remove_missing(Message& message) {
  RETURN_IF_ERROR(require_database());
  ASSIGN_OR_RETURN(std::vector<std::string> present, read_strings(message.binary));
  return start(run_remove_missing(std::move(present), durability_option(message.options)));
}

Task<Engine::Answer> Engine::run_remove_missing(std::vector<std::string> present, Durability durability) {
  const auto plan = [&]() -> Result<IngestPlan> {
    ASSIGN_OR_RETURN(const auto targets, specs());
    return plan_removal(*targets.first, *targets.second, present);
  };
  co_return co_await run_plan(plan, durability);
}

template <typename MakePlan>
Task<Engine::Answer> Engine::run_plan(MakePlan make_plan, Durability durability) {
  IngestReport report;
  const Database::Plan plan = [&]() -> Task<Result<std::vector<CollectionBatch>>> {
    CO_ASSIGN_OR_RETURN(IngestPlan made, make_plan());
    report = made.report;
    std::vector<CollectionBatch> batches;
    batches.push_back({kBlocks, std::move(made.blocks)});
    batches.push_back({kFiles, std::move(made.files)});
    co_return batches;
  };
  CO_RETURN_IF_ERROR(co_await database_->write_planned(plan, durability));
  JsonText out;
  out.open('{').key("filesIndexed").integer(report.files_indexed);
  out.key("filesUnchanged").integer(report.files_unchanged).key("filesRemoved").integer(report.files_removed);
  out.key("blocksWritten").integer(report.blocks_written).key("blocksRemoved").integer(report.blocks_removed);
  co_return out.key("bytesRead").integer(report.bytes_read).close('}').take();
}

}  // namespace nearfield
