#include "core/index/ivf.h"

#include <catch_amalgamated.hpp>
#include <limits>

#include "core/base/hash.h"
#include "core/index/flat.h"
#include "core/index/make_index.h"
#include "tests/support/index_search.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

// The sanitizers make everything some ten times slower.
#ifdef __EMSCRIPTEN__
constexpr size_t kRows = 20'000;
#else
constexpr size_t kRows = 4'000;
#endif

struct Made {
  const char* name;
  IvfOptions options;
  bool in_memory;  // vectors
};

const Made kMade[] = {
    {"vectors", {.kind = IndexKind::kIvfFlat, .code = CodeKind::kF32}, true},
    {"f32", {.kind = IndexKind::kIvfFlat, .code = CodeKind::kF32}, false},
    {"f16", {.kind = IndexKind::kIvfFlat, .code = CodeKind::kF16}, true},
    {"sq8", {.kind = IndexKind::kIvfFlat, .code = CodeKind::kSq8}, true},
    {"rq8", {.kind = IndexKind::kIvfFlat, .code = CodeKind::kRq8}, true},
    {"rq4", {.kind = IndexKind::kIvfFlat, .code = CodeKind::kRq4}, false},
    {"pq", {.kind = IndexKind::kIvfPq, .code = CodeKind::kPq8}, true},
    {"pq4", {.kind = IndexKind::kIvfPq, .code = CodeKind::kPq4}, false},
    {"rabitq", {.kind = IndexKind::kIvfRabitq}, true},
};

bool keeps(const Made& made, Metric metric) {
  const CodeKind code = made.options.kind == IndexKind::kIvfRabitq ? CodeKind::kRaBitQ : made.options.code;
  const bool rotates = code == CodeKind::kRq8 || code == CodeKind::kRq4 || code == CodeKind::kRaBitQ;
  return metric != Metric::kManhattan || !rotates;
}

const VectorTable* memory_of(const Made& made, const VectorTable& table) { return made.in_memory ? &table : nullptr; }

std::unique_ptr<Ivf> trained(const Made& made, const VectorTable& table, Metric metric, size_t partitions = 0) {
  IvfOptions options = made.options;
  options.partitions = partitions;
  std::vector<float> sample;
  for (RowId row = 0; row < table.count(); ++row) {
    sample.insert(sample.end(), table.row(row).begin(), table.row(row).end());
  }
  IvfTraining training(options, metric, table.dim(), std::move(sample), table.count(), memory_of(made, table));
  while (training.advance()) continue;
  return training.take();
}

std::unique_ptr<Ivf> built(const Made& made, const VectorTable& table, Metric metric, size_t partitions = 0) {
  auto ivf = trained(made, table, metric, partitions);
  add_all(*ivf, table);
  return ivf;
}

IndexOptions schema_of(const Made& made, size_t partitions = 0) {
  return {.kind = made.options.kind, .code = made.options.code, .hnsw = {}, .partitions = partitions};
}

Result<std::unique_ptr<VectorIndex>> read(const SectionViews& sections, const Made& made, const VectorTable& table,
                                          Metric metric, size_t partitions = 0) {
  const IndexPlace place{metric, table.dim(), memory_of(made, table)};
  return load_index(sections, schema_of(made, partitions), place, table.count());
}

RowSet all_rows(const VectorTable& table) { return RowSet(table.count(), true); }

std::vector<Scored> found_by(const VectorIndex& ivf, std::span<const float> query, const RowSet& allowed, size_t limit,
                             size_t candidates, size_t effort, size_t* compared = nullptr) {
  size_t count = 0;
  std::vector<Scored> found;
  ivf.find({query, allowed, allowed.count_common(ivf.rows()), limit, candidates, effort}, found, count);
  if (compared != nullptr) *compared = count;
  return found;
}

