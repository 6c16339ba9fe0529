#include "core/collection/request.h"

#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>

using namespace nearfield;

namespace {

Result<SearchRequest> parsed(std::string_view text) { return parse_search_request(Json::parse(text)); }

}  // namespace

TEST_CASE("an empty request is all defaults") {
  const auto request = parsed("{}");
  REQUIRE(request.ok());
  CHECK(request->k == 10);
  CHECK(request->offset == 0);
  CHECK(request->mode == SearchMode::kAuto);
  CHECK(request->include_payload);
  CHECK(request->include_text);
  CHECK(!request->include_vector);
  CHECK(!request->filter);
  CHECK(!request->min_score);
  CHECK(!request->exact);
  CHECK(!request->explain);
  CHECK(request->ef == 0);
  CHECK(std::get<ReciprocalRank>(request->fusion).k == 60);
}

TEST_CASE("every option arrives") {
  const auto request = parsed(R"({"text": "words", "mode": "hybrid", "k": 5, "offset": 2, "filter": {"a": 1},
      "minScore": -0.5, "include": ["vector"], "exact": true, "ef": 50,
      "fusion": {"kind": "rrf", "k": 10, "weights": [2, 0.5]}, "explain": true})");
  REQUIRE(request.ok());
  CHECK(request->text == "words");
  CHECK(request->mode == SearchMode::kHybrid);
  CHECK(request->k == 5);
  CHECK(request->offset == 2);
  REQUIRE(request->filter);
  CHECK(request->filter->matches(Json{{"a", 1}}));
  CHECK(request->min_score == -0.5);
  // What is listed replaces the default.
  CHECK(!request->include_payload);
  CHECK(!request->include_text);
  CHECK(request->include_vector);
  CHECK(request->exact);
  CHECK(request->ef == 50);
  CHECK(request->explain);
  const auto& rrf = std::get<ReciprocalRank>(request->fusion);
  CHECK(rrf.k == 10);
  CHECK(rrf.dense_weight == 2);
  CHECK(rrf.text_weight == 0.5);
  CHECK(std::get<Convex>(parsed(R"({"fusion": {"kind": "convex"}})")->fusion).alpha == 0.35);
  CHECK(std::get<Convex>(parsed(R"({"fusion": {"kind": "convex", "alpha": 1}})")->fusion).alpha == 1);
  CHECK(parsed(R"({"mode": "dense"})")->mode == SearchMode::kDense);
  CHECK(parsed(R"({"mode": "text"})")->mode == SearchMode::kText);
  CHECK(!parsed(R"({"include": []})")->include_text);
}

TEST_CASE("k and offset reach to ten thousand together") {
  CHECK(parsed(R"({"k": 10000})")->k == kMaxK);
  CHECK(parsed(R"({"k": 1, "offset": 9999})")->offset == kMaxK - 1);
  CHECK(parsed(R"({"k": 3.0})")->k == 3);
  for (const char* text :
       {R"({"k": 10001})", R"({"k": 1000000000})", R"({"k": 1e9})", R"({"k": 1e300})", R"({"k": 18446744073709551615})",
        R"({"offset": 1e9})", R"({"offset": 9991})", R"({"k": 2, "offset": 9999})"}) {
    INFO(text);
    CHECK(parsed(text).code() == Code::kInvalidArgument);
  }
  CHECK(parsed(R"({"k": 1000000000})").error().value == "1000000000");
}

