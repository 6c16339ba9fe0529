// One value of a configuration, checked against its row of keys.def.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "core/base/json.h"
#include "core/config/keys.h"

namespace nearfield {

// monostate: not checked yet. A Whole is uint64_t, a Number double, a Choice its name.
using Value = std::variant<std::monostate, bool, uint64_t, double, std::string, std::vector<std::string>>;

struct Complaint {
  std::string reason, alternative;
};

inline constexpr size_t kMaxTextBytes = 4096;
inline constexpr size_t kMaxSecretBytes = 16384;
inline constexpr size_t kMaxHosts = 1000;

// Checks `given` and fills `value`; an empty reason: all is well. Variables in texts are expanded. `odd` names what
// JSON has no spelling for, as it was written ("nan"); empty where the value is JSON's. Complaints hold at most a few
// letters of a text, and nothing of secrets and addresses.
Complaint read_value(const Key& key, const Json& given, std::string_view odd, const Json& environment, Value& value);

// What the value is to be, with range and unit: "a whole number from 1 to 10000 (rows)".
std::string expectation(const Key& key);

// Puts it where the key's target says. REQUIRES: read_value() filled it for this key.
void assign(Settings& settings, const Key& key, const Value& value);

// An address of a server, cut up.
struct Address {
  bool secure = false;
  std::string host;  // lower case; of IPv6 with its brackets
  std::string port;  // empty: the scheme's own
  // Loopback: nothing leaves the machine.
  bool local() const;
};
// An empty reason: it is one, from http:// or https://, with a host and without user, query and fragment. What is sent
// where is decided once more, and strictly, before each request; this is for early messages.
Complaint read_address(std::string_view url, Address& address);

// Whether it names a scheme, as no path does; it may carry a key.
bool is_address(std::string_view text);

// A text, for messages: quoted, or only its length where it is longer than a few letters.
std::string short_text(std::string_view text);

}  // namespace nearfield
