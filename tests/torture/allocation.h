// Allocations that fail on demand.
//
// Linking allocation.cpp (native only, with -Wl,--wrap for malloc, calloc and realloc) sends every allocation of the
// program through here. Only those made while counting() is on are counted, and may fail. Single-threaded.
#pragma once

#include <cstdint>

namespace nearfield::allocation {

// The n-th counted allocation fails, and with `forever` every one after it. 0: none.
void fail_at(uint64_t n, bool forever);
void counting(bool on);
// Counted since fail_at().
uint64_t counted();
// Whether one has failed since fail_at().
bool failed();
// Allocations that have not been freed, counted or not.
int64_t alive();

}  // namespace nearfield::allocation
