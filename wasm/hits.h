// What a search answers, in the engine's memory, where js/src/hits.ts reads it.
//
// Numbers are copied as they are, and strings lie together, because to print and parse them costs more than a small
// search. One result for each query, one behind the other; u32 and f64 are little-endian and stand at any address:
//
//   u32 hits | u32 bytes of the ids | of the payloads | of the texts | of the plan
//   hits: a HitRecord each
//   the ids, one behind the other | the payloads as one JSON array | the texts, one behind the other
//   highlights: u32 pairs, hit after hit | the plan as JSON, none where it was not asked for
#pragma once

#include "core/base/bytes.h"
#include "core/collection/collection.h"

namespace nearfield {

struct HitRecord {
  double score = 0;
  double dense_score = 0;
  double text_score = 0;
  uint32_t dense_rank = 0;  // from 1; 0: this leg did not find it
  uint32_t text_rank = 0;
  uint32_t id_bytes = 0;
  uint32_t has_payload = 0;  // 1: the next of the payloads is its
  uint32_t text_bytes = 0;   // 0: none
  uint32_t vector = 0;       // where its components are, valid until the next call; 0: none
  uint32_t components = 0;
  uint32_t highlights = 0;  // 0: not asked for; else pairs, and one
};
static_assert(sizeof(HitRecord) == 56);

// `target` is the collection that answered; null: a store that has neither highlights nor a plan.
void write_result(Bytes& out, const Collection* target, const SearchRequest& request, bool highlights,
                  const SearchResult& result);

}  // namespace nearfield
