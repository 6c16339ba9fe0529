#include "core/config/values.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/utf8.h"
#include "core/config/expand.h"

namespace nearfield {

namespace {

constexpr size_t kShownLetters = 24;

std::string number_text(double number) {
  // Ranges are small whole numbers and a few tenths.
  if (number == std::trunc(number)) return std::to_string(static_cast<int64_t>(number));
  return shown(number);
}

bool has_control(std::string_view text) {
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte < 0x20 || byte == 0x7F) return true;
  }
  return false;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& letter : out) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter + 32);
  }
  return out;
}

// Of a key that may be shown.
std::string what_it_is(const Json& given, std::string_view odd) {
  if (!odd.empty()) return std::string(odd);
  switch (given.type()) {
    case Json::value_t::object: return "a table";
    case Json::value_t::array: return "a list";
    case Json::value_t::string: return short_text(given.get_ref<const std::string&>());
    case Json::value_t::null: return "null";
    default: return shown_json(given);
  }
}

bool is_private(const Key& key) { return key.type == KeyType::kSecret || key.type == KeyType::kUrl; }

std::string wrong(const Key& key, const Json& given, std::string_view odd) {
  std::string reason = "must be " + expectation(key);
  if (is_private(key) && given.is_string()) return reason;
  return reason + ", got " + (is_private(key) && given.is_primitive() ? "something else" : what_it_is(given, odd));
}

bool is_host_letter(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
         letter == '-' || letter == '.' || letter == '_';
}

// "host", "[::1]", and with `port` also "host:8000".
bool read_host(std::string_view text, std::string& host, std::string& port) {
  size_t end = 0;
  if (text.starts_with('[')) {
    end = text.find(']');
    if (end == std::string_view::npos || end == 1) return false;
    for (const char letter : text.substr(1, end - 1)) {
      if (letter != ':' && letter != '.' && (!is_host_letter(letter) || letter == '-' || letter == '_')) return false;
    }
    ++end;
  } else {
    while (end < text.size() && is_host_letter(text[end])) ++end;
  }
  if (end == 0 || text[0] == '.') return false;
  host = lower_case(text.substr(0, end));
  port.clear();
  if (end == text.size()) return true;
  if (text[end] != ':') return false;
  port = text.substr(end + 1);
  if (port.empty() || port.size() > 5) return false;
  unsigned number = 0;
  for (const char letter : port) {
    if (letter < '0' || letter > '9') return false;
    number = number * 10 + static_cast<unsigned>(letter - '0');
  }
  return number >= 1 && number <= 65535;
}

// "02:00-04:00"
bool is_window(std::string_view text) {
  if (text.size() != 11 || text[2] != ':' || text[5] != '-' || text[8] != ':') return false;
  const auto two = [&](size_t at, unsigned below) {
    if (text[at] < '0' || text[at] > '9' || text[at + 1] < '0' || text[at + 1] > '9') return false;
    return static_cast<unsigned>((text[at] - '0') * 10 + (text[at + 1] - '0')) < below;
  };
  return two(0, 24) && two(3, 60) && two(6, 24) && two(9, 60) && text.substr(0, 5) != text.substr(6);
}

