// Writes that are cut into requests, against a server that keeps what it was sent.
#include "core/remote/batches.h"

#include <algorithm>
#include <catch_amalgamated.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/network.h"

using namespace nearfield;

namespace {

// Items are words; a request's body is words with commas between them.
class Words : public BatchJob {
 public:
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {}

  size_t count() const override { return words_.size(); }
  std::string_view id(size_t item) const override { return words_[item]; }
  size_t bytes(size_t item) const override { return words_[item].size() + (wrong_about_bytes ? 0 : 1); }
  HttpRequest request(size_t first, size_t last) const override {
    HttpRequest out{.method = "PUT", .path = "/words"};
    for (size_t i = first; i < last; ++i) out.body += words_[i] + ',';
    out.retry = RetryClass::kIdempotentWrite;
    return out;
  }
  // "!id" in the answer: that one failed; "?": no answer as promised.
  Status read(const HttpResponse& answer, size_t first, size_t last, BatchReport& report) const override {
    if (answer.status >= 300) return Error{code_of(answer.status), "refused", ""};
    if (answer.body == "?") return Error{Code::kRemoteProtocolError, "no list", ""};
    for (size_t i = first; i < last; ++i) {
      if (answer.body == '!' + words_[i]) report.failed(i, Code::kRemoteRejected, "bad word");
    }
    return {};
  }
  bool too_large(const HttpResponse& refusal) const override { return refusal.body == "larger than allowed"; }

  bool wrong_about_bytes = false;

 private:
  static Code code_of(uint64_t status) { return status == 404 ? Code::kNotFound : Code::kRemoteRejected; }

  std::vector<std::string> words_;
};

std::vector<std::string> numbered(size_t count) {
  std::vector<std::string> out;
  for (size_t i = 0; i < count; ++i) out.push_back("w" + std::to_string(i));
  return out;
}

std::vector<std::string> split(const HttpEffect& effect) {
  std::vector<std::string> out(1);
  for (const uint8_t byte : effect.body) {
    if (byte == ',') {
      out.emplace_back();
    } else {
      out.back() += static_cast<char>(byte);
    }
  }
  out.pop_back();
  return out;
}

std::unique_ptr<HttpClient> client(Network& network, HttpOptions options = {}) {
  HttpServer server;
  server.name = "Testbase";
  server.url = Url::parse("https://db.example.com", 1).value();
  return HttpClient::make(network.effects(), std::move(server), options, 1).value();
}

std::vector<std::string> failed_ids(const WriteReport& report) {
  std::vector<std::string> out;
  for (const auto& failed : report.failed) out.push_back(failed.id);
  return out;
}

}  // namespace

