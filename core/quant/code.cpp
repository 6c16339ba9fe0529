#include "core/quant/code.h"

#include <algorithm>
#include <string>

#include "core/base/spelling.h"
#include "core/quant/float_code.h"
#include "core/quant/pq.h"
#include "core/quant/rabitq.h"
#include "core/quant/rq4.h"
#include "core/quant/rq8.h"
#include "core/quant/sq8.h"

namespace nearfield {

namespace {

constexpr Spelling<CodeKind> kNames[] = {
#define NEARFIELD_CODE(name, number, spelling) {CodeKind::k##name, spelling},
#include "core/quant/codes.def"
#undef NEARFIELD_CODE
};

constexpr std::string_view kHeaderName = "code.header";

Error malformed(std::string what) { return {Code::kFormatError, "section code.header: " + std::move(what), ""}; }

Error not_made(CodeKind kind, std::string why) {
  const std::string name(code_kind_name(kind));
  return {Code::kUnsupported, "the code " + name + " " + std::move(why), shown(name)};
}

Error no_manhattan(CodeKind kind) {
  return not_made(kind, "rotates vectors, which changes manhattan distances; f32, f16 and sq8 keep them");
}

}  // namespace

std::string_view code_kind_name(CodeKind kind) { return name_in(kNames, kind); }

Result<CodeKind> parse_code_kind(std::string_view name) { return parse_by(kNames, "code", name); }

bool VectorCode::is_trained(CodeKind kind) {
  return kind == CodeKind::kSq8 || kind == CodeKind::kPq8 || kind == CodeKind::kPq4 || kind == CodeKind::kRaBitQ;
}

Result<std::unique_ptr<VectorCode>> VectorCode::make(CodeKind kind, Metric metric, size_t dim, uint64_t seed) {
  assert(dim >= 1 && dim <= kMaxCodeDim);
  if (is_trained(kind)) return not_made(kind, "learns from rows first");
  std::unique_ptr<VectorCode> code;
  if (kind == CodeKind::kF32 || kind == CodeKind::kF16) {
    code = std::make_unique<FloatCode>(kind, metric, dim, seed);
  } else if (metric == Metric::kManhattan) {
    return no_manhattan(kind);
  } else if (kind == CodeKind::kRq8) {
    code = std::make_unique<Rq8>(metric, dim, seed);
  } else if (kind == CodeKind::kRq4) {
    code = std::make_unique<Rq4>(metric, dim, seed);
  } else {
    return not_made(kind, "is not in this version");
  }
  return code;
}

Result<std::unique_ptr<VectorCode>> VectorCode::train(CodeKind kind, Metric metric, MatrixView sample, uint64_t seed,
                                                      size_t sub_vectors) {
  assert(sample.dim() <= kMaxCodeDim);
  if (!is_trained(kind)) return not_made(kind, "does not learn from rows");
  if (sample.count() == 0) {
    return Error{Code::kInvalidArgument, std::string(code_kind_name(kind)) + " learns from rows, and there are none",
                 ""};
  }
  if (kind == CodeKind::kSq8) return Sq8::train(metric, sample, seed);
  if (kind == CodeKind::kPq8 || kind == CodeKind::kPq4) {
    PqTraining training(kind, metric, sample, sub_vectors, seed);
    while (training.advance(SIZE_MAX)) continue;
    return training.take();
  }
  if (metric == Metric::kManhattan) return no_manhattan(kind);
  return RaBitQ::train(metric, sample, seed);
}

void VectorCode::score_block(const PreparedQuery& query, const uint8_t* first, std::span<float> scores) const {
  constexpr size_t kRows = 64;
  const uint8_t* rows[kRows];
  for (size_t begin = 0; begin < scores.size(); begin += kRows) {
    const size_t count = std::min(kRows, scores.size() - begin);
    for (size_t i = 0; i < count; ++i) rows[i] = first + (begin + i) * code_bytes_;
    score(query, {rows, count}, scores.subspan(begin, count));
  }
}

StateSections VectorCode::sections() const {
  const uint64_t header[] = {static_cast<uint64_t>(kind_), static_cast<uint64_t>(metric_), dim_, seed_};
  StateSections sections;
  sections.push_back(copy_state<uint64_t>(kHeaderName, header));
  return sections;
}

Result<std::unique_ptr<VectorCode>> VectorCode::from_sections(const SectionViews& sections) {
  ASSIGN_OR_RETURN(const auto header, section_elements<uint64_t>(sections, kHeaderName));
  if (header.size() != 4 || header.bytes().size() != 4 * sizeof(uint64_t)) return malformed("there are not 4 numbers");
  const uint64_t kind = header[0], metric = header[1], dim = header[2];
  if (kind > UINT8_MAX || code_kind_name(static_cast<CodeKind>(kind)).empty()) {
    return malformed("there is no code " + std::to_string(kind));
  }
  if (metric > UINT8_MAX || metric_name(static_cast<Metric>(metric)).empty()) {
    return malformed("there is no metric " + std::to_string(metric));
  }
  if (dim < 1 || dim > kMaxCodeDim) return malformed("the dimension is " + std::to_string(dim));
  const auto of_kind = static_cast<CodeKind>(kind);
  const auto of_metric = static_cast<Metric>(metric);
  const auto of_dim = static_cast<size_t>(dim);
  if (of_kind == CodeKind::kSq8) return Sq8::from_sections(sections, of_metric, of_dim, header[3]);
  if (of_kind == CodeKind::kPq8 || of_kind == CodeKind::kPq4) {
    return Pq::from_sections(sections, of_kind, of_metric, of_dim, header[3]);
  }
  if (of_kind == CodeKind::kRaBitQ && of_metric != Metric::kManhattan) {
    return RaBitQ::from_sections(sections, of_metric, of_dim, header[3]);
  }
  auto made = make(of_kind, of_metric, of_dim, header[3]);
  if (!made.ok()) return malformed(made.error().message);
  return made;
}

}  // namespace nearfield
