#include "core/remote/host_policy.h"

#include <algorithm>
#include <utility>

namespace nearfield {

Result<HostPolicy> HostPolicy::only(const std::vector<std::string>& allowed_hosts) {
  HostPolicy out;
  out.allowed_.emplace();
  for (const std::string& entry : allowed_hosts) {
    Result<Host> host = Host::parse(entry);
    if (!host.ok()) {
      Error error = std::move(host).error();
      return Error{Code::kInvalidConfig,
                   "allowed_hosts: " + error.message + "; an entry is a host, or a host and a port", error.value};
    }
    out.allowed_->push_back(std::move(host).value());
  }
  return out;
}

Status HostPolicy::check(const Url& url) const {
  const std::string origin = url.origin();
  if (allowed_.has_value()) {
    const bool named = std::ranges::any_of(*allowed_, [&](const Host& host) {
      return host.name == url.host && (host.port == 0 || host.port == url.port);
    });
    if (named) return {};
    return Error{Code::kHostNotAllowed, origin + " is not among allowed_hosts", shown(origin)};
  }
  if (url.tls || url.is_loopback()) return {};
  return Error{Code::kHostNotAllowed,
               origin +
                   " is neither https nor on this machine, so a key and all data could be read on the way; use "
                   "https, or name the host in allowed_hosts",
               shown(origin)};
}

}  // namespace nearfield
