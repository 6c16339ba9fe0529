#include "core/quant/code.h"

#include <catch_amalgamated.hpp>

#include "core/base/hash.h"
#include "core/quant/byte_kernels.h"
#include "tests/support/codes.h"

using namespace nearfield;

namespace {

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kDot, Metric::kEuclidean, Metric::kManhattan};

}  // namespace

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

TEST_CASE("a batch, a block and single rows score alike") {
  Random random(4);
  const auto vectors = varied_vectors(random, 100, 75);
  for (const CodeKind kind : kMadeKinds) {
    for (const Metric metric : kMetrics) {
      const auto made = code_for(kind, metric, vectors, 5);
      if (!made.ok()) continue;
      const VectorCode& code = **made;
      CAPTURE(code_kind_name(kind), metric_name(metric));
      const Encoded encoded(code, vectors);
      PreparedQuery prepared;
      code.prepare(vectors[0], prepared);
      // How much adding in another order may change; sums of integers do not.
      const bool floats = kind == CodeKind::kF32 || kind == CodeKind::kF16 || kind == CodeKind::kSq8;
      const auto same = [&](float a, float b) {
        return std::abs(a - b) <= (floats ? 1e-4f : 1e-6f) * (1e-3f + std::abs(a));
      };
      for (const size_t count : {0, 1, 3, 4, 5, 31, 32, 33, 63, 64, 65, 75}) {
        std::vector<float> batch(count), block(count);
        code.score(prepared, std::span(encoded.rows).first(count), batch);
        code.score_block(prepared, encoded.rows[0], block);
        REQUIRE(batch == block);
      }
      for (size_t i = 0; i < vectors.size(); ++i) {
        float batch = 0, one = 0, there = 0, back = 0;
        std::vector<float> scores(i + 1);
        code.score_block(prepared, encoded.rows[0], scores);
        batch = scores[i];
        code.score(prepared, {&encoded.rows[i], 1}, {&one, 1});
        REQUIRE(same(one, batch));
        if (!code.compares_rows()) continue;
        code.between(encoded.rows[0], {&encoded.rows[i], 1}, {&there, 1});
        code.between(encoded.rows[i], {&encoded.rows[0], 1}, {&back, 1});
        REQUIRE(same(there, back));
      }
    }
  }
}

