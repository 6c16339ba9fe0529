// HostPolicy: which servers requests may go to.
//
// With a list, only its hosts: a name is compared whole, and the port too where the entry has one; there are no
// wildcards. Entries are read by the parser that reads addresses. Without a list, any host.
//
// Plain http is for loopback addresses and for hosts that the list names: that is the user's word that the way there is
// trusted.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/remote/url.h"

namespace nearfield {

class HostPolicy {
 public:
  // Any host.
  HostPolicy() = default;

  // Fails with kInvalidConfig, naming the entry.
  static Result<HostPolicy> only(const std::vector<std::string>& allowed_hosts);

  // Ok or kHostNotAllowed.
  Status check(const Url& url) const;

 private:
  std::optional<std::vector<Host>> allowed_;
};

}  // namespace nearfield
