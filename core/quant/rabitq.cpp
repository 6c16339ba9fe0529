#include "core/quant/rabitq.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "core/quant/encoding.h"

namespace nearfield {

namespace {

constexpr std::string_view kMeanName = "code.mean";
constexpr size_t kLeastBits = 256;
constexpr size_t kPlanes = 7;
constexpr int kShift = 64;  // makes a query's integers, -63..63, positive
constexpr double kDeviations = 3;
constexpr float kZeros = 2;  // tag of a row of zeros

// Bit i of byte k becomes bit k of byte i (Warren, Hacker's Delight, 7-3).
uint64_t transposed(uint64_t bits) {
  const auto swap = [&bits](int distance, uint64_t mask) {
    const uint64_t different = (bits ^ bits >> distance) & mask;
    bits ^= different ^ different << distance;
  };
  swap(7, 0x00AA00AA00AA00AA);
  swap(14, 0x0000CCCC0000CCCC);
  swap(28, 0x00000000F0F0F0F0);
  return bits;
}

double at_least_zero(double value) { return value > 0 ? value : 0; }

double product(std::span<const float> a, std::span<const float> b) {
  return chained_sum(a.size(), [&](size_t j) { return static_cast<double>(a[j]) * b[j]; });
}

}  // namespace

RaBitQ::RaBitQ(Metric metric, size_t dim, uint64_t seed, std::vector<float> mean)
    : VectorCode(CodeKind::kRaBitQ, metric, dim, seed, (std::max(dim, kLeastBits) + 63) / 64 * 8 + sizeof(RaBitQTail)),
      mean_(std::move(mean)),
      mean_square_(product(mean_, mean_)),
      rotation_(std::max(dim, kLeastBits), seed) {
  assert(metric != Metric::kManhattan);
}

std::unique_ptr<VectorCode> RaBitQ::train(Metric metric, MatrixView sample, uint64_t seed) {
  assert(sample.count() > 0);
  std::vector<double> sums(sample.dim());
  std::vector<float> unit;
  for (size_t i = 0; i < sample.count(); ++i) {
    std::span<const float> row = sample.row(i);
    if (metric == Metric::kCosine) {
      unit_of(row, unit);
      row = unit;
    }
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += row[j];
  }
  std::vector<float> mean(sums.size());
  for (size_t j = 0; j < sums.size(); ++j) mean[j] = held(sums[j] / static_cast<double>(sample.count()));
  return std::unique_ptr<VectorCode>(new RaBitQ(metric, sample.dim(), seed, std::move(mean)));
}

double RaBitQ::rotated_difference(std::span<const float> vector, CodeScratch& scratch) const {
  // In double: two floats may be further apart than the largest one.
  const double square = chained_sum(vector.size(), [&](size_t j) {
    const double difference = static_cast<double>(vector[j]) - mean_[j];
    return difference * difference;
  });
  const double norm = std::sqrt(square), inverse = norm > 0 ? 1 / norm : 0;
  scratch.c.assign(bit_count(), 0.f);
  for (size_t j = 0; j < vector.size(); ++j) {
    scratch.c[j] = static_cast<float>((static_cast<double>(vector[j]) - mean_[j]) * inverse);
  }
  scratch.b.resize(bit_count());
  scratch.spare.resize(bit_count());
  rotation_.apply(scratch.c.data(), scratch.b.data(), scratch.spare.data());
  return norm;
}

void RaBitQ::encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const {
  assert(row.size() == dim() && code.size() == code_bytes());
  RaBitQTail tail;
  if (metric() == Metric::kCosine) {
    if (unit_of(row, scratch.a) == 0) tail.tag = kZeros;
    row = scratch.a;
  }
  const double norm = rotated_difference(row, scratch);
  const std::span<const float> unit = scratch.b;
  for (size_t j = 0; j < unit.size(); j += 8) {
    uint32_t negative = 0;
    for (size_t k = 0; k < 8; ++k) negative |= std::bit_cast<uint32_t>(unit[j + k]) >> 31 << k;
    code[j / 8] = static_cast<uint8_t>(~negative);
  }
  if (norm > 0) {
    const auto bits = static_cast<double>(unit.size());
    // The sum of magnitudes is <o, signs>; rounding may take it beyond sqrt(D) by a hair.
    const double along = std::min(magnitudes(unit).sum / std::sqrt(bits), 1.0);
    tail.factor = held(norm / (along * std::sqrt(bits)));
    tail.error = held(kDeviations * norm * std::sqrt((1 / (along * along) - 1) / (bits - 1)));
    const double to_mean = product(row, mean_) - mean_square_;
    tail.add = held(metric() == Metric::kEuclidean ? norm : to_mean);
  }
  std::memcpy(code.data() + unit.size() / 8, &tail, sizeof tail);
}

void RaBitQ::prepare(std::span<const float> query, PreparedQuery& prepared) const {
  assert(query.size() == dim());
  CodeScratch& scratch = prepared.scratch;
  prepared.live = true;
  if (metric() == Metric::kCosine) {
    prepared.live = unit_of(query, scratch.a) > 0;
    query = scratch.a;
  }
  prepared.norm = rotated_difference(query, scratch);
  prepared.offset = product(query, mean_);
  const std::span<const float> unit = scratch.b;
  // As many units as let the entries of every table fit.
  float largest = 0;
  for (size_t j = 0; j < unit.size(); j += 4) {
    const float sum = (std::abs(unit[j]) + std::abs(unit[j + 1])) + (std::abs(unit[j + 2]) + std::abs(unit[j + 3]));
    largest = std::max(largest, sum);
  }
  // Rounding adds at most 1/2 to each of four.
  const float factor = largest > 0 ? (kMostEntry - 2.01f) / largest : 0;
  prepared.integers.resize(unit.size());
  round_to_int16(unit, factor, prepared.integers.data());
  prepared.scale = factor > 0 ? prepared.norm / factor : 0;
  prepared.tables.resize(unit.size() * 4);
  int32_t total = 0, negative = 0;
  for (size_t j = 0; j < unit.size(); j += 4) {
    int32_t least = 0;
    for (size_t k = j; k < j + 4; ++k) {
      total += prepared.integers[k];
      least -= std::min<int32_t>(prepared.integers[k], 0);
    }
    negative += least;
    write_table(&prepared.integers[j], static_cast<uint8_t>(least), &prepared.tables[j * 4]);
  }
  prepared.planes.resize(kPlanes * unit.size() / 64);
  for (size_t j = 0; j < unit.size(); j += 64) {
    uint64_t planes[8] = {};
    for (size_t k = 0; k < 64; k += 8) {
      uint64_t weights = 0;
      for (size_t i = 0; i < 8; ++i) weights |= static_cast<uint64_t>(prepared.integers[j + k + i] + kShift) << 8 * i;
      const uint64_t bits = transposed(weights);
      for (size_t plane = 0; plane < kPlanes; ++plane) planes[plane] |= (bits >> 8 * plane & 255) << k;
    }
    std::copy_n(planes, kPlanes, &prepared.planes[j / 64 * kPlanes]);
  }
  prepared.total = total;
  prepared.table_offset = negative;
}

void RaBitQ::score_rows(const PreparedQuery& query, std::span<const int32_t, kScanRows> sums,
                        std::span<const RaBitQTail, kScanRows> tails, std::span<float, kScanRows> scores,
                        std::span<float, kScanRows> most) const {
  // One array a field, so that the loops below become vector instructions.
  alignas(16) float add[kScanRows], factor[kScanRows], error[kScanRows], tag[kScanRows];
  for (size_t i = 0; i < kScanRows; i += 4) {
    F32x4 lanes[4];
    for (size_t k = 0; k < 4; ++k) lanes[k] = load_lanes<F32x4>(&tails[i + k]);
    transpose(lanes[0], lanes[1], lanes[2], lanes[3]);
    store_lanes(add + i, lanes[0]);
    store_lanes(factor + i, lanes[1]);
    store_lanes(error + i, lanes[2]);
    store_lanes(tag + i, lanes[3]);
  }
  double score[kScanRows], margin[kScanRows];
  // <query - mean, signs> from the sum over positive ones.
  for (size_t i = 0; i < kScanRows; ++i) score[i] = (2.0 * sums[i] - query.total) * (query.scale * factor[i]);
  for (size_t i = 0; i < kScanRows; ++i) margin[i] = query.norm * error[i];
  if (metric() == Metric::kEuclidean) {
    const double square = query.norm * query.norm;
    for (size_t i = 0; i < kScanRows; ++i) {
      const double estimated = square + static_cast<double>(add[i]) * add[i] - 2 * score[i];
      scores[i] = held(0.0 - std::sqrt(at_least_zero(estimated)));
      most[i] = held(0.0 - std::sqrt(at_least_zero(estimated - 2 * margin[i])));
    }
    return;
  }
  const double live = query.live ? 1 : 0;
  for (size_t i = 0; i < kScanRows; ++i) {
    const double weight = tag[i] == kZeros ? 0 : live;
    const double estimated = query.offset + add[i] + score[i];
    scores[i] = held(estimated * weight);
    most[i] = held((estimated + margin[i]) * weight);
  }
}

void RaBitQ::score(const PreparedQuery& query, std::span<const uint8_t* const> codes, std::span<float> scores) const {
  assert(scores.size() == codes.size());
  const size_t words = bit_count() / 64;
  int32_t sums[kScanRows];
  RaBitQTail tails[kScanRows];
  std::array<float, kScanRows> held_scores, most;
  for (size_t begin = 0; begin < codes.size(); begin += kScanRows) {
    const auto step = codes.subspan(begin, std::min(kScanRows, codes.size() - begin));
    // Places that this step does not fill are worked on and left alone.
    std::ranges::fill(sums, 0);
    std::ranges::fill(tails, RaBitQTail{});
    for (size_t i = 0; i < step.size(); ++i) {
      for (size_t word = 0; word < words; ++word) {
        uint64_t bits;
        std::memcpy(&bits, step[i] + word * sizeof bits, sizeof bits);
        const uint64_t* const planes = &query.planes[word * kPlanes];
        for (size_t plane = 0; plane < kPlanes; ++plane) sums[i] += std::popcount(bits & planes[plane]) << plane;
        sums[i] -= std::popcount(bits) * kShift;
      }
      std::memcpy(&tails[i], step[i] + bit_count() / 8, sizeof tails[i]);
    }
    score_rows(query, sums, tails, held_scores, most);
    std::copy_n(held_scores.begin(), step.size(), scores.begin() + static_cast<std::ptrdiff_t>(begin));
  }
}

void RaBitQ::between(const uint8_t*, std::span<const uint8_t* const>, std::span<float> scores) const {
  assert(false);
  std::ranges::fill(scores, 0.f);
}

bool RaBitQ::sound(std::span<const uint8_t> code) const {
  assert(code.size() == code_bytes());
  RaBitQTail tail;
  std::memcpy(&tail, code.data() + bit_count() / 8, sizeof tail);
  return std::isfinite(tail.add) && std::isfinite(tail.factor) && std::isfinite(tail.error) && tail.factor >= 0 &&
         tail.error >= 0 && (tail.tag == 1 || (tail.tag == kZeros && metric() == Metric::kCosine));
}

size_t RaBitQ::memory_bytes() const {
  return sizeof *this - sizeof rotation_ + rotation_.memory_bytes() + mean_.size() * sizeof(float);
}

StateSections RaBitQ::sections() const {
  StateSections sections = VectorCode::sections();
  sections.push_back(view_state<float>(kMeanName, mean_));
  return sections;
}

Result<std::unique_ptr<VectorCode>> RaBitQ::from_sections(const SectionViews& sections, Metric metric, size_t dim,
                                                          uint64_t seed) {
  ASSIGN_OR_RETURN(std::vector<float> mean, section_values<float>(sections, kMeanName));
  if (mean.size() != dim || !std::ranges::all_of(mean, [](float component) { return std::isfinite(component); })) {
    return Error{Code::kFormatError, "section code.mean is not the mean of " + std::to_string(dim) + " dimensions", ""};
  }
  return std::unique_ptr<VectorCode>(new RaBitQ(metric, dim, seed, std::move(mean)));
}

}  // namespace nearfield
