// A network with a seed and a virtual clock: the host of tasks that send requests.
//
// A test gives a handler, which is the server: it sees each request when it is sent and says what is answered, and how
// long after. Sleeps and answers are events that happen in the order of their virtual time, those of the same time in a
// random order; nothing waits for real. It also checks the sender's side of the contract of effects: a broken rule
// throws std::logic_error, which fails the test.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/effect.h"
#include "core/base/random.h"
#include "core/base/task.h"

namespace nearfield {

struct NetworkReply {
  EffectAnswer answer;
  uint64_t latency_ms = 1;
  bool never = false;  // the request's own timeout ends it

  static NetworkReply of(uint64_t status, std::string_view body = "{}", uint64_t latency = 1,
                         std::vector<HttpHeader> headers = {}) {
    NetworkReply out;
    out.answer.http_status = status;
    out.answer.bytes.assign(body.begin(), body.end());
    out.answer.headers = std::move(headers);
    out.latency_ms = latency;
    return out;
  }
  static NetworkReply fault(Code code, bool not_sent = false, uint64_t latency = 1) {
    NetworkReply out;
    out.answer.status = Error{code, "simulated fault", ""};
    out.answer.not_sent = not_sent;
    out.latency_ms = latency;
    return out;
  }
  static NetworkReply stall() {
    NetworkReply out;
    out.never = true;
    return out;
  }
};

class Network {
 public:
  using Handler = std::function<NetworkReply(const HttpEffect& request, uint64_t now_ms)>;

  static constexpr uint64_t kStartMs = 1'700'000'000'000;

  explicit Network(Handler handler, uint64_t seed = 1) : handler_(std::move(handler)), random_(seed) {
    effects_.set_now(now_ms_);
  }

  EffectQueue& effects() { return effects_; }
  uint64_t now_ms() const { return now_ms_; }
  uint64_t elapsed_ms() const { return now_ms_ - kStartMs; }
  void set_handler(Handler handler) { handler_ = std::move(handler); }

  // How much there was, over the life of the network.
  uint64_t requests() const { return requests_; }
  uint64_t bytes_sent() const { return bytes_sent_; }
  size_t in_flight() const { return in_flight_; }
  size_t most_in_flight() const { return most_in_flight_; }
  // What happens yet: requests that are not answered, sleeps that have not ended.
  size_t pending() {
    collect();
    return events_.size();
  }

  template <typename T>
  void start(Task<T>& task) {
    effects_.set_now(now_ms_);
    task.start();
    collect();
  }
  // Drives a task to its end.
  template <typename T>
  T run(Task<T> task) {
    start(task);
    while (!task.done()) {
      if (!step()) throw std::logic_error("the task waits, but for no effect");
    }
    return task.take();
  }
  // Starts all tasks, in order, at the same time. The answers are in their order.
  template <typename T>
  std::vector<T> run_all(std::vector<Task<T>> tasks) {
    for (Task<T>& task : tasks) start(task);
    while (!std::ranges::all_of(tasks, [](const Task<T>& task) { return task.done(); })) {
      if (!step()) throw std::logic_error("the tasks wait, but for no effect");
    }
    std::vector<T> out;
    for (Task<T>& task : tasks) out.push_back(task.take());
    return out;
  }

  // Lets the next event happen. False: there is none.
  bool step() {
    collect();
    if (events_.empty()) return false;
    const auto first = events_.begin();
    Event event = std::move(first->second);
    if (!aborting_) now_ms_ = std::max(now_ms_, first->first.first);
    events_.erase(first);
    happen(std::move(event));
    collect();
    return true;
  }
  // Time passes, and all that happens in it.
  void wait(uint64_t milliseconds) {
    const uint64_t until = now_ms_ + milliseconds;
    for (collect(); !events_.empty() && events_.begin()->first.first <= until;) step();
    now_ms_ = std::max(now_ms_, until);
    effects_.set_now(now_ms_);
  }
  // Answers everything that is pending with kAborted, as a host does whose caller gives up; what is asked for meanwhile
  // too, and it is not sent.
  void abort() {
    aborting_ = true;
    collect();
    for (auto& [moment, event] : events_) event.answer = aborted();
    while (step()) {
    }
    aborting_ = false;
  }
  // The wall clock is set anew; what is pending happens after as long as before.
  void move_clock(int64_t milliseconds) {
    std::map<Moment, Event> moved;
    for (auto& [moment, event] : events_) {
      moved.emplace(Moment{moment.first + static_cast<uint64_t>(milliseconds), moment.second}, std::move(event));
    }
    events_ = std::move(moved);
    now_ms_ += static_cast<uint64_t>(milliseconds);
    effects_.set_now(now_ms_);
  }

