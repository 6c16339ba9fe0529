// Ingest: what indexing files changes, as batches for two collections.
//
// "blocks" holds one point a block: its id, the embedding of its title and text, its text, its payload (block_payload).
// "files" holds one point a file, without a vector: the id is its source, the text the ids of its blocks, one a line,
// and the payload { hash, context, bytes, lines, blocks }. A file is read again when its bytes, the parser, or the
// blocks its links can name have changed, and when one of its blocks is missing.
//
// Nothing is changed here: the caller applies both batches of a plan together.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/status.h"
#include "core/collection/collection.h"
#include "core/collection/schema.h"
#include "core/text/embedder.h"

namespace nearfield {

// Cosine, BM25 over title and text. REQUIRES of both: the dimension is the embedder's.
Schema spec_blocks_schema(size_t dimension);
Schema spec_files_schema();

struct SourceFile {
  std::string_view path;  // relative to the indexed folder; any spelling normalise_source understands
  ByteView bytes;
};

struct IngestReport {
  size_t files_indexed = 0;
  size_t files_unchanged = 0;
  size_t files_removed = 0;
  size_t blocks_written = 0;  // new or different; a block that stays as it was is not written again
  size_t blocks_removed = 0;
  size_t bytes_read = 0;
};

struct IngestPlan {
  Batch blocks;
  Batch files;
  IngestReport report;
};

// Brings `blocks` and `files` up to date with `group`. Files outside the group stay as they are. The links of a feature
// are right when its files come in one group, or its requirements in an earlier one. Of two paths that mean the same
// file the first counts.
// Fails with kInvalidArgument or kLimitExceeded, naming it, on a path that cannot be an id.
Result<IngestPlan> plan_index(const Collection& blocks, const Collection& files, std::span<const SourceFile> group,
                              const Embedder& embedder);

// Removes every file that is not `present` (paths as in SourceFile), with its blocks.
IngestPlan plan_removal(const Collection& blocks, const Collection& files, std::span<const std::string> present);

}  // namespace nearfield
