// Task, effects and the lock that lets coroutines through one at a time.
#include "core/base/task.h"

#include <catch_amalgamated.hpp>
#include <memory>
#include <new>
#include <vector>

#include "core/base/async_lock.h"
#include "core/base/effect.h"
#include "core/base/status.h"

using namespace nearfield;

namespace {

Task<Result<uint64_t>> read_length(EffectQueue& queue, std::string name) {
  EffectAnswer answer = co_await queue.request(ReadEffect{std::move(name), 0, 100});
  CO_RETURN_IF_ERROR(std::move(answer.status));
  co_return uint64_t{answer.bytes.size()};
}

Task<Result<uint64_t>> read_two(EffectQueue& queue) {
  CO_ASSIGN_OR_RETURN(const uint64_t first, co_await read_length(queue, "a"));
  CO_ASSIGN_OR_RETURN(const uint64_t second, co_await read_length(queue, "b"));
  co_return first + second;
}

EffectAnswer bytes_of(size_t length) {
  EffectAnswer answer;
  answer.bytes = Bytes(length);
  return answer;
}

}  // namespace

TEST_CASE("a task runs only when started, waits for its effects and ends with a value") {
  EffectQueue queue;
  auto task = read_two(queue);
  CHECK(queue.take_pending().empty());
  task.start();
  auto pending = queue.take_pending();
  REQUIRE(pending.size() == 1);
  CHECK(std::get<ReadEffect>(pending[0].request).name == "a");
  CHECK(queue.waiting() == 1);
  CHECK(queue.answer(pending[0].id, bytes_of(3)));
  CHECK_FALSE(queue.answer(pending[0].id, bytes_of(3)));  // owed once
  CHECK_FALSE(task.done());
  pending = queue.take_pending();
  REQUIRE(pending.size() == 1);
  CHECK(queue.answer(pending[0].id, bytes_of(4)));
  REQUIRE(task.done());
  CHECK(*task.take() == 7);
  CHECK(queue.waiting() == 0);
}

TEST_CASE("an error leaves a task early") {
  EffectQueue queue;
  auto task = read_two(queue);
  task.start();
  EffectAnswer answer;
  answer.status = Error{Code::kNotFound, "gone", ""};
  queue.answer(queue.take_pending()[0].id, std::move(answer));
  REQUIRE(task.done());
  CHECK(task.take().code() == Code::kNotFound);
}

TEST_CASE("a task that is dropped while it waits is owed nothing and leaks nothing") {
  EffectQueue queue;
  EffectId id = 0;
  {
    auto task = read_two(queue);
    task.start();
    id = queue.take_pending()[0].id;
  }
  CHECK(queue.waiting() == 0);
  CHECK_FALSE(queue.answer(id, bytes_of(1)));
}

TEST_CASE("the host learns of effects that nobody waits for any more") {
  EffectQueue queue;
  auto kept = read_length(queue, "a");
  kept.start();
  {
    auto taken = read_length(queue, "b");
    taken.start();
    const auto pending = queue.take_pending();
    REQUIRE(pending.size() == 2);
    auto untaken = read_length(queue, "c");
    untaken.start();
    CHECK(queue.take_dropped().empty());
  }
  // What was not taken is not asked for.
  CHECK(queue.take_pending().empty());
  const auto dropped = queue.take_dropped();
  REQUIRE(dropped.size() == 1);
  CHECK_FALSE(queue.answer(dropped[0], bytes_of(1)));
  CHECK(queue.take_dropped().empty());
  CHECK(queue.waiting() == 1);
}

TEST_CASE("the time is what the host last told") {
  EffectQueue queue;
  queue.set_now(5);
  CHECK(queue.now_ms() == 5);
  auto task = read_length(queue, "a");
  task.start();
  EffectAnswer answer = bytes_of(1);
  answer.now_ms = 7;
  queue.answer(queue.take_pending()[0].id, std::move(answer));
  CHECK(task.done());
  CHECK(queue.now_ms() == 7);
}

TEST_CASE("answers may come in any order") {
  EffectQueue queue;
  auto first = read_length(queue, "a");
  auto second = read_length(queue, "b");
  first.start();
  second.start();
  const auto pending = queue.take_pending();
  queue.answer(pending[1].id, bytes_of(2));
  CHECK(second.done());
  CHECK_FALSE(first.done());
  queue.answer(pending[0].id, bytes_of(1));
  CHECK(*first.take() == 1);
  CHECK(*second.take() == 2);
}

