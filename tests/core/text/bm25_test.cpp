#include "core/text/bm25.h"

#include <algorithm>
#include <catch_amalgamated.hpp>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/base/random.h"

using namespace nearfield;

namespace {

using Words = std::vector<std::string>;
using Rows = std::map<RowId, Words>;

std::vector<std::string_view> views(const Words& words) { return {words.begin(), words.end()}; }

// The formula and nothing else.
double score(const Rows& rows, RowId row, const Words& query, double k1 = 1.2, double b = 0.75) {
  double mean = 0;
  for (const auto& [id, words] : rows) mean += static_cast<double>(words.size()) / static_cast<double>(rows.size());
  double sum = 0;
  for (const std::string& term : query) {
    double df = 0;
    for (const auto& [id, words] : rows) df += std::count(words.begin(), words.end(), term) > 0;
    const Words& words = rows.at(row);
    const auto tf = static_cast<double>(std::count(words.begin(), words.end(), term));
    const double idf = std::log(1 + (static_cast<double>(rows.size()) - df + .5) / (df + .5));
    if (tf > 0) sum += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * static_cast<double>(words.size()) / mean));
  }
  return sum;
}

void check_search(const Bm25& index, const Rows& rows, const Words& query, const RowSet& allowed, size_t limit,
                  Bm25Options options = {}) {
  std::map<RowId, double> expected;
  for (const auto& [row, words] : rows) {
    const double value = score(rows, row, query, options.k1, options.b);
    if (value > 0 && allowed.contains(row)) expected[row] = value;
  }
  size_t scored = 12345;
  const std::vector<Scored> hits = index.search(views(query), allowed, limit, &scored);
  CHECK(scored == expected.size());
  REQUIRE(hits.size() >= std::min(limit, expected.size()));
  for (size_t i = 0; i < hits.size(); ++i) {
    REQUIRE(expected.count(hits[i].row) == 1);
    CHECK(hits[i].score == Catch::Approx(expected[hits[i].row]).epsilon(1e-12));
    if (i > 0) {
      CHECK(hits[i - 1].score >= hits[i].score);
      if (hits[i - 1].score == hits[i].score) CHECK(hits[i - 1].row < hits[i].row);
    }
    if (i >= limit) CHECK(hits[i].score == hits[limit - 1].score);
    expected.erase(hits[i].row);
  }
  // What stayed behind is not better than what came back.
  if (!hits.empty()) {
    for (const auto& [row, value] : expected) CHECK(value <= hits.back().score * (1 + 1e-12));
  }
}

Words random_words(Random& random, size_t most) {
  Words words(static_cast<size_t>(random.below(most + 1)));
  // Small numbers come much more often, as with words.
  for (std::string& word : words) word = "w" + std::to_string(random.below(random.below(60) + 1));
  return words;
}

// An index of ten rows with gaps, a removed row and an empty one.
Bm25 small_index() {
  Bm25 index;
  const Words words = {"alpha", "beta", "beta", "\u691c\u7d22"};
  for (RowId row = 0; row < 20; row += 2) index.add(row, views(Words(words.begin(), words.begin() + row % 5)));
  index.remove(4, views(words));
  return index;
}

template <typename T>
Sections with(Sections sections, std::string_view name, std::vector<T> values) {
  for (Section& section : sections) {
    if (section.name == name) section = make_section<T>(name, values);
  }
  return sections;
}

}  // namespace

