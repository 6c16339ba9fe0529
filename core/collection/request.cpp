#include "core/collection/request.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/collection/options.h"

namespace nearfield {

namespace {

constexpr size_t kMaxEf = 10'000;
constexpr size_t kMaxNprobe = 65'536;

enum Flag : uint32_t {
  kMode = 3,
  kIncludePayload = 1 << 2,
  kIncludeText = 1 << 3,
  kIncludeVector = 1 << 4,
  kExact = 1 << 5,
  kExplain = 1 << 6,
  kConvex = 1 << 7,
  kAllFlags = (1 << 8) - 1,
};

Error invalid(std::string_view key, std::string_view expected, const Json& value) {
  return option_error(Code::kInvalidArgument, "search", key, expected, value);
}

// Fails unless `value` is from `low` to `high`.
Status check_size(std::string_view key, size_t value, size_t low, size_t high) {
  if (value >= low && value <= high) return {};
  return invalid(key, "from " + std::to_string(low) + " to " + std::to_string(high), value);
}

Result<Fusion> read_fusion(bool convex, const double (&numbers)[3]) {
  if (convex) {
    if (!(numbers[0] >= 0 && numbers[0] <= 1)) return invalid("fusion.alpha", "from 0 to 1", numbers[0]);
    return Fusion(Convex{numbers[0]});
  }
  for (const double number : numbers) {
    if (!(number >= 0 && std::isfinite(number))) return invalid("fusion", "finite numbers of at least 0", number);
  }
  if (numbers[0] == 0) return invalid("fusion.k", "above 0", numbers[0]);
  return Fusion(ReciprocalRank{numbers[0], numbers[1], numbers[2]});
}

}  // namespace

Result<SearchRequest> read_search_request(ByteReader& message) {
  SearchRequest request;
  const auto flags = message.get<uint32_t>();
  request.k = message.get<uint32_t>();
  request.offset = message.get<uint32_t>();
  request.ef = message.get<uint32_t>();
  request.nprobe = message.get<uint32_t>();
  request.rescore = message.get<uint32_t>();
  const auto min_score = message.get<double>();
  const double fusion[] = {message.get<double>(), message.get<double>(), message.get<double>()};
  const auto components = message.get<uint32_t>();
  const std::string_view text = message.get_string();
  const std::string_view filter = message.get_string();
  message.align(sizeof(float));
  const ByteView vector = message.get_bytes(uint64_t{components} * sizeof(float));
  if (!message.ok() || flags > kAllFlags) {
    return Error{Code::kFormatError, "message from JavaScript: a query is malformed", ""};
  }
  request.vector = {reinterpret_cast<const float*>(vector.data()), components};
  request.mode = static_cast<SearchMode>(flags & kMode);
  request.include_payload = (flags & kIncludePayload) != 0;
  request.include_text = (flags & kIncludeText) != 0;
  request.include_vector = (flags & kIncludeVector) != 0;
  request.exact = (flags & kExact) != 0;
  request.explain = (flags & kExplain) != 0;
  if (text.size() > kMaxQueryTextBytes) {
    return Error{Code::kLimitExceeded,
                 "search.text has " + std::to_string(text.size()) + " bytes; at most " +
                     std::to_string(kMaxQueryTextBytes) + " are allowed",
                 shown(static_cast<int64_t>(text.size()))};
  }
  request.text = text;
  RETURN_IF_ERROR(check_size("k", request.k, 1, kMaxK));
  RETURN_IF_ERROR(check_size("ef", request.ef, 0, kMaxEf));
  RETURN_IF_ERROR(check_size("nprobe", request.nprobe, 0, kMaxNprobe));
  RETURN_IF_ERROR(check_size("rescore", request.rescore, 0, kMaxK));
  if (request.offset > kMaxK - request.k) {
    return invalid("offset", "at most " + std::to_string(kMaxK) + " together with k", request.offset);
  }
  if (std::isinf(min_score)) return invalid("minScore", "a finite number", min_score);
  if (!std::isnan(min_score)) request.min_score = min_score;
  ASSIGN_OR_RETURN(request.filter, parse_filter(filter));
  ASSIGN_OR_RETURN(request.fusion, read_fusion((flags & kConvex) != 0, fusion));
  return request;
}

Result<std::optional<Filter>> parse_filter(std::string_view text) {
  if (text.empty()) return std::optional<Filter>();
  ASSIGN_OR_RETURN(const Json json, parse_json(text, "filter"));
  ASSIGN_OR_RETURN(Filter filter, Filter::parse(json));
  return std::optional<Filter>(std::move(filter));
}

}  // namespace nearfield