// What holds for whatever is found: wanted rows, once each, in order, as many as there must be.
void check_found(const VectorIndex& ivf, const std::vector<Scored>& found, const RowSet& allowed, size_t limit,
                 size_t candidates) {
  RowSet seen(allowed.size());
  for (size_t i = 0; i < found.size(); ++i) {
    REQUIRE(allowed.contains(found[i].row));
    REQUIRE(ivf.rows().contains(found[i].row));
    REQUIRE(!seen.contains(found[i].row));
    seen.insert(found[i].row);
    REQUIRE(std::isfinite(found[i].score));
    if (i > 0) REQUIRE(!BestFirst()(found[i], found[i - 1]));
  }
  REQUIRE(found.size() <= candidates);
  REQUIRE(found.size() >= std::min(limit, allowed.count_common(ivf.rows())));
}

// The score of the last of the true 10, a query each.
std::vector<double> tenth_scores(const VectorTable& table, Metric metric, MatrixView queries, const RowSet& allowed) {
  std::vector<double> scores;
  for (size_t i = 0; i < queries.count(); ++i) {
    scores.push_back(flat_search(table, metric, queries.row(i), allowed, 10)[9].score);
  }
  return scores;
}

struct Measured {
  double recall = 0;
  double compared = 0;  // a query
};

Measured measure(const Ivf& ivf, const VectorTable& table, Metric metric, MatrixView queries, const RowSet& allowed,
                 size_t effort, const std::vector<double>& tenth) {
  size_t right = 0, total = 0;
  for (size_t i = 0; i < queries.count(); ++i) {
    size_t scored = 0;
    const auto found = search_index(ivf, table, metric, queries.row(i), allowed, 10, effort, &scored);
    for (size_t j = 0; j < 10; ++j) right += found[j].score >= tenth[i] ? 1 : 0;
    total += scored;
  }
  const auto count = static_cast<double>(queries.count());
  return {static_cast<double>(right) / (10 * count), static_cast<double>(total) / count};
}

VectorTable varied_table(size_t count, size_t dim, uint64_t seed) {
  Random random(seed);
  VectorTable table(dim);
  for (size_t i = 0; i < count; ++i) {
    std::vector<float> vector = random_vector(random, dim);
    // Equal rows, zeros, and rows near the one before.
    if (i % 10 == 1) vector.assign(dim, 0.25f);
    if (i % 10 == 2) vector.assign(dim, 0.f);
    if (i % 10 == 4) {
      for (size_t j = 0; j < dim; ++j) vector[j] = table.row(static_cast<RowId>(i - 1))[j] + 0.1f * vector[j];
    }
    table.append(vector);
  }
  return table;
}

}  // namespace

TEST_CASE("recall on real vectors, of every kind, with and without filters") {
  const std::vector<float> base = real_vectors(kRows), query_values = real_queries(60);
  if (base.empty() || query_values.empty()) SKIP("the development vectors are absent");
  const VectorTable table = table_of({base, kRealDim});
  const MatrixView queries(query_values, kRealDim);
  constexpr double kShares[] = {1, 0.5, 0.1, 0.01};
  std::vector<RowSet> allowed;
  std::vector<std::vector<double>> tenth;
  for (const double share : kShares) {
    allowed.push_back(random_rows(table.count(), share, 7));
    tenth.push_back(tenth_scores(table, Metric::kCosine, queries, allowed.back()));
  }
  for (const Made& made : kMade) {
    const auto ivf = built(made, table, Metric::kCosine);
    const size_t effort = ivf->partition_count() / 3;
    CHECK(measure(*ivf, table, Metric::kCosine, queries, allowed[0], kExhaustive, tenth[0]).recall >= 0.98);
    for (size_t i = 0; i < std::size(kShares); ++i) {
      const Measured some = measure(*ivf, table, Metric::kCosine, queries, allowed[i], effort, tenth[i]);
      INFO(made.name << ": recall " << some.recall << " of a share of " << kShares[i] << ", compared "
                     << some.compared);
      CHECK(some.recall >= 0.95);
      if (i == 0) CHECK(some.compared < 0.5 * static_cast<double>(kRows));
    }
  }
}