TEST_CASE("bad requests name the option and show the value") {
  struct Case {
    const char* json;
    Code code;
    const char* mentions;
    const char* value;
  };
  for (const Case& bad : std::initializer_list<Case>{
           {"[]", Code::kConfigError, "search", "[]"},
           {R"({"K": 3})", Code::kConfigError, "known are text, mode, k, offset", R"("K")"},
           {R"({"vector": [1]})", Code::kConfigError, "no option", R"("vector")"},
           {R"({"k": 0})", Code::kInvalidArgument, "search.k", "0"},
           {R"({"k": -1})", Code::kInvalidArgument, "search.k", "-1"},
           {R"({"k": 1.5})", Code::kInvalidArgument, "search.k", "1.5"},
           {R"({"k": "NaN"})", Code::kInvalidArgument, "search.k", R"("NaN")"},
           {R"({"k": null})", Code::kInvalidArgument, "search.k", "null"},
           {R"({"k": true})", Code::kInvalidArgument, "search.k", "true"},
           {R"({"offset": -1})", Code::kInvalidArgument, "search.offset", "-1"},
           {R"({"offset": 0.5})", Code::kInvalidArgument, "search.offset", "0.5"},
           {R"({"text": 3})", Code::kInvalidArgument, "search.text", "3"},
           {R"({"mode": "fast"})", Code::kInvalidArgument, "one of auto, dense, text, hybrid", R"("fast")"},
           {R"({"mode": 1})", Code::kInvalidArgument, "search.mode", "1"},
           {R"({"filter": {"$foo": 1}})", Code::kFilterError, "filter.$foo", "1"},
           {R"({"filter": null})", Code::kFilterError, "filter", "null"},
           {R"({"minScore": "x"})", Code::kInvalidArgument, "search.minScore", R"("x")"},
           {R"({"include": "text"})", Code::kInvalidArgument, "search.include", R"("text")"},
           {R"({"include": ["id"]})", Code::kInvalidArgument, "one of payload, text, vector", R"("id")"},
           {R"({"exact": 1})", Code::kInvalidArgument, "search.exact", "1"},
           {R"({"ef": 0})", Code::kInvalidArgument, "search.ef", "0"},
           {R"({"ef": 10001})", Code::kInvalidArgument, "search.ef", "10001"},
           {R"({"explain": "yes"})", Code::kInvalidArgument, "search.explain", R"("yes")"},
           {R"({"fusion": "rrf"})", Code::kInvalidArgument, "search.fusion", R"("rrf")"},
           {R"({"fusion": {}})", Code::kInvalidArgument, "search.fusion", "{}"},
           {R"({"fusion": {"kind": "dbsf"}})", Code::kInvalidArgument, "one of rrf, convex", R"("dbsf")"},
           {R"({"fusion": {"kind": "rrf", "alpha": 1}})", Code::kConfigError, "known are kind, k, weights",
            R"("alpha")"},
           {R"({"fusion": {"kind": "convex", "k": 1}})", Code::kConfigError, "known are kind, alpha", R"("k")"},
           {R"({"fusion": {"kind": "rrf", "k": 0}})", Code::kInvalidArgument, "search.fusion.k", "0"},
           {R"({"fusion": {"kind": "rrf", "weights": [1]}})", Code::kInvalidArgument, "search.fusion.weights", "[1]"},
           {R"({"fusion": {"kind": "rrf", "weights": [1, -1]}})", Code::kInvalidArgument, "weights", "-1"},
           {R"({"fusion": {"kind": "convex", "alpha": 1.1}})", Code::kInvalidArgument, "alpha", "1.1"},
           {R"({"fusion": {"kind": "convex", "alpha": null}})", Code::kInvalidArgument, "alpha", "null"},
       }) {
    INFO(bad.json);
    const auto request = parsed(bad.json);
    REQUIRE(!request.ok());
    CHECK(request.code() == bad.code);
    CHECK(request.error().message.find(bad.mentions) != std::string::npos);
    CHECK(request.error().value == bad.value);
  }
  Json long_text = {{"text", std::string(kMaxQueryTextBytes + 1, 'a')}};
  CHECK(parse_search_request(long_text).code() == Code::kLimitExceeded);
  long_text["text"] = std::string(kMaxQueryTextBytes, 'a');
  CHECK(parse_search_request(long_text).ok());
}
