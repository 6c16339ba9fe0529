#include "core/remote/weaviate_terms.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "core/base/sort.h"
#include "core/remote/ids.h"

namespace nearfield {

namespace {

constexpr size_t kPlainPathBytes = 64;
constexpr std::string_view kHighDigits = "0123456789abcdef", kLowDigits = "ghijklmnopqrstuv";

bool is_plain_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

// The greatest double that is not above a whole number, and how far below it is: less than 2^11.
struct Floor {
  double whole = 0;
  uint64_t rest = 0;
};

Floor floor_of(const Json& number) {
  if (number.is_number_float()) return {number.get<double>(), 0};
  if (number.is_number_unsigned() || number.get<int64_t>() >= 0) {
    const auto value = number.get<uint64_t>();
    auto whole = static_cast<double>(value);
    if (whole >= 0x1p64 || static_cast<uint64_t>(whole) > value) whole = std::nextafter(whole, 0.0);
    return {whole, value - static_cast<uint64_t>(whole)};
  }
  const uint64_t size = 0 - static_cast<uint64_t>(number.get<int64_t>());
  auto whole = static_cast<double>(size);
  if (static_cast<uint64_t>(whole) < size) whole = std::nextafter(whole, 0x1p64);
  return {-whole, static_cast<uint64_t>(whole) - size};
}

class Terms {
 public:
  std::vector<std::string> out;

  // The members of an object, or of the objects in an array. `names` leads to `value`.
  void members(const Json& value) {
    if (value.is_array()) {
      for (const Json& element : value) members(element);
    } else if (value.is_object()) {
      for (const auto& [name, member] : value.items()) {
        // A filter cannot name it.
        if (name.find('.') != std::string::npos) continue;
        names_.push_back(name);
        field(member);
        names_.pop_back();
      }
    }
  }

 private:
  void field(const Json& value) {
    const std::string path = term_path(names_);
    out.push_back(path + '!');
    out.push_back(path + ':' + term_value(value));
    if (value.is_string() && value.get_ref<const std::string&>().size() > kTermStringBytes) out.push_back(path + '~');
    if (value.is_array()) elements(value, path);
    members(value);
  }

  void elements(const Json& array, const std::string& path) {
    for (const Json& element : array) {
      out.push_back(path + '@' + term_value(element));
      if (element.is_array()) elements(element, path);
    }
  }

  std::vector<std::string> names_;
};

}  // namespace

std::string term_path(const std::vector<std::string>& names) {
  std::string plain, all;
  bool is_plain = true;
  for (const std::string& name : names) {
    is_plain = is_plain && is_plain_name(name);
    if (!all.empty()) plain += '/';
    plain += name;
    all += name;
    all += '.';
  }
  return is_plain && plain.size() <= kPlainPathBytes ? plain : '#' + derived_uuid(all);
}

std::string term_digits(std::string_view bytes) {
  std::string out;
  out.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kHighDigits[byte >> 4];
    out += kLowDigits[byte & 15];
  }
  return out;
}

std::string term_number_digits(const Json& number) {
  const Floor floor = floor_of(number);
  // Of -0.0 too.
  auto bits = std::bit_cast<uint64_t>(floor.whole == 0 ? 0.0 : floor.whole);
  bits ^= (bits >> 63) != 0 ? ~uint64_t{0} : uint64_t{1} << 63;
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(bits >> shift);
  bytes += static_cast<char>(floor.rest >> 8);
  bytes += static_cast<char>(floor.rest);
  // The order stays: what is shorter is less than what goes on from there.
  bytes.resize(bytes.find_last_not_of('\0') + 1);
  return term_digits(bytes);
}

int term_digit_value(char digit) {
  const size_t high = kHighDigits.find(digit);
  return static_cast<int>(high != std::string_view::npos ? high : kLowDigits.find(digit));
}

char term_digit_like(char digit, int value) {
  const bool high = kHighDigits.find(digit) != std::string_view::npos;
  return (high ? kHighDigits : kLowDigits)[static_cast<size_t>(value)];
}

std::string term_value(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? "bt" : "bf";
  if (value.is_number()) return 'n' + term_number_digits(value);
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.size() <= kTermStringBytes) return 's' + term_digits(text);
    return 's' + term_digits(std::string_view(text).substr(0, kTermStringBytes)) + '~' + derived_uuid(text);
  }
  if (!value.is_structured()) return "z";
  std::string parts;
  for (auto part = value.begin(); part != value.end(); ++part) {
    if (value.is_object()) parts += term_digits(part.key()) + '=';
    parts += term_value(*part) + ',';
  }
  return (value.is_object() ? 'o' : 'a') + derived_uuid(parts);
}

std::vector<std::string> payload_terms(const Json& payload) {
  Terms terms;
  terms.members(payload);
  heap_sort(terms.out);
  terms.out.erase(std::unique(terms.out.begin(), terms.out.end()), terms.out.end());
  return std::move(terms.out);
}

}  // namespace nearfield
