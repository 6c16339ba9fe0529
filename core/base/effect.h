// Effects: everything the engine asks of the outside world.
//
// The core does no I/O. A coroutine awaits EffectQueue::request(...) and is resumed when its host calls answer(...).
// The host is the JavaScript pump in production and the simulator in tests; both take pending effects, perform them in
// any order, and answer each exactly once. Several effects may be pending at once. Every answer carries the time.
#pragma once

#include <coroutine>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/status.h"

namespace nearfield {

// Strict: on stable storage before the answer. Relaxed: handed to the operating system or browser.
enum class Durability : uint8_t { kStrict = 0, kRelaxed = 1 };

// File names are [a-z0-9._-]{1,100}, flat, relative to the database's volume.

// Asks for every file. Answer: `files`.
struct ListEffect {};
// Asks for `length` bytes from `offset`; fewer only where the file ends. A missing file is kNotFound. Answer: `bytes`.
struct ReadEffect {
  std::string name;
  uint64_t offset = 0;
  uint64_t length = 0;
};
// Creates a file under a new name; a name that exists is kConflict, and that file is left as it is. Recovery does not
// see the new one until a commit names it. Answer: nothing.
struct WriteEffect {
  std::string name;
  Bytes bytes;
};
// Appends one framed record batch to a log, if the newest committed generation is still `expected_generation`
// (otherwise kConflict). `offset` is the log's length before the append: a driver that keeps a log in pieces orders
// them by it, and one that finds another length answers kConflict. Answer: nothing.
struct AppendEffect {
  std::string name;
  uint64_t offset = 0;
  uint64_t expected_generation = 0;
  Bytes bytes;
  Durability durability = Durability::kStrict;
};
// Publishes `manifest` as generation expected_generation + 1 if the newest one is still `expected_generation`
// (otherwise kConflict), after making every earlier write durable. Then removes `obsolete`, in this order. Answer:
// `generation`.
struct CommitEffect {
  uint64_t expected_generation = 0;
  Bytes manifest;
  std::vector<std::string> obsolete;
  Durability durability = Durability::kStrict;
};
// Takes the writer's lock for this host, or answers kDatabaseLocked; answered at once where this host has it already.
// Held until unlock or the host's end.
struct LockEffect {};
struct UnlockEffect {};
// Answers after `milliseconds`.
struct SleepEffect {
  uint64_t milliseconds = 0;
};

// Hands bytes to the caller of an operation that streams out, who numbered the stream. Answered when they were taken.
struct SendEffect {
  uint64_t stream = 0;
  uint64_t total = 0;  // about how many bytes there will be in all, for progress; 0: unknown
  Bytes bytes;
};
// Asks the caller of an operation that streams in for the next 1..length bytes; none at the end. Answer: `bytes`.
struct ReceiveEffect {
  uint64_t stream = 0;
  uint64_t length = 0;
};

// A header's name is in lower case.
struct HttpHeader {
  std::string name;
  std::string value;
};
// Sends one request and reads its answer whole. Redirects are not followed and no credentials but these headers are
// sent. Answer: `http_status`, `headers` (content-type and retry-after, those that are there), `bytes`, whatever the
// status; or kNetworkFailed (not reached, or broken off), kTlsFailed, kTimeout, kLimitExceeded (a longer body),
// kRemoteProtocolError (a redirect), kHostNotAllowed (the host finds another origin in `url`), kUnsupported (it cannot
// do what it was configured to), kAborted.
struct HttpEffect {
  std::string method;  // upper case
  std::string origin;  // "https://db.example.com:6333", without the scheme's own port
  std::string url;     // the origin and what follows
  std::vector<HttpHeader> headers;
  Bytes body;
  uint64_t timeout_ms = 0;      // for all of it
  uint64_t max_body_bytes = 0;  // of the answer, decoded
};

using EffectRequest = std::variant<ListEffect, ReadEffect, WriteEffect, AppendEffect, CommitEffect, LockEffect,
                                   UnlockEffect, SleepEffect, SendEffect, ReceiveEffect, HttpEffect>;

// Of a file whose length the volume would have to read it for. It then shows in reading: an answer is shorter than
// asked for where the file ends.
constexpr uint64_t kUnknownLength = UINT64_MAX;

struct FileEntry {
  std::string name;
  uint64_t length = kUnknownLength;
};

struct EffectAnswer {
  Status status;                    // an error leaves the other fields empty
  Bytes bytes;                      // read, receive, http
  std::vector<FileEntry> files;     // list
  uint64_t generation = 0;          // commit
  uint64_t http_status = 0;         // http
  std::vector<HttpHeader> headers;  // http
  bool not_sent = false;            // http, with an error: the server has nothing of the request
  uint64_t now_ms = 0;              // milliseconds since 1970, from the host
};

using EffectId = uint64_t;

struct PendingEffect {
  EffectId id = 0;
  EffectRequest request;
};

class EffectQueue {
 public:
  EffectQueue() = default;
  EffectQueue(const EffectQueue&) = delete;
  EffectQueue& operator=(const EffectQueue&) = delete;

  // co_await queue.request(ReadEffect{...}) suspends until the host answers, and yields the EffectAnswer.
  auto request(EffectRequest request) { return Awaiter{*this, std::move(request), {}}; }

  // What request() is made of, for those who wait in their own way. `waiter` is resumed when `answer` is filled in;
  // both stay where they are until then, or until withdraw().
  EffectId ask(EffectRequest request, std::coroutine_handle<> waiter, EffectAnswer& answer);
  // Nobody waits for this answer any more. Does nothing where it was given.
  void withdraw(EffectId id);

  // Milliseconds since 1970, as the host last told: with each answer, and by set_now() before it starts a task.
  uint64_t now_ms() const { return now_ms_; }
  void set_now(uint64_t now_ms) { now_ms_ = now_ms; }

  // Effects asked for since the last call, in order. The host now owes one answer for each.
  std::vector<PendingEffect> take_pending();
  // Of those that were taken, the ones withdrawn since the last call. No answer is owed: the host may end them early.
  std::vector<EffectId> take_dropped();
  // Resumes the coroutine that asked. An id that is not owed an answer is ignored and false is returned.
  bool answer(EffectId id, EffectAnswer answer);
  // How many answers are owed, taken or not.
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Awaiter {
    EffectQueue& queue;
    EffectRequest request;
    EffectAnswer answer;
    EffectId id = 0;

    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> waiter) { id = queue.ask(std::move(request), waiter, answer); }
    EffectAnswer await_resume() { return std::move(answer); }
    // A task that is destroyed while it waits is no longer owed an answer.
    ~Awaiter() { queue.withdraw(id); }
  };
  struct Waiting {
    std::coroutine_handle<> waiter;
    EffectAnswer* answer;
  };

  EffectId next_id_ = 1;
  uint64_t now_ms_ = 0;
  std::vector<PendingEffect> pending_;
  std::vector<EffectId> dropped_;
  std::map<EffectId, Waiting> waiting_;
};

}  // namespace nearfield
