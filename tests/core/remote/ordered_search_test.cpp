// Searches on a server that ends lists with any of equal scores, against sorting everything.
#include "core/remote/ordered_search.h"

#include <algorithm>
#include <catch_amalgamated.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/base/random.h"
#include "tests/support/network.h"

using namespace nearfield;

namespace {

// Its points have a score each, the same for every query.
class Scores : public VectorStore {
 public:
  std::vector<std::pair<std::string, double>> points;
  Random random{1};
  std::vector<size_t> asked;  // the k of each query
  std::vector<bool> with_parts;
  size_t got = 0;

  // Best first; which of equal ones, and in which order, is chance.
  Task<Result<StoreHits>> find(const std::vector<StoreQuery>& queries) {
    StoreHits out;
    for (const StoreQuery& query : queries) {
      if (query.offset > 0) co_return Error{Code::kInternal, "an offset", ""};
      asked.push_back(query.k);
      with_parts.push_back(query.parts.payload);
      auto shuffled = points;
      for (size_t i = shuffled.size(); i > 1; --i) std::swap(shuffled[i - 1], shuffled[random.below(i)]);
      std::ranges::stable_sort(shuffled, [](const auto& a, const auto& b) { return a.second > b.second; });
      shuffled.resize(std::min(shuffled.size(), query.k));
      std::ranges::sort(shuffled, [](const auto& a, const auto& b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
      });
      std::vector<StoreHit> hits(shuffled.size());
      for (size_t i = 0; i < hits.size(); ++i) {
        hits[i].point.id = shuffled[i].first;
        hits[i].score = shuffled[i].second;
        hits[i].dense = LegScore{shuffled[i].second, i + 1};
        if (query.parts.payload) hits[i].point.payload = payload_of(shuffled[i].first);
      }
      std::erase_if(hits, [&](const StoreHit& hit) { return query.min_score && hit.score < *query.min_score; });
      out.push_back(std::move(hits));
    }
    co_return std::move(out);
  }
  static std::string payload_of(const std::string& id) { return "{\"of\":\"" + id + "\"}"; }

  Task<Result<StoreHits>> search(std::vector<StoreQuery> queries) override {
    return search_in_order(
        *this,
        [](VectorStore& store, const std::vector<StoreQuery>& some) { return static_cast<Scores&>(store).find(some); },
        std::move(queries));
  }
  Task<Result<std::vector<StorePoint>>> get(std::vector<std::string> ids, StoreParts parts) override {
    ++got;
    std::vector<StorePoint> out;
    for (std::string& id : ids) {
      StorePoint point;
      if (parts.payload) point.payload = payload_of(id);
      point.id = std::move(id);
      out.push_back(std::move(point));
    }
    co_return std::move(out);
  }

  // Not asked here.
  Task<Result<EnsureReport>> ensure() override { co_return EnsureReport(); }
  Task<Result<WriteReport>> upsert(std::vector<StorePoint>) override { co_return WriteReport(); }
  Task<Result<uint64_t>> remove(std::vector<std::string>) override { co_return uint64_t{0}; }
  Task<Result<uint64_t>> remove_matching(Filter) override { co_return uint64_t{0}; }
  Task<Result<uint64_t>> count(std::optional<Filter>) override { co_return uint64_t{0}; }
  Task<Result<StorePage>> scroll(std::optional<Filter>, std::string, size_t, StoreParts) override {
    co_return StorePage();
  }
  Task<Status> clear() override { co_return Status(); }
  Task<Result<bool>> drop() override { co_return false; }
  Task<Result<StoreInfo>> info() override { co_return StoreInfo(); }
  Task<StoreHealth> health() override { co_return StoreHealth(); }
  Task<Result<Snapshot>> create_snapshot() override { co_return Snapshot(); }
  Task<Result<std::vector<Snapshot>>> list_snapshots() override { co_return std::vector<Snapshot>(); }
  Task<Status> delete_snapshot(std::string) override { co_return Status(); }
  Task<Status> close() override { co_return Status(); }
};

NetworkReply no_requests(const HttpEffect&, uint64_t) { return NetworkReply::of(500); }

std::vector<StoreQuery> one_query(size_t k, size_t offset) {
  std::vector<StoreQuery> out(1);
  out[0].k = k;
  out[0].offset = offset;
  return out;
}

}  // namespace