// Expands and looks at what every text must be.
Complaint read_text(const Key& key, const std::string& given, const Json& environment, std::string& text) {
  auto expanded = expand(given, environment);
  if (!expanded.ok()) return {expanded.error().message, "set it, or write the value itself"};
  text = std::move(expanded).value();
  const size_t most = key.type == KeyType::kSecret ? kMaxSecretBytes : kMaxTextBytes;
  if (text.size() > most) {
    return {"has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(most) + " are allowed", ""};
  }
  if (has_control(text)) return {"holds a control character", ""};
  if (text.empty()) return {"is empty", "leave it out"};
  return {};
}

Complaint read_choice(const Key& key, const std::string& text) {
  const auto choices = key.choices();
  for (const std::string_view choice : choices) {
    if (choice == text) return {};
  }
  const std::string_view near = nearest_name(text, choices);
  return {"must be " + expectation(key) + ", got " + short_text(text),
          near.empty() ? "" : "did you mean " + shown(near) + "?"};
}

Complaint read_one_host(std::string_view text) {
  std::string host, port;
  if (text.find("://") != std::string_view::npos || text.find('/') != std::string_view::npos) {
    return {"must be " + std::string("a host's name alone"), "leave out http:// and everything behind the host"};
  }
  if (text.find('*') != std::string_view::npos) return {"has no wildcards", "name each host"};
  if (!read_host(text, host, port)) return {"holds something that is no host's name: " + short_text(text), ""};
  return {};
}

Metric metric_of(std::string_view name) {
  const std::string low = lower_case(name);
  if (low == "dot" || low == "ip") return Metric::kDot;
  if (low == "euclidean" || low == "euclid" || low == "l2") return Metric::kEuclidean;
  if (low == "manhattan") return Metric::kManhattan;
  assert(low == "cosine");
  return Metric::kCosine;
}

IndexChoice index_of(std::string_view name) {
  if (name == "IVF_PQ") return {IndexKind::kIvfPq, std::nullopt};
  if (name == "IVF_FLAT") return {IndexKind::kIvfFlat, std::nullopt};
  if (name == "IVF_RQ") return {IndexKind::kIvfRabitq, std::nullopt};
  if (name == "FLAT") return {IndexKind::kFlat, std::nullopt};
  if (name == "IVF_HNSW_SQ") return {IndexKind::kHnsw, CodeKind::kSq8};
  assert(name == "HNSW");
  return {IndexKind::kHnsw, std::nullopt};
}

}  // namespace

// "https://", "s3://": one letter is a drive.
bool is_address(std::string_view text) {
  const size_t end = text.find("://");
  if (end == std::string_view::npos || end < 2) return false;
  return std::ranges::all_of(text.substr(0, end), [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
           letter == '+' || letter == '-' || letter == '.';
  });
}

std::string short_text(std::string_view text) {
  size_t letters = 0, position = 0;
  while (position < text.size() && letters <= kShownLetters) {
    decode_utf8(text, position);
    ++letters;
  }
  return letters <= kShownLetters ? shown(text) : "a text of " + std::to_string(text.size()) + " bytes";
}

std::string expectation(const Key& key) {
  switch (key.type) {
    case KeyType::kText:
    case KeyType::kPath:
    case KeyType::kSecret: return "a text";
    case KeyType::kUrl: return "an address from http:// or https://";
    case KeyType::kHost: return "a host's name";
    case KeyType::kHosts: return "a list of hosts' names";
    case KeyType::kFlag: return "true or false";
    case KeyType::kWindow: return "two times in UTC such as \"02:00-04:00\"";
    case KeyType::kWhole:
      return "a whole number from " + number_text(key.low) + " to " + number_text(key.high) + " (" +
             std::string(key.unit) + ")";
    case KeyType::kNumber:
      if (key.unit == "seconds") {
        return "seconds, a number from " + number_text(key.low) + " to " + number_text(key.high);
      }
      return "a number from " + number_text(key.low) + " to " + number_text(key.high) + " (" + std::string(key.unit) +
             ")";
    case KeyType::kChoice: {
      std::string out = "one of ";
      for (const std::string_view choice : key.choices()) {
        if (out.size() > 7) out += ", ";
        out += choice;
      }
      return out;
    }
  }
  return "";
}

