#include "core/remote/chroma_parts.h"

namespace nearfield {

namespace {

constexpr std::string_view kDimensionKey = "_nearfield.dimension";

std::string_view space_name(Metric metric) {
  switch (metric) {
    case Metric::kCosine: return "cosine";
    case Metric::kDot: return "ip";
    case Metric::kEuclidean: return "l2";
    case Metric::kManhattan: break;
  }
  return "";
}

}  // namespace

std::string ChromaStore::create_body() const {
  std::string out = "{\"name\":\"" + options_.collection + "\",\"get_or_create\":false";
  // Chroma itself learns it from the first vector.
  if (options_.dimension > 0) {
    out += ",\"metadata\":{\"" + std::string(kDimensionKey) + "\":" + std::to_string(options_.dimension) + '}';
  }
  out += ",\"configuration\":{\"hnsw\":{\"space\":\"" + std::string(space_name(options_.metric)) + '"';
  if (options_.ef_construct > 0) out += ",\"ef_construction\":" + std::to_string(options_.ef_construct);
  if (options_.m > 0) out += ",\"max_neighbors\":" + std::to_string(options_.m);
  if (options_.ef > 0) out += ",\"ef_search\":" + std::to_string(options_.ef);
  return out += "}}}";
}

Task<Result<EnsureReport>> ChromaStore::ensure() {
  CO_RETURN_IF_ERROR(open());
  Result<Reply> described = co_await describe();
  if (!described.ok() && described.code() == Code::kNotFound) {
    const Result<Reply> made =
        co_await call({.method = "POST", .path = path(""), .body = create_body(), .retry = RetryClass::kCreate});
    // In a conflict somebody was faster, or it was an attempt of ours whose answer was lost.
    if (!made.ok() && made.code() != Code::kConflict) co_return Error(made.error());
    described = co_await describe();
    if (!described.ok()) co_return std::move(described).failure();
    CO_ASSIGN_OR_RETURN(EnsureReport report, compare(*described));
    report.created = made.ok();
    co_return std::move(report);
  }
  if (!described.ok()) co_return std::move(described).failure();
  co_return compare(*described);
}

Result<EnsureReport> ChromaStore::compare(const Reply& described) const {
  const Json* index = nullptr;
  for (const std::string_view kind : {"hnsw", "spann"}) {
    const Json* found = json_at(described.json, {"configuration_json", kind});
    if (found != nullptr && found->is_object()) index = found;
  }
  const std::string* space = index == nullptr ? nullptr : string_member(*index, "space");
  if (space == nullptr) return bad(described, "no `space` of an index");
  const Json* noted = json_at(described.json, {"metadata", kDimensionKey});
  size_t dimension = dimension_;
  if (dimension == 0 && noted != nullptr && noted->is_number_unsigned()) dimension = noted->get<size_t>();
  if (options_.dimension > 0 && dimension > 0 && dimension != options_.dimension) {
    return dimension_mismatch(Code::kSchemaMismatch, options_.dimension, dimension);
  }
  if (*space != space_name(options_.metric)) {
    return schema_mismatch(options_.collection,
                           "compares by " + shown(*space) + ", not by " + shown(space_name(options_.metric)));
  }
  EnsureReport report;
  const auto compare_one = [&](std::string name, size_t asked, std::string_view member) {
    if (asked == 0) return;
    const Json* found = json_member(*index, member);
    std::string told = found == nullptr ? "(not told)" : shown_json(*found);
    if (told != std::to_string(asked)) report.differences.push_back({std::move(name), std::to_string(asked), told});
  };
  compare_one("m", options_.m, "max_neighbors");
  compare_one("ef_construct", options_.ef_construct, "ef_construction");
  compare_one("ef", options_.ef, "ef_search");
  return report;
}

}  // namespace nearfield
