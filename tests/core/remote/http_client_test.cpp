// HttpClient's policy, over a network with a virtual clock.
#include "core/remote/http_client.h"

#include <catch_amalgamated.hpp>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/network.h"

using namespace nearfield;

namespace {

HttpServer server(std::string_view url = "https://db.example.com") {
  HttpServer out;
  out.name = "Testbase";
  out.url = Url::parse(url, 6333).value();
  out.key = Secret("canary-key-of-the-test");
  out.key_header = "api-key";
  return out;
}

std::unique_ptr<HttpClient> client(Network& network, HttpOptions options = {}, uint64_t seed = 1) {
  return HttpClient::make(network.effects(), server(), options, seed).value();
}

}  // namespace

TEST_CASE("a request goes out with its key, and its answer comes back") {
  std::vector<HttpEffect> seen;
  Network network([&](const HttpEffect& request, uint64_t) {
    seen.push_back(request);
    return NetworkReply::of(200, R"({"ok":true})", 5, {{"x-a", "b"}});
  });
  const auto http = client(network);
  const Result<HttpResponse> answer = network.run(http->send({.method = "POST", .path = "/a/b?c=d", .body = "{}"}));
  REQUIRE(answer.ok());
  CHECK(answer.value().status == 200);
  CHECK(answer.value().body == R"({"ok":true})");
  CHECK(answer.value().attempts == 1);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].method == "POST");
  CHECK(seen[0].url == "https://db.example.com/a/b?c=d");
  REQUIRE(seen[0].headers.size() == 2);
  CHECK(seen[0].headers[0].name == "content-type");
  CHECK(seen[0].headers[1].name == "api-key");
  CHECK(seen[0].headers[1].value == "canary-key-of-the-test");
}