TEST_CASE("all metrics, all kinds, on random vectors") {
  const VectorTable table = random_table(3'000, 12, 1);
  Random random(2);
  const std::vector<float> query_values = random_vector(random, 40 * 12);
  const MatrixView queries(query_values, 12);
  const RowSet all = all_rows(table);
  for (const Metric metric : kAllMetrics) {
    const std::vector<double> tenth = tenth_scores(table, metric, queries, all);
    for (const Made& made : kMade) {
      if (!keeps(made, metric)) continue;
      const auto ivf = built(made, table, metric);
      const Measured some = measure(*ivf, table, metric, queries, all, ivf->partition_count() / 3, tenth);
      INFO(made.name << ", " << metric_name(metric) << ": recall " << some.recall << ", compared " << some.compared);
      CHECK(some.recall >= 0.93);
      CHECK(some.compared < 0.6 * static_cast<double>(table.count()));
    }
  }
}

TEST_CASE("an exhaustive search of vectors is exact") {
  for (const size_t dim : {1, 3, 8, 100}) {
    const VectorTable table = varied_table(500, dim, dim);
    for (const Made& made : std::span(kMade).first(2)) {
      for (const Metric metric : kAllMetrics) {
        const auto ivf = built(made, table, metric, 12);
        for (RowId row = 0; row < 500; row += 29) {
          for (const double share : {1.0, 0.3, 0.01}) {
            const RowSet allowed = random_rows(table.count(), share, row);
            const size_t limit = 1 + row % 7;
            // All of them: what ties with the last is to be there as well.
            const auto found = found_by(*ivf, table.row(row), allowed, limit, 500, kExhaustive);
            check_found(*ivf, found, allowed, limit, 500);
            REQUIRE(found.size() == allowed.count());
            REQUIRE(same_answers(rescore(table, metric, table.row(row), found, limit),
                                 flat_search(table, metric, table.row(row), allowed, limit)));
          }
        }
      }
    }
  }
}

TEST_CASE("never fewer than there are, however little is looked at") {
  for (const Made& made : kMade) {
    for (const Metric metric : kAllMetrics) {
      if (!keeps(made, metric)) continue;
      CAPTURE(made.name, metric_name(metric));
      const VectorTable table = varied_table(400, 9, 5);
      const auto ivf = trained(made, table, metric, 30);
      // In any order, and not all.
      RowSet added(table.count());
      for (RowId row = 399; row > 3; row -= 3) {
        ivf->add(row, table.row(row));
        added.insert(row);
      }
      REQUIRE(ivf->count() == added.count());
      for (const double share : {1.0, 0.5, 0.05, 0.0}) {
        RowSet allowed = random_rows(table.count(), share, 3);
        for (const size_t limit : {1, 5, 100, 1000}) {
          for (const size_t effort : {size_t{1}, size_t{4}, kExhaustive}) {
            const RowId query = static_cast<RowId>(limit * 7 % 400);
            size_t compared = 0;
            const auto found = found_by(*ivf, table.row(query), allowed, limit, limit + 20, effort, &compared);
            check_found(*ivf, found, allowed, limit, limit + 20);
            REQUIRE(compared <= added.count());
            RowSet wanted = added;
            wanted.intersect(allowed);
            if (effort == kExhaustive) REQUIRE(compared == wanted.count());
          }
        }
      }
    }
  }
}

TEST_CASE("rows that no partition likes are still found") {
  constexpr float kMost = std::numeric_limits<float>::max();
  constexpr float kScales[] = {0, std::numeric_limits<float>::denorm_min(), 1e-40f, 1e-18f, 1, 1e19f, 1e30f, kMost};
  for (const size_t dim : {1, 5, 384}) {
    Random random(8);
    VectorTable table(dim);
    for (int i = 0; i < 40; ++i) table.append(std::vector<float>(dim, 1.f));
    for (int i = 0; i < 40; ++i) table.append(std::vector<float>(dim, 0.f));
    for (size_t i = 0; i < 80; ++i) {
      std::vector<float> vector = random_vector(random, dim);
      for (float& component : vector) component *= kScales[i % std::size(kScales)];
      table.append(vector);
    }
    for (const Made& made : kMade) {
      for (const Metric metric : kAllMetrics) {
        if (!keeps(made, metric)) continue;
        CAPTURE(made.name, metric_name(metric), dim);
        const auto ivf = built(made, table, metric, 10);
        for (RowId row = 0; row < table.count(); row += 9) {
          const auto found = found_by(*ivf, table.row(row), all_rows(table), 5, 25, 2);
          check_found(*ivf, found, all_rows(table), 5, 25);
        }
        const auto back = read(gathered(ivf->sections(true)), made, table, metric, 10);
        REQUIRE(back.ok());
      }
    }
  }
}

TEST_CASE("one row, and fewer rows than partitions") {
  for (const Made& made : kMade) {
    for (const size_t count : {1, 2, 30}) {
      const VectorTable table = varied_table(count, 8, 6);
      const auto ivf = trained(made, table, Metric::kEuclidean, 100);
      const std::vector<float> query(8, 0.5f);
      size_t compared = 99;
      CHECK(found_by(*ivf, query, RowSet(0), 10, 30, 5, &compared).empty());
      CHECK(compared == 0);
      CHECK(ivf->count() == 0);
      add_all(*ivf, table);
      CHECK(ivf->partition_count() <= count);
      CHECK(found_by(*ivf, query, all_rows(table), 1000, 1010, 1).size() == count);
      CHECK(ivf->memory_bytes() > 0);
    }
  }
}

TEST_CASE("an index that was saved and loaded answers and grows as if it had never left") {
  for (const Made& made : kMade) {
    for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) {
      CAPTURE(made.name, metric_name(metric));
      const VectorTable table = varied_table(700, 16, 9);
      const auto kept = trained(made, table, metric, 9);
      for (const size_t saved_at : {0, 1, 31, 300}) {
        for (auto row = static_cast<RowId>(kept->count()); row < saved_at; ++row) kept->add(row, table.row(row));
        for (const bool with_codes : {true, false}) {
          if (!with_codes && !made.in_memory) continue;
          Bytes bytes;
          write_sections(gathered(kept->sections(with_codes)), bytes);
          const auto views = SectionViews::read(bytes);
          REQUIRE(views.ok());
          auto back = read(*views, made, table, metric, 9);
          REQUIRE(back.ok());
          REQUIRE((*back)->count() == saved_at);
          REQUIRE((*back)->kind() == made.options.kind);
          Bytes again;
          write_sections(gathered((*back)->sections(with_codes)), again);
          REQUIRE(again == bytes);
          if (saved_at != 300) continue;
          const auto same = [&](const VectorIndex& a, const VectorIndex& b) {
            for (RowId row = 0; row < 700; row += 51) {
              const auto one = found_by(a, table.row(row), all_rows(table), 10, 40, 3);
              const auto other = found_by(b, table.row(row), all_rows(table), 10, 40, 3);
              REQUIRE(same_answers(one, other));
            }
          };
          same(*kept, **back);
          const auto grown = read(*views, made, table, metric, 9);
          for (RowId row = 300; row < 700; ++row) {
            (*back)->add(row, table.row(row));
            (*grown)->add(row, table.row(row));
          }
          same(**grown, **back);
          Bytes one, other;
          write_sections(gathered((*back)->sections(true)), one);
          write_sections(gathered((*grown)->sections(true)), other);
          REQUIRE(one == other);
        }
      }
    }
  }
}

