// HttpClient: requests to one server, by one policy: a deadline over all attempts, full-jitter back-off that obeys
// Retry-After, retries of what is safe to repeat, a budget for them, a circuit breaker and a bound on what is in
// flight.
//
// The table of what is retried is that of RetryClass. Nothing is sent to a host that HostPolicy does not allow. Stores
// of one server share one client. It outlives the tasks it made; those may be dropped at any time, and end at once when
// one of their effects is answered with kAborted.
#pragma once

#include <coroutine>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/effect.h"
#include "core/base/random.h"
#include "core/base/secret.h"
#include "core/base/status.h"
#include "core/base/task.h"
#include "core/remote/host_policy.h"
#include "core/remote/url.h"

namespace nearfield {

// What may be sent again after which failure. Certificates that are not accepted, redirects, answers that are too long
// and every other status are never repeated.
enum class RetryClass : uint8_t {
  kRead,             // network errors, timeouts, 408, 429, 502..504; 500 once
  kIdempotentWrite,  // upsert with ids, delete by ids: the same, and 500 as often
  kCreate,           // of collections: the same, but 500 never
  kUnsafe,           // delete by filter, drop, snapshots: 429 only
};

struct HttpRequest {
  std::string method;
  std::string path;       // percent-encoded, from "/", with its query string
  std::string body = "";  // JSON text; empty: none
  RetryClass retry = RetryClass::kRead;
  uint64_t deadline_ms = 0;  // over all attempts; 0: the client's own
};

struct HttpResponse {
  uint64_t status = 0;  // 200..299, or 400..599 but for those that send() fails with
  std::string body;
  std::vector<HttpHeader> headers;
  // More than 1: an earlier one may have been carried out, so "exists already" and "is not there" may be its work.
  unsigned attempts = 1;
  std::string what;  // the request, for messages: "GET /collections/x"
};

// How an exchange ended.
struct HttpOutcome {
  Result<HttpResponse> answer;
  // With an error, or a status from 500 on: the server may have carried the request out, or may yet.
  bool unknown = false;
};

struct HttpOptions {
  uint64_t read_deadline_ms = 30'000;   // of RetryClass::kRead; 1..3,600,000
  uint64_t write_deadline_ms = 60'000;  // of the others; 1..3,600,000
  unsigned attempts = 3;                // of one request, the first included; 1..20
  uint64_t base_delay_ms = 100;         // the wait before attempt n + 1 is random up to base * 2^(n-1); 0..60,000
  unsigned max_connections = 6;         // requests in flight; 1..1,000, in browsers never more than 6
  size_t max_waiting = 1'000;           // for one of those; more is kBackpressure
  uint64_t max_body_bytes = 64 << 20;   // of an answer; 1..2^30
  bool browser = false;
};

// Who is talked to, and what its adapter knows about it.
struct HttpServer {
  std::string name;  // for messages: "Qdrant"
  Url url;
  HostPolicy hosts;
  Secret key;                       // empty: none is sent
  std::string key_header;           // in lower case: "api-key", "authorization"
  std::string key_prefix;           // "Bearer "
  std::vector<HttpHeader> headers;  // besides accept, content-type and the key
  // What its operator sets so that pages may call it; for messages in browsers.
  std::string cors_setting;
  // A 429 with this in its body is a quota that waiting does not restore.
  std::string quota_mark;
};

// For info() and health().
struct HttpState {
  enum class Breaker : uint8_t { kClosed, kOpen, kHalfOpen };
  Breaker breaker = Breaker::kClosed;
  uint64_t opens_in_ms = 0;           // kOpen: until the next request is let through
  uint64_t requests = 0;              // that were begun
  uint64_t attempts = 0;              // that were sent
  uint64_t retries = 0;               // of those, not the first of their request
  unsigned consecutive_failures = 0;  // to the breaker
  unsigned retry_tokens = 0;          // 0..500
  size_t in_flight = 0;
  size_t waiting = 0;
};

class HttpClient {
 public:
  // `seed`: of the back-off's jitter. Fails with kHostNotAllowed, or with kInvalidConfig where an option is out of
  // range or the key is none that a header can carry.
  static Result<std::unique_ptr<HttpClient>> make(EffectQueue& effects, HttpServer server, HttpOptions options,
                                                  uint64_t seed);
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Answers what the server said: 2xx, or a refusal that its adapter may know more about, such as 404 or 422;
  // error_of() is what it means otherwise. Fails with
  //   kHostNotAllowed     the address may not be asked
  //   kInvalidArgument    the path has a dot segment or a character that is not one of URLs
  //   kUnauthorized       401, 403
  //   kRateLimited        429; where it told when to come back, `value` is {"retryAfterMs": n}
  //   kRemoteUnavailable  500, 502, 503, 504, or the breaker is open; `value` as above
  //   kTimeout            the deadline, or 408
  //   kBackpressure       max_waiting
  //   kRemoteProtocolError, kLimitExceeded, kNetworkFailed, kTlsFailed, kAborted
  Task<Result<HttpResponse>> send(HttpRequest request);
  // The same for writes, whose caller has to know whether a failure may have written.
  Task<HttpOutcome> exchange(HttpRequest request);

  // What a status that is not 2xx means where the adapter knows no better: 404 kNotFound, 409 kConflict, 413
  // kLimitExceeded, 405 and 501 kUnsupported, 5xx kRemoteUnavailable, otherwise kRemoteRejected; with the server's
  // words.
  Error error_of(const HttpResponse& response) const;
  // An answer with a good status that is not what the server's interface promises: kRemoteProtocolError with `what`
  // ("no `result`") and an excerpt.
  Error protocol_error(const HttpResponse& response, std::string_view what) const;

  HttpState state() const;
  const HttpServer& server() const { return server_; }
  bool browser() const { return options_.browser; }

 private:
  class Turn;
  struct Call;

  HttpClient(EffectQueue& effects, HttpServer server, HttpOptions options, uint64_t seed);

  Status check(const HttpRequest& request) const;
  Status admit(const Call& call) const;
  HttpEffect effect_of(const HttpRequest& request, uint64_t timeout_ms) const;
  bool breaker_refuses() const;
  void grant(Turn& turn);
  void release();
  void record(bool failed, bool probe);
  bool may_repeat(const Call& call, const EffectAnswer& answer) const;
  static HttpResponse response_of(const Call& call, EffectAnswer answer);
  Error error_of_call(Code code, const Call& call, std::string_view what) const;
  Error error_of_attempt(const Call& call, EffectAnswer answer, std::optional<uint64_t> asked_ms) const;
  std::string words(ByteView body) const;
  std::string who() const;

  EffectQueue& effects_;
  const HttpServer server_;
  const HttpOptions options_;
  Random random_;
  std::list<Turn*> waiting_;
  size_t in_flight_ = 0;
  unsigned tokens_;
  unsigned failures_ = 0;  // in a row
  bool open_ = false;
  bool probing_ = false;
  uint64_t opened_at_ms_ = 0;
  uint64_t requests_ = 0, attempts_ = 0, retries_ = 0;
};

}  // namespace nearfield
