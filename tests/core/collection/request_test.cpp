#include "core/collection/request.h"

#include <algorithm>
#include <catch_amalgamated.hpp>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

using namespace nearfield;

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// A request as js/src/search.ts writes it where no option is given.
struct Written {
  uint32_t flags = 0b1100;  // payload and text included
  uint32_t k = 10;
  uint32_t offset = 0;
  uint32_t ef = 0;
  uint32_t nprobe = 0;
  uint32_t rescore = 0;
  double min_score = kNone;
  std::string text;
  std::string filter;
  double fusion[3] = {60, 1, 1};
  std::vector<float> vector;

  Bytes bytes() const {
    Bytes out;
    ByteWriter writer(out);
    for (const uint32_t word : {flags, k, offset, ef, nprobe, rescore}) writer.put(word);
    writer.put(min_score);
    for (const double number : fusion) writer.put(number);
    writer.put(static_cast<uint32_t>(vector.size()));
    writer.put_string(text);
    writer.put_string(filter);
    writer.align(4);
    writer.put_array(std::span(vector));
    return out;
  }
};

// The message outlives the request, whose vector is a view into it.
struct Read {
  explicit Read(const Written& written) : message(written.bytes()) {}

  Bytes message;
  ByteReader reader{message};
  Result<SearchRequest> request = read_search_request(reader);
};

}  // namespace

TEST_CASE("a request of no options is what a fresh one is") {
  const Read read{Written{}};
  const SearchRequest fresh;
  REQUIRE(read.request.ok());
  CHECK(read.reader.at_end());
  CHECK(read.request->k == fresh.k);
  CHECK(read.request->offset == fresh.offset);
  CHECK(read.request->mode == fresh.mode);
  CHECK(read.request->include_payload == fresh.include_payload);
  CHECK(read.request->include_text == fresh.include_text);
  CHECK(read.request->include_vector == fresh.include_vector);
  CHECK(!read.request->filter);
  CHECK(!read.request->min_score);
  CHECK(!read.request->exact);
  CHECK(!read.request->explain);
  CHECK(read.request->ef == fresh.ef);
  CHECK(read.request->nprobe == fresh.nprobe);
  CHECK(read.request->rescore == fresh.rescore);
  CHECK(read.request->vector.empty());
  CHECK(std::get<ReciprocalRank>(read.request->fusion).k == 60);
}

TEST_CASE("every option arrives") {
  Written written;
  written.flags = 3 | 1 << 4 | 1 << 5 | 1 << 6;
  written.k = 5;
  written.offset = 2;
  written.ef = 50;
  written.nprobe = 6;
  written.rescore = 70;
  written.min_score = -0.5;
  written.text = "words";
  written.filter = R"({"a": 1})";
  std::ranges::copy(std::initializer_list<double>{10, 2, 0.5}, written.fusion);
  written.vector = {1, -2, 3.5};
  const Read read(written);
  REQUIRE(read.request.ok());
  CHECK(read.reader.at_end());
  const SearchRequest& request = read.request.value();
  CHECK(request.text == "words");
  CHECK(request.mode == SearchMode::kHybrid);
  CHECK(request.k == 5);
  CHECK(request.offset == 2);
  REQUIRE(request.filter);
  CHECK(request.filter->matches(Json{{"a", 1}}));
  CHECK(request.min_score == -0.5);
  CHECK(!request.include_payload);
  CHECK(!request.include_text);
  CHECK(request.include_vector);
  CHECK(request.exact);
  CHECK(request.ef == 50);
  CHECK(request.nprobe == 6);
  CHECK(request.rescore == 70);
  CHECK(request.explain);
  CHECK(std::vector(request.vector.begin(), request.vector.end()) == written.vector);
  const auto& rrf = std::get<ReciprocalRank>(request.fusion);
  CHECK(rrf.k == 10);
  CHECK(rrf.dense_weight == 2);
  CHECK(rrf.text_weight == 0.5);
}

TEST_CASE("each flag means one thing") {
  const auto read = [](uint32_t flags) {
    Written written;
    written.flags = flags;
    return std::move(Read(written).request).value();
  };
  CHECK(read(0).mode == SearchMode::kAuto);
  CHECK(read(1).mode == SearchMode::kDense);
  CHECK(read(2).mode == SearchMode::kText);
  CHECK(read(1 << 2).include_payload);
  CHECK(!read(1 << 2).include_text);
  CHECK(read(1 << 3).include_text);
  CHECK(read(1 << 4).include_vector);
  CHECK(!read(1 << 4).exact);
  CHECK(read(1 << 5).exact);
  CHECK(read(1 << 6).explain);
  CHECK(std::holds_alternative<ReciprocalRank>(read(1 << 6).fusion));
  Written convex;
  convex.flags = 1 << 7;
  convex.fusion[0] = 0.25;
  CHECK(std::get<Convex>(Read(convex).request->fusion).alpha == 0.25);
}

