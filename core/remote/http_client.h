// HttpClient: requests to one server, by one policy: a deadline over all attempts, full-jitter back-off that obeys
// Retry-After, retries of what is safe to repeat, a budget for them, a circuit breaker and a bound on what is in
// flight.
//
// The table of what is retried is that of RetryClass. Nothing is sent to a host that HostPolicy does not allow.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/effect.h"
#include "core/base/task.h"

namespace nearfield {

// What may be sent again after which failure.
enum class RetryClass : uint8_t {
  kRead,             // network errors, timeouts, 408, 429, 502..504; 500 once
  kIdempotentWrite,  // upsert with ids, delete by ids, create: the same, and 500 as often
  kUnsafe,           // delete by filter, drop, snapshots: 429 only
};

struct HttpRequest {
  std::string method;
  std::string path;  // percent-encoded, from "/", with its query string
  std::string body;  // JSON text; empty: none
  RetryClass retry = RetryClass::kRead;
  uint64_t deadline_ms = 0;  // over all attempts; 0: the client's own
};

struct HttpResponse {
  uint64_t status = 0;
  std::string body;
  std::vector<HttpHeader> headers;
  unsigned attempts = 1;
};

}  // namespace nearfield
