#include "core/quant/pq.h"

#include <array>
#include <catch_amalgamated.hpp>

#include "tests/support/codes.h"

using namespace nearfield;

namespace {

constexpr CodeKind kKinds[] = {CodeKind::kPq8, CodeKind::kPq4};
constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kDot, Metric::kEuclidean, Metric::kManhattan};

std::unique_ptr<VectorCode> trained(CodeKind kind, Metric metric, const std::vector<std::vector<float>>& sample,
                                    size_t sub_vectors = 0) {
  return VectorCode::train(kind, metric, Joined(sample).view(), 3, sub_vectors).value();
}

// What a code stands for, from its bytes and the code's sections by the definition: a direction with its factor, or the
// row for manhattan.
std::vector<float> decoded(const VectorCode& code, std::span<const uint8_t> bytes) {
  const Sections sections = gathered(code.sections());
  const auto books = section_values<float>(sections, "code.books").value();
  const size_t sub_vectors = section_values<uint32_t>(sections, "code.pieces").value()[0];
  const float scale = section_values<float>(sections, "code.scale").value()[0];
  const size_t size = code.kind() == CodeKind::kPq8 ? 256 : 16, dim = code.dim();
  const CodeTail tail = load_tail(bytes.data() + bytes.size() - sizeof(CodeTail));
  std::vector<float> row;
  const float* book = books.data();
  for (size_t sub_vector = 0; sub_vector < sub_vectors; ++sub_vector) {
    const size_t width = (sub_vector + 1) * dim / sub_vectors - sub_vector * dim / sub_vectors;
    const size_t number = size == 256 ? bytes[sub_vector] : bytes[sub_vector / 2] >> sub_vector % 2 * 4 & 15;
    for (size_t j = 0; j < width; ++j) row.push_back(book[number * width + j] * tail.scale / scale);
    book += size * width;
  }
  return row;
}

double distance(std::span<const float> a, std::span<const float> b) { return -exact_score(Metric::kEuclidean, a, b); }

}  // namespace

