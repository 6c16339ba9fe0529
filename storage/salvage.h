// Salvage: what still checks out in a file that as a whole does not.
//
// A frame's checksum covers its place and the file it belongs to, so a frame that checks out is the one that was
// written there, whatever became of its neighbours. Nothing else is ever used.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/format.h"

namespace nearfield {

struct Region {
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct PlacedFrame {
  uint64_t offset = 0;
  Frame frame;
};

struct Scan {
  Status header;                    // why the header does not check out
  std::optional<uint64_t> link;     // of the header, or else that with which frames check out
  std::vector<PlacedFrame> frames;  // in order; the footer among them
  std::vector<Region> damage;       // all other bytes, in order
};

// Looks at every byte of a segment, index or log. Behind damage it goes on at the next frame that checks out. `links`
// are tried where the header does not say what the file belongs to. Time is linear in the file's size.
Scan scan_file(FileKind kind, uint64_t number, const std::vector<uint64_t>& links, ByteView bytes);

// Whether a sealed file is whole: header, frames, footer and nothing else.
bool is_sealed(FileKind kind, uint64_t number, const Scan& scan, ByteView bytes);

// Whether the damage is what a crash leaves of an append: one region at the end, cut short or not written. Such a write
// was never acknowledged.
bool is_unfinished_tail(const Scan& scan, ByteView bytes);

}  // namespace nearfield
