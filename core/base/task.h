// Task: a lazily started coroutine whose answer another coroutine awaits.
//
// A Task<T> does nothing until it is awaited (or started by whoever drives the engine); it then runs until it needs
// an effect (base/effect.h) and is resumed with the answer. The handle owns the frame: destroying a Task that waits
// destroys everything it was doing, which is how an operation is dropped.
//
// Nothing here is thread-safe: one engine, one thread. T is Status or Result<U>; errors travel as values. An exception
// that leaves a coroutine (out of memory, in practice) is rethrown where the Task is awaited.
#pragma once

#include <cassert>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace nearfield {

template <typename T>
class [[nodiscard]] Task {
 public:
  struct promise_type {
    std::optional<T> value;
    std::exception_ptr exception;
    std::coroutine_handle<> waiter = std::noop_coroutine();

    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct ResumeWaiter {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
          return self.promise().waiter;
        }
        void await_resume() noexcept {}
      };
      return ResumeWaiter{};
    }
    template <typename U>
    void return_value(U&& result) {
      value.emplace(std::forward<U>(result));
    }
    void unhandled_exception() { exception = std::current_exception(); }
  };

  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (frame_) frame_.destroy();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (frame_) frame_.destroy();
  }

  // Awaiting starts the task; each task is awaited once.
  auto operator co_await() && {
    struct Awaiter {
      std::coroutine_handle<promise_type> frame;
      bool await_ready() { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) {
        frame.promise().waiter = waiter;
        return frame;
      }
      T await_resume() {
        if (frame.promise().exception) std::rethrow_exception(frame.promise().exception);
        return std::move(*frame.promise().value);
      }
    };
    assert(frame_ && !frame_.done());
    return Awaiter{frame_};
  }

  // Waits for the end of a task that was started, and moves its answer out. The task must outlive the wait.
  auto finished() & {
    struct Awaiter {
      std::coroutine_handle<promise_type> frame;
      bool await_ready() { return frame.done(); }
      void await_suspend(std::coroutine_handle<> waiter) { frame.promise().waiter = waiter; }
      T await_resume() {
        if (frame.promise().exception) std::rethrow_exception(frame.promise().exception);
        return std::move(*frame.promise().value);
      }
    };
    assert(frame_);
    return Awaiter{frame_};
  }

  // For the driver of the engine (the pump, a test): runs the body until it first waits, and looks at how far it came.
  void start() {
    assert(frame_ && !frame_.done());
    frame_.resume();
  }
  bool done() const { return frame_ && frame_.done(); }
  // REQUIRES: done(). Moves the answer out, or rethrows what left the body.
  T take() {
    assert(done());
    if (frame_.promise().exception) std::rethrow_exception(frame_.promise().exception);
    return std::move(*frame_.promise().value);
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

}  // namespace nearfield