TEST_CASE("pq's sub-vectors fill the bytes they take") {
  CHECK(Pq::default_sub_vectors(CodeKind::kPq8, 384) == 96);
  CHECK(Pq::default_sub_vectors(CodeKind::kPq4, 384) == 96);
  CHECK(Pq::default_sub_vectors(CodeKind::kPq8, 1) == 1);
  CHECK(Pq::default_sub_vectors(CodeKind::kPq8, 8) == 8);
  CHECK(Pq::default_sub_vectors(CodeKind::kPq8, 100) == 32);
  const std::vector<std::vector<float>> one = {std::vector<float>(384, 1.f)};
  CHECK(trained(CodeKind::kPq8, Metric::kDot, one)->code_bytes() == 112);
  CHECK(trained(CodeKind::kPq4, Metric::kDot, one)->code_bytes() == 64);
  CHECK(trained(CodeKind::kPq4, Metric::kDot, one, 192)->code_bytes() == 112);
  CHECK(static_cast<Pq&>(*trained(CodeKind::kPq8, Metric::kDot, one, 1'000)).sub_vectors() == 384);
}

TEST_CASE("pq keeps of each sub-vector the nearest that was learned, and is as wrong as that") {
  Random random(1);
  for (const CodeKind kind : kKinds) {
    for (const Metric metric : kMetrics) {
      for (const auto& [dim, sub_vectors] :
           {std::pair<size_t, size_t>{1, 0}, {3, 2}, {8, 0}, {100, 0}, {100, 7}, {384, 96}}) {
        CAPTURE(code_kind_name(kind), metric_name(metric), dim, sub_vectors);
        const auto sample = varied_vectors(random, dim, 300);
        const auto code = trained(kind, metric, sample, sub_vectors);
        const auto rows = varied_vectors(random, dim, 40);
        const Encoded encoded(*code, rows);
        const double steps = kind == CodeKind::kPq8 ? 510 : 126;
        for (const auto& query : varied_vectors(random, dim, 16)) {
          const std::vector<float> scores = scores_of(*code, query, encoded);
          const double query_norm = vector_norm(query);
          for (size_t i = 0; i < rows.size(); ++i) {
            const std::vector<float> stored = decoded(*code, {encoded.rows[i], code->code_bytes()});
            const double exact = exact_score(metric, query, rows[i]), norm = vector_norm(rows[i]);
            const CodeTail tail = load_tail(encoded.rows[i] + code->code_bytes() - sizeof(CodeTail));
            const auto count = static_cast<double>(static_cast<Pq&>(*code).sub_vectors());
            if (metric == Metric::kManhattan) {
              const double away = -exact_score(metric, stored, rows[i]);
              // A sub-vector's distances differ by no more than the learned ones are apart, which is at most 2 a
              // component in units of the scale; rows beyond what was learned end at its edge, and add nothing to that.
              const float scale = section_values<float>(gathered(code->sections()), "code.scale").value()[0];
              const double widest = 2.0 * std::ceil(static_cast<double>(dim) / count) / scale;
              REQUIRE(std::abs(scores[i] - exact) <= away + count * widest / steps + 1e-4 * (1 + std::abs(exact)));
              continue;
            }
            if (norm == 0 || query_norm == 0) {
              if (metric != Metric::kEuclidean) REQUIRE(scores[i] == 0);
              continue;
            }
            std::vector<float> unit = rows[i];
            for (float& component : unit) component = static_cast<float>(component / norm);
            // Products of a unit query with learned parts of directions: between -1 and 1.
            const double error = distance(unit, stored) + count * 2 / steps * tail.scale + 1e-5;
            if (metric == Metric::kCosine) REQUIRE(std::abs(scores[i] - exact) <= error);
            if (metric == Metric::kDot) REQUIRE(std::abs(scores[i] - exact) <= error * query_norm * norm);
            if (metric == Metric::kEuclidean) {
              // |a^2 - b^2| <= 2 |q| |row| e + (|row^|^2 - |row|^2).
              const double stored_norm = tail.stored;
              const double squares = 2 * error * query_norm * norm + std::abs(stored_norm * stored_norm - norm * norm);
              REQUIRE(std::abs(static_cast<double>(scores[i]) * scores[i] - exact * exact) <=
                      squares + 1e-4 * (1 + exact * exact));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("pq learns rows that are few by heart") {
  Random random(2);
  for (const CodeKind kind : kKinds) {
    for (const Metric metric : kMetrics) {
      CAPTURE(code_kind_name(kind), metric_name(metric));
      const auto rows = varied_vectors(random, 40, 16);
      const auto code = trained(kind, metric, rows, 10);
      const Encoded encoded(*code, rows);
      for (const auto& query : rows) {
        const std::vector<float> scores = scores_of(*code, query, encoded);
        for (size_t i = 0; i < rows.size(); ++i) {
          const double exact = exact_score(metric, query, rows[i]);
          const double size = 1 + vector_norm(query) + vector_norm(rows[i]);
          const double relative = kind == CodeKind::kPq8 ? 0.02 : 0.1;
          const double scale = metric == Metric::kCosine      ? 1
                               : metric == Metric::kManhattan ? 40 * size
                               : metric == Metric::kDot       ? size * size
                                                              : 4 * size;
          REQUIRE(std::abs(scores[i] - exact) <= relative * scale);
        }
      }
    }
  }
}

TEST_CASE("32 rows side by side get the scores of their codes") {
  Random random(3);
  for (const Metric metric : kMetrics) {
    for (const size_t sub_vectors : {1, 5, 33, 96}) {
      const auto rows = varied_vectors(random, 96, 32);
      const auto made = trained(CodeKind::kPq4, metric, rows, sub_vectors);
      const auto& code = static_cast<const Pq&>(*made);
      const Encoded encoded(code, rows);
      PreparedQuery prepared;
      code.prepare(rows[0], prepared);
      std::vector<uint8_t> numbers(prepared.tables.size());
      std::vector<CodeTail> tails;
      for (size_t i = 0; i < rows.size(); ++i) {
        for (size_t group = 0; group < numbers.size() / 16; ++group) {
          const int number = encoded.rows[i][group / 2] >> group % 2 * 4 & 15;
          uint8_t& place = numbers[group * 16 + i % 16];
          place = static_cast<uint8_t>(place | number << i / 16 * 4);
        }
        tails.push_back(load_tail(encoded.rows[i] + code.code_bytes() - sizeof(CodeTail)));
      }
      std::array<uint32_t, kScanRows> sums;
      scan_sums(numbers, prepared.tables, sums);
      std::vector<float> scores(kScanRows);
      code.score_rows(prepared, sums, tails.data(), scores);
      REQUIRE(scores == scores_of(code, rows[0], encoded));
    }
  }
}

TEST_CASE("pq learns the same in slices") {
  Random random(4);
  const Joined sample(varied_vectors(random, 20, 300));
  PqTraining slices(CodeKind::kPq8, Metric::kDot, sample.view(), 5, 3);
  size_t count = 1;
  while (slices.advance(5'000)) ++count;
  CHECK(count > 50);
  const Sections there = gathered(slices.take()->sections());
  const auto whole = VectorCode::train(CodeKind::kPq8, Metric::kDot, sample.view(), 3, 5).value();
  const Sections here = gathered(whole->sections());
  REQUIRE(there.size() == here.size());
  for (size_t i = 0; i < here.size(); ++i) CHECK(there[i].bytes == here[i].bytes);
}

TEST_CASE("pq's sections are checked when they are read") {
  Random random(5);
  for (const CodeKind kind : kKinds) {
    for (const Metric metric : {Metric::kDot, Metric::kManhattan}) {
      const auto code = trained(kind, metric, varied_vectors(random, 10, 40), 4);
      const Sections written = gathered(code->sections());
      REQUIRE(VectorCode::from_sections(written).ok());
      REQUIRE(written.size() == 4);
      const auto refused = [&](size_t section, size_t at, auto value) {
        Sections damaged = written;
        std::memcpy(damaged[section].bytes.data() + at, &value, sizeof value);
        return VectorCode::from_sections(damaged).code() == Code::kFormatError;
      };
      for (const uint32_t sub_vectors : {0u, 11u, UINT32_MAX}) CHECK(refused(1, 0, sub_vectors));
      for (const float scale : {0.f, -1.f, INFINITY, NAN}) CHECK(refused(2, 0, scale));
      if (metric == Metric::kDot) CHECK(refused(2, 0, 2.f));
      for (const float component : {INFINITY, -INFINITY, NAN, 1e30f}) CHECK(refused(3, 40, component));
      for (size_t section = 1; section < 4; ++section) {
        Sections damaged = written;
        damaged.erase(damaged.begin() + static_cast<std::ptrdiff_t>(section));
        CHECK(VectorCode::from_sections(damaged).code() == Code::kFormatError);
        damaged = written;
        damaged[section].bytes.resize(damaged[section].bytes.size() - 4);
        CHECK(VectorCode::from_sections(damaged).code() == Code::kFormatError);
      }
    }
  }
}
