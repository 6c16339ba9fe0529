#include "core/collection/id_window.h"

#include <catch_amalgamated.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "core/base/random.h"
#include "core/collection/collection.h"
#include "core/filter/filter.h"

using namespace nearfield;

namespace {

size_t below(Random& random, size_t bound) { return static_cast<size_t>(random.below(bound)); }

}  // namespace

TEST_CASE("the first ids of some rows, whatever their order") {
  Random random(11);
  for (const size_t count : {0, 1, 2, 90, 1'000}) {
    RowStore rows;
    RowSet among(count);
    std::vector<std::string> ids;
    for (size_t i = 0; i < count; ++i) {
      // Falling, rising, any.
      const size_t number = i % 3 == 0 ? count - i : i % 3 == 1 ? i : below(random, 1 << 30);
      const std::string id = std::string(i % 3 == 0 ? "" : "p") + std::to_string(number) + "/" + std::to_string(i);
      const RowId row = rows.append(id, "", "");
      if (below(random, 4) == 0) continue;
      among.insert(row);
      ids.push_back(id);
    }
    std::sort(ids.begin(), ids.end());
    for (const std::string after : {"", "5", "p", "p3", "p9", "q"}) {
      for (const size_t limit : {0, 1, 7, 5'000}) {
        std::vector<std::string> expected(std::upper_bound(ids.begin(), ids.end(), after), ids.end());
        expected.resize(std::min(expected.size(), limit));
        std::vector<std::string> found;
        for (const RowId row : first_by_id(rows, among, after, limit)) found.emplace_back(rows.id(row));
        CHECK(found == expected);
      }
    }
  }
}

TEST_CASE("whoever reads on gets more found at once, up to a part of all") {
  constexpr size_t kRows = 64'000;
  RowStore rows;
  for (size_t i = 0; i < kRows; ++i) rows.append(std::to_string(1'000'000 + i * 7'919 % kRows), "", "");
  const RowSet live(kRows, true);
  IdWindow window;
  CHECK(window.next(rows, live, "", 10).size() == 10);
  std::string after;
  size_t searches = 0;
  size_t most = 0;
  size_t read = 0;
  for (size_t rest = 0;;) {
    const std::span<const RowId> next = window.next(rows, live, after, 10);
    if (next.empty()) break;
    // What was found is handed out until none of it is left.
    if (rest != 0) CHECK(next.size() == rest);
    searches += rest == 0 ? 1 : 0;
    most = std::max(most, next.size());
    const size_t taken = std::min<size_t>(10, next.size());
    for (size_t i = 0; i < taken; ++i) {
      if (rows.id(next[i]) != std::to_string(1'000'000 + read++)) FAIL("row " << read);
    }
    after = rows.id(next[taken - 1]);
    rest = next.size() - taken;
  }
  CHECK(read == kRows);
  CHECK(most == kRows / 32);
  CHECK(searches <= 32 + 9);
}

TEST_CASE("pages are the points by their ids, whatever happens between them") {
  Random random(12);
  Schema schema;
  schema.dimension = 0;
  schema.text = TextSchema{};
  const Result<Filter> filter = Filter::parse(nlohmann::json::parse(R"({"even": true})"));
  REQUIRE(filter.ok());
  for (int round = 0; round < 20; ++round) {
    Collection collection("c", schema);
    std::map<std::string, bool> points;
    std::string cursor;
    for (int step = 0; step < 300; ++step) {
      const size_t what = below(random, 20);
      if (what < 3 || step == 0) {
        Batch batch;
        std::set<std::string> used;
        for (size_t i = below(random, 60) + 1; i > 0; --i) {
          const std::string id = "p" + std::to_string(below(random, 700));
          if (!used.insert(id).second) continue;
          if (below(random, 3) == 0) {
            batch.deletes.push_back(id);
            points.erase(id);
            continue;
          }
          const bool even = below(random, 5) == 0;
          batch.upserts.push_back({id, {}, "words", even ? R"({"even":true})" : "{}"});
          points[id] = even;
        }
        REQUIRE(collection.check(batch).ok());
        collection.apply(std::move(batch));
      } else if (what == 3) {
        collection.compact();
      } else if (what == 4) {
        cursor = below(random, 2) == 0 ? "" : "p" + std::to_string(below(random, 800));
      }
      const size_t limit = below(random, what == 5 ? 1'000 : 12);
      const bool filtered = below(random, 3) == 0;
      std::vector<std::string> expected;
      for (auto at = points.upper_bound(cursor); at != points.end() && expected.size() < limit; ++at) {
        if (!filtered || at->second) expected.push_back(at->first);
      }
      std::vector<std::string> found;
      for (const RowView& row : collection.scroll(filtered ? &*filter : nullptr, cursor, limit))
        found.emplace_back(row.id);
      REQUIRE(found == expected);
      std::vector<std::string> paged;
      for (const RowId row : collection.page(collection.matching(filtered ? &*filter : nullptr), cursor, limit)) {
        paged.emplace_back(collection.row(row).id);
      }
      REQUIRE(paged == expected);
      // Mostly read on.
      if (!expected.empty() && below(random, 5) != 0) cursor = expected.back();
    }
  }
}
