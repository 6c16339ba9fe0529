// Writes that are cut into requests: by count and by bytes, a few in flight at once, and what became of each item.
//
// An adapter says how a run of items becomes a request and what the answer means for them; write_batches() does the
// rest. A request that the server finds too large is cut in two, and later ones are made smaller.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/task.h"
#include "core/remote/http_client.h"
#include "core/store/vector_store.h"

namespace nearfield {

struct BatchLimits {
  size_t max_items = 100;       // 1 or more
  size_t max_bytes = 16 << 20;  // of a request's body
  unsigned in_flight = 5;       // 1 or more; HttpClient's max_connections bounds it too
};

// What became of the items of one call.
class BatchReport {
 public:
  explicit BatchReport(size_t items) : items_(items) {}

  void ok(size_t item) { items_[item].state = State::kOk; }
  void failed(size_t item, Code code, std::string message) {
    items_[item] = {State::kFailed, code, std::move(message)};
  }
  void unknown(size_t item) { items_[item].state = State::kUnknown; }
  // Whether anything was said about it.
  bool told(size_t item) const { return items_[item].state != State::kUntold; }

 private:
  friend class BatchWriter;
  enum class State : uint8_t { kUntold, kOk, kFailed, kUnknown };
  struct Item {
    State state = State::kUntold;
    Code code = Code::kOk;
    std::string message;
  };
  std::vector<Item> items_;
};

// The items 0..count() - 1 of one call. It outlives the task.
class BatchJob {
 public:
  virtual ~BatchJob() = default;

  virtual size_t count() const = 0;
  virtual std::string_view id(size_t item) const = 0;
  // About how many bytes of a request's body the item is. A body that is longer than max_bytes all the same is made
  // again with half of its items.
  virtual size_t bytes(size_t item) const = 0;
  // Writes the items first..last - 1.
  virtual HttpRequest request(size_t first, size_t last) const = 0;
  // Tells the report what `answer` says about these items, where it says it for each; those that it does not tell are
  // ok. An error is about all that were not told: they failed where the status is a refusal (HttpClient::error_of(), if
  // nothing better is known), and are unknown where it is 2xx, or an error that may come from a proxy, such as 524.
  virtual Status read(const HttpResponse& answer, size_t first, size_t last, BatchReport& report) const = 0;
  // Whether a refusal other than 413 means that the request was too large.
  virtual bool too_large(const HttpResponse& refusal) const {
    static_cast<void>(refusal);
    return false;
  }
};

// Every id of the job stands in exactly one of the lists, in the job's order. What makes all requests alike fail (no
// such collection, a key that is not accepted, a host that is not allowed) is not tried again: the other items failed
// with it. Fails itself, with the first error, where every request failed as a whole and none may have written; and
// with kAborted.
Task<Result<WriteReport>> write_batches(HttpClient& http, const BatchJob& job, BatchLimits limits);

}  // namespace nearfield
