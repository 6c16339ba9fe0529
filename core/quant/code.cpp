#include "core/quant/code.h"

#include <string>

#include "core/quant/rq8.h"

namespace nearfield {

namespace {

constexpr std::string_view kHeaderName = "code.header";

Error malformed(std::string what) { return {Code::kFormatError, "section code.header: " + std::move(what), ""}; }

Error not_made(CodeKind kind, std::string why) {
  const std::string name(code_kind_name(kind));
  return {Code::kUnsupported, "the code " + name + " " + std::move(why), shown(name)};
}

}  // namespace

std::string_view code_kind_name(CodeKind kind) {
  switch (kind) {
#define NEARFIELD_CODE(name, number, spelling) \
  case CodeKind::k##name: return spelling;
#include "core/quant/codes.def"
#undef NEARFIELD_CODE
  }
  return "";
}

Result<CodeKind> parse_code_kind(std::string_view name) {
#define NEARFIELD_CODE(identifier, number, spelling) \
  if (name == spelling) return CodeKind::k##identifier;
#include "core/quant/codes.def"
#undef NEARFIELD_CODE
  std::string known;
#define NEARFIELD_CODE(identifier, number, spelling) known += known.empty() ? spelling : ", " spelling;
#include "core/quant/codes.def"
#undef NEARFIELD_CODE
  return Error{Code::kInvalidArgument, "unknown code " + shown(name) + "; known are " + known, shown(name)};
}

Result<std::unique_ptr<VectorCode>> VectorCode::make(CodeKind kind, Metric metric, size_t dim, uint64_t seed) {
  assert(dim >= 1 && dim <= kMaxCodeDim);
  if (kind != CodeKind::kRq8) return not_made(kind, "is not there yet");
  if (metric == Metric::kManhattan) {
    return not_made(kind, "rotates vectors, which changes manhattan distances; f32, f16 and sq8 keep them");
  }
  return std::unique_ptr<VectorCode>(std::make_unique<Rq8>(metric, dim, seed));
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
  auto made = make(static_cast<CodeKind>(kind), static_cast<Metric>(metric), static_cast<size_t>(dim), header[3]);
  if (!made.ok()) return malformed(made.error().message);
  return made;
}

}  // namespace nearfield
