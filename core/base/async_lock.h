// AsyncLock: lets coroutines through one at a time, in the order they came.
//
//   const AsyncLock::Held held = co_await lock.acquire();
//
// The next waiter runs when the holder's Held is destroyed. The lock must outlive its holders and waiters.
#pragma once

#include <coroutine>
#include <list>
#include <utility>

namespace nearfield {

class AsyncLock {
 public:
  class [[nodiscard]] Held {
   public:
    explicit Held(AsyncLock& lock) : lock_(&lock) {}
    Held(Held&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}
    Held& operator=(Held&&) = delete;
    ~Held() {
      if (lock_ != nullptr) lock_->release();
    }

   private:
    AsyncLock* lock_;
  };

  AsyncLock() = default;
  AsyncLock(const AsyncLock&) = delete;
  AsyncLock& operator=(const AsyncLock&) = delete;

  auto acquire() { return Awaiter{*this, nullptr, false}; }

 private:
  struct Awaiter {
    AsyncLock& lock;
    std::coroutine_handle<> waiter;
    bool queued;

    bool await_ready() {
      if (lock.held_) return false;
      lock.held_ = true;
      return true;
    }
    void await_suspend(std::coroutine_handle<> handle) {
      waiter = handle;
      queued = true;
      lock.waiting_.push_back(this);
    }
    Held await_resume() { return Held(lock); }
    ~Awaiter() {
      if (queued) lock.waiting_.remove(this);
    }
  };

  // The lock passes straight to the next waiter, so nobody can overtake it. A waiter that lets go before it first
  // suspends does so inside this function; the loop then goes on, so that many of them do not pile up on the stack.
  void release() {
    released_ = true;
    if (passing_) return;
    passing_ = true;
    while (released_) {
      released_ = false;
      if (waiting_.empty()) {
        held_ = false;
        break;
      }
      Awaiter* next = waiting_.front();
      waiting_.pop_front();
      next->queued = false;
      next->waiter.resume();
    }
    passing_ = false;
  }

  bool held_ = false;
  bool released_ = false;
  bool passing_ = false;
  std::list<Awaiter*> waiting_;
};

}  // namespace nearfield
