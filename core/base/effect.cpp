#include "core/base/effect.h"

#include <utility>

namespace nearfield {

EffectId EffectQueue::ask(EffectRequest request, std::coroutine_handle<> waiter, EffectAnswer& answer) {
  const EffectId id = next_id_++;
  waiting_.emplace(id, Waiting{waiter, &answer});
  pending_.push_back({id, std::move(request)});
  return id;
}

void EffectQueue::withdraw(EffectId id) {
  if (waiting_.erase(id) == 0) return;
  for (auto it = pending_.begin(); it != pending_.end(); ++it) {
    if (it->id != id) continue;
    pending_.erase(it);
    return;
  }
  dropped_.push_back(id);
}

std::vector<PendingEffect> EffectQueue::take_pending() { return std::exchange(pending_, {}); }

std::vector<EffectId> EffectQueue::take_dropped() { return std::exchange(dropped_, {}); }

bool EffectQueue::answer(EffectId id, EffectAnswer answer) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return false;
  const Waiting waiting = found->second;
  waiting_.erase(found);
  now_ms_ = answer.now_ms;
  *waiting.answer = std::move(answer);
  // Last: the coroutine may ask for more effects, or end and destroy its awaiter.
  waiting.waiter.resume();
  return true;
}

}  // namespace nearfield