TEST_CASE("damaged sections load or fail, and do no harm") {
  Random random(10);
  const VectorTable table = varied_table(60, 5, 11);
  for (const Made& made : kMade) {
    CAPTURE(made.name);
    const auto ivf = built(made, table, Metric::kEuclidean, 4);
    Bytes bytes;
    write_sections(gathered(ivf->sections(true)), bytes);
    size_t refused = 0, taken = 0;
    const auto attempt = [&](ByteView damaged) {
      const auto views = SectionViews::read(damaged);
      if (!views.ok()) return;
      const auto back = read(*views, made, table, Metric::kEuclidean, 4);
      if (!back.ok()) {
        REQUIRE(back.code() == Code::kFormatError);
        ++refused;
        return;
      }
      ++taken;
      const auto found = found_by(**back, table.row(3), all_rows(table), 10, 30, 2);
      check_found(**back, found, all_rows(table), 10, 30);
      for (RowId row = 0; row < 60; ++row) {
        if (!(*back)->rows().contains(row)) (*back)->add(row, table.row(row));
      }
    };
    for (size_t length = 0; length < bytes.size(); length += 1 + bytes.size() / 500) {
      attempt(ByteView(bytes).first(length));
    }
    for (size_t round = 0; round < 1500; ++round) {
      Bytes damaged = bytes;
      // As often in one section's beginning as anywhere.
      const size_t at = round % 2 == 0 ? random.below(bytes.size()) : random.below(std::min<size_t>(bytes.size(), 900));
      damaged[at] = static_cast<uint8_t>(damaged[at] ^ 1 << random.below(8));
      attempt(damaged);
    }
    CHECK(refused > 0);
    CHECK(taken > 0);
  }
}

