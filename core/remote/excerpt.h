// What a server said, fit to be shown to people: short, without control characters, without the key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/secret.h"

namespace nearfield {

// At most 200 characters of `text`, then "...". Control characters and marks that turn the direction of
// writing are escaped (\u001b), bytes that are not UTF-8 become U+FFFD, each occurrence of the key becomes "***".
std::string excerpt(std::string_view text, const Secret& key);

// The words in an error's body: of the shapes that servers use ({"status": {"error"}}, {"message"}, {"error"} as a
// string or a list of {"message"}, {"errors"}), otherwise the body itself; as excerpt() leaves them. Whatever the body
// is, this answers.
std::string server_words(std::string_view body, const Secret& key);

// The wait in a Retry-After header: seconds, or the date of RFC 9110 ("Sun, 06 Nov 1994 08:49:37 GMT"), one that is
// past as 0. Nothing where it is neither. At most 2^53.
std::optional<uint64_t> retry_after_ms(std::string_view value, uint64_t now_ms);

}  // namespace nearfield
