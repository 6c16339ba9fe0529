#include "core/index/node_distance.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/base/touch.h"
#include "core/metric/kernels.h"

namespace nearfield {

namespace {

// Nodes a step.
constexpr size_t kBatch = 32;

// Outside this range products of norms may leave a float's, and exact_score steps in. Zero is outside too.
constexpr float kSmallestNorm = 0x1p-60f;
constexpr float kLargestNorm = 0x1p60f;
bool in_range(float norm) { return norm >= kSmallestNorm && norm <= kLargestNorm; }

class VectorDistance : public NodeDistance {
 public:
  VectorDistance(const VectorTable& table, Metric metric)
      : table_(table), metric_(metric), kernel_(fast_kernel(metric)) {}

  void append(RowId row, std::span<const float>) override { rows_.push_back(row); }
  void prepare(std::span<const float> query) override {
    query_.assign(query.begin(), query.end());
    query_norm_ = narrowed(vector_norm(query));
  }
  void to_query(std::span<const NodeId> nodes, float* distances) override {
    compare(query_, query_norm_, nodes, distances);
  }
  void between(NodeId from, std::span<const NodeId> nodes, float* distances) override {
    compare(table_.row(rows_[from]), table_.norm(rows_[from]), nodes, distances);
  }
  size_t memory_bytes() const override { return rows_.capacity() * sizeof(RowId); }

 private:
  void compare(std::span<const float> query, float query_norm, std::span<const NodeId> nodes, float* distances) const {
    std::array<const float*, kBatch> vectors;
    for (size_t begin = 0; begin < nodes.size(); begin += kBatch) {
      const size_t count = std::min(kBatch, nodes.size() - begin);
      for (size_t i = 0; i < count; ++i) vectors[i] = table_.row(rows_[nodes[begin + i]]).data();
      kernel_(query, std::span(vectors).first(count), {distances + begin, count});
      for (size_t i = 0; i < count; ++i) {
        distances[begin + i] = from_sum(distances[begin + i], query, query_norm, rows_[nodes[begin + i]]);
      }
    }
  }

  float from_sum(float sum, std::span<const float> query, float query_norm, RowId row) const {
    float distance = sum;
    switch (metric_) {
      case Metric::kCosine: {
        const float row_norm = table_.norm(row);
        distance = in_range(query_norm) && in_range(row_norm) ? -sum / (query_norm * row_norm)
                                                              : std::numeric_limits<float>::quiet_NaN();
        break;
      }
      case Metric::kDot: distance = -sum; break;
      case Metric::kEuclidean: distance = std::sqrt(sum); break;
      case Metric::kManhattan: break;
    }
    if (std::isfinite(distance)) return distance;
    constexpr double kLargest = std::numeric_limits<float>::max();
    return static_cast<float>(std::clamp(-exact_score(metric_, query, table_.row(row)), -kLargest, kLargest));
  }

  const VectorTable& table_;
  Metric metric_;
  Kernel kernel_;
  std::vector<RowId> rows_;  // by node
  std::vector<float> query_;
  float query_norm_ = 0;
};

class CodeDistance : public NodeDistance {
 public:
  CodeDistance(const VectorCode& code, CodeTable& codes) : code_(code), codes_(codes) {}

  void append(RowId, std::span<const float> vector) override { code_.encode(vector, codes_.append(), scratch_); }
  void prepare(std::span<const float> query) override { code_.prepare(query, query_); }
  void to_query(std::span<const NodeId> nodes, float* distances) override {
    compare(nodes, distances, [&](auto codes, auto scores) { code_.score(query_, codes, scores); });
  }
  void between(NodeId from, std::span<const NodeId> nodes, float* distances) override {
    const uint8_t* const self = codes_.row(from);
    compare(nodes, distances, [&](auto codes, auto scores) { code_.between(self, codes, scores); });
  }
  size_t memory_bytes() const override { return 0; }

 private:
  template <typename Score>
  void compare(std::span<const NodeId> nodes, float* distances, Score score) const {
    std::array<const uint8_t*, kBatch> codes;
    for (size_t begin = 0; begin < nodes.size(); begin += kBatch) {
      const size_t count = std::min(kBatch, nodes.size() - begin);
      for (size_t i = 0; i < count; ++i) {
        codes[i] = codes_.row(nodes[begin + i]);
        touch(codes[i], codes_.code_bytes());
      }
      const std::span<float> scores(distances + begin, count);
      score(std::span<const uint8_t* const>(codes).first(count), scores);
      for (float& value : scores) value = -value;
    }
  }

  const VectorCode& code_;
  CodeTable& codes_;  // by node
  CodeScratch scratch_;
  PreparedQuery query_;
};

}  // namespace

std::unique_ptr<NodeDistance> code_distance(const VectorCode& code, CodeTable& codes) {
  return std::make_unique<CodeDistance>(code, codes);
}

std::unique_ptr<NodeDistance> vector_distance(const VectorTable& table, Metric metric) {
  return std::make_unique<VectorDistance>(table, metric);
}

}  // namespace nearfield
