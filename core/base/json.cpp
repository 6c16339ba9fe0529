#include "core/base/json.h"

#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/base/json_scan.h"

namespace nearfield {

namespace {

// Both passes reach the parser as this one type: for another, the compiler would make a second parser of 10 KB.
using Events = nlohmann::json_sax<Json>;

// Watches a parse and stops it at the first bound that is passed.
class Checker : public Events {
 public:
  Checker(std::string_view what, const JsonLimits& limits) : what_(what), limits_(limits) {}

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool start_object(size_t) override {
    keys_.emplace_back();
    return open();
  }
  bool end_object() override {
    keys_.pop_back();
    --depth_;
    return true;
  }
  bool start_array(size_t) override { return open(); }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(string_t& key) override {
    if (!keys_.back().insert(key).second) {
      return stop(Code::kFormatError, "the key " + shown(key) + " stands twice in one object", shown(key));
    }
    return value();
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    // nlohmann's own text names an exception number first; what follows the last colon is the useful part.
    std::string reason = error.what();
    if (const size_t at = reason.find("syntax error"); at != std::string::npos) reason.erase(0, at);
    return stop(Code::kFormatError, "not JSON at byte " + std::to_string(position) + ": " + reason, "");
  }

  Status status;

 private:
  bool stop(Code code, const std::string& message, std::string value) {
    status = Error{code, std::string(what_) + ": " + message, std::move(value)};
    return false;
  }
  bool value() {
    if (++values_ <= limits_.max_values) return true;
    return stop(Code::kLimitExceeded, "more than " + std::to_string(limits_.max_values) + " values", "");
  }
  bool open() {
    if (++depth_ <= limits_.max_depth) return value();
    return stop(Code::kLimitExceeded, "nested deeper than " + std::to_string(limits_.max_depth) + " levels", "");
  }

  std::string_view what_;
  const JsonLimits& limits_;
  size_t values_ = 0;
  size_t depth_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;
};

// Builds the tree of a text that was checked.
class Builder : public Events {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::value_t::object); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(Json::value_t::array); }
  bool end_array() override { return close(); }
  bool key(string_t& key) override {
    key_ = std::move(key);
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  Json root;

 private:
  // Puts a value where it belongs and returns it there.
  Json& place(Json value) {
    if (open_.empty()) return root = std::move(value);
    Json& parent = *open_.back();
    if (parent.is_array()) return parent.get_ref<Json::array_t&>().emplace_back(std::move(value));
    return parent.get_ref<Json::object_t&>().emplace(std::move(key_), std::move(value)).first->second;
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json::value_t type) {
    open_.push_back(&place(Json(type)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  // The arrays and objects around the next value. They stay where they are, because only the innermost grows.
  std::vector<Json*> open_;
  std::string key_;
};

bool read(std::string_view text, Events& events) { return Json::sax_parse(text.begin(), text.end(), &events); }

}  // namespace

Status check_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Error{Code::kLimitExceeded,
                 std::string(what) + ": " + std::to_string(text.size()) + " bytes; at most " +
                     std::to_string(limits.max_bytes) + " are allowed",
                 shown(static_cast<int64_t>(text.size()))};
  }
  if (is_plain_json(text, limits)) return {};
  // The parser takes it for the end, whatever follows.
  if (const size_t at = text.find('\0'); at != std::string_view::npos) {
    return Error{Code::kFormatError, std::string(what) + ": not JSON at byte " + std::to_string(at + 1) + ": a NUL",
                 ""};
  }
  Checker checker(what, limits);
  read(text, checker);
  return std::move(checker.status);
}

Result<Json> parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  RETURN_IF_ERROR(check_json(text, what, limits));
  return read_checked_json(text);
}

Json read_checked_json(std::string_view text) {
  Builder builder;
  return read(text, builder) ? std::move(builder.root) : Json();
}

std::string write_json(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string shown_json(const Json& json) {
  constexpr size_t kShownBytes = 200;
  if (json.is_string()) return shown(json.get_ref<const std::string&>());
  std::string text = write_json(json);
  return text.size() <= kShownBytes ? text : shown(text);
}

}  // namespace nearfield