TEST_CASE("scores follow the formula through adds, removes and a round trip") {
  for (const Bm25Options options : {Bm25Options{}, Bm25Options{0, 0.5}, Bm25Options{2, 0}, Bm25Options{0.4, 1}}) {
    Random random(17);
    Rows rows;
    Bm25 index(options);
    RowId next = 0;
    for (int round = 0; round < 12; ++round) {
      for (uint64_t count = random.below(25); count > 0; --count) {
        next += static_cast<RowId>(random.below(3) + (random.below(20) == 0 ? 200 : 0));
        rows[next] = random_words(random, 30);
        index.add(next, views(rows[next]));
        ++next;
      }
      for (uint64_t count = random.below(10); count > 0 && !rows.empty(); --count) {
        const auto victim = std::next(rows.begin(), static_cast<std::ptrdiff_t>(random.below(rows.size())));
        // Either way, also in turns.
        if (random.below(2) == 0) {
          index.remove(victim->first);
        } else {
          index.remove(victim->first, views(victim->second));
        }
        rows.erase(victim);
      }
      if (round % 3 == 2) {
        auto loaded = Bm25::from_sections(gathered(index.sections()), next + 5, options);
        REQUIRE(loaded.ok());
        index = std::move(loaded).value();
      }
      RowSet allowed(next);
      for (RowId row = 0; row < next; ++row) {
        if (random.below(4) != 0) allowed.insert(row);
      }
      for (const size_t limit : {size_t{1}, size_t{10}, size_t{1'000'000'000}}) {
        check_search(index, rows, random_words(random, 12), allowed, limit, options);
        check_search(index, rows, {"w0", "w0", "absent"}, RowSet(next, true), limit, options);
      }
    }
  }
}

TEST_CASE("a row that leaves with other words than it came with takes only itself along") {
  const std::vector<std::string> came = {"alpha", "beta", "beta"};
  const std::vector<std::vector<std::string>> others = {
      {"alpha"}, {"alpha", "beta", "unknown"}, {"alpha", "beta", "gamma", "delta"}, {}};
  for (const auto& words : others) {
    Bm25 index;
    Bm25 expected;
    index.add(0, views(came));
    index.add(1, views({"alpha", "gamma"}));
    expected.add(1, views({"alpha", "gamma"}));
    index.remove(0, views(words));
    RowSet allowed(2);
    allowed.insert(1);
    const std::vector<std::string> query = {"alpha", "beta", "gamma"};
    const auto found = index.search(views(query), allowed, 10, nullptr);
    REQUIRE(found.size() == 1);
    CHECK(found[0].row == 1);
    CHECK(found[0].score == expected.search(views(query), allowed, 10, nullptr)[0].score);
  }
}

TEST_CASE("awkward searches") {
  Bm25 index;
  const Words one = {"a"};
  CHECK(index.search(views(one), RowSet(), 10, nullptr).empty());
  index.add(0, {});
  CHECK(index.search(views(one), RowSet(1, true), 10, nullptr).empty());
  for (RowId row = 1; row < 9; ++row) index.add(row, views(one));
  const RowSet all(9, true);
  CHECK(index.search(views(one), all, 0, nullptr).empty());
  CHECK(index.search({}, all, 5, nullptr).empty());
  // All eight share the score of the second.
  CHECK(index.search(views(one), all, 2, nullptr).size() == 8);
  CHECK(index.search(views(one), RowSet(9), 2, nullptr).empty());
  CHECK(index.search(views(one), RowSet(3, true), 5, nullptr).size() == 2);
  for (RowId row = 1; row < 9; ++row) index.remove(row, views(one));
  CHECK(index.search(views(one), all, 2, nullptr).empty());
  index.remove(3, views(one));  // twice
  index.remove(99, views(one));
  index.add(1'000'000, views({"a", "a", "\u691c", "", "a"}));
  CHECK(index.search(views({"\u691c"}), RowSet(1'000'001, true), 2, nullptr).size() == 1);
}

TEST_CASE("sections come back byte for byte and the index goes on growing") {
  Bm25 index = small_index();
  const Sections sections = gathered(index.sections());
  Bytes bytes;
  write_sections(sections, bytes);
  auto loaded = Bm25::from_sections(*read_sections(bytes), 20);
  REQUIRE(loaded.ok());
  Bytes again;
  write_sections(gathered(loaded->sections()), again);
  CHECK(again == bytes);
  index.add(30, views({"beta", "gamma"}));
  loaded->add(30, views({"beta", "gamma"}));
  const auto expected = index.search(views({"beta", "gamma"}), RowSet(31, true), 10, nullptr);
  const auto found = loaded->search(views({"beta", "gamma"}), RowSet(31, true), 10, nullptr);
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].row == expected[i].row);
    CHECK(found[i].score == expected[i].score);
  }
  CHECK(Bm25::from_sections(gathered(Bm25().sections()), 0).ok());
}

