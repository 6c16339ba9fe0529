// PayloadFilter: asks a filter about payloads as they are stored.
#pragma once

#include <string_view>

#include "core/filter/filter.h"

namespace nearfield {

// The filter must outlive it.
class PayloadFilter {
 public:
  explicit PayloadFilter(const Filter& filter);

  // REQUIRES: `payload` was checked when it came in, so that picking fields from its text is enough; empty: none.
  bool matches(std::string_view payload) const;

 private:
  const Filter& filter_;
  bool matches_without_payload_;
};

}  // namespace nearfield
