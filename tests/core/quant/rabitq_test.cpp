#include "core/quant/rabitq.h"

#include <array>
#include <catch_amalgamated.hpp>

#include "core/quant/scan_table.h"
#include "tests/support/codes.h"

using namespace nearfield;

namespace {

std::unique_ptr<VectorCode> trained(Metric metric, const std::vector<std::vector<float>>& sample) {
  return code_for(CodeKind::kRaBitQ, metric, sample, 9).value();
}

std::vector<std::vector<float>> clustered(Random& random, size_t dim, size_t count) {
  std::vector<std::vector<float>> vectors;
  const std::vector<float> centre = random_vector(random, dim, 0.5f);
  for (size_t i = 0; i < count; ++i) {
    vectors.push_back(random_vector(random, dim));
    for (size_t j = 0; j < dim; ++j) vectors[i][j] += centre[j];
  }
  return vectors;
}

ScanTable table_of(const RaBitQ& code, const Encoded& encoded) {
  ScanTable table(code);
  for (const uint8_t* row : encoded.rows) table.append({row, encoded.stride});
  return table;
}

}  // namespace

TEST_CASE("rabitq's estimates are unbiased and as wrong as it promises") {
  Random random(1);
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean}) {
    for (const size_t dim : {8, 100, 384, 1536}) {
      CAPTURE(metric_name(metric), dim);
      const auto vectors = clustered(random, dim, 160);
      const auto made = trained(metric, vectors);
      const auto& code = static_cast<const RaBitQ&>(*made);
      const Encoded encoded(code, vectors);
      const ScanTable table = table_of(code, encoded);
      size_t beyond = 0, pairs = 0;
      double sum = 0, squares = 0;
      PreparedQuery prepared;
      for (const auto& query : clustered(random, dim, 40)) {
        code.prepare(query, prepared);
        for (size_t block = 0; block < table.block_count(); ++block) {
          std::array<float, kScanRows> scores, most;
          table.score_block(prepared, block, scores, most);
          for (size_t i = 0; i < kScanRows; ++i, ++pairs) {
            const double exact = exact_score(metric, query, vectors[block * kScanRows + i]);
            const double error = metric == Metric::kEuclidean
                                     ? static_cast<double>(scores[i]) * scores[i] - exact * exact
                                     : scores[i] - exact;
            const double promised = metric == Metric::kEuclidean ? static_cast<double>(scores[i]) * scores[i] -
                                                                       static_cast<double>(most[i]) * most[i]
                                                                 : static_cast<double>(most[i]) - scores[i];
            REQUIRE(promised > 0);
            sum += error / promised;
            squares += error / promised * error / promised;
            if (exact > most[i]) ++beyond;
          }
        }
      }
      const auto count = static_cast<double>(pairs);
      // One in 800 is expected; that three times as many are met by chance is all but impossible with 6400 pairs, but
      // pairs share queries.
      CHECK(static_cast<double>(beyond) / count < 0.006);
      // Three deviations are promised, so errors over promises have a deviation of a third.
      CHECK(std::sqrt(squares / count) < 0.4);
      CHECK(std::sqrt(squares / count) > 0.2);
      CHECK(std::abs(sum / count) < 0.06);
    }
  }
}

TEST_CASE("a scan gives the scores of the codes, to the bit") {
  Random random(2);
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean}) {
    for (const size_t dim : {1, 100, 384, 4200}) {
      for (const size_t count : {1, 16, 17, 31, 32, 33, 70}) {
        const auto vectors = varied_vectors(random, dim, count);
        const auto made = trained(metric, vectors);
        const auto& code = static_cast<const RaBitQ&>(*made);
        const Encoded encoded(code, vectors);
        const ScanTable table = table_of(code, encoded);
        REQUIRE(table.count() == count);
        REQUIRE(table.block_count() == (count + 31) / 32);
        const std::vector<float> scores = scores_of(code, vectors[0], encoded);
        PreparedQuery prepared;
        code.prepare(vectors[0], prepared);
        std::vector<uint8_t> row(code.code_bytes());
        for (size_t block = 0; block < table.block_count(); ++block) {
          std::array<float, kScanRows> in_block, most;
          table.score_block(prepared, block, in_block, most);
          for (size_t i = block * kScanRows; i < std::min(count, (block + 1) * kScanRows); ++i) {
            REQUIRE(in_block[i % kScanRows] == scores[i]);
            REQUIRE(most[i % kScanRows] >= scores[i]);
            table.read(static_cast<RowId>(i), row);
            REQUIRE(std::memcmp(row.data(), encoded.rows[i], row.size()) == 0);
          }
        }
      }
    }
  }
}

TEST_CASE("a scan table comes back from its section and from nothing else") {
  Random random(3);
  const auto vectors = clustered(random, 100, 70);
  const auto made = trained(Metric::kCosine, vectors);
  const auto& code = static_cast<const RaBitQ&>(*made);
  const ScanTable table = table_of(code, Encoded(code, vectors));
  StateSections state;
  state.push_back(table.section("test.scan"));
  const Sections written = gathered(state);
  const auto read = [&](const Sections& sections, size_t rows) {
    return ScanTable::from_section(sections, "test.scan", code, rows);
  };
  auto back = read(written, 70);
  REQUIRE(back.ok());
  std::vector<uint8_t> before(code.code_bytes()), after(code.code_bytes());
  for (RowId row = 0; row < 70; ++row) {
    table.read(row, before);
    back->read(row, after);
    REQUIRE(before == after);
  }
  // It grows like the one that was written.
  back->append(before);
  back->read(70, after);
  CHECK(before == after);

  CHECK(read(written, 64).code() == Code::kFormatError);
  CHECK(read(written, 97).code() == Code::kFormatError);
  // Rows that were not written, and rows that were but are not counted.
  CHECK(read(written, 71).code() == Code::kFormatError);
  CHECK(read(written, 69).code() == Code::kFormatError);
  Sections damaged = written;
  std::memset(damaged[0].bytes.data() + damaged[0].bytes.size() - 16 * 32, 0xFF, 4);
  CHECK(read(damaged, 70).code() == Code::kFormatError);
  damaged = written;
  damaged[0].bytes.pop_back();
  CHECK(read(damaged, 70).code() == Code::kFormatError);
}

TEST_CASE("rabitq's mean is checked when it is read") {
  const auto made = trained(Metric::kDot, {{1, 2}, {3, 5}});
  const Sections written = gathered(made->sections());
  REQUIRE(section_values<float>(written, "code.mean").value() == std::vector<float>{2, 3.5f});
  for (const float bad : {INFINITY, NAN}) {
    Sections damaged = written;
    std::memcpy(damaged[1].bytes.data(), &bad, sizeof bad);
    CHECK(VectorCode::from_sections(damaged).code() == Code::kFormatError);
  }
  Sections manhattan = written;
  manhattan[0].bytes[8] = static_cast<uint8_t>(Metric::kManhattan);
  CHECK(VectorCode::from_sections(manhattan).code() == Code::kFormatError);
  Sections missing = written;
  missing.pop_back();
  CHECK(VectorCode::from_sections(missing).code() == Code::kFormatError);
}