TEST_CASE("what is thrown in a task is rethrown where it is awaited") {
  const auto inner = []() -> Task<Status> {
    throw std::bad_alloc();
    co_return Status();
  };
  const auto outer = [&]() -> Task<Status> { co_return co_await inner(); };
  auto task = outer();
  task.start();
  REQUIRE(task.done());
  CHECK_THROWS_AS(task.take(), std::bad_alloc);
}

namespace {

Task<Status> take_turn(EffectQueue& queue, AsyncLock& lock, std::vector<int>& order, int who, bool waits) {
  const AsyncLock::Held held = co_await lock.acquire();
  order.push_back(who);
  if (waits) co_await queue.request(SleepEffect{1});
  order.push_back(who);
  co_return Status();
}

void answer_all(EffectQueue& queue) {
  for (auto pending = queue.take_pending(); !pending.empty(); pending = queue.take_pending()) {
    for (const PendingEffect& effect : pending) queue.answer(effect.id, {});
  }
}

}  // namespace

TEST_CASE("a lock lets coroutines through one at a time, in order") {
  EffectQueue queue;
  AsyncLock lock;
  std::vector<int> order;
  std::vector<Task<Status>> tasks;
  for (int who = 0; who < 5; ++who) tasks.push_back(take_turn(queue, lock, order, who, who % 2 == 0));
  for (auto& task : tasks) task.start();
  answer_all(queue);
  CHECK(order == std::vector<int>{0, 0, 1, 1, 2, 2, 3, 3, 4, 4});
  // Free again.
  auto last = take_turn(queue, lock, order, 9, false);
  last.start();
  CHECK(last.done());
}

TEST_CASE("a waiter that is dropped leaves the queue") {
  EffectQueue queue;
  AsyncLock lock;
  std::vector<int> order;
  auto first = take_turn(queue, lock, order, 0, true);
  first.start();
  {
    auto dropped = take_turn(queue, lock, order, 1, true);
    dropped.start();
  }
  auto third = take_turn(queue, lock, order, 2, true);
  third.start();
  answer_all(queue);
  CHECK(order == std::vector<int>{0, 0, 2, 2});
}

TEST_CASE("a holder that is dropped while it waits lets the next one in") {
  EffectQueue queue;
  AsyncLock lock;
  std::vector<int> order;
  auto first = std::make_unique<Task<Status>>(take_turn(queue, lock, order, 0, true));
  first->start();
  auto second = take_turn(queue, lock, order, 1, false);
  second.start();
  first.reset();
  CHECK(second.done());
  CHECK(order == std::vector<int>{0, 1, 1});
}

TEST_CASE("a hundred thousand waiters that never suspend do not pile up on the stack") {
  EffectQueue queue;
  AsyncLock lock;
  std::vector<int> order;
  auto first = take_turn(queue, lock, order, -1, true);
  first.start();
  std::vector<Task<Status>> tasks;
  for (int who = 0; who < 100'000; ++who) {
    tasks.push_back(take_turn(queue, lock, order, who, false));
    tasks.back().start();
  }
  answer_all(queue);
  CHECK(tasks.back().done());
  CHECK(order.size() == 2 * 100'001);
}

namespace {

Task<Status> ask(EffectQueue& queue) { co_return (co_await queue.request(SleepEffect{1})).status; }

Task<Status> wait_for_both(EffectQueue& queue, std::vector<size_t>& waiting) {
  Task<Status> first = ask(queue);
  Task<Status> second = ask(queue);
  first.start();
  second.start();
  waiting.push_back(queue.waiting());
  const Status one = co_await first.finished();
  const Status two = co_await second.finished();
  co_return one.ok() && !two.ok() ? Status() : Status(Error{Code::kInternal, "mixed up", ""});
}

}  // namespace

TEST_CASE("tasks that were started run side by side, and may end in any order before they are waited for") {
  for (const bool second_first : {false, true}) {
    EffectQueue queue;
    std::vector<size_t> waiting;
    auto both = wait_for_both(queue, waiting);
    both.start();
    CHECK(waiting == std::vector<size_t>{2});
    const auto pending = queue.take_pending();
    REQUIRE(pending.size() == 2);
    EffectAnswer failed;
    failed.status = Error{Code::kStorageFailed, "no", ""};
    if (second_first) queue.answer(pending[1].id, std::move(failed));
    queue.answer(pending[0].id, {});
    if (!second_first) queue.answer(pending[1].id, std::move(failed));
    REQUIRE(both.done());
    CHECK(both.take().ok());
  }
  // Dropped while both wait: nobody is owed an answer.
  EffectQueue queue;
  std::vector<size_t> waiting;
  {
    auto both = wait_for_both(queue, waiting);
    both.start();
  }
  CHECK(queue.waiting() == 0);
}
