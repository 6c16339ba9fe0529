#include "core/index/make_index.h"

#include <algorithm>
#include <string>

#include "core/index/code_scan.h"

namespace nearfield {

namespace {

// Beyond it a graph finds hardly more, and slowly.
constexpr size_t kMostEf = 2'000;

// Of means and ranges, which is what codes learn.
constexpr size_t kSampleRows = 4'096;

IvfOptions ivf_options(const IndexOptions& options) {
  return {options.kind, options.code, options.partitions, options.sub_vectors, options.hnsw.seed};
}

// Null: the vectors in memory are compared themselves.
std::unique_ptr<VectorIndex> with_code(const IndexOptions& options, const IndexPlace& place,
                                       std::unique_ptr<const VectorCode> code) {
  if (options.kind == IndexKind::kFlat) return std::make_unique<CodeScan>(std::move(code));
  if (code == nullptr) return std::make_unique<Hnsw>(*place.vectors, place.metric, options.hnsw);
  return std::make_unique<Hnsw>(std::move(code), options.hnsw);
}

}  // namespace

Status check_code(IndexKind kind, CodeKind code, Metric metric, std::string_view what) {
  const std::string name(code_kind_name(code));
  const auto refused = [&](const std::string& why) {
    return Error{Code::kUnsupported, std::string(what) + ": " + name + " " + why, shown(name)};
  };
  const bool rotates = code == CodeKind::kRq8 || code == CodeKind::kRq4 || code == CodeKind::kRaBitQ;
  if (rotates && metric == Metric::kManhattan) {
    return refused("rotates vectors, which changes manhattan distances; use f32, f16 or sq8");
  }
  const bool cuts = code == CodeKind::kPq8 || code == CodeKind::kPq4;
  if (kind == IndexKind::kIvfPq && !cuts) return refused("is not for the kind ivf_pq, which compares pq or pq4");
  if (kind != IndexKind::kIvfPq && cuts) return refused("is for the kind ivf_pq");
  if (kind == IndexKind::kIvfRabitq && code != CodeKind::kRaBitQ) return refused("is not for the kind ivf_rabitq");
  if (kind == IndexKind::kIvfFlat && code == CodeKind::kRaBitQ) return refused("is for the kinds flat and ivf_rabitq");
  if (kind == IndexKind::kHnsw && code == CodeKind::kRaBitQ) {
    return refused("cannot compare two rows, as building a graph must; use rq8 or rq4, or the kind flat");
  }
  return {};
}

bool is_partitioned(IndexKind kind) { return kind != IndexKind::kFlat && kind != IndexKind::kHnsw; }

bool learns(const IndexOptions& options) {
  return is_partitioned(options.kind) || VectorCode::is_trained(options.code);
}

size_t rows_to_learn(const IndexOptions& options, size_t dim, size_t rows) {
  return is_partitioned(options.kind) ? IvfTraining::rows_to_learn(ivf_options(options), dim, rows) : kSampleRows;
}

size_t default_effort(const VectorIndex& index) {
  if (!is_partitioned(index.kind())) return 128;
  return std::max<size_t>(1, static_cast<const Ivf&>(index).partition_count() / 8);
}

size_t most_effort(const VectorIndex& index) {
  return is_partitioned(index.kind()) ? static_cast<const Ivf&>(index).partition_count() : kMostEf;
}

std::unique_ptr<VectorIndex> make_index(const IndexOptions& options, const IndexPlace& place) {
  assert(!learns(options));
  if (options.kind != IndexKind::kFlat && options.code == CodeKind::kF32 && place.vectors != nullptr) {
    return with_code(options, place, nullptr);
  }
  return with_code(options, place, VectorCode::make(options.code, place.metric, place.dim, options.hnsw.seed).value());
}

IndexTraining::IndexTraining(const IndexOptions& options, const IndexPlace& place, std::vector<float> sample,
                             size_t rows)
    : options_(options), place_(place), sample_(std::move(sample)) {
  assert(learns(options_) && !sample_.empty());
  if (!is_partitioned(options_.kind)) return;
  ivf_.emplace(ivf_options(options_), place_.metric, place_.dim, std::move(sample_), rows, place_.vectors);
}

bool IndexTraining::advance() { return ivf_ && ivf_->advance(); }

std::unique_ptr<VectorIndex> IndexTraining::take() {
  if (ivf_) return ivf_->take();
  const MatrixView sample(sample_, place_.dim);
  return with_code(options_, place_,
                   VectorCode::train(options_.code, place_.metric, sample, options_.hnsw.seed).value());
}

Result<std::unique_ptr<VectorIndex>> load_index(const SectionViews& sections, const IndexOptions& options,
                                                const IndexPlace& place, size_t rows) {
  std::unique_ptr<VectorIndex> index;
  if (is_partitioned(options.kind)) {
    ASSIGN_OR_RETURN(index, Ivf::learned(sections, ivf_options(options), place.metric, place.dim, place.vectors));
  } else if (learns(options)) {
    ASSIGN_OR_RETURN(std::unique_ptr<VectorCode> code, VectorCode::from_sections(sections));
    if (code->kind() != options.code || code->metric() != place.metric || code->dim() != place.dim) {
      return Error{Code::kFormatError, "section code.header: the code of another schema", ""};
    }
    index = with_code(options, place, std::move(code));
  } else {
    index = make_index(options, place);
  }
  RETURN_IF_ERROR(index->load(sections, rows, place.vectors));
  return index;
}

}  // namespace nearfield
