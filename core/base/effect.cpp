#include "core/base/effect.h"

#include <utility>

namespace nearfield {

std::vector<PendingEffect> EffectQueue::take_pending() { return std::exchange(pending_, {}); }

bool EffectQueue::answer(EffectId id, EffectAnswer answer) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return false;
  const Waiting waiting = found->second;
  waiting_.erase(found);
  waiting.awaiter->answer = std::move(answer);
  // Last: the coroutine may ask for more effects, or end and destroy its awaiter.
  waiting.waiter.resume();
  return true;
}

}  // namespace nearfield