TEST_CASE("items are cut by count and by bytes, and a few requests are in flight") {
  std::vector<std::vector<std::string>> seen;
  Network network([&](const HttpEffect& effect, uint64_t) {
    seen.push_back(split(effect));
    return NetworkReply::of(200, "", 10);
  });
  const auto http = client(network);
  const Words words(numbered(1'000));
  const WriteReport report =
      network.run(write_batches(*http, words, {.max_items = 30, .max_bytes = 100, .in_flight = 3})).value();
  CHECK(report.ok == numbered(1'000));
  CHECK(report.failed.empty());
  CHECK(report.unknown.empty());
  CHECK(network.most_in_flight() == 3);
  std::vector<std::string> all;
  for (const auto& batch : seen) {
    size_t bytes = 0;
    for (const std::string& word : batch) bytes += word.size() + 1;
    CHECK(batch.size() <= 30);
    CHECK(bytes <= 100);
    all.insert(all.end(), batch.begin(), batch.end());
  }
  std::ranges::sort(all);
  auto expected = numbered(1'000);
  std::ranges::sort(expected);
  CHECK(all == expected);
  // Nothing is not sent at all.
  CHECK(network.run(write_batches(*http, Words({}), {})).value().ok.empty());
  CHECK(network.requests() == seen.size());
}

TEST_CASE("a request that is too large is cut in two until it fits") {
  for (const bool own_status : {false, true}) {
    size_t greatest = 0, refusals = 0;
    Network network([&](const HttpEffect& effect, uint64_t) {
      if (effect.body.size() > 50) {
        ++refusals;
        return own_status ? NetworkReply::of(400, "larger than allowed") : NetworkReply::of(413, "");
      }
      greatest = std::max(greatest, effect.body.size());
      return NetworkReply::of(200);
    });
    const auto http = client(network);
    std::vector<std::string> words = numbered(200);
    words[77] = std::string(60, 'x');
    const WriteReport report =
        network.run(write_batches(*http, Words(words), {.max_items = 64, .max_bytes = 1 << 20, .in_flight = 2}))
            .value();
    CHECK(failed_ids(report) == std::vector{words[77]});
    CHECK(report.ok.size() == 199);
    CHECK(report.unknown.empty());
    CHECK(refusals > 4);
  }
  // Found before it is sent.
  Network network([&](const HttpEffect& effect, uint64_t) {
    CHECK(effect.body.size() <= 50);
    return NetworkReply::of(200);
  });
  const auto http = client(network);
  Words words({"a", std::string(51, 'x'), "b", std::string(49, 'y'), "c"});
  words.wrong_about_bytes = true;
  const WriteReport report = network.run(write_batches(*http, words, {.max_items = 64, .max_bytes = 50})).value();
  CHECK(report.ok.size() == 4);
  REQUIRE(report.failed.size() == 1);
  CHECK(report.failed[0].code == Code::kLimitExceeded);
}

TEST_CASE("a server's limit is remembered for the rest of the call") {
  size_t refusals = 0;
  Network network([&](const HttpEffect& effect, uint64_t) {
    if (effect.body.size() <= 100'000) return NetworkReply::of(200);
    ++refusals;
    return NetworkReply::of(413, "");
  });
  const auto http = client(network);
  std::vector<std::string> words;
  for (size_t i = 0; i < 400; ++i) words.push_back(std::string(4'990, 'x') + std::to_string(1'000 + i));
  const WriteReport report =
      network.run(write_batches(*http, Words(words), {.max_items = 100, .max_bytes = 1 << 20, .in_flight = 1})).value();
  CHECK(report.ok == words);
  // 500 KB, 250 KB, 125 KB and its three sisters; then it is known.
  CHECK(refusals <= 7);
}

TEST_CASE("what became of each item is told for itself") {
  Network network([&](const HttpEffect& effect, uint64_t) {
    const std::string first = split(effect)[0];
    if (first == "w0") return NetworkReply::of(200, "!w1");
    if (first == "w3") return NetworkReply::fault(Code::kNetworkFailed);
    if (first == "w6") return NetworkReply::of(422, "bad");
    if (first == "w9") return NetworkReply::of(200, "?");
    if (first == "w12") return NetworkReply::fault(Code::kNetworkFailed, true);
    if (first == "w18") return NetworkReply::of(524, "the origin is slow");
    return NetworkReply::of(200);
  });
  const auto http = client(network, {.attempts = 1});
  const WriteReport report =
      network.run(write_batches(*http, Words(numbered(21)), {.max_items = 3, .in_flight = 2})).value();
  CHECK(report.ok == std::vector<std::string>{"w0", "w2", "w15", "w16", "w17"});
  CHECK(failed_ids(report) == std::vector<std::string>{"w1", "w6", "w7", "w8", "w12", "w13", "w14"});
  CHECK(report.unknown == std::vector<std::string>{"w3", "w4", "w5", "w9", "w10", "w11", "w18", "w19", "w20"});
  CHECK(report.failed[0].message == "bad word");
  CHECK(report.failed[1].code == Code::kRemoteRejected);
  CHECK(report.failed[6].code == Code::kNetworkFailed);
}

TEST_CASE("what every request would meet is met once") {
  size_t good = 0;
  Network network([&](const HttpEffect&, uint64_t) {
    return network.requests() <= good ? NetworkReply::of(200) : NetworkReply::of(404, "no such collection");
  });
  const auto http = client(network);
  const BatchLimits limits{.max_items = 10, .in_flight = 2};
  CHECK(network.run(write_batches(*http, Words(numbered(1'000)), limits)).code() == Code::kNotFound);
  CHECK(network.requests() == 2);
  good = 5;
  const WriteReport report = network.run(write_batches(*http, Words(numbered(1'000)), limits)).value();
  CHECK(report.ok.size() == 30);
  CHECK(report.failed.size() == 970);
  for (const auto& failed : report.failed) CHECK(failed.code == Code::kNotFound);
  CHECK(network.requests() == 7);
}

TEST_CASE("a call that writes nothing fails with the reason") {
  Network network([](const HttpEffect&, uint64_t) { return NetworkReply::fault(Code::kNetworkFailed, true); });
  const auto http = client(network, {.attempts = 1});
  CHECK(network.run(write_batches(*http, Words(numbered(100)), {.max_items = 20})).code() == Code::kNetworkFailed);
  // May have been written: a report.
  network.set_handler([](const HttpEffect&, uint64_t) { return NetworkReply::stall(); });
  network.wait(60'000);
  CHECK(network.run(write_batches(*http, Words(numbered(5)), {})).value().unknown.size() == 5);
}

TEST_CASE("a cancelled write ends at once") {
  for (const bool drop : {false, true}) {
    for (int steps = 0; steps < 10; ++steps) {
      Network network([](const HttpEffect&, uint64_t) { return NetworkReply::of(200, "", 10); });
      const auto http = client(network, {.max_connections = 2});
      const Words words(numbered(100));
      std::optional<Task<Result<WriteReport>>> task = write_batches(*http, words, {.max_items = 7, .in_flight = 4});
      network.start(*task);
      for (int i = 0; i < steps; ++i) network.step();
      const uint64_t sent = network.requests();
      if (drop) {
        task.reset();
      } else {
        network.abort();
        REQUIRE(task->done());
        CHECK(task->take().code() == Code::kAborted);
      }
      CHECK(network.pending() == 0);
      CHECK(network.requests() == sent);
      CHECK(http->state().in_flight == 0);
      CHECK(http->state().waiting == 0);
    }
  }
}

TEST_CASE("every item stands in one list, and is told as the server has it") {
  for (uint64_t seed = 0; seed < 2'000; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    std::map<std::string, int> stored;
    const unsigned health = 50 + random.below(51u);
    const size_t largest = 20 + random.below(size_t{200});
    Network network(
        [&](const HttpEffect& effect, uint64_t) {
          if (effect.body.size() > largest) return NetworkReply::of(413, "");
          // What is wrong with a request is wrong with it each time.
          if (std::ranges::count(split(effect), "w13") > 0) return NetworkReply::of(422, "");
          const auto store = [&] {
            for (const std::string& word : split(effect)) ++stored[word];
          };
          const uint64_t latency = random.below(uint64_t{100});
          if (random.below(100u) < health) {
            store();
            return NetworkReply::of(200, "", latency);
          }
          switch (random.below(5)) {
            case 0: store(); return NetworkReply::fault(Code::kNetworkFailed);  // the answer is lost
            case 1: return NetworkReply::fault(Code::kNetworkFailed, true);
            case 2: store(); return NetworkReply::stall();
            case 3: return NetworkReply::of(503, "", latency);
            default: return NetworkReply::of(429, "", latency, {{"retry-after", "1"}});
          }
        },
        seed);
    const auto http = client(network, {.attempts = 1 + random.below(3u), .max_connections = 1 + random.below(4u)});
    const auto all = numbered(random.below(size_t{120}));
    Words words(all);
    words.wrong_about_bytes = random.below(2) == 0;
    const BatchLimits limits{.max_items = 1 + random.below(size_t{20}),
                             .max_bytes = 20 + random.below(size_t{300}),
                             .in_flight = 1 + random.below(5u)};
    const Result<WriteReport> written = network.run(write_batches(*http, words, limits));
    if (!written.ok()) {
      CHECK(stored.empty());
      continue;
    }
    const WriteReport& report = written.value();
    auto told = report.ok;
    for (const std::string& id : report.ok) REQUIRE(stored[id] > 0);
    for (const std::string& id : failed_ids(report)) {
      REQUIRE(stored[id] == 0);
      told.push_back(id);
    }
    told.insert(told.end(), report.unknown.begin(), report.unknown.end());
    REQUIRE(told.size() == all.size());
    std::ranges::sort(told);
    auto sorted = all;
    std::ranges::sort(sorted);
    REQUIRE(told == sorted);
    REQUIRE(network.pending() == 0);
  }
}
