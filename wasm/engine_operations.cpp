// Operations: what they ask of JavaScript, and what it answers.
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "wasm/engine.h"
#include "wasm/marshal.h"

namespace nearfield {

namespace {

constexpr uint32_t kCodeCount = 1
#define NEARFIELD_CODE(name, retryable, meaning) +1
#include "core/base/status.def"
#undef NEARFIELD_CODE
    ;

void write_effect(JsonText& out, const PendingEffect& effect, const Engine::Connected* connected) {
  const auto kind = [&](std::string_view name) -> JsonText& { return out.key("kind").string(name); };
  const auto bytes = [&](const Bytes& value) { out.key("bytes").place(value.data(), value.size()); };
  const auto relaxed = [&](Durability value) { out.key("relaxed").boolean(value == Durability::kRelaxed); };
  out.open('{').key("id").integer(effect.id);
  std::visit(
      [&]<typename T>(const T& request) {
        if constexpr (std::is_same_v<T, ListEffect>) {
          kind("list");
        } else if constexpr (std::is_same_v<T, ReadEffect>) {
          kind("read").key("name").string(request.name);
          out.key("offset").integer(request.offset).key("length").integer(request.length);
        } else if constexpr (std::is_same_v<T, WriteEffect>) {
          kind("write").key("name").string(request.name);
          bytes(request.bytes);
        } else if constexpr (std::is_same_v<T, AppendEffect>) {
          kind("append").key("name").string(request.name).key("offset").integer(request.offset);
          out.key("generation").integer(request.expected_generation);
          relaxed(request.durability);
          bytes(request.bytes);
        } else if constexpr (std::is_same_v<T, CommitEffect>) {
          kind("commit").key("generation").integer(request.expected_generation);
          relaxed(request.durability);
          bytes(request.manifest);
          out.key("obsolete").open('[');
          for (const std::string& name : request.obsolete) out.string(name);
          out.close(']');
        } else if constexpr (std::is_same_v<T, LockEffect>) {
          kind("lock");
        } else if constexpr (std::is_same_v<T, UnlockEffect>) {
          kind("unlock");
        } else if constexpr (std::is_same_v<T, SendEffect>) {
          kind("send").key("stream").integer(request.stream).key("total").integer(request.total);
          bytes(request.bytes);
        } else if constexpr (std::is_same_v<T, ReceiveEffect>) {
          kind("receive").key("stream").integer(request.stream).key("length").integer(request.length);
        } else if constexpr (std::is_same_v<T, HttpEffect>) {
          // Only stores on servers ask for it.
          if (connected != nullptr) connected->write_request(out, request);
        } else {
          static_assert(std::is_same_v<T, SleepEffect>);
          kind("sleep").key("milliseconds").integer(request.milliseconds);
        }
      },
      effect.request);
  out.close('}');
}

}  // namespace

uint32_t Engine::launch(Task<Answer> task) {
  const uint32_t id = next_operation_++;
  operations_.push_back({id, std::move(task)});
  operations_.back().task.start();
  return id;
}

Engine::Answer Engine::start(Task<Answer> task) {
  const uint32_t id = launch(std::move(task));
  return JsonText().open('{').key("operation").integer(id).close('}').take();
}

Engine::Answer Engine::take_effects(Message&) {
  if (!maintaining_ && database_ != nullptr && database_->wants_maintenance()) {
    maintaining_ = true;
    launch(run_maintenance());
  }
  told_ = std::exchange(held_, {});
  JsonText out;
  out.open('{').key("finished").open('[');
  for (Operation& operation : operations_) {
    if (!operation.task.done()) continue;
    const Answer answer = finish(operation);
    out.open('{').key("operation").integer(operation.id).key("code").integer(static_cast<uint64_t>(answer.code()));
    if (answer.ok()) {
      out.key("result").raw(answer.value());
    } else {
      write_error(out, answer.error());
    }
    out.close('}');
  }
  std::erase_if(operations_, [](const Operation& operation) { return operation.task.done(); });
  taken_ = effects_.take_pending();
  // What one operation left halfway, the next would save.
  if (outcome_.poisoned != 0) taken_.clear();
  out.close(']').key("effects").open('[');
  for (const PendingEffect& effect : taken_) write_effect(out, effect, connected_.get());
  out.close(']');
  if (const std::vector<EffectId> dropped = effects_.take_dropped(); !dropped.empty()) {
    out.key("dropped").open('[');
    for (const EffectId id : dropped) out.integer(id);
    out.close(']');
  }
  return out.close('}').take();
}

Engine::Answer Engine::finish(Operation& operation) {
  try {
    return operation.task.take();
  } catch (const std::bad_alloc&) {
    return out_of_memory(true);
  } catch (const std::length_error&) {
    return out_of_memory(true);
  }
}

Engine::Answer Engine::answer(Message& message) {
  // Whoever took the effects has copied their bytes by now; what comes next may need the memory.
  taken_.clear();
  const Json& options = message.options;
  ASSIGN_OR_RETURN(const uint64_t id, whole_option(options, "id"));
  EffectAnswer answer;
  answer.now_ms = effects_.now_ms();
  if (options.contains("code")) {
    ASSIGN_OR_RETURN(const size_t code, size_option(options, "code"));
    ASSIGN_OR_RETURN(std::string text, string_option(options, "message"));
    const bool known = code > 0 && code < kCodeCount;
    answer.status = Error{known ? static_cast<Code>(code) : Code::kInternal, std::move(text),
                          options.contains("value") ? write_json(options["value"]) : ""};
  }
  if (options.contains("generation")) {
    ASSIGN_OR_RETURN(answer.generation, whole_option(options, "generation"));
  }
  if (options.contains("files") && options["files"].is_array()) {
    for (const Json& file : options["files"]) {
      ASSIGN_OR_RETURN(std::string name, string_option(file, "name"));
      uint64_t length = kUnknownLength;
      if (file.contains("length")) {
        ASSIGN_OR_RETURN(length, whole_option(file, "length"));
      }
      answer.files.push_back({std::move(name), length});
    }
  }
  if (connected_ != nullptr) RETURN_IF_ERROR(connected_->read_answer(options, answer));
  const ByteView bytes = message.binary.get_bytes(message.binary.remaining());
  answer.bytes.assign(bytes.begin(), bytes.end());
  effects_.answer(id, std::move(answer));
  return std::string("{}");
}

Engine::Answer Engine::cancel(Message& message) {
  ASSIGN_OR_RETURN(const uint64_t id, whole_option(message.options, "operation"));
  std::erase_if(operations_, [id](const Operation& operation) { return operation.id == id; });
  return std::string("{}");
}

}  // namespace nearfield
