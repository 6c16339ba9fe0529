#include "core/quant/code.h"

#include <catch_amalgamated.hpp>

#include "core/base/hash.h"
#include "tests/support/codes.h"

using namespace nearfield;

TEST_CASE("codes have names") {
  CHECK(code_kind_name(CodeKind::kRq8) == "rq8");
  CHECK(parse_code_kind("rabitq").value() == CodeKind::kRaBitQ);
  const auto unknown = parse_code_kind("rq9");
  REQUIRE(unknown.code() == Code::kInvalidArgument);
  CHECK(unknown.error().message.find("f32, f16, sq8, rq8") != std::string::npos);
}

TEST_CASE("a code that cannot be had says why") {
  const auto manhattan = VectorCode::make(CodeKind::kRq8, Metric::kManhattan, 8, 1);
  REQUIRE(manhattan.code() == Code::kUnsupported);
  CHECK(manhattan.error().message.find("manhattan") != std::string::npos);
}

TEST_CASE("codes are the same bytes on every platform") {
  // The numbers are the same natively and as WebAssembly. A code whose number changes cannot read what was written.
  const auto hash_of = [](CodeKind kind, Metric metric) {
    Random random(11);
    Bytes bytes;
    for (const size_t dim : {1, 3, 8, 100, 384, 1536}) {
      const auto code = VectorCode::make(kind, metric, dim, 77).value();
      const Encoded encoded(*code, varied_vectors(random, dim, 24));
      bytes.insert(bytes.end(), encoded.bytes.begin(), encoded.bytes.end());
    }
    return hash64(bytes);
  };
  CHECK(hash_of(CodeKind::kRq8, Metric::kCosine) == 5105484826393638920u);
  CHECK(hash_of(CodeKind::kRq8, Metric::kEuclidean) == 5890839713959034077u);
}

TEST_CASE("a code comes back from its sections and from nothing else") {
  const auto code = VectorCode::make(CodeKind::kRq8, Metric::kEuclidean, 100, 5).value();
  const Sections written = gathered(code->sections());
  const auto back = VectorCode::from_sections(written);
  REQUIRE(back.ok());
  CHECK((*back)->kind() == CodeKind::kRq8);
  CHECK((*back)->metric() == Metric::kEuclidean);
  CHECK((*back)->dim() == 100);
  Random random(1);
  const auto vectors = varied_vectors(random, 100, 16);
  CHECK(Encoded(*code, vectors).bytes == Encoded(**back, vectors).bytes);

  CHECK(VectorCode::from_sections(Sections{}).code() == Code::kFormatError);
  for (size_t i = 0; i < 3; ++i) {
    for (const uint64_t bad : {uint64_t{0}, uint64_t{9}, uint64_t{260}, uint64_t{1} << 32 | 4, UINT64_MAX}) {
      if (i == 2 && (bad == 9 || bad == 260)) continue;  // are dimensions
      Sections damaged = written;
      std::memcpy(damaged[0].bytes.data() + 8 * i, &bad, sizeof bad);
      CHECK(VectorCode::from_sections(damaged).code() == Code::kFormatError);
    }
  }
  Sections manhattan = written;
  manhattan[0].bytes[8] = static_cast<uint8_t>(Metric::kManhattan);
  CHECK(VectorCode::from_sections(manhattan).code() == Code::kFormatError);
  Sections cut = written;
  cut[0].bytes.pop_back();
  CHECK(VectorCode::from_sections(cut).code() == Code::kFormatError);
}
