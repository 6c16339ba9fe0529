// Addresses: tests/corpus/hosts.json, which tests/js/http.test.mjs reads with the platform's parser.
#include "core/remote/url.h"

#include <catch_amalgamated.hpp>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/remote/host_policy.h"

using namespace nearfield;

namespace {

const nlohmann::json& corpus() {
  static const nlohmann::json kCorpus =
      nlohmann::json::parse(std::ifstream(NEARFIELD_SOURCE_DIR "/tests/corpus/hosts.json"));
  return kCorpus;
}

HostPolicy listed() { return HostPolicy::only(corpus()["allowed"].get<std::vector<std::string>>()).value(); }

}  // namespace

TEST_CASE("hostile spellings of an address are refused") {
  const HostPolicy policy = listed();
  REQUIRE(corpus()["refused"].size() >= 150);
  for (const char* list : {"refused", "refusedAsServer"}) {
    for (const auto& each : corpus()[list]) {
      const auto text = each.get<std::string>();
      INFO(list << ": " << text);
      const Result<Url> url = Url::parse(text, 6333);
      const Status allowed = url.ok() ? policy.check(url.value()) : Status(Error(url.error()));
      CHECK(allowed.code() == Code::kHostNotAllowed);
      // What may be a password is in no message.
      if (text.find("password") != std::string::npos) {
        CHECK(allowed.error().message.find("password") == std::string::npos);
        CHECK(allowed.error().value.find("password") == std::string::npos);
      }
    }
  }
}

TEST_CASE("good addresses are understood") {
  const HostPolicy policy = listed();
  for (const char* list : {"accepted", "parsed"}) {
    for (const auto& each : corpus()[list]) {
      INFO(each.dump());
      const Result<Url> url = Url::parse(each["text"].get<std::string>(), 6333);
      REQUIRE(url.ok());
      CHECK(url.value().origin() == each["origin"].get<std::string>());
      CHECK(url.value().path == each["path"].get<std::string>());
      CHECK(policy.check(url.value()).ok() == (std::string_view(list) == "accepted"));
      // What it is written as is read as the same.
      const Result<Url> again = Url::parse(url.value().origin() + url.value().path, 1);
      REQUIRE(again.ok());
      CHECK(again.value().origin() == url.value().origin());
      CHECK(again.value().path == url.value().path);
    }
  }
}

TEST_CASE("bytes that are no text are refused, and nothing that is accepted has any") {
  Random random(7);
  constexpr std::string_view kPieces[] = {"https://", "http://", "db",  ".",   "example", ":", "6333", "/", "a", "%2e",
                                          "[",        "]",       "::1", "127", "0x7f",    "@", "\\",   "#", "?", "-"};
  size_t accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text;
    const size_t pieces = random.below(size_t{9});
    for (size_t p = 0; p < pieces; ++p) {
      if (random.below(30) == 0) {
        text += static_cast<char>(random.below(256));
      } else {
        text += kPieces[random.below(std::size(kPieces))];
      }
    }
    const Result<Url> url = Url::parse(text, 6333);
    if (!url.ok()) {
      CHECK(url.code() == Code::kHostNotAllowed);
      continue;
    }
    ++accepted;
    INFO(text);
    for (const char c : url.value().origin() + url.value().path) CHECK((c > 0x20 && c < 0x7F));
    const Result<Url> again = Url::parse(url.value().origin() + url.value().path, 6333);
    REQUIRE(again.ok());
    CHECK(again.value().origin() == url.value().origin());
  }
  CHECK(accepted > 100);
}

TEST_CASE("an allow-list is read by the same parser") {
  const auto url = [](const char* text) { return Url::parse(text, 6333).value(); };
  for (const char* bad :
       {"", "*", "*.example.com", ".example.com", "https://a", "a/b", "a:0", "a:x", "2130706433", "a b", "a@b"}) {
    INFO(bad);
    CHECK(HostPolicy::only({bad}).code() == Code::kInvalidConfig);
  }
  const HostPolicy policy = HostPolicy::only({"A.Example.", "b.example:8000", "[0:0::1]"}).value();
  CHECK(policy.check(url("https://a.example")).ok());
  CHECK(policy.check(url("https://a.example:1")).ok());
  // Named, so the way there is trusted.
  CHECK(policy.check(url("http://a.example:1")).ok());
  CHECK(policy.check(url("https://b.example:8000")).ok());
  CHECK(policy.check(url("http://[::1]:5")).ok());
  CHECK(policy.check(url("https://b.example")).code() == Code::kHostNotAllowed);
  CHECK(policy.check(url("http://localhost:6333")).code() == Code::kHostNotAllowed);
  CHECK(HostPolicy::only({}).value().check(url("https://a.example")).code() == Code::kHostNotAllowed);
}

TEST_CASE("without a list, plain http stays on this machine") {
  const HostPolicy any;
  const auto check = [&](const char* text) { return any.check(Url::parse(text, 6333).value()).code(); };
  for (const char* good : {"https://db.example.com", "http://localhost", "localhost", "http://127.0.0.1", "127.255.1.2",
                           "http://[::1]", "db.example.com"}) {
    INFO(good);
    CHECK(check(good) == Code::kOk);
  }
  for (const char* bad : {"http://db.example.com", "http://10.0.0.1", "http://127.0.0.1.example.com", "http://0.0.0.0",
                          "http://localhost.example.com", "http://[::2]", "http://127.example.com"}) {
    INFO(bad);
    CHECK(check(bad) == Code::kHostNotAllowed);
  }
}

TEST_CASE("an address is at most 2048 bytes long, with what was left away") {
  for (size_t length = 2'000; length < 2'060; ++length) {
    const Result<Url> bare = Url::parse("h/" + std::string(length, 'a'), 6333);
    CHECK(bare.ok() == (std::string("https://h:6333/").size() + length <= 2'048));
    const Result<Url> whole = Url::parse("https://h:6333/" + std::string(length, 'a'), 1);
    CHECK(whole.ok() == bare.ok());
  }
}
