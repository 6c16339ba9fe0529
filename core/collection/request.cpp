#include "core/collection/request.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/collection/options.h"

namespace nearfield {

namespace {

constexpr size_t kMaxEf = 10'000;
constexpr size_t kMaxNprobe = 65'536;

constexpr std::string_view kRequestKeys[] = {"text",  "mode", "k",      "offset",  "filter", "minScore", "include",
                                             "exact", "ef",   "nprobe", "rescore", "fusion", "explain"};
constexpr std::string_view kModes[] = {"auto", "dense", "text", "hybrid"};  // in the order of SearchMode
constexpr std::string_view kIncludes[] = {"payload", "text", "vector"};
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

Result<bool> read_bool(const Json& value, std::string_view key) {
  if (!value.is_boolean()) return invalid("search", key, "true or false", value);
  return value.get<bool>();
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

Status read_include(const Json& json, SearchRequest& request) {
  if (!json.is_array()) return invalid("search", "include", "an array of " + comma_list(kIncludes), json);
  bool included[std::size(kIncludes)] = {};
  for (const Json& name : json) {
    ASSIGN_OR_RETURN(const size_t which, read_name(name, "search", "include", kIncludes));
    included[which] = true;
  }
  request.include_payload = included[0];
  request.include_text = included[1];
  request.include_vector = included[2];
  return {};
}

}  // namespace

Result<SearchRequest> parse_search_request(const Json& json) {
  RETURN_IF_ERROR(check_keys(json, "search", kRequestKeys));
  SearchRequest request;
  if (const Json* text = find_option(json, "text")) {
    if (!text->is_string()) return invalid("search", "text", "a string", *text);
    request.text = text->get_ref<const std::string&>();
    if (request.text.size() > kMaxQueryTextBytes) {
      return Error{Code::kLimitExceeded,
                   "search.text has " + std::to_string(request.text.size()) + " bytes; at most " +
                       std::to_string(kMaxQueryTextBytes) + " are allowed",
                   shown(static_cast<int64_t>(request.text.size()))};
    }
  }
  if (const Json* mode = find_option(json, "mode")) {
    ASSIGN_OR_RETURN(const size_t which, read_name(*mode, "search", "mode", kModes));
    request.mode = static_cast<SearchMode>(which);
  }
  if (const Json* k = find_option(json, "k")) {
    ASSIGN_OR_RETURN(request.k, read_size(*k, "search", "k", 1, kMaxK, Code::kInvalidArgument));
  }
  if (const Json* offset = find_option(json, "offset")) {
    ASSIGN_OR_RETURN(request.offset, read_size(*offset, "search", "offset", 0, kMaxK, Code::kInvalidArgument));
    if (request.offset + request.k > kMaxK) {
      return invalid("search", "offset", "at most " + std::to_string(kMaxK) + " together with k", *offset);
    }
  }
  if (const Json* filter = find_option(json, "filter")) {
    ASSIGN_OR_RETURN(request.filter, Filter::parse(*filter));
  }
  if (const Json* min_score = find_option(json, "minScore")) {
    ASSIGN_OR_RETURN(request.min_score,
                     read_number(*min_score, "search", "minScore", "a number", [](double) { return true; }));
  }
  if (const Json* include = find_option(json, "include")) RETURN_IF_ERROR(read_include(*include, request));
  if (const Json* exact = find_option(json, "exact")) {
    ASSIGN_OR_RETURN(request.exact, read_bool(*exact, "exact"));
  }
  if (const Json* ef = find_option(json, "ef")) {
    ASSIGN_OR_RETURN(request.ef, read_size(*ef, "search", "ef", 1, kMaxEf, Code::kInvalidArgument));
  }
  if (const Json* nprobe = find_option(json, "nprobe")) {
    ASSIGN_OR_RETURN(request.nprobe, read_size(*nprobe, "search", "nprobe", 1, kMaxNprobe, Code::kInvalidArgument));
  }
  if (const Json* rescore = find_option(json, "rescore")) {
    ASSIGN_OR_RETURN(request.rescore, read_size(*rescore, "search", "rescore", 1, kMaxK, Code::kInvalidArgument));
  }
  if (const Json* fusion = find_option(json, "fusion")) {
    ASSIGN_OR_RETURN(request.fusion, read_fusion(*fusion));
  }
  if (const Json* explain = find_option(json, "explain")) {
    ASSIGN_OR_RETURN(request.explain, read_bool(*explain, "explain"));
  }
  return request;
}

}  // namespace nearfield