 private:
  // When, and a random number for those at the same time.
  using Moment = std::pair<uint64_t, uint64_t>;
  struct Event {
    EffectId id = 0;
    bool http = false;
    EffectAnswer answer;
  };

  static EffectAnswer aborted() {
    EffectAnswer out;
    out.status = Error{Code::kAborted, "the call was cancelled by its signal", ""};
    return out;
  }
  static void demand(bool condition, const std::string& rule) {
    if (!condition) throw std::logic_error("the engine broke a rule of effects: " + rule);
  }

  // Takes what the tasks have asked for since.
  void collect() {
    for (;;) {
      std::vector<PendingEffect> taken = effects_.take_pending();
      for (const EffectId id : effects_.take_dropped()) {
        const auto gone = std::ranges::find_if(events_, [&](const auto& event) { return event.second.id == id; });
        if (gone == events_.end()) continue;
        if (gone->second.http) --in_flight_;
        events_.erase(gone);
      }
      if (taken.empty()) return;
      for (PendingEffect& effect : taken) {
        Event event{effect.id, false, {}};
        uint64_t after = 0;
        if (const auto* sleep = std::get_if<SleepEffect>(&effect.request)) {
          after = sleep->milliseconds;
        } else {
          const auto* http = std::get_if<HttpEffect>(&effect.request);
          demand(http != nullptr, "only requests and sleeps, there is no storage here");
          event.http = true;
          ++in_flight_;
          if (!aborting_) after = perform(*http, event.answer);
        }
        if (aborting_) {
          after = 0;
          event.answer = aborted();
          event.answer.not_sent = true;
        }
        events_.emplace(Moment{now_ms_ + after, random_.next()}, std::move(event));
      }
    }
  }

  uint64_t perform(const HttpEffect& http, EffectAnswer& answer) {
    demand(http.timeout_ms > 0, "a request has a timeout");
    demand(http.max_body_bytes > 0, "a request has a bound for its answer");
    demand(http.origin.starts_with("http://") || http.origin.starts_with("https://"), "a scheme");
    demand(http.url.starts_with(http.origin + '/'), "an absolute address");
    for (const HttpHeader& header : http.headers) {
      demand(std::ranges::none_of(header.name, [](char c) { return c >= 'A' && c <= 'Z'; }), "headers in lower case");
    }
    ++requests_;
    bytes_sent_ += http.body.size();
    most_in_flight_ = std::max(most_in_flight_, in_flight_);
    NetworkReply reply = handler_(http, now_ms_);
    if (!reply.never && reply.latency_ms < http.timeout_ms) {
      answer = std::move(reply.answer);
      if (answer.status.ok() && answer.bytes.size() > http.max_body_bytes) {
        answer = {};
        answer.status = Error{Code::kLimitExceeded, "simulated: the answer is too long", ""};
      }
      return reply.latency_ms;
    }
    answer.status = Error{Code::kTimeout, "simulated: no answer in time", ""};
    return http.timeout_ms;
  }

  void happen(Event event) {
    if (event.http) --in_flight_;
    event.answer.now_ms = now_ms_;
    demand(effects_.answer(event.id, std::move(event.answer)), "an answer is owed");
  }

  Handler handler_;
  Random random_;
  EffectQueue effects_;
  uint64_t now_ms_ = kStartMs;
  std::map<Moment, Event> events_;
  bool aborting_ = false;
  uint64_t requests_ = 0, bytes_sent_ = 0;
  size_t in_flight_ = 0, most_in_flight_ = 0;
};

}  // namespace nearfield