TEST_CASE("damaged sections are refused or harmless") {
  const Sections good = gathered(small_index().sections());
  const auto code = [](const Sections& sections) { return Bm25::from_sections(sections, 20).code(); };
  REQUIRE(code(good) == Code::kOk);
  CHECK(Bm25::from_sections(good, 18).code() == Code::kFormatError);
  for (size_t i = 0; i < good.size(); ++i) {
    Sections missing = good;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(code(missing) == Code::kFormatError);
    Sections retyped = good;
    retyped[i].type = ElementType::kF32;
    CHECK(code(retyped) == Code::kFormatError);
  }
  const Sections empty = {make_section<uint8_t>("bm25.texts", {}), make_section<uint32_t>("bm25.text_ends", {}),
                          make_section<uint8_t>("bm25.postings", {}), make_section<uint64_t>("bm25.posting_ends", {}),
                          make_section<uint32_t>("bm25.lengths", {})};
  // One term "a" over rows of the given lengths.
  const auto one_term = [&](std::vector<uint8_t> postings, std::vector<uint32_t> lengths) {
    Sections sections = with<uint8_t>(empty, "bm25.texts", {'a'});
    sections = with<uint32_t>(sections, "bm25.text_ends", {1});
    sections = with<uint64_t>(sections, "bm25.posting_ends", {postings.size()});
    sections = with<uint8_t>(sections, "bm25.postings", postings);
    return with<uint32_t>(sections, "bm25.lengths", lengths);
  };
  CHECK(code(one_term({2, 3, 5}, {2, 6})) == Code::kOk);
  CHECK(code(one_term({2, 3, 5}, {2, 0})) == Code::kOk);
  CHECK(code(one_term({2, 3, 5}, {2, 7})) == Code::kFormatError);  // a length that disagrees
  CHECK(code(one_term({2, 3}, {2, 6})) == Code::kFormatError);     // a count cut off
  CHECK(code(one_term({2, 0x80}, {2, 6})) == Code::kFormatError);  // a number cut off
  CHECK(code(one_term({2, 0}, {2, 1})) == Code::kFormatError);     // the same row twice
  CHECK(code(one_term({2, 3, 0}, {2, 1})) == Code::kFormatError);  // none of a term
  CHECK(code(one_term({2, 3, 1}, {2, 2})) == Code::kFormatError);  // one, written the long way
  CHECK(code(one_term({2, 4}, {2, 2})) == Code::kFormatError);     // a row behind the last
  CHECK(code(one_term({0xFE, 0xFF, 0xFF, 0xFF, 0x0F}, {2})) == Code::kFormatError);
  CHECK(code(one_term({0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}, {2})) == Code::kFormatError);
  CHECK(code(one_term({0x82, 0x80, 0x80, 0x80, 0x10}, {2})) == Code::kFormatError);  // beyond 32 bits
  const Sections one = one_term({2}, {2});
  CHECK(code(with<uint8_t>(one, "bm25.texts", {0xFF})) == Code::kFormatError);
  CHECK(code(with<uint8_t>(one, "bm25.texts", {'a', 'b'})) == Code::kFormatError);
  CHECK(code(with<uint32_t>(one, "bm25.text_ends", {2})) == Code::kFormatError);
  CHECK(code(with<uint32_t>(one, "bm25.text_ends", {1, 1})) == Code::kFormatError);
  CHECK(code(with<uint64_t>(one, "bm25.posting_ends", {2})) == Code::kFormatError);
  CHECK(code(with<uint64_t>(one, "bm25.posting_ends", {0})) == Code::kFormatError);
  CHECK(code(with<uint64_t>(one, "bm25.posting_ends", {~uint64_t{0}})) == Code::kFormatError);
  Sections twice = with<uint8_t>(one, "bm25.texts", {'a', 'a'});
  twice = with<uint32_t>(twice, "bm25.text_ends", {1, 2});
  CHECK(code(with<uint64_t>(twice, "bm25.posting_ends", {1, 1})) == Code::kFormatError);
  twice = with<uint32_t>(twice, "bm25.text_ends", {2, 1});
  CHECK(code(with<uint64_t>(twice, "bm25.posting_ends", {1, 1})) == Code::kFormatError);

  // Any byte may change: the answer is an error or an index that can be searched and extended.
  for (size_t i = 0; i < good.size(); ++i) {
    for (size_t at = 0; at < good[i].bytes.size(); ++at) {
      for (const int flip : {0x01, 0x80, 0xFF}) {
        Sections changed = good;
        changed[i].bytes[at] = static_cast<uint8_t>(changed[i].bytes[at] ^ flip);
        auto loaded = Bm25::from_sections(changed, 20);
        if (!loaded.ok()) {
          CHECK(loaded.code() == Code::kFormatError);
          continue;
        }
        loaded->add(20, views({"alpha", "beta"}));
        CHECK(!loaded->search(views({"alpha", "beta"}), RowSet(21, true), 5, nullptr).empty());
      }
    }
  }
}
