#include "core/index/partitions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>

namespace nearfield {

namespace {

// So few centroids are learned in one step.
constexpr size_t kMostInOneStep = 64;
// Rows that groups are learned from, each.
constexpr size_t kRowsPerGroup = 256;
// Groups that a row's nearest centroid is looked for in. Of text embeddings, with eight instead of four a query looks
// at a tenth fewer rows for the same recall, and rows take twice as long to place.
constexpr size_t kNearGroups = 4;
constexpr size_t kLanes = LanePoints::kLanes;
// Where components end: what k-means gives, and what finite nearness is computed of.
constexpr float kMostComponent = 0x1p60f;

Error malformed(std::string what) { return {Code::kFormatError, "ivf sections: " + std::move(what), ""}; }

void append_points(const LanePoints& points, std::string_view name, StateSections& sections) {
  std::vector<float> values;
  values.reserve(points.count() * points.dim());
  for (size_t i = 0; i < points.count(); ++i) {
    for (size_t j = 0; j < points.dim(); ++j) values.push_back(points.component(i, j));
  }
  sections.push_back(copy_state<float>(name, values));
}

Result<LanePoints> read_points(const SectionViews& sections, std::string_view name, size_t dim) {
  ASSIGN_OR_RETURN(const std::vector<float> values, section_values<float>(sections, name));
  if (values.size() % dim != 0)
    return malformed(std::string(name) + " is not of " + std::to_string(dim) + " dimensions");
  for (const float value : values) {
    // Written so that not-a-number is refused.
    if (!(std::abs(value) <= kMostComponent)) return malformed(std::string(name) + " has a component out of range");
  }
  return LanePoints({values, dim});
}

}  // namespace

uint32_t Partitions::nearest(std::span<const float> vector) const {
  if (groups_.count() == 0) return centroids_.nearest(vector).point;
  // The nearest groups, best first.
  std::array<LanePoints::Found, kNearGroups> groups;
  size_t found = 0;
  std::vector<float> nearness(groups_.block_count() * kLanes);
  groups_.nearness(vector, nearness);
  for (uint32_t group = 0; group < groups_.count(); ++group) {
    if (first_[group] == first_[group + 1]) continue;
    size_t place = found;
    while (place > 0 && nearness[group] > groups[place - 1].nearness) --place;
    if (place == kNearGroups) continue;
    found = std::min(found + 1, kNearGroups);
    for (size_t i = found - 1; i > place; --i) groups[i] = groups[i - 1];
    groups[place] = {group, nearness[group]};
  }
  LanePoints::Found best;
  for (size_t i = 0; i < found; ++i) {
    // Whole blocks: that some centroids of the groups beside it are compared too does no harm.
    const size_t begin = first_[groups[i].point] / kLanes;
    const size_t end = (first_[groups[i].point + 1] + kLanes - 1) / kLanes;
    const LanePoints::Found candidate = centroids_.nearest(vector, begin, end);
    if (i == 0 || candidate.nearness > best.nearness) best = candidate;
  }
  return best.point;
}

void Partitions::rank(Metric metric, std::span<const float> query, std::vector<Ranked>& heap,
                      std::vector<float>& scratch) const {
  scratch.resize(centroids_.block_count() * kLanes);
  if (metric == Metric::kDot) {
    centroids_.products(query, scratch);
  } else {
    centroids_.nearness(query, scratch);
  }
  heap.clear();
  for (uint32_t i = 0; i < count(); ++i) {
    // Not-a-number has no place in an order.
    heap.push_back({std::isnan(scratch[i]) ? -std::numeric_limits<float>::infinity() : scratch[i], i});
  }
  std::make_heap(heap.begin(), heap.end());
}

void Partitions::append_sections(StateSections& sections) const {
  append_points(groups_, "ivf.groups", sections);
  sections.push_back(view_state<uint32_t>("ivf.first", first_));
  append_points(centroids_, "ivf.centroids", sections);
}

Result<Partitions> Partitions::from_sections(const SectionViews& sections, size_t dim) {
  Partitions partitions;
  ASSIGN_OR_RETURN(partitions.groups_, read_points(sections, "ivf.groups", dim));
  ASSIGN_OR_RETURN(partitions.first_, section_values<uint32_t>(sections, "ivf.first"));
  ASSIGN_OR_RETURN(partitions.centroids_, read_points(sections, "ivf.centroids", dim));
  const std::vector<uint32_t>& first = partitions.first_;
  const size_t groups = partitions.groups_.count(), centroids = partitions.centroids_.count();
  if (centroids == 0) return malformed("there are no partitions");
  if (first.size() != (groups == 0 ? 0 : groups + 1)) return malformed("groups are missing or surplus");
  if (groups > 0 && (first.front() != 0 || first.back() != centroids || !std::ranges::is_sorted(first))) {
    return malformed("groups do not have the partitions");
  }
  return partitions;
}

PartitionTraining::PartitionTraining(MatrixView rows, size_t count, bool directions, uint64_t seed)
    : rows_(rows), count_(std::min(count, rows.count())), directions_(directions), seed_(seed) {
  assert(count_ >= 1);
  std::vector<uint32_t> all(rows_.count());
  std::iota(all.begin(), all.end(), 0u);
  if (count_ <= kMostInOneStep) {
    kmeans_ = kmeans_of(all, count_);
    return;
  }
  const auto groups = static_cast<size_t>(std::lround(std::sqrt(static_cast<double>(count_))));
  const size_t wanted = std::min(all.size(), groups * kRowsPerGroup);
  for (size_t i = 0; i < wanted; ++i) all[i] = static_cast<uint32_t>(uint64_t{i} * rows_.count() / wanted);
  all.resize(wanted);
  kmeans_ = kmeans_of(all, groups);
}

std::unique_ptr<KMeans> PartitionTraining::kmeans_of(std::span<const uint32_t> rows, size_t count) {
  std::vector<float> values;
  values.reserve(rows.size() * rows_.dim());
  for (const uint32_t row : rows) values.insert(values.end(), rows_.row(row).begin(), rows_.row(row).end());
  return std::make_unique<KMeans>(std::move(values), rows_.dim(),
                                  KMeansOptions{.count = count, .directions = directions_, .seed = ++seed_});
}

// Begins the next group that is to have centroids; false after the last.
bool PartitionTraining::begin_group() {
  for (; next_group_ < group_rows_.size(); ++next_group_) {
    const size_t before = grouped_;
    grouped_ += group_rows_[next_group_];
    // What all groups have adds up to count_.
    const auto until = [&](size_t rows) { return static_cast<size_t>(uint64_t{rows} * count_ / rows_.count()); };
    const size_t wanted = until(grouped_) - until(before);
    partitions_.first_.push_back(static_cast<uint32_t>(centroids_.size() / rows_.dim()));
    if (wanted == 0) continue;
    std::vector<uint32_t> members;
    for (uint32_t row = 0; row < group_of_.size(); ++row) {
      if (group_of_[row] == next_group_) members.push_back(row);
    }
    kmeans_ = kmeans_of(members, wanted);
    ++next_group_;
    return true;
  }
  partitions_.first_.push_back(static_cast<uint32_t>(centroids_.size() / rows_.dim()));
  return false;
}

void PartitionTraining::finish() {
  partitions_.centroids_ = LanePoints({centroids_, rows_.dim()});
  done_ = true;
}

bool PartitionTraining::advance(size_t budget) {
  if (done_) return false;
  if (kmeans_) {
    if (kmeans_->advance(budget)) return true;
    const std::vector<float> points = kmeans_->take();
    kmeans_.reset();
    if (count_ > kMostInOneStep && group_rows_.empty()) {
      partitions_.groups_ = LanePoints({points, rows_.dim()});
      group_rows_.assign(partitions_.groups_.count(), 0);
      return true;
    }
    centroids_.insert(centroids_.end(), points.begin(), points.end());
    if (count_ <= kMostInOneStep || !begin_group()) finish();
    return !done_;
  }
  // The groups are there; which row belongs to which?
  const size_t cost = partitions_.groups_.count() * rows_.dim();
  while (group_of_.size() < rows_.count()) {
    const uint32_t group = partitions_.groups_.nearest(rows_.row(group_of_.size())).point;
    group_of_.push_back(group);
    ++group_rows_[group];
    if (budget < cost) return true;
    budget -= cost;
  }
  if (!begin_group()) finish();
  return !done_;
}

Partitions PartitionTraining::take() {
  assert(done_);
  return std::move(partitions_);
}

}  // namespace nearfield
