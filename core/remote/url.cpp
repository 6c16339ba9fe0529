#include "core/remote/url.h"

#include <algorithm>
#include <array>
#include <optional>

namespace nearfield {

namespace {

constexpr size_t kMaxUrlBytes = 2'048;
constexpr size_t kMaxHostBytes = 253;
constexpr size_t kMaxLabelBytes = 63;

Error refused(std::string_view what, std::string_view text, std::string_view why) {
  return {Code::kHostNotAllowed, std::string(what) + " " + shown(text) + " " + std::string(why), shown(text)};
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  return lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

// "0".."65535", without leading zeros.
std::optional<uint32_t> parse_number(std::string_view text, uint32_t most) {
  if (text.empty() || text.size() > 5 || (text[0] == '0' && text.size() > 1)) return std::nullopt;
  uint32_t number = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  if (number > most) return std::nullopt;
  return number;
}

bool is_ipv4(std::string_view text) {
  for (int i = 0; i < 4; ++i) {
    const size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos || !parse_number(text.substr(0, dot), 255).has_value()) return false;
    text.remove_prefix(std::min(text.size(), dot + 1));
  }
  return text.empty();
}

// WHATWG takes a host for an IPv4 address when its last label is a number in any base.
bool ends_in_number(std::string_view host) {
  std::string_view last = host.substr(host.rfind('.') + 1);
  if (std::ranges::all_of(last, is_digit)) return true;
  if (last.size() < 2 || last[0] != '0' || lower(last[1]) != 'x') return false;
  return std::ranges::all_of(last.substr(2), [](char c) { return hex_value(c) >= 0; });
}

// What stands between the brackets; no zone and no IPv4 tail. Answers the shortest form (RFC 5952), or nothing.
std::optional<std::string> parse_ipv6(std::string_view text) {
  std::array<unsigned, 8> pieces{};
  size_t count = 0, gap = 9;  // 9: none
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    size_t digits = 0;
    unsigned piece = 0;
    while (digits < text.size() && hex_value(text[digits]) >= 0) {
      if (digits == 4) return std::nullopt;
      piece = piece * 16 + static_cast<unsigned>(hex_value(text[digits++]));
    }
    if (digits == 0 || count == 8) return std::nullopt;
    pieces[count++] = piece;
    text.remove_prefix(digits);
    if (text.empty()) break;
    if (text[0] != ':' || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
    if (text[0] != ':') continue;
    if (gap != 9) return std::nullopt;
    gap = count;
    text.remove_prefix(1);
  }
  if (gap == 9 ? count != 8 : count == 8) return std::nullopt;
  if (gap != 9) {
    std::copy_backward(pieces.begin() + gap, pieces.begin() + count, pieces.end());
    std::fill(pieces.begin() + gap, pieces.begin() + gap + (8 - count), 0u);
  }
  // The first of the longest runs of two or more zeros becomes "::".
  size_t run_at = 8, run = 1;
  for (size_t i = 0; i < 8; ++i) {
    size_t end = i;
    while (end < 8 && pieces[end] == 0) ++end;
    if (end - i > run) run_at = i, run = end - i;
  }
  std::string out = "[";
  for (size_t i = 0; i < 8; ++i) {
    if (i == run_at) {
      out += "::";
      i += run - 1;
      continue;
    }
    if (i > 0 && out.back() != ':') out += ':';
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
      const unsigned digit = pieces[i] >> shift & 15;
      begun = begun || digit != 0 || shift == 0;
      if (begun) out += "0123456789abcdef"[digit];
    }
  }
  return out + ']';
}

// Why `name` is not a name; empty where it is one.
std::string_view why_no_name(std::string_view name) {
  if (name.empty()) return "has no host";
  if (name.size() > kMaxHostBytes) return "has a host of more than 253 bytes";
  for (const char c : name) {
    if (static_cast<unsigned char>(c) >= 0x80) return "has a host that is not ASCII; write it with xn--";
    if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_' && c != '.') {
      return "has a character in its host that hosts do not have";
    }
  }
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view label = name.substr(begin, end - begin);
    if (label.empty()) return "has a host with an empty part between dots";
    if (label.size() > kMaxLabelBytes) return "has a host with a part of more than 63 bytes";
    if (label.front() == '-' || label.back() == '-') return "has a host with a part that begins or ends with '-'";
    begin = end + 1;
  }
  if (ends_in_number(name) && !is_ipv4(name)) {
    return "has a host that is a number; write an IPv4 address as four decimal numbers without leading zeros";
  }
  return {};
}

