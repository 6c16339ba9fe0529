#include "core/index/ivf.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "core/quant/encoding.h"

namespace nearfield {

namespace {

constexpr std::string_view kHeaderName = "ivf.header";

constexpr size_t kMostPartitions = 65'536;
constexpr double kPartitionsPerRoot = 4;
// Where fewer rows fall to a partition, the blocks of their codes are mostly empty.
constexpr size_t kRowsPerPartition = 40;
// To learn from; 16 do nearly as well.
constexpr size_t kSamplePerPartition = 32, kLeastSamplePerPartition = 8;
constexpr size_t kMostSampleFloats = 1 << 24;
// Of means and ranges, which is what the codes but pq learn.
constexpr size_t kCodeSampleRows = 2'048;
// Multiplications a slice: about 1 ms in WebAssembly, and less than 8 on slow machines.
constexpr size_t kSlice = 8'000'000;

Error malformed(std::string what) { return {Code::kFormatError, "ivf sections: " + std::move(what), ""}; }

size_t partitions_for(const IvfOptions& options, size_t rows) {
  if (options.partitions > 0) return std::min(options.partitions, kMostPartitions);
  const double roots = kPartitionsPerRoot * std::sqrt(static_cast<double>(rows));
  return std::clamp<size_t>(std::min(static_cast<size_t>(roots), rows / kRowsPerPartition), 1, kMostPartitions);
}

// Whether lists need no codes.
bool compares_vectors(const IvfOptions& options, const VectorTable* table) {
  return options.kind == IndexKind::kIvfFlat && options.code == CodeKind::kF32 && table != nullptr;
}

CodeKind code_of(const IvfOptions& options) {
  return options.kind == IndexKind::kIvfRabitq ? CodeKind::kRaBitQ : options.code;
}

}  // namespace

struct Ivf::State {
  State(const IvfOptions& chosen, Metric of_metric, Partitions learned, std::unique_ptr<const VectorCode> code,
        const VectorTable* table)
      : options(chosen),
        metric(of_metric),
        partitions(std::move(learned)),
        lists(partitions.count(), std::move(code), table, of_metric) {}

  // What partitions are found by.
  std::span<const float> compared(std::span<const float> vector) {
    if (metric != Metric::kCosine) return vector;
    unit_of(vector, unit);
    return unit;
  }

  void note(RowId row) {
    if (rows.size() <= row) rows.grow(row + size_t{1});
    rows.insert(row);
  }