TEST_CASE("equal scores are cut by id, whichever of them a server chooses") {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    Scores store;
    store.random = Random(random.next());
    const size_t count = random.below(400), scores = 1 + random.below(12);
    for (size_t i = 0; i < count; ++i) {
      store.points.emplace_back("p" + std::to_string(i), static_cast<double>(random.below(scores)));
    }
    auto sorted = store.points;
    std::ranges::sort(sorted, [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    std::vector<StoreQuery> queries(1 + random.below(5));
    std::vector<std::pair<size_t, size_t>> ranges;
    std::vector<double> least;
    for (StoreQuery& query : queries) {
      query.k = 1 + random.below(60);
      query.offset = random.below(3) == 0 ? random.below(420) : 0;
      if (random.below(3) == 0) query.min_score = static_cast<double>(random.below(12));
      ranges.emplace_back(query.offset, query.k);
      least.push_back(query.min_score.value_or(-1));
    }
    Network network(no_requests);
    const auto found = network.run(store.search(std::move(queries)));
    REQUIRE(found.ok());
    for (size_t i = 0; i < ranges.size(); ++i) {
      std::vector<std::string> expected, ids;
      for (size_t at = ranges[i].first; at < std::min(sorted.size(), ranges[i].first + ranges[i].second); ++at) {
        if (sorted[at].second >= least[i]) expected.push_back(sorted[at].first);
      }
      for (size_t j = 0; j < found.value()[i].size(); ++j) {
        const StoreHit& hit = found.value()[i][j];
        ids.push_back(hit.point.id);
        CHECK(hit.dense->rank == ranges[i].first + j + 1);
        CHECK(hit.point.payload == Scores::payload_of(hit.point.id));
      }
      CHECK(ids == expected);
    }
  }
}

TEST_CASE("no more is asked for than tells equal scores apart") {
  Network network(no_requests);
  Scores store;
  for (int i = 0; i < 100; ++i) store.points.emplace_back("p" + std::to_string(i), -i);
  REQUIRE(network.run(store.search(one_query(10, 0))).ok());
  CHECK(store.asked == std::vector<size_t>{11});
  CHECK(store.with_parts == std::vector<bool>{true});
  CHECK(store.got == 0);

  // What comes before a page is asked for without its parts.
  store.asked.clear(), store.with_parts.clear();
  REQUIRE(network.run(store.search(one_query(10, 50))).ok());
  CHECK(store.asked == std::vector<size_t>{61});
  CHECK(store.with_parts == std::vector<bool>{false});
  CHECK(store.got == 1);

  // As many as a search may have, and among more equal scores the server chooses.
  store.asked.clear();
  REQUIRE(network.run(store.search(one_query(9'000, 1'000))).ok());
  CHECK(store.asked == std::vector<size_t>{10'000});
  store.asked.clear();
  store.points.assign(20'000, {"same", 1.0});
  for (size_t i = 0; i < store.points.size(); ++i) store.points[i].first += std::to_string(i);
  CHECK(network.run(store.search(one_query(10, 0))).value()[0].size() == 10);
  CHECK(store.asked == std::vector<size_t>{11, 88, 704, 5'632, 10'000});

  store.asked.clear();
  CHECK(network.run(store.search(one_query(0, 0))).code() == Code::kInvalidArgument);
  CHECK(network.run(store.search(one_query(10, 9'991))).code() == Code::kInvalidArgument);
  CHECK(store.asked.empty());
}