TEST_CASE("k and offset reach to ten thousand together") {
  const auto read = [](uint32_t k, uint32_t offset) {
    Written written;
    written.k = k;
    written.offset = offset;
    return Read(written).request;
  };
  CHECK(read(10'000, 0)->k == kMaxK);
  CHECK(read(1, 9'999)->offset == kMaxK - 1);
  for (const auto& [k, offset] :
       {std::pair(10'001u, 0u), {UINT32_MAX, 0u}, {10u, 9'991u}, {2u, 9'999u}, {1u, UINT32_MAX}, {0u, 0u}}) {
    INFO(k << " " << offset);
    CHECK(read(k, offset).code() == Code::kInvalidArgument);
  }
  CHECK(read(1'000'000'000, 0).error().value == "1000000000");
  CHECK(read(10, 1'000'000'000).error().value == "1000000000");
}

TEST_CASE("bad requests name the option and show the value") {
  const auto refused = [](Code code, std::string_view mentions, std::string_view value, auto change) {
    Written written;
    change(written);
    INFO(mentions << " " << value);
    const Read read(written);
    REQUIRE(!read.request.ok());
    CHECK(read.request.code() == code);
    CHECK(read.request.error().message.find(mentions) != std::string::npos);
    CHECK(read.request.error().value == value);
  };
  constexpr Code kInvalid = Code::kInvalidArgument;
  refused(kInvalid, "search.k", "0", [](Written& written) { written.k = 0; });
  refused(kInvalid, "search.nprobe", "65537", [](Written& written) { written.nprobe = 65'537; });
  refused(kInvalid, "search.rescore", "10001", [](Written& written) { written.rescore = 10'001; });
  refused(kInvalid, "search.ef", "10001", [](Written& written) { written.ef = 10'001; });
  refused(kInvalid, "search.minScore", "null", [](Written& written) { written.min_score = HUGE_VAL; });
  refused(kInvalid, "search.minScore", "null", [](Written& written) { written.min_score = -HUGE_VAL; });
  refused(Code::kFormatError, "malformed", "", [](Written& written) { written.flags = 1 << 8; });

  const auto refused_filter = [&](Code code, std::string_view mentions, std::string_view value, const char* filter) {
    refused(code, mentions, value, [&](Written& written) { written.filter = filter; });
  };
  refused_filter(Code::kFilterError, "filter.$foo", "1", R"({"$foo": 1})");
  refused_filter(Code::kFilterError, "filter", "null", "null");
  refused_filter(Code::kFormatError, "filter: not JSON", "", "{");
  refused_filter(Code::kFormatError, "twice", R"("a")", R"({"a": 1, "a": 2})");

  const auto refused_fusion = [&](uint32_t flags, std::string_view mentions, std::string_view value, size_t i,
                                  double number) {
    refused(kInvalid, mentions, value, [&](Written& written) {
      written.flags = flags;
      written.fusion[i] = number;
    });
  };
  refused_fusion(0, "search.fusion.k", "0.0", 0, 0);
  refused_fusion(0, "search.fusion", "-1.0", 0, -1);
  refused_fusion(0, "search.fusion", "-1.0", 1, -1);
  refused_fusion(0, "search.fusion", "null", 2, kNone);
  refused_fusion(0, "search.fusion", "null", 2, HUGE_VAL);
  refused_fusion(1 << 7, "search.fusion.alpha", "1.5", 0, 1.5);
  refused_fusion(1 << 7, "search.fusion.alpha", "-0.5", 0, -0.5);
  refused_fusion(1 << 7, "search.fusion.alpha", "null", 0, kNone);
}

TEST_CASE("a query's text is bounded") {
  Written written;
  written.text.assign(kMaxQueryTextBytes + 1, 'a');
  CHECK(Read(written).request.code() == Code::kLimitExceeded);
  written.text.pop_back();
  CHECK(Read(written).request.ok());
}

TEST_CASE("a message that ends anywhere inside a request is refused") {
  Written written;
  written.text = "four";
  written.filter = R"({"a": 1})";
  written.vector = {1, 2, 3};
  const Bytes whole = written.bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    ByteReader reader({whole.data(), length});
    CHECK(read_search_request(reader).code() == Code::kFormatError);
  }
  // Lengths and counts that reach far beyond the end cost nothing.
  for (size_t at = 56; at + 4 <= whole.size(); at += 4) {
    Bytes damaged = whole;
    std::fill_n(damaged.begin() + static_cast<ptrdiff_t>(at), 4, uint8_t{0xff});
    ByteReader reader(damaged);
    const auto request = read_search_request(reader);
    if (!request.ok()) CHECK(request.code() == Code::kFormatError);
  }
}
