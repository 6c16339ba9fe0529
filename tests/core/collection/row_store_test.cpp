#include "core/collection/row_store.h"

#include <catch_amalgamated.hpp>
#include <string>

#include "core/base/random.h"

using namespace nearfield;

namespace {

size_t below(Random& random, size_t bound) { return static_cast<size_t>(random.below(bound)); }

}  // namespace

TEST_CASE("strings come back, and their views never move") {
  RowStore store;
  CHECK(!store.find("a"));
  Random random(3);
  std::vector<std::string> ids;
  std::vector<std::string> texts;
  std::vector<std::string_view> views;
  for (size_t i = 0; i < 3'000; ++i) {
    ids.push_back("id" + std::to_string(i));
    // Empty, short, and now and then longer than any chunk.
    texts.emplace_back(i % 500 == 7 ? 400'000 : below(random, i % 3 == 0 ? 1 : 700), static_cast<char>('a' + i % 26));
    REQUIRE(store.append(ids[i], texts[i], i % 2 == 0 ? "{}" : "") == i);
    views.push_back(store.text(static_cast<RowId>(i)));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto row = static_cast<RowId>(i);
    if (store.id(row) != ids[i] || store.text(row) != texts[i] || views[i].data() != store.text(row).data() ||
        store.payload(row) != (i % 2 == 0 ? "{}" : "") || store.find(ids[i]) != row) {
      FAIL("row " << i);
    }
  }
  CHECK(!store.find("id3000"));
  CHECK(!store.find(""));
}

TEST_CASE("the newest row of an id is found") {
  RowStore store;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 100; ++i) store.append("id" + std::to_string(i), "", "");
  }
  CHECK(store.count() == 400);
  CHECK(store.find("id0") == RowId{300});
  CHECK(store.find("id99") == RowId{399});
}

TEST_CASE("a row costs little more than its bytes") {
  RowStore store;
  Random random(5);
  size_t bytes = 0;
  for (int i = 0; i < 25'000; ++i) {
    const std::string id = "specs/auth/requirements.md#" + std::to_string(i);
    const std::string text(200 + below(random, 200), 't');
    const std::string payload(200 + below(random, 200), 'p');
    bytes += id.size() + text.size() + payload.size();
    store.append(id, text, payload);
  }
  CHECK(static_cast<double>(store.memory_bytes()) < 1.15 * static_cast<double>(bytes));
}