Complaint read_value(const Key& key, const Json& given, std::string_view odd, const Json& environment, Value& value) {
  const auto mismatch = [&] { return Complaint{wrong(key, given, odd), ""}; };
  switch (key.type) {
    case KeyType::kWhole: {
      if (!odd.empty() || !given.is_number()) return mismatch();
      const double number = given.get<double>();
      if (!(number >= key.low && number <= key.high) || number != std::trunc(number)) return mismatch();
      value = static_cast<uint64_t>(number);
      return {};
    }
    case KeyType::kNumber: {
      if (!odd.empty() || !given.is_number()) return mismatch();
      const double number = given.get<double>();
      if (!(number >= key.low && number <= key.high)) return mismatch();
      value = number;
      return {};
    }
    case KeyType::kFlag:
      if (!given.is_boolean()) return mismatch();
      value = given.get<bool>();
      return {};
    case KeyType::kHosts: {
      if (!given.is_array()) return mismatch();
      if (given.empty()) return {"is empty, which would allow no host", "leave it out, or name the server's host"};
      if (given.size() > kMaxHosts) return {"names more than " + std::to_string(kMaxHosts) + " hosts", ""};
      std::vector<std::string> hosts;
      for (const Json& each : given) {
        if (!each.is_string()) return {"must be " + expectation(key) + ", and holds " + what_it_is(each, ""), ""};
        std::string host;
        Complaint complaint = read_text(key, each.get_ref<const std::string&>(), environment, host);
        if (complaint.reason.empty()) complaint = read_one_host(host);
        if (!complaint.reason.empty()) return complaint;
        hosts.push_back(lower_case(host));
      }
      value = std::move(hosts);
      return {};
    }
    default: break;
  }
  if (!given.is_string()) return mismatch();
  std::string text;
  if (Complaint complaint = read_text(key, given.get_ref<const std::string&>(), environment, text);
      !complaint.reason.empty()) {
    return complaint;
  }
  Complaint complaint;
  if (key.type == KeyType::kChoice) {
    complaint = read_choice(key, text);
  } else if (key.type == KeyType::kUrl) {
    Address address;
    complaint = read_address(text, address);
  } else if (key.type == KeyType::kPath) {
    if (is_address(text)) complaint = {"must be a path, and is an address", "give the address of a server as url"};
  } else if (key.type == KeyType::kWindow) {
    if (!is_window(text)) complaint.reason = "must be " + expectation(key) + ", got " + short_text(text);
  } else if (key.type == KeyType::kHost) {
    std::string host, port;
    complaint = read_one_host(text);
    if (complaint.reason.empty() && read_host(text, host, port) && !port.empty()) {
      complaint = {"must be a host's name alone", "give the port as port"};
    }
  }
  if (complaint.reason.empty()) value = std::move(text);
  return complaint;
}

void assign(Settings& settings, const Key& key, const Value& value) {
  if (const auto* flag = std::get_if<bool Settings::*>(&key.target)) {
    // Of two choices the second is the one that is switched on.
    const auto* name = std::get_if<std::string>(&value);
    settings.*(*flag) = name != nullptr ? *name != key.choices()[0] : std::get<bool>(value);
  } else if (const auto* whole = std::get_if<uint64_t Settings::*>(&key.target)) {
    settings.*(*whole) = std::get<uint64_t>(value);
  } else if (const auto* number = std::get_if<double Settings::*>(&key.target)) {
    settings.*(*number) = std::get<double>(value);
  } else if (const auto* text = std::get_if<std::string Settings::*>(&key.target)) {
    settings.*(*text) = std::get<std::string>(value);
  } else if (const auto* secret = std::get_if<Secret Settings::*>(&key.target)) {
    settings.*(*secret) = Secret(std::get<std::string>(value));
  } else if (const auto* list = std::get_if<std::vector<std::string> Settings::*>(&key.target)) {
    settings.*(*list) = std::get<std::vector<std::string>>(value);
  } else if (const auto* metric = std::get_if<Metric Settings::*>(&key.target)) {
    settings.*(*metric) = metric_of(std::get<std::string>(value));
  } else if (const auto* index = std::get_if<IndexChoice Settings::*>(&key.target)) {
    settings.*(*index) = index_of(std::get<std::string>(value));
  }
}

bool Address::local() const {
  return host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.") || host == "[::1]";
}

Complaint read_address(std::string_view url, Address& address) {
  const std::string start = lower_case(url.substr(0, 8));
  if (start.starts_with("https://")) {
    address.secure = true;
  } else if (!start.starts_with("http://")) {
    return {"must begin with http:// or https://", "such as https://db.example.com:6333"};
  }
  std::string_view rest = url.substr(address.secure ? 8 : 7);
  if (rest.find_first_of("?#") != std::string_view::npos) {
    return {"has a query or a fragment, which no server here takes", "give a key as api_key, never in an address"};
  }
  rest = rest.substr(0, rest.find('/'));
  if (rest.find('@') != std::string_view::npos) {
    return {"carries a user's name or a key", "give a key as api_key, never in an address"};
  }
  if (!read_host(rest, address.host, address.port)) return {"has no host's name, or one that is none", ""};
  return {};
}

}  // namespace nearfield