Result<Host> parse_host(std::string_view text, std::string_view what, std::string_view whole) {
  Host out;
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return refused(what, whole, "has a bracket that is not closed");
    std::optional<std::string> address = parse_ipv6(text.substr(1, end - 1));
    if (!address.has_value()) {
      return refused(what, whole, "has no IPv6 address between its brackets; zones and IPv4 endings are not taken");
    }
    out.name = *std::move(address);
    rest = text.substr(end + 1);
  } else {
    const size_t colon = std::min(text.find(':'), text.size());
    std::string_view name = text.substr(0, colon);
    rest = text.substr(colon);
    if (name.ends_with('.')) name.remove_suffix(1);
    if (const std::string_view why = why_no_name(name); !why.empty()) return refused(what, whole, why);
    for (const char c : name) out.name += lower(c);
  }
  if (rest.empty()) return out;
  const std::optional<uint32_t> port = rest[0] == ':' ? parse_number(rest.substr(1), 65'535) : std::nullopt;
  if (!port.has_value() || *port == 0) return refused(what, whole, "has no port of 1 to 65535 after its host");
  out.port = static_cast<uint16_t>(*port);
  return out;
}

bool is_path_character(char c) {
  return is_letter(c) || is_digit(c) || std::string_view("-._~!$&'()*+,;=:@/%").find(c) != std::string_view::npos;
}

}  // namespace

Result<Host> Host::parse(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return refused("the host", text, "is longer than 2048 bytes");
  return parse_host(text, "the host", text);
}

bool Host::is_loopback() const {
  return name == "localhost" || name == "[::1]" || (name.starts_with("127.") && is_ipv4(name));
}

std::string_view why_no_path(std::string_view path) {
  for (size_t i = 0; i < path.size(); ++i) {
    if (!is_path_character(path[i])) return "has a character in its path that has to be percent-encoded";
    if (path[i] != '%') continue;
    if (i + 2 >= path.size() || hex_value(path[i + 1]) < 0 || hex_value(path[i + 2]) < 0) {
      return "has a percent sign in its path that is not followed by two hexadecimal digits";
    }
  }
  // Parsers resolve dot segments, also encoded ones, so they lead somewhere else.
  for (size_t begin = 1; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    std::string segment;
    for (size_t i = begin; i < end; ++i) {
      const bool dot = path[i] == '%' && path[i + 1] == '2' && lower(path[i + 2]) == 'e';
      segment += dot ? '.' : path[i];
      if (dot) i += 2;
    }
    if (segment == "." || segment == "..") return "has a dot segment in its path";
    if (segment.empty()) return "has an empty segment in its path";
    begin = end + 1;
  }
  return {};
}

Result<Url> Url::parse(std::string_view text, uint16_t bare_port) {
  constexpr std::string_view kWhat = "the address";
  // What may be a user name and a password is not repeated.
  if (text.find('@') <
      std::min(text.find('/', text.find("//") == std::string_view::npos ? 0 : text.find("//") + 2), text.size())) {
    return Error{Code::kHostNotAllowed,
                 "the address has a user name; a key is configured on its own, so that it is in no message", ""};
  }
  if (text.find_first_of("?#") != std::string_view::npos) {
    const std::string_view before = text.substr(0, text.find_first_of("?#"));
    return refused(kWhat, before, "has a query or a fragment after it; leave it away");
  }
  if (text.size() > kMaxUrlBytes) return refused(kWhat, text, "is longer than 2048 bytes");
  Url out;
  std::string_view rest = text;
  std::string scheme;
  if (const size_t end = text.find("://"); end != std::string_view::npos) {
    for (const char c : text.substr(0, end)) scheme += lower(c);
    if (scheme != "http" && scheme != "https") return refused(kWhat, text, "is neither http nor https");
    rest = text.substr(end + 3);
  }
  const size_t slash = std::min(rest.find('/'), rest.size());
  ASSIGN_OR_RETURN(Host host, parse_host(rest.substr(0, slash), kWhat, text));
  out.tls = scheme.empty() ? !host.is_loopback() : scheme == "https";
  out.port = host.port;
  if (out.port == 0 && scheme.empty()) out.port = bare_port;
  if (out.port == 0) out.port = out.tls ? 443 : 80;
  out.host = std::move(host.name);
  std::string_view path = rest.substr(slash);
  if (path.ends_with('/')) path.remove_suffix(1);
  if (path.ends_with('/')) return refused(kWhat, text, "has an empty segment in its path");
  if (const std::string_view why = why_no_path(path); !why.empty()) return refused(kWhat, text, why);
  out.path = path;
  // With what was left away.
  if (out.origin().size() + out.path.size() > kMaxUrlBytes) return refused(kWhat, text, "is longer than 2048 bytes");
  return out;
}

std::string Url::origin() const {
  std::string out = (tls ? "https://" : "http://") + host;
  if (port != (tls ? 443 : 80)) out += ':' + std::to_string(port);
  return out;
}

}  // namespace nearfield