  IvfOptions options;
  Metric metric;
  Partitions partitions;
  PartitionLists lists;
  RowSet rows;
  // Scratch.
  std::vector<float> unit, nearness;
  std::vector<Partitions::Ranked> heap;
};

Ivf::Ivf(std::unique_ptr<State> state) : state_(std::move(state)) {}
Ivf::~Ivf() = default;

IndexKind Ivf::kind() const { return state_->options.kind; }
CodeKind Ivf::code() const { return code_of(state_->options); }
size_t Ivf::partition_count() const { return state_->partitions.count(); }
size_t Ivf::count() const { return state_->lists.row_count(); }
const RowSet& Ivf::rows() const { return state_->rows; }

void Ivf::add(RowId row, std::span<const float> vector) {
  State& state = *state_;
  assert(vector.size() == state.partitions.dim() && !state.rows.contains(row));
  state.lists.append(state.partitions.nearest(state.compared(vector)), row, vector);
  state.note(row);
}

void Ivf::find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const {
  State& state = *state_;
  assert(query.limit >= 1 && query.candidates >= query.limit && query.effort >= 1);
  BestRows best(found, query.candidates);
  state.partitions.rank(state.metric, state.compared(query.vector), state.heap, state.nearness);
  state.lists.prepare(query.vector);
  const bool filtered = query.available < count();
  // The nearest k of a share s of the rows are as far away as the nearest k / s of all. That takes more partitions, but
  // not 1 / s times as many.
  double effort = static_cast<double>(query.effort);
  if (filtered && query.available > 0) {
    effort *= std::sqrt(static_cast<double>(count()) / static_cast<double>(query.available));
  }
  const size_t least = std::min(query.limit, query.available);
  size_t met = 0;
  for (size_t looked_at = 0; met < query.available && !state.heap.empty(); ++looked_at) {
    if (static_cast<double>(looked_at) >= effort && met >= least) break;
    const uint32_t partition = state.heap.front().partition;
    std::pop_heap(state.heap.begin(), state.heap.end());
    state.heap.pop_back();
    met += state.lists.scan(partition, filtered ? &query.allowed : nullptr, best);
  }
  compared += met;
  best.sort();
}

size_t Ivf::memory_bytes() const {
  const State& state = *state_;
  return sizeof state + state.partitions.memory_bytes() + state.lists.memory_bytes() + state.rows.size() / 8;
}

// Sections, all of one dimension:
//   ivf.header     u32  kind, code, dimension, metric
//   ivf.groups     f32  centroids of groups, row-major; none where there are few partitions
//   ivf.first      u32  the first partition of each group, and the number of partitions; none where there are no groups
//   ivf.centroids  f32  of the partitions, row-major
//   code.*              what the code has learned
//   ivf.sizes      u32  rows in each list
//   ivf.rows       u32  rows of list 0, of list 1, ...
//   ivf.codes      u8   in the same order. Of rabitq and pq4 in blocks of 32 rows: 16 bytes for each group of 4 bits
//                       (scan_kernels.h), then 16 bytes a row; places without a row are zeros. May not be there.
StateSections Ivf::sections(bool with_codes) const {
  const State& state = *state_;
  const uint32_t header[] = {static_cast<uint32_t>(kind()), static_cast<uint32_t>(code()),
                             static_cast<uint32_t>(state.partitions.dim()), static_cast<uint32_t>(state.metric)};
  StateSections sections;
  sections.push_back(copy_state<uint32_t>(kHeaderName, header));
  state.partitions.append_sections(sections);
  if (state.lists.code() != nullptr) append_learned(*state.lists.code(), sections);
  state.lists.append_sections(with_codes || VectorCode::is_trained(code()), sections);
  return sections;
}

Result<std::unique_ptr<Ivf>> Ivf::learned(const SectionViews& sections, const IvfOptions& options, Metric metric,
                                          size_t dim, const VectorTable* table) {
  ASSIGN_OR_RETURN(const auto header, section_elements<uint32_t>(sections, kHeaderName));
  const CodeKind kind = code_of(options);
  if (header.size() != 4 || header[0] != static_cast<uint32_t>(options.kind) ||
      header[1] != static_cast<uint32_t>(kind) || header[2] != dim || header[3] != static_cast<uint32_t>(metric)) {
    return malformed("the header is that of another kind of index");
  }
  ASSIGN_OR_RETURN(Partitions partitions, Partitions::from_sections(sections, dim));
  std::unique_ptr<VectorCode> code;
  if (VectorCode::is_trained(kind)) {
    ASSIGN_OR_RETURN(code, VectorCode::from_sections(sections));
    if (code->kind() != kind || code->metric() != metric || code->dim() != dim) {
      return malformed("the code is that of another index");
    }
  } else if (!compares_vectors(options, table)) {
    ASSIGN_OR_RETURN(code, VectorCode::make(kind, metric, dim, options.seed));
  }
  return std::unique_ptr<Ivf>(
      new Ivf(std::make_unique<State>(options, metric, std::move(partitions), std::move(code), table)));
}

Status Ivf::load(const SectionViews& sections, size_t rows, const VectorTable* table) {
  RETURN_IF_ERROR(state_->lists.load(sections, rows, table));
  ASSIGN_OR_RETURN(const auto loaded, section_elements<uint32_t>(sections, "ivf.rows"));
  for (size_t i = 0; i < loaded.size(); ++i) state_->note(loaded[i]);
  return {};
}

struct IvfTraining::State {
  IvfOptions options;
  Metric metric;
  size_t dim;
  std::vector<float> sample;
  size_t partitions;
  const VectorTable* table;
  size_t ready = 0;  // floats of the sample that are as partitions are compared
  std::optional<PartitionTraining> places;
  std::optional<PqTraining> pq;
  std::unique_ptr<const VectorCode> code;
  std::vector<float> unit;
};

size_t IvfTraining::rows_to_learn(const IvfOptions& options, size_t dim, size_t rows) {
  const size_t wanted = kSamplePerPartition * partitions_for(options, rows);
  return std::min(std::max(wanted, kCodeSampleRows), std::max(kMostSampleFloats / dim, kCodeSampleRows));
}

IvfTraining::IvfTraining(const IvfOptions& options, Metric metric, size_t dim, std::vector<float> sample, size_t rows,
                         const VectorTable* table)
    : state_(std::make_unique<State>()) {
  assert(!sample.empty() && sample.size() % dim == 0);
  const size_t most = std::max<size_t>(1, sample.size() / dim / kLeastSamplePerPartition);
  state_->options = options;
  state_->metric = metric;
  state_->dim = dim;
  state_->partitions = std::min(partitions_for(options, rows), most);
  state_->sample = std::move(sample);
  state_->table = table;
}

IvfTraining::~IvfTraining() = default;

bool IvfTraining::advance() {
  State& state = *state_;
  const size_t dim = state.dim;
  const std::span<float> sample = state.sample;
  if (state.ready < sample.size()) {
    // A length takes double precision, and reading and writing all of it.
    const size_t end = state.ready + std::min(sample.size() - state.ready, std::max<size_t>(1, kSlice / 8 / dim) * dim);
    for (; state.ready < end && state.metric == Metric::kCosine; state.ready += dim) {
      const std::span<float> row = sample.subspan(state.ready, dim);
      unit_of(row, state.unit);
      std::ranges::copy(state.unit, row.begin());
    }
    state.ready = end;
    return true;
  }
  const MatrixView rows(sample, dim);
  const CodeKind kind = code_of(state.options);
  if (!state.code && VectorCode::is_trained(kind)) {
    if (kind == CodeKind::kPq8 || kind == CodeKind::kPq4) {
      if (!state.pq) state.pq.emplace(kind, state.metric, rows, state.options.sub_vectors, state.options.seed);
      if (!state.pq->advance(kSlice)) state.code = state.pq->take();
      return true;
    }
    const size_t count = std::min(kCodeSampleRows, rows.count());
    std::vector<float> some;
    some.reserve(count * dim);
    for (size_t i = 0; i < count; ++i) {
      const auto row = rows.row(static_cast<size_t>(uint64_t{i} * rows.count() / count));
      some.insert(some.end(), row.begin(), row.end());
    }
    state.code = VectorCode::train(kind, state.metric, {some, dim}, state.options.seed).value();
    return true;
  }
  if (!state.code && !compares_vectors(state.options, state.table)) {
    state.code = VectorCode::make(kind, state.metric, dim, state.options.seed).value();
  }
  if (!state.places) {
    state.places.emplace(rows, state.partitions, state.metric == Metric::kCosine, state.options.seed);
    return true;
  }
  return state.places->advance(kSlice);
}

std::unique_ptr<Ivf> IvfTraining::take() {
  State& state = *state_;
  return std::unique_ptr<Ivf>(new Ivf(std::make_unique<Ivf::State>(state.options, state.metric, state.places->take(),
                                                                   std::move(state.code), state.table)));
}

}  // namespace nearfield
