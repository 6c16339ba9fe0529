#include "core/quant/sq8.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <string>

#include "core/quant/byte_kernels.h"
#include "core/quant/encoding.h"
#include "core/quant/estimate.h"

namespace nearfield {

namespace {

constexpr size_t kStep = 32;
// Where ranges end at most, so that no place on a grid leaves the range of floats by rounding.
constexpr float kMostEnd = 0x1.8p127f;
constexpr std::string_view kMiddleName = "code.middle", kStepName = "code.step";

size_t padded(size_t dim) { return (dim + 15) / 16 * 16; }

}  // namespace

Sq8::Sq8(Metric metric, size_t dim, uint64_t seed, std::vector<float> middle, std::vector<float> step)
    : VectorCode(CodeKind::kSq8, metric, dim, seed, padded(dim) + sizeof(CodeTail)),
      middle_(std::move(middle)),
      step_(std::move(step)) {}

std::unique_ptr<VectorCode> Sq8::train(Metric metric, MatrixView sample, uint64_t seed) {
  assert(sample.count() > 0);
  const size_t dim = sample.dim();
  std::vector<float> least(dim, std::numeric_limits<float>::max()), most(dim, std::numeric_limits<float>::lowest());
  std::vector<float> unit;
  for (size_t i = 0; i < sample.count(); ++i) {
    std::span<const float> row = sample.row(i);
    if (metric == Metric::kCosine) {
      unit_of(row, unit);
      row = unit;
    }
    for (size_t j = 0; j < dim; ++j) {
      least[j] = std::min(least[j], row[j]);
      most[j] = std::max(most[j], row[j]);
    }
  }
  std::vector<float> middle(dim), step(dim);
  for (size_t j = 0; j < dim; ++j) {
    // In double: a range may be wider than the largest float. Bytes reach from -128 to 127.
    const double low = std::clamp(least[j], -kMostEnd, kMostEnd), high = std::clamp(most[j], -kMostEnd, kMostEnd);
    const double width = (high - low) / 255;
    step[j] = static_cast<float>(width);
    middle[j] = static_cast<float>(low + 128 * width);
  }
  return std::unique_ptr<VectorCode>(new Sq8(metric, dim, seed, std::move(middle), std::move(step)));
}

void Sq8::encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const {
  assert(row.size() == dim() && code.size() == code_bytes());
  CodeTail tail;
  tail.norm = 1;
  double norm = 0;
  if (metric() == Metric::kCosine) {
    norm = unit_of(row, scratch.a);
    row = scratch.a;
  }
  // Only cosine tells a row of zeros from a row near zero.
  tail.scale = metric() == Metric::kCosine && norm == 0 ? 0.f : 1.f;
  scratch.b.assign(padded(dim()), 0.f);
  double square = 0;
  for (size_t j = 0; j < dim(); ++j) {
    const float place = step_[j] > 0 ? (row[j] - middle_[j]) / step_[j] : 0;
    scratch.b[j] = place > 127 ? 127.f : place > -128 ? place : -128.f;
  }
  round_to_int8(scratch.b, 1, code.data());
  for (size_t j = 0; j < dim(); ++j) {
    const double offset = static_cast<double>(step_[j]) * static_cast<int8_t>(code[j]);
    square += offset * offset;
  }
  tail.stored = held(std::sqrt(square));
  std::memcpy(code.data() + padded(dim()), &tail, sizeof tail);
}

void Sq8::prepare(std::span<const float> query, PreparedQuery& prepared) const {
  assert(query.size() == dim());
  prepared.floats.assign(query.begin(), query.end());
  if (metric() == Metric::kManhattan) return;
  if (metric() == Metric::kCosine) unit_of(query, prepared.floats);
  // <query, middle + step byte> = <query, middle> + <query step, byte>; a distance compares both with the middle.
  const bool from_middle = metric() == Metric::kEuclidean;
  double offset = 0, square = 0, largest = 0;
  const auto product = [&](size_t j) {
    const double component = static_cast<double>(prepared.floats[j]) - (from_middle ? middle_[j] : 0);
    return component * step_[j];
  };
  for (size_t j = 0; j < dim(); ++j) {
    const double component = static_cast<double>(prepared.floats[j]) - (from_middle ? middle_[j] : 0);
    offset += component * middle_[j];
    square += component * component;
    largest = std::max(largest, std::abs(product(j)));
  }
  prepared.scratch.b.assign(padded(dim()), 0.f);
  if (largest > 0) {
    for (size_t j = 0; j < dim(); ++j) prepared.scratch.b[j] = static_cast<float>(product(j) / largest);
  }
  prepare_integers(prepared);
  prepared.scale *= largest;
  prepared.offset = offset;
  prepared.norm = std::sqrt(square);
}

void Sq8::score(const PreparedQuery& query, std::span<const uint8_t* const> codes, std::span<float> scores) const {
  assert(scores.size() == codes.size());
  if (metric() == Metric::kManhattan) {
    decoded_scores(metric(), *this, dim(), {query.floats, nullptr}, codes, scores);
    return;
  }
  int32_t sums[kStep];
  for (size_t begin = 0; begin < codes.size(); begin += kStep) {
    const auto step = codes.subspan(begin, std::min(kStep, codes.size() - begin));
    byte_sums(query.integers, step, {sums, step.size()});
    for (size_t i = 0; i < step.size(); ++i) {
      const CodeTail tail = load_tail(step[i] + padded(dim()));
      const double sum = sums[i] * query.scale;
      if (metric() == Metric::kEuclidean) {
        const double square = query.norm * query.norm + static_cast<double>(tail.stored) * tail.stored - 2 * sum;
        scores[begin + i] = held(0.0 - std::sqrt(std::max(square, 0.0)));
      } else {
        scores[begin + i] = held((query.offset + sum) * tail.scale);
      }
    }
  }
}

void Sq8::between(const uint8_t* code, std::span<const uint8_t* const> codes, std::span<float> scores) const {
  assert(scores.size() == codes.size());
  decoded_scores(metric(), *this, dim(), {{}, code}, codes, scores);
}

void Sq8::decode(const uint8_t* code, size_t begin, std::span<float> to) const {
  const float scale = load_tail(code + padded(dim())).scale;
  for (size_t j = 0; j < to.size(); ++j) {
    const auto byte = static_cast<float>(static_cast<int8_t>(code[begin + j]));
    to[j] = (middle_[begin + j] + step_[begin + j] * byte) * scale;
  }
}

bool Sq8::sound(std::span<const uint8_t> code) const {
  assert(code.size() == code_bytes());
  const CodeTail tail = load_tail(code.data() + padded(dim()));
  return sound_tail(tail) && tail.scale <= 1 && tail.sum == 0;
}

size_t Sq8::memory_bytes() const { return sizeof *this + (middle_.size() + step_.size()) * sizeof(float); }

StateSections Sq8::sections() const {
  StateSections sections = VectorCode::sections();
  sections.push_back(view_state<float>(kMiddleName, middle_));
  sections.push_back(view_state<float>(kStepName, step_));
  return sections;
}

Result<std::unique_ptr<VectorCode>> Sq8::from_sections(const SectionViews& sections, Metric metric, size_t dim,
                                                       uint64_t seed) {
  ASSIGN_OR_RETURN(std::vector<float> middle, section_values<float>(sections, kMiddleName));
  ASSIGN_OR_RETURN(std::vector<float> step, section_values<float>(sections, kStepName));
  bool sound = middle.size() == dim && step.size() == dim;
  for (size_t j = 0; sound && j < dim; ++j) {
    // Written so that not-a-number is unsound. Every place on the grid is a float.
    const double ends = std::abs(static_cast<double>(middle[j])) + 128 * static_cast<double>(step[j]);
    sound = step[j] >= 0 && ends <= 1.01 * kMostEnd;
  }
  if (!sound) {
    return Error{Code::kFormatError,
                 "sections code.middle and code.step are not the ranges of " + std::to_string(dim) + " dimensions", ""};
  }
  return std::unique_ptr<VectorCode>(new Sq8(metric, dim, seed, std::move(middle), std::move(step)));
}

}  // namespace nearfield
