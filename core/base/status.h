// Status and Result: the one channel for errors.
//
// A function that can fail returns Result<T> (a value or an Error) or Status (nothing or an Error). Errors carry a code
// from status.def, a message for people and, where one input is to blame, that input as JSON text.
#pragma once

#include <cassert>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace nearfield {

enum class Code : uint8_t {
  kOk = 0,
#define NEARFIELD_CODE(name, retryable, meaning) k##name,
#include "core/base/status.def"
#undef NEARFIELD_CODE
};

// The name JavaScript sees; "Ok" for kOk.
std::string_view code_name(Code code);

struct Error {
  Code code = Code::kInternal;
  std::string message;
  // The offending value as JSON text (a string is quoted, a number is not); empty where there is none to show.
  std::string value;
};

// An Error on its way up. One pointer, because the code that hands it on stands at every call that can fail.
using Failure = std::unique_ptr<Error>;

// REQUIRES: error.code is not kOk.
Failure make_failure(Error&& error);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error&& error) : failure_(make_failure(std::move(error))) {}
  Status(Failure failure) : failure_(std::move(failure)) {}

  bool ok() const { return failure_ == nullptr; }
  // REQUIRES: !ok().
  const Error& error() const& {
    assert(!ok());
    return *failure_;
  }
  Error&& error() && {
    assert(!ok());
    return std::move(*failure_);
  }
  Failure failure() && { return std::move(failure_); }
  Code code() const { return ok() ? Code::kOk : failure_->code; }

 private:
  Failure failure_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T&& value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(const T& value) : state_(std::in_place_index<0>, value) {}
  Result(Error&& error) : state_(std::in_place_index<1>, make_failure(std::move(error))) {}
  Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) { assert(error().code != Code::kOk); }

  bool ok() const { return state_.index() == 0; }
  Code code() const { return ok() ? Code::kOk : error().code; }

  // REQUIRES: ok().
  T& value() & {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    assert(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  // REQUIRES: !ok().
  const Error& error() const& {
    assert(!ok());
    return **std::get_if<1>(&state_);
  }
  Error&& error() && {
    assert(!ok());
    return std::move(**std::get_if<1>(&state_));
  }
  Failure failure() && {
    assert(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Failure> state_;
};

// JSON text of a value for Error::value: quoted and escaped, cut at about 200 bytes.
std::string shown(std::string_view text);
std::string shown(double number);
std::string shown(int64_t number);

}  // namespace nearfield

#define NEARFIELD_CONCAT_INNER(a, b) a##b
#define NEARFIELD_CONCAT(a, b) NEARFIELD_CONCAT_INNER(a, b)

// Leaves the enclosing function with the error, if there is one. The CO_ forms are for coroutines.
#define RETURN_IF_ERROR(expression)                                                                                    \
  do {                                                                                                                 \
    if (auto nearfield_outcome = (expression); !nearfield_outcome.ok()) return std::move(nearfield_outcome).failure(); \
  } while (false)
#define CO_RETURN_IF_ERROR(expression)                                  \
  do {                                                                  \
    if (auto nearfield_outcome = (expression); !nearfield_outcome.ok()) \
      co_return std::move(nearfield_outcome).failure();                 \
  } while (false)

// ASSIGN_OR_RETURN(auto rows, read_rows(bytes)); the expression is evaluated once.
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_NAMED(NEARFIELD_CONCAT(nearfield_result_, __LINE__), return, target, expression)
#define CO_ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_NAMED(NEARFIELD_CONCAT(nearfield_result_, __LINE__), co_return, target, expression)
#define ASSIGN_OR_RETURN_NAMED(result, leave, target, expression) \
  auto result = (expression);                                     \
  if (!result.ok()) leave std::move(result).failure();            \
  target = std::move(result).value()
