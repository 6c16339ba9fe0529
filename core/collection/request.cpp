#include "core/collection/request.h"

#include <algorithm>
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
  kAllFlags = (1 << 7) - 1,
};

constexpr std::string_view kFusions[] = {"rrf", "convex"};
constexpr std::string_view kRrfKeys[] = {"kind", "k", "weights"};
constexpr std::string_view kConvexKeys[] = {"kind", "alpha"};

Error invalid(std::string_view path, std::string_view key, std::string_view expected, const Json& value) {
  return option_error(Code::kInvalidArgument, path, key, expected, value);
}

// The position of `value` in `names`.
Result<size_t> read_name(const Json& value, std::string_view path, std::string_view key,
                         std::span<const std::string_view> names) {
  if (value.is_string()) {
    const auto found = std::find(names.begin(), names.end(), value.get_ref<const std::string&>());
    if (found != names.end()) return static_cast<size_t>(found - names.begin());
  }
  return invalid(path, key, "one of " + comma_list(names), value);
}

// Fails unless `value` is from `low` to `high`.
Status check_size(std::string_view key, size_t value, size_t low, size_t high) {
  if (value >= low && value <= high) return {};
  return invalid("search", key, "from " + std::to_string(low) + " to " + std::to_string(high), value);
}

// Fails unless `inside(number)`; JSON numbers are finite.
template <typename Inside>
Result<double> read_number(const Json& value, std::string_view path, std::string_view key, std::string_view expected,
                           Inside inside) {
  if (!value.is_number() || !inside(value.get<double>())) return invalid(path, key, expected, value);
  return value.get<double>();
}

Result<Fusion> read_fusion(const Json& json) {
  if (!json.is_object()) return invalid("search", "fusion", "an object with a kind", json);
  const Json* kind = find_option(json, "kind");
  if (kind == nullptr) return invalid("search", "fusion", "an object with a kind", json);
  ASSIGN_OR_RETURN(const size_t which, read_name(*kind, "search.fusion", "kind", kFusions));
  if (which == 1) {
    RETURN_IF_ERROR(check_keys(json, "search.fusion", kConvexKeys));
    Convex convex;
    if (const Json* alpha = find_option(json, "alpha")) {
      ASSIGN_OR_RETURN(convex.alpha, read_number(*alpha, "search.fusion", "alpha", "a number from 0 to 1",
                                                 [](double number) { return number >= 0 && number <= 1; }));
    }
    return Fusion(convex);
  }
  RETURN_IF_ERROR(check_keys(json, "search.fusion", kRrfKeys));
  ReciprocalRank rrf;
  if (const Json* k = find_option(json, "k")) {
    ASSIGN_OR_RETURN(
        rrf.k, read_number(*k, "search.fusion", "k", "a number above 0", [](double number) { return number > 0; }));
  }
  if (const Json* weights = find_option(json, "weights")) {
    constexpr std::string_view kExpected = "two numbers of at least 0, [dense, text]";
    if (!weights->is_array() || weights->size() != 2) return invalid("search.fusion", "weights", kExpected, *weights);
    const auto inside = [](double number) { return number >= 0; };
    ASSIGN_OR_RETURN(rrf.dense_weight, read_number((*weights)[0], "search.fusion", "weights", kExpected, inside));
    ASSIGN_OR_RETURN(rrf.text_weight, read_number((*weights)[1], "search.fusion", "weights", kExpected, inside));
  }
  return Fusion(rrf);
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
  const auto components = message.get<uint32_t>();
  const std::string_view text = message.get_string();
  const std::string_view filter = message.get_string();
  const std::string_view fusion = message.get_string();
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
    return invalid("search", "offset", "at most " + std::to_string(kMaxK) + " together with k", request.offset);
  }
  if (std::isinf(min_score)) return invalid("search", "minScore", "a finite number", min_score);
  if (!std::isnan(min_score)) request.min_score = min_score;
  ASSIGN_OR_RETURN(request.filter, parse_filter(filter));
  if (!fusion.empty()) {
    ASSIGN_OR_RETURN(const Json json, parse_json(fusion, "search.fusion"));
    ASSIGN_OR_RETURN(request.fusion, read_fusion(json));
  }
  return request;
}

Result<std::optional<Filter>> parse_filter(std::string_view text) {
  if (text.empty()) return std::optional<Filter>();
  ASSIGN_OR_RETURN(const Json json, parse_json(text, "filter"));
  ASSIGN_OR_RETURN(Filter filter, Filter::parse(json));
  return std::optional<Filter>(std::move(filter));
}

}  // namespace nearfield
