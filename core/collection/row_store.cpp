#include "core/collection/row_store.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>

#include "core/base/bytes.h"
#include "core/base/hash.h"

namespace nearfield {

namespace {

// Chunks grow with the store, so that a small one stays small and a large one wastes at most a sixteenth.
constexpr size_t kMinChunkBytes = 4 << 10;
constexpr size_t kMaxChunkBytes = 256 << 10;
constexpr size_t kMinSlots = 16;

char* copy(std::string_view text, char* to) {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

}  // namespace

RowId RowStore::append(std::string_view id, std::string_view text, std::string_view payload) {
  assert(id.size() <= std::numeric_limits<uint16_t>::max());
  if ((used_slots_ + 1) * 4 > slots_.size() * 3) grow_slots();
  if (rows_.size() == rows_.capacity()) rows_.reserve(std::max<size_t>(16, rows_.size() * 2));
  char* bytes = allocate(id.size() + text.size() + payload.size());
  copy(payload, copy(text, copy(id, bytes)));

  const auto row = static_cast<RowId>(rows_.size());
  rows_.push_back({bytes, static_cast<uint32_t>(text.size()), static_cast<uint32_t>(payload.size()),
                   static_cast<uint16_t>(id.size())});
  uint32_t& slot = slots_[slot_of(id)];
  used_slots_ += slot == 0 ? 1 : 0;
  slot = row + 1;
  return row;
}

std::optional<RowId> RowStore::find(std::string_view id) const {
  if (slots_.empty()) return std::nullopt;
  const uint32_t slot = slots_[slot_of(id)];
  if (slot == 0) return std::nullopt;
  return slot - 1;
}

size_t RowStore::memory_bytes() const {
  return chunk_bytes_ + rows_.capacity() * sizeof(Row) + slots_.capacity() * sizeof(uint32_t);
}

char* RowStore::allocate(size_t bytes) {
  if (bytes > free_bytes_) {
    const size_t shared = std::clamp(chunk_bytes_ / 16, kMinChunkBytes, kMaxChunkBytes);
    // A long row gets a chunk of its own, and the one that is being filled goes on being filled.
    const bool own = bytes > shared / 8;
    const size_t size = own ? bytes : shared;
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    chunk_bytes_ += size;
    if (own) return chunks_.back().get();
    free_begin_ = chunks_.back().get();
    free_bytes_ = size;
  }
  char* const begin = free_begin_;
  free_begin_ += bytes;
  free_bytes_ -= bytes;
  return begin;
}

size_t RowStore::slot_of(std::string_view id) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = static_cast<size_t>(hash64(as_bytes(id))) & mask;
  while (slots_[slot] != 0 && this->id(slots_[slot] - 1) != id) slot = (slot + 1) & mask;
  return slot;
}

void RowStore::grow_slots() {
  std::vector<uint32_t> old(std::max(kMinSlots, slots_.size() * 2));
  old.swap(slots_);
  for (const uint32_t entry : old) {
    if (entry != 0) slots_[slot_of(id(entry - 1))] = entry;
  }
}

}  // namespace nearfield
