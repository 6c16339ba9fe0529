#include "wasm/hits.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/base/utf8.h"
#include "wasm/marshal.h"

namespace nearfield {

namespace {

// Appends byte ranges of UTF-8 `text`, ascending, as pairs of UTF-16 offsets.
void write_utf16_ranges(ByteWriter& out, std::string_view text,
                        const std::vector<std::pair<uint32_t, uint32_t>>& ranges) {
  size_t bytes = 0;
  size_t units = 0;
  const auto advance = [&](size_t to) {
    units += utf16_length(text.substr(bytes, to - bytes));
    bytes = to;
    return static_cast<uint32_t>(units);
  };
  for (const auto& [begin, end] : ranges) {
    out.put(advance(begin));
    out.put(advance(end));
  }
}

std::string plan_json(const Plan& plan, size_t count) {
  JsonText out;
  out.open('{').key("strategy").string(plan.strategy).key("reason").string(plan.reason);
  out.key("rowsAllowed").integer(plan.rows_allowed).key("rowsScored").integer(plan.rows_scored);
  return out.key("count").integer(count).close('}').take();
}

}  // namespace

void write_result(Bytes& out, const Collection* target, const SearchRequest& request, bool highlights,
                  const SearchResult& result) {
  std::vector<HitRecord> records(result.hits.size());
  size_t id_bytes = 0, payload_bytes = 0, text_bytes = 0;
  Bytes ranges;
  ByteWriter range_writer(ranges);
  for (size_t i = 0; i < records.size(); ++i) {
    const Hit& hit = result.hits[i];
    HitRecord& record = records[i];
    record.score = hit.score;
    if (hit.dense) record.dense_score = hit.dense->score, record.dense_rank = static_cast<uint32_t>(hit.dense->rank);
    if (hit.text) record.text_score = hit.text->score, record.text_rank = static_cast<uint32_t>(hit.text->rank);
    record.id_bytes = static_cast<uint32_t>(hit.row.id.size());
    id_bytes += hit.row.id.size();
    if (request.include_payload && !hit.row.payload.empty()) {
      record.has_payload = 1;
      // With the bracket or the comma before it; the first one counts the closing bracket.
      payload_bytes += (payload_bytes == 0 ? 2 : 1) + hit.row.payload.size();
    }
    if (request.include_text) record.text_bytes = static_cast<uint32_t>(hit.row.text.size());
    text_bytes += record.text_bytes;
    if (request.include_vector && !hit.row.vector.empty()) {
      record.vector = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(hit.row.vector.data()));
      record.components = static_cast<uint32_t>(hit.row.vector.size());
    }
    if (highlights && target != nullptr) {
      const auto found = target->highlights(request.text, hit.row.text);
      record.highlights = static_cast<uint32_t>(found.size()) + 1;
      write_utf16_ranges(range_writer, hit.row.text, found);
    }
  }
  const std::string plan = request.explain && target != nullptr ? plan_json(result.plan, target->count()) : "";

  const uint32_t lengths[] = {static_cast<uint32_t>(records.size()), static_cast<uint32_t>(id_bytes),
                              static_cast<uint32_t>(payload_bytes), static_cast<uint32_t>(text_bytes),
                              static_cast<uint32_t>(plan.size())};
  const ByteView header = view_bytes(std::span<const uint32_t>(lengths));
  const ByteView record_bytes(reinterpret_cast<const uint8_t*>(records.data()), records.size() * sizeof(HitRecord));
  // Its size is known: filling it is much cheaper than to append piece by piece.
  size_t at = out.size();
  out.resize(at + header.size() + record_bytes.size() + id_bytes + payload_bytes + text_bytes + ranges.size() +
             plan.size());
  const auto put = [&](ByteView bytes) {
    std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<ptrdiff_t>(at));
    at += bytes.size();
  };
  put(header);
  put(record_bytes);
  for (const Hit& hit : result.hits) put(as_bytes(hit.row.id));
  if (payload_bytes > 0) {
    char before = '[';
    for (const Hit& hit : result.hits) {
      if (hit.row.payload.empty()) continue;
      out[at++] = static_cast<uint8_t>(std::exchange(before, ','));
      put(as_bytes(hit.row.payload));
    }
    out[at++] = ']';
  }
  if (text_bytes > 0) {
    for (const Hit& hit : result.hits) put(as_bytes(hit.row.text));
  }
  put(ranges);
  put(as_bytes(plan));
  assert(at == out.size());
}

}  // namespace nearfield
