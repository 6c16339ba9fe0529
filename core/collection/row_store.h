// RowStore: the ids, texts and payloads of a collection's rows, append-only, and the way from an id to its row.
//
// A row's three strings lie behind each other in a chunk that never moves, so views stay valid for the store's life and
// a row costs little more than its bytes. Ids may repeat; the newest row of an id is the one that is found. The store
// does not know which rows are dead.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/base/row_set.h"

namespace nearfield {

class RowStore {
 public:
  // REQUIRES: id.size() < 2^16, the others < 2^32. May throw std::bad_alloc and then has not changed.
  RowId append(std::string_view id, std::string_view text, std::string_view payload);

  size_t count() const { return rows_.size(); }
  // REQUIRES: row < count().
  std::string_view id(RowId row) const { return {rows_[row].bytes, rows_[row].id_bytes}; }
  std::string_view text(RowId row) const {
    const Row& entry = rows_[row];
    return {entry.bytes + entry.id_bytes, entry.text_bytes};
  }
  std::string_view payload(RowId row) const {
    const Row& entry = rows_[row];
    return {entry.bytes + entry.id_bytes + entry.text_bytes, entry.payload_bytes};
  }

  // The newest row with that id. Expected constant time.
  std::optional<RowId> find(std::string_view id) const;

  size_t memory_bytes() const;

 private:
  struct Row {
    const char* bytes;  // id, text, payload
    uint32_t text_bytes;
    uint32_t payload_bytes;
    uint16_t id_bytes;
  };

  // Room for `bytes` bytes that never moves.
  char* allocate(size_t bytes);
  // The slot that holds the id, or the free one where it belongs. REQUIRES: a free slot.
  size_t slot_of(std::string_view id) const;
  void grow_slots();

  std::vector<Row> rows_;
  // Open addressing with linear probing: row + 1, or 0 for a free slot. Nothing is ever taken out.
  std::vector<uint32_t> slots_;
  size_t used_slots_ = 0;

  std::vector<std::unique_ptr<char[]>> chunks_;
  char* free_begin_ = nullptr;  // the rest of the newest shared chunk
  size_t free_bytes_ = 0;
  size_t chunk_bytes_ = 0;  // of all chunks
};

}  // namespace nearfield