TEST_CASE("a query's integers never add up to more than 32 bits hold") {
  Random random(7);
  for (const size_t dim : {512, 4096, 65'536}) {
    // Flat as it is, for sq8; flat after the rotation, as nearly as it gets, for the others.
    const std::vector<std::vector<float>> vectors = {std::vector<float>(dim, 1.f), random_vector(random, dim),
                                                     std::vector<float>(dim, -1.f)};
    for (const CodeKind kind : {CodeKind::kSq8, CodeKind::kRq8, CodeKind::kRq4}) {
      const auto code = code_for(kind, Metric::kDot, vectors, 1).value();
      for (const auto& query : vectors) {
        PreparedQuery prepared;
        code->prepare(query, prepared);
        int64_t sum = 0;
        for (const int16_t component : prepared.integers) sum += std::abs(component);
        REQUIRE(sum <= kMostQuerySum);
        REQUIRE(sum > kMostQuerySum / 20);
      }
    }
  }
}

TEST_CASE("lengths at the ends of the range give finite scores") {
  constexpr float kMost = std::numeric_limits<float>::max(), kLeast = std::numeric_limits<float>::denorm_min();
  Random random(6);
  for (const size_t dim : {1, 8, 384}) {
    std::vector<std::vector<float>> vectors;
    for (const float size : {kMost, 1e30f, 1.f, 1e-30f, kLeast, 0.f}) {
      vectors.push_back(std::vector<float>(dim, size));
      vectors.push_back(random_vector(random, dim, size));
    }
    for (const CodeKind kind : kMadeKinds) {
      for (const Metric metric : kMetrics) {
        const auto made = code_for(kind, metric, vectors, 1);
        if (!made.ok()) continue;
        const VectorCode& code = **made;
        CAPTURE(code_kind_name(kind), metric_name(metric));
        const Encoded encoded(code, vectors);
        for (size_t i = 0; i < vectors.size(); ++i) {
          REQUIRE(code.sound({encoded.rows[i], code.code_bytes()}));
          std::vector<float> between(vectors.size());
          if (code.compares_rows()) code.between(encoded.rows[i], encoded.rows, between);
          for (const float score : between) REQUIRE(std::isfinite(score));
          const std::vector<float> scores = scores_of(code, vectors[i], encoded);
          for (const float score : scores) REQUIRE(std::isfinite(score));
          if (metric == Metric::kCosine && i % 2 == 0) {
            // Equal directions, whatever their length; zeros score 0.
            for (size_t row = 0; row < vectors.size(); row += 2) {
              const float expected = i < 10 && row < 10 ? 1.f : 0.f;
              const float tolerance = expected == 0 ? 0 : kind == CodeKind::kRaBitQ ? 0.5f : 0.01f;
              REQUIRE(std::abs(scores[row] - expected) <= tolerance);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("whatever the bytes of a sound code, its scores are finite") {
  Random random(8);
  const auto queries = varied_vectors(random, 70, 10);
  for (const CodeKind kind : kMadeKinds) {
    for (const Metric metric : kMetrics) {
      const auto made = code_for(kind, metric, queries, 1);
      if (!made.ok()) continue;
      const VectorCode& code = **made;
      CAPTURE(code_kind_name(kind), metric_name(metric));
      Encoded encoded(code, queries);
      CodeScratch scratch;
      size_t refused = 0;
      for (size_t round = 0; round < 1500; ++round) {
        const size_t damaged = random.below(queries.size());
        const std::span<uint8_t> bytes(const_cast<uint8_t*>(encoded.rows[damaged]), encoded.stride);
        // Tails are hit as often as all the rest.
        const size_t reach = round % 2 == 0 ? bytes.size() : 16;
        bytes[bytes.size() - 1 - random.below(reach)] = static_cast<uint8_t>(random.next());
        if (!code.sound(bytes)) {
          ++refused;
          code.encode(queries[damaged], bytes, scratch);
        }
        for (const float score : scores_of(code, queries[round % queries.size()], encoded)) {
          REQUIRE(std::isfinite(score));
        }
        std::vector<float> between(queries.size());
        if (code.compares_rows()) code.between(encoded.rows[0], encoded.rows, between);
        for (const float score : between) REQUIRE(std::isfinite(score));
      }
      CHECK(refused > 0);
    }
  }
}

TEST_CASE("tails that encode() cannot have written are not sound") {
  for (const CodeKind kind : {CodeKind::kRq8, CodeKind::kRq4, CodeKind::kSq8}) {
    const auto code = code_for(kind, Metric::kDot, {std::vector<float>(10, 1.f)}, 1).value();
    const Encoded encoded(*code, {std::vector<float>(10, 1.f)});
    const std::vector<uint8_t> written(encoded.rows[0], encoded.rows[0] + encoded.stride);
    REQUIRE(code->sound(written));
    for (size_t field = 0; field < 4; ++field) {
      for (const float bad : {-1.f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        std::vector<uint8_t> bytes = written;
        std::memcpy(bytes.data() + bytes.size() - 16 + 4 * field, &bad, sizeof bad);
        CHECK(!code->sound(bytes));
      }
    }
  }
}

TEST_CASE("codes are the same bytes on every platform") {
  // The numbers are the same natively and as WebAssembly. A code whose number changes cannot read what was written.
  const auto hash_of = [](CodeKind kind, Metric metric) {
    Random random(11);
    Bytes bytes;
    for (const size_t dim : {1, 3, 8, 100, 384, 1536}) {
      const auto vectors = varied_vectors(random, dim, 24);
      const Encoded encoded(*code_for(kind, metric, vectors, 77).value(), vectors);
      for (const uint8_t* row : encoded.rows) bytes.insert(bytes.end(), row, row + encoded.stride);
    }
    return hash64(bytes);
  };
  CHECK(hash_of(CodeKind::kF32, Metric::kCosine) == 5790149669731544546u);
  CHECK(hash_of(CodeKind::kF16, Metric::kCosine) == 4325027650910585809u);
  CHECK(hash_of(CodeKind::kF16, Metric::kDot) == 617846039871407661u);
  CHECK(hash_of(CodeKind::kSq8, Metric::kCosine) == 7953459635035753518u);
  CHECK(hash_of(CodeKind::kSq8, Metric::kEuclidean) == 14595555850467051295u);
  CHECK(hash_of(CodeKind::kRq8, Metric::kCosine) == 5105484826393638920u);
  CHECK(hash_of(CodeKind::kRq8, Metric::kEuclidean) == 5890839713959034077u);
  CHECK(hash_of(CodeKind::kRq4, Metric::kCosine) == 9223063519256956831u);
  CHECK(hash_of(CodeKind::kRaBitQ, Metric::kCosine) == 10871818994689637995u);
  CHECK(hash_of(CodeKind::kRaBitQ, Metric::kEuclidean) == 13312167045732018456u);
  CHECK(hash_of(CodeKind::kRq4, Metric::kEuclidean) == 10874989130339789456u);
  CHECK(hash_of(CodeKind::kPq8, Metric::kCosine) == 2057086788596495328u);
  CHECK(hash_of(CodeKind::kPq8, Metric::kManhattan) == 9954225100600860995u);
  CHECK(hash_of(CodeKind::kPq4, Metric::kEuclidean) == 2551397199673051028u);
}

TEST_CASE("a code comes back from its sections and from nothing else") {
  Random random(1);
  const auto vectors = varied_vectors(random, 100, 16);
  for (const CodeKind kind : kMadeKinds) {
    const auto code = code_for(kind, Metric::kEuclidean, vectors, 5).value();
    const Sections written = gathered(code->sections());
    const auto back = VectorCode::from_sections(written);
    REQUIRE(back.ok());
    CHECK((*back)->kind() == kind);
    CHECK((*back)->metric() == Metric::kEuclidean);
    CHECK((*back)->dim() == 100);
    const Encoded before(*code, vectors), after(**back, vectors);
    for (size_t i = 0; i < vectors.size(); ++i) {
      REQUIRE(std::memcmp(before.rows[i], after.rows[i], before.stride) == 0);
    }
    CHECK(scores_of(*code, vectors[3], before) == scores_of(**back, vectors[3], before));
  }
  const Sections written = gathered(code_for(CodeKind::kRq8, Metric::kEuclidean, vectors, 5).value()->sections());
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
