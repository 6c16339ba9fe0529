#include "core/remote/http_client.h"

#include <algorithm>
#include <utility>

#include "core/remote/excerpt.h"

namespace nearfield {

namespace {

constexpr uint64_t kMaxDelayMs = 20'000;
constexpr unsigned kMaxTokens = 500;
constexpr unsigned kRetryCost = 5;
constexpr unsigned kTimeoutRetryCost = 10;
constexpr unsigned kBreakerFailures = 10;
constexpr uint64_t kBreakerOpenMs = 15'000;
constexpr unsigned kBrowserConnections = 6;
// An attempt has an equal share of the time that is left, but not less than this while there is that much.
constexpr uint64_t kLeastAttemptMs = 10'000;
constexpr uint64_t kMaxDeadlineMs = 3'600'000;

bool is_transport(Code code) { return code == Code::kNetworkFailed || code == Code::kTimeout; }
bool is_overload(uint64_t status) { return status >= 502 && status <= 504; }

// What the breaker counts: the server cannot be reached, or cannot work.
bool is_breaking(const EffectAnswer& answer) {
  if (!answer.status.ok()) return is_transport(answer.status.code()) || answer.status.code() == Code::kTlsFailed;
  return answer.http_status == 500 || is_overload(answer.http_status);
}

// The server has done nothing of the request, and says so.
bool is_refusal(uint64_t status) {
  return (status >= 400 && status < 500 && status != 408) || status == 501 || status == 505 || status == 507;
}

// Statuses of which an adapter may know more.
bool is_adapters(uint64_t status) {
  return status >= 400 && status != 401 && status != 403 && status != 408 && status != 429 && status != 500 &&
         !is_overload(status);
}

// The host has checked these too. A redirect it does not follow is one it should not have told.
void check_answer(EffectAnswer& answer, uint64_t max_body_bytes) {
  if (!answer.status.ok()) return;
  if (answer.http_status < 200 || answer.http_status > 599) {
    answer.status = Error{Code::kRemoteProtocolError, "the status is " + std::to_string(answer.http_status), ""};
  } else if (answer.http_status >= 300 && answer.http_status < 400) {
    answer.status = Error{Code::kRemoteProtocolError, "it answers with a redirect, which is not followed", ""};
  } else if (answer.bytes.size() > max_body_bytes) {
    answer.status =
        Error{Code::kLimitExceeded, "the answer is longer than " + std::to_string(max_body_bytes) + " bytes", ""};
  }
}

// "POST /collections/x/points"; without the query.
std::string what_of(const HttpRequest& request) {
  return request.method + ' ' + request.path.substr(0, request.path.find('?'));
}

std::string_view header(const std::vector<HttpHeader>& headers, std::string_view name) {
  for (const HttpHeader& each : headers) {
    if (each.name == name) return each.value;
  }
  return {};
}

std::string wait_value(uint64_t wait_ms) { return "{\"retryAfterMs\":" + std::to_string(wait_ms) + '}'; }

Status out_of_range(const char* name, uint64_t value, uint64_t least, uint64_t most) {
  if (value >= least && value <= most) return {};
  return Error{Code::kInvalidConfig,
               std::string(name) + " must be " + std::to_string(least) + " to " + std::to_string(most) + ", but is " +
                   std::to_string(value),
               std::to_string(value)};
}

}  // namespace

// One exchange from its first attempt to its last.
struct HttpClient::Call {
  const HttpRequest& request;
  uint64_t began_ms = 0;
  uint64_t deadline_ms = 0;
  unsigned attempts = 0;
  unsigned internal_errors = 0;  // 500
  bool unknown = false;          // the server may have carried it out

  // At most all of it, should the clock go backwards.
  uint64_t left(uint64_t now_ms) const {
    const uint64_t spent = now_ms > began_ms ? now_ms - began_ms : 0;
    return spent < deadline_ms ? deadline_ms - spent : 0;
  }
};

// co_await Turn(...): the answer to the request, sent as soon as fewer than max_connections are in flight; in the order
// in which they came. Meanwhile a timer is what the host can end.
class HttpClient::Turn {
 public:
  Turn(HttpClient& client, const Call& call) : client_(client), call_(call) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (queued_) client_.waiting_.remove(this);
    client_.effects_.withdraw(effect_);
    if (sent_) settle();
  }

  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    if (client_.waiting_.empty() && client_.in_flight_ < client_.options_.max_connections) {
      client_.grant(*this);
      return;
    }
    queued_ = true;
    client_.waiting_.push_back(this);
    ask(SleepEffect{call_.left(client_.effects_.now_ms())});
  }
  // Whether it was sent. If not, its time was up, or the breaker was open when it was its turn.
  bool await_resume() {
    if (queued_) client_.waiting_.remove(this);
    queued_ = false;
    if (!sent_) return false;
    check_answer(answer, client_.options_.max_body_bytes);
    if (answer.status.code() != Code::kAborted) client_.record(is_breaking(answer), probe_);
    settle();
    return true;
  }

  EffectAnswer answer;

 private:
  friend class HttpClient;

  // In place of what it asked for until now.
  void ask(EffectRequest request) {
    client_.effects_.withdraw(effect_);
    effect_ = client_.effects_.ask(std::move(request), waiter_, answer);
  }
  // It is no longer in flight.
  void settle() {
    sent_ = false;
    if (probe_) client_.probing_ = false;
    client_.release();
  }

  HttpClient& client_;
  const Call& call_;
  std::coroutine_handle<> waiter_;
  EffectId effect_ = 0;
  bool queued_ = false;
  bool sent_ = false;
  bool probe_ = false;
};