TEST_CASE("sections of another index are refused") {
  const VectorTable table = varied_table(60, 5, 12);
  const Made& made = kMade[8];
  const auto ivf = built(made, table, Metric::kEuclidean, 4);
  const Sections written = gathered(ivf->sections(true));
  REQUIRE(read(written, made, table, Metric::kEuclidean).ok());
  CHECK(read(written, made, table, Metric::kCosine).code() == Code::kFormatError);
  CHECK(read(written, kMade[6], table, Metric::kEuclidean).code() == Code::kFormatError);
  const IndexOptions options = schema_of(made);
  CHECK(load_index(written, options, {Metric::kEuclidean, 6, &table}, 60).code() == Code::kFormatError);
  CHECK(load_index(written, options, {Metric::kEuclidean, 5, &table}, 59).code() == Code::kFormatError);
  for (size_t section = 0; section < written.size(); ++section) {
    CAPTURE(written[section].name);
    Sections damaged = written;
    damaged.erase(damaged.begin() + static_cast<std::ptrdiff_t>(section));
    const auto back = read(damaged, made, table, Metric::kEuclidean);
    // Codes can be made of the vectors again.
    CHECK(back.ok() == (written[section].name == "ivf.codes"));
  }
  // A row twice, a row that is not, rows moved to a list beyond the others.
  const auto with = [&](std::string_view name, size_t at, uint32_t value) {
    Sections damaged = written;
    for (Section& section : damaged) {
      if (section.name == name) std::memcpy(section.bytes.data() + 4 * at, &value, sizeof value);
    }
    return read(damaged, made, table, Metric::kEuclidean).code();
  };
  const auto rows = section_values<uint32_t>(written, "ivf.rows").value();
  CHECK(with("ivf.rows", 0, rows[1]) == Code::kFormatError);
  CHECK(with("ivf.rows", 0, 60) == Code::kFormatError);
  CHECK(with("ivf.sizes", 0, 0xFFFFFFFF) == Code::kFormatError);
  CHECK(with("ivf.sizes", 0, 61) == Code::kFormatError);
  // What stands in a place without a row is where rows will be added.
  Sections damaged = written;
  damaged.back().bytes[15] = 0xF0;
  CHECK(read(damaged, made, table, Metric::kEuclidean).code() == Code::kFormatError);
}

TEST_CASE("an index is the same bytes on every platform") {
  // The numbers are the same natively and as WebAssembly.
  const VectorTable table = varied_table(600, 24, 13);
  const auto hash_of = [&](const Made& made) {
    Bytes bytes;
    write_sections(gathered(built(made, table, Metric::kCosine, 70)->sections(true)), bytes);
    return hash64(bytes);
  };
  CHECK(hash_of(kMade[0]) == 10719087839902665211u);
  CHECK(hash_of(kMade[4]) == 10939091470166363467u);
  CHECK(hash_of(kMade[6]) == 1994061833325727897u);
  CHECK(hash_of(kMade[7]) == 14512710025141265698u);
  CHECK(hash_of(kMade[8]) == 9078991389748889642u);
}
