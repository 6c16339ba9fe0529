// HttpClient's policy, over a network with a virtual clock.
#include "core/remote/http_client.h"

#include <catch_amalgamated.hpp>
#include <memory>
#include <string>
#include <vector>

#include "core/remote/excerpt.h"
#include "tests/support/network.h"

using namespace nearfield;

namespace {

constexpr std::string_view kKey = "canary-key-of-the-test";

HttpServer server(std::string_view url = "https://db.example.com") {
  HttpServer out;
  out.name = "Testbase";
  out.url = Url::parse(url, 6333).value();
  out.key = Secret(std::string(kKey));
  out.key_header = "api-key";
  out.quota_mark = "USAGE_LIMIT_EXCEEDED";
  return out;
}

std::unique_ptr<HttpClient> client(Network& network, HttpOptions options = {}, uint64_t seed = 1) {
  return HttpClient::make(network.effects(), server(), options, seed).value();
}

HttpRequest request(RetryClass retry = RetryClass::kRead) {
  HttpRequest out{.method = "POST", .path = "/a", .body = "{}"};
  out.retry = retry;
  return out;
}

NetworkReply ok() { return NetworkReply::of(200); }

constexpr RetryClass kEveryClass[] = {RetryClass::kRead, RetryClass::kIdempotentWrite, RetryClass::kCreate,
                                      RetryClass::kUnsafe};

}  // namespace

TEST_CASE("a request goes out with its key, and its answer comes back") {
  std::vector<HttpEffect> seen;
  Network network([&](const HttpEffect& effect, uint64_t) {
    seen.push_back(effect);
    return NetworkReply::of(200, R"({"ok":true})", 5, {{"content-type", "application/json"}});
  });
  HttpServer prefixed = server("https://db.example.com/vectors/");
  prefixed.key_header = "authorization";
  prefixed.key_prefix = "Bearer ";
  prefixed.headers = {{"accept", "application/json"}};
  const auto http = HttpClient::make(network.effects(), std::move(prefixed), {}, 1).value();
  const Result<HttpResponse> answer = network.run(http->send({.method = "POST", .path = "/a/b?c=d", .body = "{}"}));
  REQUIRE(answer.ok());
  CHECK(answer.value().status == 200);
  CHECK(answer.value().body == R"({"ok":true})");
  CHECK(answer.value().attempts == 1);
  CHECK(answer.value().what == "POST /a/b");
  REQUIRE(answer.value().headers.size() == 1);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].method == "POST");
  CHECK(seen[0].origin == "https://db.example.com");
  CHECK(seen[0].url == "https://db.example.com/vectors/a/b?c=d");
  REQUIRE(seen[0].headers.size() == 3);
  CHECK(seen[0].headers[1].name == "content-type");
  CHECK(seen[0].headers[2].name == "authorization");
  CHECK(seen[0].headers[2].value == "Bearer canary-key-of-the-test");
  CHECK(std::string(seen[0].body.begin(), seen[0].body.end()) == "{}");
  // Without a body and a key there is nothing to say about them.
  HttpServer open = server();
  open.key = Secret();
  const auto plain = HttpClient::make(network.effects(), std::move(open), {}, 1).value();
  REQUIRE(network.run(plain->send({.method = "GET", .path = "/"})).ok());
  CHECK(seen[1].headers.empty());
}