Result<std::unique_ptr<HttpClient>> HttpClient::make(EffectQueue& effects, HttpServer server, HttpOptions options,
                                                     uint64_t seed) {
  RETURN_IF_ERROR(server.hosts.check(server.url));
  RETURN_IF_ERROR(out_of_range("read_deadline_ms", options.read_deadline_ms, 1, kMaxDeadlineMs));
  RETURN_IF_ERROR(out_of_range("write_deadline_ms", options.write_deadline_ms, 1, kMaxDeadlineMs));
  RETURN_IF_ERROR(out_of_range("attempts", options.attempts, 1, 20));
  RETURN_IF_ERROR(out_of_range("base_delay_ms", options.base_delay_ms, 0, 60'000));
  RETURN_IF_ERROR(out_of_range("max_connections", options.max_connections, 1, 1'000));
  RETURN_IF_ERROR(out_of_range("max_body_bytes", options.max_body_bytes, 1, 1 << 30));
  // Fetch would name the whole header in its error.
  for (const char c : server.key.expose()) {
    if (c > 0x20 && c < 0x7F) continue;
    return Error{
        Code::kInvalidConfig,
        "the key has a character that is not visible ASCII, such as a line's end or a space, and cannot be sent", ""};
  }
  if (options.browser) options.max_connections = std::min(options.max_connections, kBrowserConnections);
  return std::unique_ptr<HttpClient>(new HttpClient(effects, std::move(server), options, seed));
}

HttpClient::HttpClient(EffectQueue& effects, HttpServer server, HttpOptions options, uint64_t seed)
    : effects_(effects), server_(std::move(server)), options_(options), random_(seed), tokens_(kMaxTokens) {}

Status HttpClient::check(const HttpRequest& request) const {
  RETURN_IF_ERROR(server_.hosts.check(server_.url));
  const std::string_view path = std::string_view(request.path).substr(0, request.path.find('?'));
  std::string_view why = path.starts_with('/') ? why_no_path(path) : "does not begin with '/' in its path";
  const std::string_view query = std::string_view(request.path).substr(path.size());
  for (const char c : query) {
    if (c <= 0x20 || c >= 0x7F || std::string_view("\"#<>\\'").find(c) != std::string_view::npos) {
      why = "has a character in its query that has to be percent-encoded";
    }
  }
  if (why.empty()) return {};
  return Error{Code::kInvalidArgument, "the request " + shown(path) + " " + std::string(why), shown(path)};
}

HttpEffect HttpClient::effect_of(const HttpRequest& request, uint64_t timeout_ms) const {
  HttpEffect out;
  out.method = request.method;
  out.origin = server_.url.origin();
  out.url = out.origin + server_.url.path + request.path;
  out.headers = server_.headers;
  if (!request.body.empty()) out.headers.push_back({"content-type", "application/json"});
  if (!server_.key.empty()) {
    out.headers.push_back({server_.key_header, server_.key_prefix + server_.key.expose()});
  }
  // By pointers of its own type it is one copy of memory, and not a loop over bytes.
  const auto* body = reinterpret_cast<const uint8_t*>(request.body.data());
  out.body.assign(body, body + request.body.size());
  out.timeout_ms = timeout_ms;
  out.max_body_bytes = options_.max_body_bytes;
  return out;
}

bool HttpClient::breaker_refuses() const {
  if (!open_) return false;
  return probing_ || state().breaker == HttpState::Breaker::kOpen;
}

// Sends it, or wakes it up where it may not be sent any more.
void HttpClient::grant(Turn& turn) {
  const Call& call = turn.call_;
  const uint64_t left = call.left(effects_.now_ms());
  if (left == 0 || breaker_refuses()) {
    turn.ask(SleepEffect{0});
    return;
  }
  turn.sent_ = true;
  turn.probe_ = open_;
  probing_ = open_;
  ++in_flight_;
  ++attempts_;
  if (call.attempts > 0) ++retries_;
  const bool repeats = call.request.retry != RetryClass::kUnsafe;
  const unsigned attempts_left = repeats ? options_.attempts - call.attempts : 1;
  turn.ask(effect_of(call.request, std::min(left, std::max(left / attempts_left, kLeastAttemptMs))));
}

void HttpClient::release() {
  --in_flight_;
  while (!waiting_.empty() && in_flight_ < options_.max_connections) {
    Turn& next = *waiting_.front();
    waiting_.pop_front();
    next.queued_ = false;
    grant(next);
  }
}

void HttpClient::record(bool failed, bool probe) {
  if (!failed) {
    failures_ = 0;
    open_ = false;
    return;
  }
  ++failures_;
  if (probe || (!open_ && failures_ >= kBreakerFailures)) {
    open_ = true;
    opened_at_ms_ = effects_.now_ms();
  }
}

// REQUIRES: an answer that is neither good nor a matter of the adapter.
bool HttpClient::may_repeat(const Call& call, const EffectAnswer& answer) const {
  if (call.attempts >= options_.attempts) return false;
  const RetryClass retry = call.request.retry;
  if (!answer.status.ok()) return is_transport(answer.status.code()) && retry != RetryClass::kUnsafe;
  switch (answer.http_status) {
    case 401:
    case 403: return false;
    case 429: {
      const std::string_view body(reinterpret_cast<const char*>(answer.bytes.data()), answer.bytes.size());
      return server_.quota_mark.empty() || body.find(server_.quota_mark) == std::string_view::npos;
    }
    case 500: return retry == RetryClass::kIdempotentWrite || (retry == RetryClass::kRead && call.internal_errors == 1);
    default: return retry != RetryClass::kUnsafe;
  }
}

Task<Result<HttpResponse>> HttpClient::send(HttpRequest request) {
  HttpOutcome outcome = co_await exchange(std::move(request));
  co_return std::move(outcome.answer);
}

Task<HttpOutcome> HttpClient::exchange(HttpRequest request) {
  ++requests_;
  const bool reads = request.retry == RetryClass::kRead;
  Call call{.request = request, .began_ms = effects_.now_ms()};
  call.deadline_ms = request.deadline_ms;
  if (call.deadline_ms == 0) call.deadline_ms = reads ? options_.read_deadline_ms : options_.write_deadline_ms;
  std::optional<Error> last;  // what the attempt before failed with
  const auto failed = [&call](Error error) { return HttpOutcome{std::move(error), call.unknown}; };
  for (;;) {
    if (Status sendable = check(request); !sendable.ok()) co_return failed(std::move(sendable).error());
    if (Status ready = admit(call); !ready.ok()) {
      co_return failed(last.has_value() ? *std::move(last) : std::move(ready).error());
    }
    EffectAnswer answer;
    {
      Turn turn(*this, call);
      const bool sent = co_await turn;
      answer = std::move(turn.answer);
      if (!sent) {
        if (!answer.status.ok()) co_return failed(std::move(answer.status).error());
        continue;  // its time is up, or the breaker opened: admit() says so
      }
    }
    ++call.attempts;
    const uint64_t status = answer.http_status;
    const bool answered = answer.status.ok();
    if (answered && status < 300) {
      if (call.attempts == 1) tokens_ = std::min(tokens_ + 1, kMaxTokens);
      co_return HttpOutcome{response_of(call, std::move(answer)), false};
    }
    if (answered && status == 500) ++call.internal_errors;
    if (answered ? !is_refusal(status) : !answer.not_sent) call.unknown = !reads;
    if (answered && is_adapters(status)) {
      // The same request, refused for what it is; or something between here and there that knows no more, such as 524.
      co_return HttpOutcome{response_of(call, std::move(answer)), !reads && !is_refusal(status)};
    }
    const bool timed_out = answer.status.code() == Code::kTimeout;
    const bool again = may_repeat(call, answer);
    const std::optional<uint64_t> asked =
        answered ? retry_after_ms(header(answer.headers, "retry-after"), effects_.now_ms()) : std::nullopt;
    last = error_of_attempt(call, std::move(answer), asked);
    if (!again) co_return failed(*std::move(last));
    const double most =
        static_cast<double>(std::min(kMaxDelayMs, options_.base_delay_ms << std::min(call.attempts - 1, 20u)));
    const uint64_t wait = std::max(static_cast<uint64_t>(random_.unit() * (most + 1)), asked.value_or(0));
    const unsigned cost = timed_out ? kTimeoutRetryCost : kRetryCost;
    if (wait >= call.left(effects_.now_ms()) || cost > tokens_) co_return failed(*std::move(last));
    tokens_ -= cost;
    if (wait == 0) continue;
    EffectAnswer slept = co_await effects_.request(SleepEffect{wait});
    if (!slept.status.ok()) co_return failed(std::move(slept.status).error());
  }
}

// Whether another attempt may be made now.
Status HttpClient::admit(const Call& call) const {
  if (call.left(effects_.now_ms()) == 0) {
    return error_of_call(Code::kTimeout, call,
                         "not sent, because its deadline of " + std::to_string(call.deadline_ms) +
                             " ms passed while others were under way");
  }
  if (breaker_refuses()) {
    const uint64_t wait = state().opens_in_ms;
    Error refusal = error_of_call(Code::kRemoteUnavailable, call,
                                  "not sent, because the last " + std::to_string(failures_) +
                                      " attempts failed; it is left alone for " + std::to_string(wait) + " ms more");
    refusal.value = wait_value(wait);
    return refusal;
  }
  if (in_flight_ >= options_.max_connections && waiting_.size() >= options_.max_waiting) {
    return error_of_call(Code::kBackpressure, call,
                         "not sent, because " + std::to_string(waiting_.size()) + " requests wait already");
  }
  return {};
}

HttpResponse HttpClient::response_of(const Call& call, EffectAnswer answer) {
  HttpResponse out;
  out.status = answer.http_status;
  out.body.assign(answer.bytes.begin(), answer.bytes.end());
  out.headers = std::move(answer.headers);
  out.attempts = call.attempts;
  out.what = what_of(call.request);
  return out;
}

Error HttpClient::error_of_call(Code code, const Call& call, std::string_view what) const {
  return {code, who() + what_of(call.request) + ": " + std::string(what), ""};
}

Error HttpClient::error_of_attempt(const Call& call, EffectAnswer answer, std::optional<uint64_t> asked_ms) const {
  std::string text;
  Code code = answer.status.code();
  if (code == Code::kOk) {
    switch (answer.http_status) {
      case 401:
      case 403: code = Code::kUnauthorized; break;
      case 408: code = Code::kTimeout; break;
      case 429: code = Code::kRateLimited; break;
      default: code = Code::kRemoteUnavailable;
    }
    text = std::to_string(answer.http_status) + ' ' + words(answer.bytes);
  } else {
    text = excerpt(answer.status.error().message, server_.key);
    if (code == Code::kNetworkFailed && options_.browser && !server_.cors_setting.empty()) {
      text += "; for pages, " + server_.name + " has to be configured with " + server_.cors_setting;
    }
  }
  if (call.attempts > 1) text += " (attempt " + std::to_string(call.attempts) + ')';
  Error out = error_of_call(code, call, text);
  if (asked_ms.has_value()) {
    out.message += "; it wants to be asked again in " + std::to_string(*asked_ms) + " ms";
    out.value = wait_value(*asked_ms);
  }
  return out;
}

std::string HttpClient::words(ByteView body) const {
  return server_words({reinterpret_cast<const char*>(body.data()), body.size()}, server_.key);
}

std::string HttpClient::who() const { return server_.name + " at " + server_.url.origin() + ": "; }

Error HttpClient::error_of(const HttpResponse& response) const {
  Code code = response.status >= 500 ? Code::kRemoteUnavailable : Code::kRemoteRejected;
  switch (response.status) {
    case 404: code = Code::kNotFound; break;
    case 405:
    case 501: code = Code::kUnsupported; break;
    case 409: code = Code::kConflict; break;
    case 413: code = Code::kLimitExceeded; break;
    default: break;
  }
  return {
      code,
      who() + response.what + ": " + std::to_string(response.status) + ' ' + server_words(response.body, server_.key),
      ""};
}

Error HttpClient::protocol_error(const HttpResponse& response, std::string_view what) const {
  return {Code::kRemoteProtocolError,
          who() + response.what + ": the answer has " + std::string(what) + ": " + excerpt(response.body, server_.key),
          ""};
}

HttpState HttpClient::state() const {
  HttpState out;
  const uint64_t now = effects_.now_ms();
  if (open_) {
    // A clock that went backwards says nothing about how long it has been open.
    const uint64_t until = opened_at_ms_ + kBreakerOpenMs;
    const bool waits = now >= opened_at_ms_ && now < until;
    out.breaker = waits ? HttpState::Breaker::kOpen : HttpState::Breaker::kHalfOpen;
    out.opens_in_ms = waits ? until - now : 0;
  }
  out.requests = requests_;
  out.attempts = attempts_;
  out.retries = retries_;
  out.consecutive_failures = failures_;
  out.retry_tokens = tokens_;
  out.in_flight = in_flight_;
  out.waiting = waiting_.size();
  return out;
}

}  // namespace nearfield
