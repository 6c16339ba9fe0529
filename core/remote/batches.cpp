#include "core/remote/batches.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace nearfield {

namespace {

// Requests are not made smaller than this because a server found another one too large.
constexpr size_t kLeastBytes = 64 << 10;

// Another request of the same kind meets the same end.
bool ends_all(Code code) {
  switch (code) {
    case Code::kNotFound:
    case Code::kUnauthorized:
    case Code::kHostNotAllowed:
    case Code::kTlsFailed:
    case Code::kUnsupported:
    case Code::kClosed:
    case Code::kAborted: return true;
    default: return false;
  }
}

}  // namespace

class BatchWriter {
 public:
  BatchWriter(HttpClient& http, const BatchJob& job, BatchLimits limits)
      : http_(http), job_(job), limits_(limits), report_(job.count()) {}

  // Sends one request after the other; several of these tasks share the work.
  Task<Status> work() {
    for (std::optional<Range> range; !over_ && (range = take()).has_value();) {
      HttpRequest request = job_.request(range->first, range->last);
      const size_t bytes = request.body.size();
      if (bytes > limits_.max_bytes) {
        if (!split(*range)) {
          report_.failed(range->first, Code::kLimitExceeded,
                         "one request would have " + std::to_string(bytes) + " bytes; at most " +
                             std::to_string(limits_.max_bytes) + " are sent");
          told_some_ = true;
        }
        continue;
      }
      HttpOutcome outcome = co_await http_.exchange(std::move(request));
      if (!outcome.answer.ok()) {
        fail(*range, std::move(outcome.answer).error(), outcome.unknown);
        continue;
      }
      const HttpResponse& answer = outcome.answer.value();
      const bool good = answer.status < 300;
      if (!good && (answer.status == 413 || job_.too_large(answer)) && split(*range)) {
        limits_.max_bytes = std::min(limits_.max_bytes, std::max(bytes / 2, kLeastBytes));
        continue;
      }
      Status read = job_.read(answer, range->first, range->last, report_);
      if (!read.ok()) {
        fail(*range, std::move(read).error(), good || outcome.unknown);
        continue;
      }
      told_some_ = true;
      for (size_t item = range->first; item < range->last; ++item) {
        if (!report_.told(item)) report_.ok(item);
      }
    }
    co_return Status();
  }

  // REQUIRES: all work() has ended.
  Result<WriteReport> take_report() {
    if (error_.has_value() && (!told_some_ || error_->code == Code::kAborted)) return *std::move(error_);
    WriteReport out;
    for (size_t item = 0; item < job_.count(); ++item) {
      BatchReport::Item& told = report_.items_[item];
      std::string id(job_.id(item));
      switch (told.state) {
        case BatchReport::State::kOk: out.ok.push_back(std::move(id)); break;
        case BatchReport::State::kUnknown: out.unknown.push_back(std::move(id)); break;
        case BatchReport::State::kFailed:
          out.failed.push_back({std::move(id), told.code, std::move(told.message)});
          break;
        // Never sent, because of an error that ends all.
        case BatchReport::State::kUntold: out.failed.push_back({std::move(id), over_->code, over_->message}); break;
      }
    }
    return out;
  }

 private:
  struct Range {
    size_t first, last;
  };

  std::optional<Range> take() {
    if (!halves_.empty()) {
      const Range half = halves_.back();
      halves_.pop_back();
      return half;
    }
    if (next_ == job_.count()) return std::nullopt;
    Range out{next_, next_};
    size_t bytes = 0;
    do {
      bytes += job_.bytes(out.last++);
    } while (out.last < job_.count() && out.last - out.first < limits_.max_items &&
             bytes + job_.bytes(out.last) <= limits_.max_bytes);
    next_ = out.last;
    return out;
  }

  bool split(Range range) {
    if (range.last - range.first < 2) return false;
    const size_t middle = range.first + (range.last - range.first) / 2;
    halves_.push_back({middle, range.last});
    halves_.push_back({range.first, middle});
    return true;
  }

  void fail(Range range, Error error, bool unknown) {
    told_some_ = told_some_ || unknown;
    for (size_t item = range.first; item < range.last; ++item) {
      if (report_.told(item)) {
        told_some_ = true;
      } else if (unknown) {
        report_.unknown(item);
      } else {
        report_.failed(item, error.code, error.message);
      }
    }
    if (ends_all(error.code) && !over_.has_value()) over_ = error;
    if (!error_.has_value() || error.code == Code::kAborted) error_ = std::move(error);
  }

  HttpClient& http_;
  const BatchJob& job_;
  BatchLimits limits_;
  BatchReport report_;
  size_t next_ = 0;
  std::vector<Range> halves_;
  std::optional<Error> over_;   // ends everything
  std::optional<Error> error_;  // of the first request that failed as a whole
  bool told_some_ = false;      // something was written, may have been, or was told for itself
};

Task<Result<WriteReport>> write_batches(HttpClient& http, const BatchJob& job, BatchLimits limits) {
  BatchWriter writer(http, job, limits);
  // Last, because they refer to the writer: whoever drops this task drops them first.
  std::vector<Task<Status>> workers;
  const size_t most = std::min<size_t>(limits.in_flight, job.count());
  for (size_t i = 0; i < most; ++i) {
    workers.push_back(writer.work());
    workers.back().start();
  }
  for (Task<Status>& worker : workers) CO_RETURN_IF_ERROR(co_await worker.finished());
  co_return writer.take_report();
}

}  // namespace nearfield