TEST_CASE("what is sent again, and what it means in the end") {
  struct Row {
    const char* name;
    NetworkReply reply;
    std::array<unsigned, 4> attempts;  // of each class, in the order of kEveryClass
    Code code;                         // kOk: the adapter's
    bool unknown;
  };
  std::vector<Row> rows;
  const auto add = [&](const char* name, NetworkReply reply, std::array<unsigned, 4> attempts, Code code,
                       bool unknown) { rows.push_back({name, std::move(reply), attempts, code, unknown}); };
  const auto status = [](uint64_t number, std::string_view body = "no") { return NetworkReply::of(number, body); };
  add("reset", NetworkReply::fault(Code::kNetworkFailed), {3, 3, 3, 1}, Code::kNetworkFailed, true);
  add("not reached", NetworkReply::fault(Code::kNetworkFailed, true), {3, 3, 3, 1}, Code::kNetworkFailed, false);
  add("stall", NetworkReply::stall(), {3, 3, 3, 1}, Code::kTimeout, true);
  add("certificate", NetworkReply::fault(Code::kTlsFailed, true), {1, 1, 1, 1}, Code::kTlsFailed, false);
  add("redirect", NetworkReply::fault(Code::kRemoteProtocolError), {1, 1, 1, 1}, Code::kRemoteProtocolError, true);
  add("redirect that the host lets through", status(302), {1, 1, 1, 1}, Code::kRemoteProtocolError, true);
  add("status 101", status(101), {1, 1, 1, 1}, Code::kRemoteProtocolError, true);
  add("status 0", status(0), {1, 1, 1, 1}, Code::kRemoteProtocolError, true);
  add("status 1e9", status(1'000'000'000), {1, 1, 1, 1}, Code::kRemoteProtocolError, true);
  add("long", NetworkReply::fault(Code::kLimitExceeded), {1, 1, 1, 1}, Code::kLimitExceeded, true);
  add("429", status(429), {3, 3, 3, 3}, Code::kRateLimited, false);
  add("429, a quota", status(429, R"({"errorCode":"USAGE_LIMIT_EXCEEDED"})"), {1, 1, 1, 1}, Code::kRateLimited, false);
  add("408", status(408), {3, 3, 3, 1}, Code::kTimeout, true);
  add("500", status(500), {2, 3, 1, 1}, Code::kRemoteUnavailable, true);
  for (const uint64_t overload : {502, 503, 504}) {
    add("overload", status(overload), {3, 3, 3, 1}, Code::kRemoteUnavailable, true);
  }
  add("401", status(401), {1, 1, 1, 1}, Code::kUnauthorized, false);
  add("403", status(403), {1, 1, 1, 1}, Code::kUnauthorized, false);
  for (const uint64_t adapters : {200, 202, 299, 400, 404, 405, 409, 413, 422, 499, 501, 505, 507}) {
    add("adapter", status(adapters), {1, 1, 1, 1}, Code::kOk, false);
  }
  // Of proxies, which may have passed the request on.
  for (const uint64_t proxies : {506, 520, 524, 599}) add("proxy", status(proxies), {1, 1, 1, 1}, Code::kOk, true);
  for (const Row& row : rows) {
    for (const RetryClass retry : kEveryClass) {
      INFO(row.name << " " << row.reply.answer.http_status << ", class " << static_cast<int>(retry));
      Network network([&](const HttpEffect&, uint64_t) {
        NetworkReply reply;
        reply.answer.http_status = row.reply.answer.http_status;
        reply.answer.bytes = row.reply.answer.bytes;
        reply.answer.not_sent = row.reply.answer.not_sent;
        if (!row.reply.answer.status.ok()) reply.answer.status = Error(row.reply.answer.status.error());
        reply.never = row.reply.never;
        return reply;
      });
      const auto http = client(network);
      const HttpOutcome outcome = network.run(http->exchange(request(retry)));
      CHECK(network.requests() == row.attempts[static_cast<size_t>(retry)]);
      CHECK(outcome.answer.code() == row.code);
      CHECK(outcome.unknown == (row.unknown && retry != RetryClass::kRead));
      if (outcome.answer.ok()) {
        CHECK(outcome.answer.value().status == row.reply.answer.http_status);
      } else {
        const std::string& message = outcome.answer.error().message;
        CHECK_THAT(message, Catch::Matchers::StartsWith("Testbase at https://db.example.com: POST /a: "));
      }
      CHECK(http->state().in_flight == 0);
      CHECK(http->state().attempts == network.requests());
      CHECK(http->state().retries == network.requests() - 1);
      CHECK(network.pending() == 0);
    }
  }
}

TEST_CASE("a retry that goes well is an answer, and says that it was one") {
  unsigned asked = 0;
  Network network([&](const HttpEffect&, uint64_t) {
    return ++asked < 3 ? NetworkReply::fault(Code::kNetworkFailed) : NetworkReply::of(404, "gone");
  });
  const auto http = client(network);
  const HttpOutcome outcome = network.run(http->exchange(request(RetryClass::kIdempotentWrite)));
  REQUIRE(outcome.answer.ok());
  CHECK(outcome.answer.value().attempts == 3);
  CHECK_FALSE(outcome.unknown);
  const Error error = http->error_of(outcome.answer.value());
  CHECK(error.code == Code::kNotFound);
  CHECK(error.message == "Testbase at https://db.example.com: POST /a: 404 gone");
}

TEST_CASE("an attempt that may have written leaves the outcome unknown, whatever the last one says") {
  const auto outcome_of = [](NetworkReply last) {
    unsigned asked = 0;
    Network network([&](const HttpEffect&, uint64_t) {
      return ++asked == 1 ? NetworkReply::fault(Code::kNetworkFailed) : std::move(last);
    });
    const auto http = client(network, {.attempts = 2});
    return network.run(http->exchange(request(RetryClass::kIdempotentWrite)));
  };
  CHECK(outcome_of(NetworkReply::of(429)).unknown);
  CHECK(outcome_of(NetworkReply::of(401)).unknown);
  CHECK(outcome_of(NetworkReply::fault(Code::kNetworkFailed, true)).unknown);
  // The same request, refused for what it is.
  CHECK_FALSE(outcome_of(NetworkReply::of(422)).unknown);
  CHECK_FALSE(outcome_of(NetworkReply::of(200)).unknown);
}

TEST_CASE("waits are random up to a bound that doubles, and no longer than 20 seconds") {
  constexpr uint64_t kBase = 1'000;
  constexpr unsigned kAttempts = 8;
  std::vector<std::vector<uint64_t>> waits(kAttempts - 1);
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::vector<uint64_t> sent;
    Network network([&](const HttpEffect&, uint64_t now) {
      sent.push_back(now);
      return NetworkReply::of(503, "", 0);
    });
    const auto http =
        client(network, {.read_deadline_ms = 3'600'000, .attempts = kAttempts, .base_delay_ms = kBase}, seed);
    CHECK(network.run(http->send(request())).code() == Code::kRemoteUnavailable);
    REQUIRE(sent.size() == kAttempts);
    for (size_t i = 1; i < sent.size(); ++i) waits[i - 1].push_back(sent[i] - sent[i - 1]);
  }
  for (size_t i = 0; i < waits.size(); ++i) {
    const uint64_t most = std::min<uint64_t>(20'000, kBase << i);
    INFO("wait " << i);
    CHECK(std::ranges::max(waits[i]) <= most);
    CHECK(std::ranges::max(waits[i]) > most * 9 / 10);
    CHECK(std::ranges::min(waits[i]) < most / 10);
    uint64_t sum = 0;
    for (const uint64_t wait : waits[i]) sum += wait;
    CHECK(sum / waits[i].size() > most * 4 / 10);
    CHECK(sum / waits[i].size() < most * 6 / 10);
  }
}

TEST_CASE("Retry-After is read as seconds or as a date") {
  constexpr uint64_t kNow = 784'111'777'000;  // Sun, 06 Nov 1994 08:49:37 GMT
  CHECK(retry_after_ms("0", kNow) == 0);
  CHECK(retry_after_ms(" 120 ", kNow) == 120'000);
  CHECK(retry_after_ms("99999999999999999999999999", kNow) == uint64_t{1} << 53);
  CHECK(retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", kNow) == 0);
  CHECK(retry_after_ms("Sun, 06 Nov 1994 08:49:38 GMT", kNow) == 1'000);
  CHECK(retry_after_ms("Sun, 06 Nov 1994 08:49:36 GMT", kNow) == 0);
  CHECK(retry_after_ms("Thu, 29 Feb 2024 00:00:00 GMT", 1'709'164'799'000) == 1'000);
  CHECK(retry_after_ms("Thu, 01 Jan 1970 00:00:01 GMT", 0) == 1'000);
  CHECK(retry_after_ms("Fri, 31 Dec 9999 23:59:60 GMT", 0) == 253'402'300'800'000);
  for (const char* bad : {"",
                          " ",
                          "-1",
                          "+1",
                          "1.5",
                          "1e3",
                          "0x1",
                          "soon",
                          "1 2",
                          "120s",
                          "Sun, 06 Nov 1994 08:49:37",
                          "Sunday, 06-Nov-94 08:49:37 GMT",
                          "Sun Nov  6 08:49:37 1994",
                          "Sun, 06 Xxx 1994 08:49:37 GMT",
                          "Sun, 06 anF 1994 08:49:37 GMT",
                          "Sun, 6 Nov 1994 08:49:37 GMT ",
                          "Sun, 00 Nov 1994 08:49:37 GMT",
                          "Sun, 32 Nov 1994 08:49:37 GMT",
                          "Sun, 06 Nov 1994 24:49:37 GMT",
                          "Sun, 06 Nov 1994 08:60:37 GMT",
                          "Sun, 06 Nov 1994 08:49:61 GMT",
                          "Sun, 06 Nov 0000 08:49:37 GMT",
                          "un,M06 Nov 1994 08:49:37 GMT",
                          "Sun, 06 Nov 1994 08:49:37 PST",
                          "Sun,\t06 Nov 1994 08:49:37 GMT"}) {
    INFO(bad);
    CHECK_FALSE(retry_after_ms(bad, kNow).has_value());
  }
}

TEST_CASE("a server that says when to come back is obeyed until the deadline") {
  std::vector<uint64_t> sent;
  std::string after = "2";
  Network network([&](const HttpEffect&, uint64_t now) {
    sent.push_back(now);
    return sent.size() % 2 == 1 ? NetworkReply::of(429, "slow down", 0, {{"retry-after", after}}) : ok();
  });
  const auto http = client(network, {.base_delay_ms = 0});
  CHECK(network.run(http->send(request(RetryClass::kUnsafe))).ok());
  CHECK(sent[1] - sent[0] == 2'000);
  // A date. The clock began at Tue, 14 Nov 2023 22:13:20 GMT.
  after = "Tue, 14 Nov 2023 22:13:30 GMT";
  CHECK(network.run(http->send(request())).ok());
  CHECK(sent[3] == 1'700'000'010'000);
  // Later than the deadline: said at once, not after it.
  after = "31";
  const uint64_t began = network.now_ms();
  const Result<HttpResponse> late = network.run(http->send(request()));
  CHECK(network.now_ms() == began);
  REQUIRE(late.code() == Code::kRateLimited);
  CHECK(late.error().value == R"({"retryAfterMs":31000})");
  CHECK_THAT(late.error().message, Catch::Matchers::ContainsSubstring("429 slow down"));
  CHECK_THAT(late.error().message, Catch::Matchers::ContainsSubstring("31000 ms"));
  CHECK(sent.size() == 5);
}

TEST_CASE("the deadline holds for all attempts together") {
  Network network([](const HttpEffect&, uint64_t) { return NetworkReply::stall(); });
  for (const RetryClass retry : kEveryClass) {
    for (const uint64_t deadline : {1, 2, 100, 10'000, 30'000, 60'000, 100'000}) {
      const auto http = client(network, {.attempts = 4, .base_delay_ms = 3'000});
      HttpRequest asked = request(retry);
      asked.deadline_ms = deadline;
      const uint64_t began = network.now_ms();
      CHECK(network.run(http->send(asked)).code() == Code::kTimeout);
      CHECK(network.now_ms() - began <= deadline);
      // An attempt is not cut shorter than ten seconds for the sake of those that may follow.
      if (deadline > 10'000) CHECK(network.now_ms() - began >= 10'000);
      CHECK(network.pending() == 0);
    }
  }
  // After a pause the clock starts anew: what is old is the last answer, not the request.
  const auto http = client(network);
  network.wait(3'600'000);
  network.set_handler([](const HttpEffect& effect, uint64_t) {
    CHECK(effect.timeout_ms == 10'000);
    return NetworkReply::of(200, "", 9'000);
  });
  CHECK(network.run(http->send(request())).ok());
}

TEST_CASE("the breaker opens after ten failures in a row, and lets one request through after 15 seconds") {
  bool broken = true;
  Network network([&](const HttpEffect&, uint64_t) { return broken ? NetworkReply::of(500, "", 10) : ok(); });
  const auto http = client(network, {.attempts = 1, .max_connections = 4});
  const auto send = [&] { return network.run(http->send(request())).code(); };
  for (int i = 0; i < 9; ++i) CHECK(send() == Code::kRemoteUnavailable);
  CHECK(http->state().breaker == HttpState::Breaker::kClosed);
  broken = false;
  CHECK(send() == Code::kOk);
  CHECK(http->state().consecutive_failures == 0);
  broken = true;
  for (int i = 0; i < 10; ++i) CHECK(send() == Code::kRemoteUnavailable);
  CHECK(http->state().breaker == HttpState::Breaker::kOpen);
  CHECK(http->state().opens_in_ms == 15'000);
  CHECK(network.requests() == 20);
  network.wait(5'000);
  const Result<HttpResponse> refused = network.run(http->send(request()));
  CHECK(refused.code() == Code::kRemoteUnavailable);
  CHECK(refused.error().value == R"({"retryAfterMs":10000})");
  CHECK(network.requests() == 20);

  const auto send_three = [&] {
    std::vector<Task<Result<HttpResponse>>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(http->send(request()));
    return network.run_all(std::move(tasks));
  };
  // The probe fails: 15 more seconds.
  network.wait(10'000);
  CHECK(http->state().breaker == HttpState::Breaker::kHalfOpen);
  CHECK(send_three()[0].code() == Code::kRemoteUnavailable);
  CHECK(network.requests() == 21);
  CHECK(http->state().breaker == HttpState::Breaker::kOpen);
  CHECK(http->state().opens_in_ms == 15'000);

  // The probe is dropped: the next request is one.
  network.wait(15'000);
  {
    auto dropped = http->send(request());
    network.start(dropped);
    CHECK(network.in_flight() == 1);
    CHECK(send() == Code::kRemoteUnavailable);
    CHECK(network.requests() == 22);
  }
  CHECK(network.pending() == 0);
  {
    auto aborted = http->send(request());
    network.start(aborted);
    network.abort();
    REQUIRE(aborted.done());
    CHECK(aborted.take().code() == Code::kAborted);
  }
  CHECK(http->state().breaker == HttpState::Breaker::kHalfOpen);

  // The probe succeeds: all is as before.
  broken = false;
  const auto answers = send_three();
  CHECK(answers[0].ok());
  CHECK(answers[1].code() == Code::kRemoteUnavailable);
  CHECK(http->state().breaker == HttpState::Breaker::kClosed);
  for (const auto& answer : send_three()) CHECK(answer.ok());
}

TEST_CASE("statuses that are about the request are none of the breaker's") {
  for (const uint64_t status : {200, 400, 404, 413, 422, 429, 501, 507}) {
    Network network([&](const HttpEffect&, uint64_t) { return NetworkReply::of(status); });
    const auto http = client(network, {.attempts = 1});
    for (int i = 0; i < 30; ++i) static_cast<void>(network.run(http->send(request())));
    CHECK(network.requests() == 30);
    CHECK(http->state().breaker == HttpState::Breaker::kClosed);
  }
}

TEST_CASE("an open breaker ends those that wait for a connection") {
  Network network([](const HttpEffect&, uint64_t) { return NetworkReply::of(502, "", 10); });
  const auto http = client(network, {.attempts = 1, .max_connections = 2});
  std::vector<Task<Result<HttpResponse>>> tasks;
  for (int i = 0; i < 40; ++i) tasks.push_back(http->send(request()));
  const auto answers = network.run_all(std::move(tasks));
  // Ten, and the one that was under way beside the tenth.
  CHECK(network.requests() >= 10);
  CHECK(network.requests() <= 11);
  CHECK(network.elapsed_ms() <= 60);
  for (const auto& answer : answers) CHECK(answer.code() == Code::kRemoteUnavailable);
  CHECK(http->state().waiting == 0);
}

TEST_CASE("retries are paid for, and clean successes pay back") {
  Network network([](const HttpEffect&, uint64_t) { return NetworkReply::of(429, "", 0); });
  const auto http = client(network, {.attempts = 5, .base_delay_ms = 0});
  CHECK(http->state().retry_tokens == 500);
  for (int i = 0; i < 25; ++i) static_cast<void>(network.run(http->send(request())));
  CHECK(http->state().retries == 100);
  CHECK(http->state().retry_tokens == 0);
  static_cast<void>(network.run(http->send(request())));
  CHECK(http->state().retries == 100);
  network.set_handler([](const HttpEffect&, uint64_t) { return ok(); });
  for (int i = 0; i < 10; ++i) static_cast<void>(network.run(http->send(request())));
  CHECK(http->state().retry_tokens == 10);
  // A timeout costs twice as much.
  network.set_handler([](const HttpEffect&, uint64_t) { return NetworkReply::stall(); });
  static_cast<void>(network.run(http->send(request())));
  CHECK(http->state().retries == 101);
  CHECK(http->state().retry_tokens == 0);
  // A success that took a retry pays nothing back, and there is never more than at the beginning.
  network.set_handler([](const HttpEffect&, uint64_t) { return ok(); });
  for (int i = 0; i < 600; ++i) static_cast<void>(network.run(http->send(request())));
  CHECK(http->state().retry_tokens == 500);
  bool first = true;
  network.set_handler(
      [&](const HttpEffect&, uint64_t) { return std::exchange(first, false) ? NetworkReply::of(503) : ok(); });
  CHECK(network.run(http->send(request())).ok());
  CHECK(http->state().retry_tokens == 495);
}

TEST_CASE("so many are in flight, so many wait in order, the rest is refused") {
  std::vector<std::string> order;
  Network network([&](const HttpEffect& effect, uint64_t) {
    order.push_back(effect.url);
    return NetworkReply::of(200, "", 10);
  });
  const auto http = client(network, {.max_connections = 3, .max_waiting = 5});
  std::vector<Task<Result<HttpResponse>>> tasks;
  for (char c = 'a'; c < 'a' + 10; ++c) tasks.push_back(http->send({.method = "GET", .path = std::string("/") + c}));
  const auto answers = network.run_all(std::move(tasks));
  for (size_t i = 0; i < 10; ++i) CHECK(answers[i].code() == (i < 8 ? Code::kOk : Code::kBackpressure));
  CHECK(network.most_in_flight() == 3);
  CHECK(network.elapsed_ms() == 30);
  REQUIRE(order.size() == 8);
  for (size_t i = 0; i < 8; ++i)
    CHECK(order[i] == "https://db.example.com/" + std::string(1, static_cast<char>('a' + i)));
  CHECK(network.pending() == 0);
  // In browsers at most six.
  const auto page = client(network, {.max_connections = 100, .browser = true});
  std::vector<Task<Result<HttpResponse>>> many;
  for (int i = 0; i < 20; ++i) many.push_back(page->send({.method = "GET", .path = "/"}));
  for (const auto& answer : network.run_all(std::move(many))) CHECK(answer.ok());
  CHECK(network.most_in_flight() == 6);
}

TEST_CASE("a request that waits for a connection is ended by its own deadline") {
  Network network([](const HttpEffect&, uint64_t) { return NetworkReply::of(200, "", 5'000); });
  const auto http = client(network, {.max_connections = 1});
  auto slow = http->send(request());
  network.start(slow);
  HttpRequest hurried = request();
  hurried.deadline_ms = 1'000;
  CHECK(network.run(http->send(hurried)).code() == Code::kTimeout);
  CHECK(network.elapsed_ms() == 1'000);
  CHECK(network.requests() == 1);
  CHECK(http->state().waiting == 0);
  // And what it does not use up in waiting is what the request itself may take.
  HttpRequest patient = request();
  patient.deadline_ms = 6'000;
  network.set_handler([](const HttpEffect& effect, uint64_t) {
    CHECK(effect.timeout_ms == 2'000);
    return NetworkReply::of(200, "", 1);
  });
  CHECK(network.run(http->send(patient)).ok());
  CHECK(slow.done());
}

TEST_CASE("cancelling ends a request at whatever it waits for") {
  for (const bool drop : {false, true}) {
    for (int steps = 0; steps < 12; ++steps) {
      INFO((drop ? "dropped" : "aborted") << " after " << steps << " steps");
      Network network([](const HttpEffect&, uint64_t) { return NetworkReply::of(503, "", 7); });
      const auto http = client(network, {.attempts = 4, .max_connections = 2});
      // One of the three waits for a connection at first; later they wait for their next attempts.
      std::vector<Task<Result<HttpResponse>>> tasks;
      for (int i = 0; i < 3; ++i) tasks.push_back(http->send(request()));
      for (auto& task : tasks) network.start(task);
      for (int i = 0; i < steps; ++i) network.step();
      const uint64_t sent = network.requests();
      if (drop) {
        tasks.erase(tasks.begin());
        tasks.clear();
      } else {
        const size_t pending = network.pending();
        network.abort();
        size_t aborted = 0;
        for (auto& task : tasks) {
          REQUIRE(task.done());
          aborted += task.take().code() == Code::kAborted;
        }
        CHECK(aborted == pending);
      }
      CHECK(network.pending() == 0);
      CHECK(network.effects().waiting() == 0);
      CHECK(network.in_flight() == 0);
      CHECK(network.requests() == sent);
      const HttpState state = http->state();
      CHECK(state.in_flight == 0);
      CHECK(state.waiting == 0);
      network.set_handler([](const HttpEffect&, uint64_t) { return ok(); });
      CHECK(network.run(http->send(request())).code() ==
            (state.breaker == HttpState::Breaker::kClosed ? Code::kOk : Code::kRemoteUnavailable));
    }
  }
}

TEST_CASE("a request in the queue takes the place of one that is dropped") {
  Network network(
      [](const HttpEffect& effect, uint64_t) { return effect.url.ends_with("/stall") ? NetworkReply::stall() : ok(); });
  const auto http = client(network, {.max_connections = 1});
  auto waiting = http->send({.method = "GET", .path = "/a"});
  {
    auto stalled = http->send({.method = "GET", .path = "/stall"});
    network.start(stalled);
    network.start(waiting);
    network.wait(100);
    CHECK_FALSE(waiting.done());
  }
  network.wait(1);
  REQUIRE(waiting.done());
  CHECK(waiting.take().ok());
  CHECK(network.elapsed_ms() == 101);
}

TEST_CASE("a clock that is set anew neither shortens nor prolongs what is under way by much") {
  for (const int64_t jump : {int64_t{-86'400'000}, int64_t{86'400'000}}) {
    Network network([](const HttpEffect&, uint64_t) { return NetworkReply::of(500, "", 10); });
    const auto http = client(network, {.attempts = 1});
    for (int i = 0; i < 10; ++i) static_cast<void>(network.run(http->send(request())));
    CHECK(http->state().breaker == HttpState::Breaker::kOpen);
    network.move_clock(jump);
    // It may be left alone for less than 15 seconds then, but not for a day.
    CHECK(http->state().breaker == HttpState::Breaker::kHalfOpen);
    network.set_handler([](const HttpEffect& effect, uint64_t) {
      CHECK(effect.timeout_ms == 30'000);
      return NetworkReply::of(200, "", 20'000);
    });
    auto slow = http->send(request());
    network.start(slow);
    network.move_clock(jump);
    while (!slow.done()) REQUIRE(network.step());
    CHECK(slow.take().ok());
  }
}

TEST_CASE("paths that lead elsewhere are not sent") {
  Network network([](const HttpEffect&, uint64_t) { return ok(); });
  const auto http = client(network);
  for (const char* path : {"",     "a",     "@evil.com/", ":80/",      "/..",         "/a/../b",  "/a/%2e%2E/b",
                           "/.",   "/a//b", "/a\\b",      "/a b",      "/a#b",        "/a?b=c d", "/a?b=#",
                           "/a\n", "/%",    "/%a",        "/\xC3\xA4", "/a?\xC3\xA4", "/a?'",     "/<"}) {
    INFO(path);
    CHECK(network.run(http->send({.method = "GET", .path = path})).code() == Code::kInvalidArgument);
  }
  CHECK(network.requests() == 0);
  for (const char* path : {"/", "/a/", "/a%20b/%C3%A4", "/a?b=c&d=%20/..", "/a.b/..c"}) {
    INFO(path);
    CHECK(network.run(http->send({.method = "GET", .path = path})).ok());
  }
}

TEST_CASE("a client is not made for what may not be asked") {
  Network network([](const HttpEffect&, uint64_t) { return ok(); });
  const auto code = [&](HttpServer asked, HttpOptions options = {}) {
    return HttpClient::make(network.effects(), std::move(asked), options, 1).code();
  };
  CHECK(code(server("http://db.example.com")) == Code::kHostNotAllowed);
  HttpServer other = server();
  other.hosts = HostPolicy::only({"b.example"}).value();
  CHECK(code(std::move(other)) == Code::kHostNotAllowed);
  for (const char* key : {"se cret", "secret\n", "secret\r\nx: y", "secr\xC3\xA4t", "secret\x7F", " secret"}) {
    HttpServer bad = server();
    bad.key = Secret(key);
    Result<std::unique_ptr<HttpClient>> made = HttpClient::make(network.effects(), std::move(bad), {}, 1);
    REQUIRE(made.code() == Code::kInvalidConfig);
    CHECK(made.error().message.find("secr") == std::string::npos);
  }
  CHECK(code(server(), {.read_deadline_ms = 0}) == Code::kInvalidConfig);
  CHECK(code(server(), {.write_deadline_ms = 3'600'001}) == Code::kInvalidConfig);
  CHECK(code(server(), {.attempts = 0}) == Code::kInvalidConfig);
  CHECK(code(server(), {.attempts = 21}) == Code::kInvalidConfig);
  CHECK(code(server(), {.base_delay_ms = 60'001}) == Code::kInvalidConfig);
  CHECK(code(server(), {.max_connections = 0}) == Code::kInvalidConfig);
  CHECK(code(server(), {.max_body_bytes = 0}) == Code::kInvalidConfig);
  CHECK(code(server(), {.max_body_bytes = (1 << 30) + 1}) == Code::kInvalidConfig);
}

TEST_CASE("a host that reads too much, or another address, is told") {
  Network network([](const HttpEffect&, uint64_t) { return NetworkReply::of(200, "12345"); });
  // As a host would that does not count.
  HttpOptions options{.max_body_bytes = 4};
  const auto http = client(network, options);
  auto task = http->send(request());
  task.start();
  auto pending = network.effects().take_pending();
  REQUIRE(pending.size() == 1);
  EffectAnswer answer;
  answer.http_status = 200;
  answer.bytes = Bytes(5);
  answer.now_ms = network.now_ms();
  network.effects().answer(pending[0].id, std::move(answer));
  REQUIRE(task.done());
  CHECK(task.take().code() == Code::kLimitExceeded);
  for (const Code code : {Code::kHostNotAllowed, Code::kUnsupported}) {
    network.set_handler([&](const HttpEffect&, uint64_t) { return NetworkReply::fault(code, true); });
    const HttpOutcome outcome = network.run(http->exchange(request(RetryClass::kIdempotentWrite)));
    CHECK(outcome.answer.code() == code);
    CHECK_FALSE(outcome.unknown);
  }
}

TEST_CASE("in a page, a network error names the server's setting") {
  Network network([](const HttpEffect&, uint64_t) { return NetworkReply::fault(Code::kNetworkFailed); });
  HttpServer cors = server();
  cors.cors_setting = "TESTBASE_CORS";
  const auto http = HttpClient::make(network.effects(), std::move(cors), {.attempts = 1, .browser = true}, 1).value();
  CHECK_THAT(network.run(http->send(request())).error().message, Catch::Matchers::ContainsSubstring("TESTBASE_CORS"));
}

TEST_CASE("a server's words are shown short, clean and without the key") {
  const Secret key{std::string(kKey)};
  CHECK(excerpt("plain", key) == "plain");
  CHECK(excerpt("", key).empty());
  CHECK(excerpt("a\x1B[31m\r\n\x7F", key) == "a\\u001b[31m\\u000d\\u000a\\u007f");
  CHECK(excerpt("\xC2\x9B\xE2\x80\xAE", key) == "\\u009b\\u202e");
  CHECK(excerpt("\xFF\xC3", key) == "\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(excerpt("your key canary-key-of-the-test is bad, canary-key-of-the-test!", key) == "your key *** is bad, ***!");
  const std::string long_text(100'000, 'x');
  CHECK(excerpt(long_text, key) == std::string(200, 'x') + "...");
  // The cut does not leave half a key, wherever it falls.
  for (size_t before = 150; before < 230; ++before) {
    const std::string shown = excerpt(std::string(before, 'x') + std::string(kKey) + "yyyyyyyyyy", key);
    CHECK(shown.find("can") == std::string::npos);
  }
  CHECK(excerpt(std::string(500, 'a'), Secret("a")).size() <= 3 * 200 + 3);
  const auto words = [&](std::string_view body) { return server_words(body, key); };
  CHECK(words(R"({"status":{"error":"Wrong input"},"time":0.0})") == "Wrong input");
  CHECK(words(R"({"error":"NotFoundError","message":"no such"})") == "no such");
  CHECK(words(R"({"error":[{"message":"first"},{"message":"second"}]})") == "first");
  CHECK(words(R"({"errors":[{"message":"graph"}]})") == "graph");
  CHECK(words(R"({"error":"bare"})") == "bare");
  CHECK(words("Must provide an API key") == "Must provide an API key");
  CHECK(words(R"({"error":"canary-key-of-th\u0065-test"})") == "***");
  for (const char* odd : {"", "{", "null", "[]", "1", "{}", R"({"message":7})", R"({"error":[]})", R"({"error":[7]})",
                          R"({"status":"ok"})", R"({"status":{"error":{}}})", "<html>login</html>"}) {
    CHECK(words(odd) == odd);
  }
  CHECK(words(std::string(100, '[')).size() == 100);
}

// The invariants of the policy, over random servers, options, loads and cancellations.
TEST_CASE("whatever a server does, attempts, time and repeated writes have their bounds") {
  for (uint64_t seed = 0; seed < 10'000; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    HttpOptions options;
    options.attempts = 1 + random.below(5u);
    options.base_delay_ms = random.below(uint64_t{3'000});
    options.max_connections = 1 + random.below(4u);
    options.max_waiting = random.below(size_t{6});
    const unsigned health = random.below(101u);
    struct Seen {
      unsigned attempts = 0;
      bool may_be_done = false;  // an attempt that may have been carried out
      bool repeated = false;     // another one after it
    };
    std::map<std::string, Seen> seen;
    Network network(
        [&](const HttpEffect& effect, uint64_t) {
          Seen& one = seen[effect.url];
          ++one.attempts;
          one.repeated = one.repeated || one.may_be_done;
          const uint64_t latency = random.below(3) == 0 ? random.below(uint64_t{40'000}) : random.below(uint64_t{50});
          const auto done = [&](NetworkReply reply) {
            one.may_be_done = true;
            reply.latency_ms = latency;
            return reply;
          };
          if (latency >= effect.timeout_ms) return done(ok());
          if (random.below(100u) < health) return done(ok());
          switch (random.below(9)) {
            case 0: return done(NetworkReply::fault(Code::kNetworkFailed));
            case 1: return done(NetworkReply::stall());
            case 2: return done(NetworkReply::of(500 + random.below(uint64_t{5})));
            case 3: {
              const uint64_t status = random.below(uint64_t{700});
              const bool refusal = status >= 400 && status < 500 && status != 408;
              return refusal ? NetworkReply::of(status, "", latency) : done(NetworkReply::of(status));
            }
            case 4: return NetworkReply::of(429, "", latency, {{"retry-after", std::to_string(random.below(40))}});
            case 5: return NetworkReply::of(429, "", latency);
            case 6: return NetworkReply::of(400 + random.below(uint64_t{5}), "no", latency);
            case 7: return NetworkReply::fault(Code::kTlsFailed, true, latency);
            default: return done(NetworkReply::of(503, "", latency, {{"retry-after", "-1"}}));
          }
        },
        seed);
    const auto http = client(network, options, seed);
    struct Running {
      Task<HttpOutcome> task;
      RetryClass retry;
      std::string url;
      uint64_t began, deadline;
      bool ended = false;
    };
    std::vector<Running> running;
    const auto look = [&] {
      for (Running& one : running) {
        if (one.ended || !one.task.done()) continue;
        one.ended = true;
        const HttpOutcome outcome = one.task.take();
        const Seen& what = seen[one.url];
        REQUIRE(what.attempts <= options.attempts);
        REQUIRE(network.now_ms() - one.began <= one.deadline);
        // Never again what may have been done.
        if (one.retry == RetryClass::kUnsafe) REQUIRE_FALSE(what.repeated);
        // A write that may have been done is told as done, refused for what it is, or unknown.
        if (one.retry != RetryClass::kRead && !outcome.answer.ok() && what.may_be_done) REQUIRE(outcome.unknown);
        if (outcome.answer.ok() && outcome.answer.value().status < 500) REQUIRE_FALSE(outcome.unknown);
        if (outcome.unknown) REQUIRE(what.attempts > 0);
      }
    };
    const auto step = [&] {
      const bool happened = network.step();
      look();
      return happened;
    };
    const size_t count = 1 + random.below(size_t{8});
    for (size_t i = 0; i < count; ++i) {
      const std::string path = "/r" + std::to_string(i);
      HttpRequest asked{.method = "POST", .path = path, .body = "{}"};
      asked.retry = kEveryClass[random.below(4)];
      asked.deadline_ms = 1 + random.below(uint64_t{60'000});
      const RetryClass retry = asked.retry;
      const uint64_t deadline = asked.deadline_ms;
      running.push_back(
          {http->exchange(std::move(asked)), retry, "https://db.example.com" + path, network.now_ms(), deadline});
      network.start(running.back().task);
      look();
      for (uint64_t steps = random.below(4); steps > 0; --steps) step();
      if (random.below(20) == 0 && running.size() > 1) running.erase(running.begin());
    }
    do {
      if (random.below(200) == 0) network.abort();
      look();
    } while (step());
    for (const Running& one : running) REQUIRE(one.ended);
    REQUIRE(network.most_in_flight() <= options.max_connections);
    REQUIRE(http->state().in_flight == 0);
    REQUIRE(http->state().waiting == 0);
    REQUIRE(network.effects().waiting() == 0);
  }
}
