// Url: the address of a server, in the one spelling that every parser reads alike.
//
// What is accepted is a small part of what browsers accept, and for all of it WHATWG's parser (which fetch uses) finds
// the same host and port: http and https; a host of DNS labels in ASCII, a dotted-decimal IPv4 address or an IPv6
// address in brackets; a port; a path. Everything that is written in order to be read in two ways is refused with
// kHostNotAllowed: user names, fragments, queries, backslashes, control characters, percent signs in the host, hosts
// that are numbers (2130706433, 0x7f.1, 0177.0.0.1), dot segments. A host in another script is written as xn--.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace nearfield {

struct Host {
  std::string name;   // lower case, without the trailing dot; an IPv6 address in brackets, in its shortest form
  uint16_t port = 0;  // 0: none was given

  // "db.example.com", "db.example.com:443", "127.0.0.1", "[::1]:8000".
  static Result<Host> parse(std::string_view text);

  // localhost, 127.0.0.0/8 or ::1.
  bool is_loopback() const;
};

// Why `path` ("/a/b", percent-encoded, no query) is none that every parser reads alike; empty where it is one.
std::string_view why_no_path(std::string_view path);

struct Url {
  bool tls = false;
  std::string host;   // as Host::name
  uint16_t port = 0;  // the one that requests go to
  std::string path;   // from "/" and without one at its end; "" where there is none

  // "https://db.example.com/vectors", or a bare host. One with a scheme keeps its port, which is 443 or 80 where none
  // is given. A bare host has `bare_port` where it names none, and https unless it is a loopback address.
  static Result<Url> parse(std::string_view text, uint16_t bare_port);

  bool is_loopback() const { return Host{host, port}.is_loopback(); }
  // "https://db.example.com:6333"; the port is left out where it is the scheme's own, as WHATWG does.
  std::string origin() const;
};

}  // namespace nearfield
