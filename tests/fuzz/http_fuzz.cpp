// Fuzz target: addresses as people write them, and answers as servers do.
//
// The first byte chooses; the rest is the input. See scripts/fuzz for running and replaying.
#include <string>
#include <string_view>

#include "core/remote/excerpt.h"
#include "core/remote/host_policy.h"
#include "core/remote/http_client.h"
#include "core/remote/url.h"
#include "tests/support/fuzz_database.h"
#include "tests/support/network.h"

using namespace nearfield;

namespace {

constexpr std::string_view kKey = "KEY";

void fuzz_address(const std::string& text) {
  static_cast<void>(HostPolicy::only({text}));
  const Result<Url> url = Url::parse(text, 6333);
  if (!url.ok()) {
    fuzz_demand(url.code() == Code::kHostNotAllowed);
    return;
  }
  // Its own spelling is plain, and means the same.
  const std::string plain = url.value().origin() + url.value().path;
  for (const char c : plain) fuzz_demand(c > 0x20 && c < 0x7F && c != '\\');
  const Result<Url> again = Url::parse(plain, 1);
  fuzz_demand(again.ok() && again.value().origin() + again.value().path == plain);
  fuzz_demand(again.value().tls == url.value().tls && again.value().port == url.value().port);
}

// What is shown has no key and nothing that steers a terminal.
void check_shown(const std::string& shown) {
  fuzz_demand(shown.find(kKey) == std::string::npos);
  for (const char c : shown) fuzz_demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
}

// The input is what a server says, to three attempts: a status in two bytes, how it is sent in one, a length, the body.
void fuzz_answers(std::string_view script) {
  const auto byte = [&]() -> unsigned {
    if (script.empty()) return 0;
    const auto out = static_cast<unsigned char>(script[0]);
    script.remove_prefix(1);
    return out;
  };
  Network network([&](const HttpEffect&, uint64_t) {
    const uint64_t status = byte() * 4 + byte() % 4;
    const unsigned how = byte();
    const size_t most = byte();
    const std::string_view body = script.substr(0, most);
    script.remove_prefix(body.size());
    if (how % 8 == 1) return NetworkReply::stall();
    if (how % 8 == 2) return NetworkReply::fault(Code::kNetworkFailed, how >= 128);
    return NetworkReply::of(status, body, how, {{"retry-after", std::string(body.substr(0, how % 40))}});
  });
  HttpServer server;
  server.name = "Fuzzbase";
  server.url = Url::parse("https://db.example.com", 1).value();
  server.key = Secret(std::string(kKey));
  server.key_header = "api-key";
  const auto http = HttpClient::make(network.effects(), std::move(server), {}, 1).value();
  HttpRequest request{.method = "POST", .path = "/a", .body = "{}"};
  request.retry = static_cast<RetryClass>(byte() % 4);
  const HttpOutcome outcome = network.run(http->exchange(std::move(request)));
  fuzz_demand(network.requests() <= 3 && network.elapsed_ms() <= 60'000 && network.pending() == 0);
  if (!outcome.answer.ok()) {
    check_shown(outcome.answer.error().message);
    return;
  }
  const HttpResponse& answer = outcome.answer.value();
  check_shown(http->error_of(answer).message);
  check_shown(http->protocol_error(answer, "no list").message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 4) {
    case 0: fuzz_address(text); break;
    case 1: {
      const std::optional<uint64_t> wait = retry_after_ms(text, 1'700'000'000'000);
      fuzz_demand(!wait.has_value() || *wait <= uint64_t{1} << 53);
      break;
    }
    case 2: check_shown(server_words(text, Secret(std::string(kKey)))); break;
    default: fuzz_answers(text);
  }
  return 0;
}
