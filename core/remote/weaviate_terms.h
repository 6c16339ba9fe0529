// Payloads as terms, which is what Weaviate filters by.
//
// A property of Weaviate has one type, has to be declared, and its filters look into it in their own way: integers are
// doubles, arrays of arrays and null are not there. So the payload is kept as JSON text, and beside it stand terms, in
// one property that is a list of exact strings. Each term says that a value is at a path:
//
//   year:n<digits>    the value of the field "year" is this number
//   tags@s<digits>    an array at "tags", or one nested in it, holds this string
//   year!             there is something at "year"
//   title~            a string at "title" is longer than its term
//
// Digits are bytes, high half then low half, of two alphabets that have no letter in common: what is equal as values
// has equal terms, the order of values is the order of digits, and a piece of a string is a piece of its digits. None
// of the characters means anything to LIKE. Arrays and objects are told by a digest of their elements.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"

namespace nearfield {

// Strings that are longer have in their terms this many bytes and a digest of all.
inline constexpr size_t kTermStringBytes = 1'000;

// A path in terms: "author/name", or a digest where it is long or has other characters than [A-Za-z0-9_-].
std::string term_path(const std::vector<std::string>& names);

// What follows the path of a value and ":" or "@".
std::string term_value(const Json& value);

// The digits of bytes, and those of a number: by their order numbers of all JSON types compare, and exactly.
std::string term_digits(std::string_view bytes);
std::string term_number_digits(const Json& number);
// Whether, and where among its like, `digit` stands: 0..15.
int term_digit_value(char digit);
// The digit of the same alphabet that has that value.
char term_digit_like(char digit, int value);

// Every term of a payload, each once, in order. REQUIRES: an object.
std::vector<std::string> payload_terms(const Json& payload);

}  // namespace nearfield
