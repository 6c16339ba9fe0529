#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <unordered_set>

#include "core/base/sort.h"
#include "core/collection/point_check.h"
#include "core/remote/chroma_parts.h"
#include "core/remote/hits.h"
#include "core/remote/ids.h"
#include "core/remote/query_check.h"

namespace nearfield {

namespace {

constexpr size_t kIdsInAnswer = 100'000;
constexpr uint64_t kSlots = uint64_t{1} << 32;

std::string both(std::string_view a, std::string_view b) {
  return "{\"$and\":[" + std::string(a) + ',' + std::string(b) + "]}";
}

}  // namespace

std::string ChromaStore::include(StoreParts parts) const {
  std::string out;
  const auto add = [&out](std::string_view name) { out += (out.empty() ? "\"" : ",\"") + std::string(name) + '"'; };
  // The norm of a scaled vector is there.
  if (parts.payload || (parts.vector && options_.metric == Metric::kCosine)) add("metadatas");
  if (parts.text) add("documents");
  if (parts.vector) add("embeddings");
  return out;
}

// Points of an answer: lists of the same length, or for a query its row of each.
Result<std::vector<StorePoint>> ChromaStore::read_points(const Reply& reply, StoreParts parts, size_t most,
                                                         std::optional<size_t> row) const {
  const Json* ids = nullptr;
  const auto list = [&](std::string_view name) -> const Json* {
    const Json* found = json_member(reply.json, name);
    if (found != nullptr && row.has_value()) {
      found = found->is_array() && *row < found->size() ? &(*found)[*row] : nullptr;
    }
    if (found == nullptr || !found->is_array()) return nullptr;
    return ids == nullptr || found->size() == ids->size() ? found : nullptr;
  };
  ids = list("ids");
  if (ids == nullptr) return bad(reply, "no list of `ids`");
  if (ids->size() > most) return bad(reply, "more points than were asked for");
  const bool needs_norm = parts.vector && options_.metric == Metric::kCosine;
  const Json* metadata = parts.payload || needs_norm ? list("metadatas") : nullptr;
  const Json* documents = parts.text ? list("documents") : nullptr;
  const Json* vectors = parts.vector ? list("embeddings") : nullptr;
  if ((metadata == nullptr && (parts.payload || needs_norm)) || (documents == nullptr && parts.text) ||
      (vectors == nullptr && parts.vector)) {
    return bad(reply, "lists that are not as long as `ids`");
  }
  std::vector<StorePoint> out;
  out.reserve(ids->size());
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < ids->size(); ++i) {
    const Json& id = (*ids)[i];
    if (!id.is_string() || id.get_ref<const std::string&>().empty()) return bad(reply, "an id that is none");
    if (!seen.insert(id.get_ref<const std::string&>()).second) return bad(reply, "a point twice");
    const auto part = [i](const Json* all) { return all == nullptr ? nullptr : &(*all)[i]; };
    Result<StorePoint> point =
        read_chroma_point(id.get_ref<const std::string&>(), part(metadata), part(documents), part(vectors),
                          options_.metric, options_.dimension > 0 ? options_.dimension : dimension_);
    if (!point.ok()) return bad(reply, point.error().message);
    if (!parts.payload) point->payload.clear();
    out.push_back(std::move(point).value());
  }
  return out;
}

// Those of the points that are there, in any order. Each id stands once.
Task<Result<std::vector<StorePoint>>> ChromaStore::records(std::vector<std::string> ids, StoreParts parts) {
  CO_RETURN_IF_ERROR(co_await resolve());
  CO_RETURN_IF_ERROR(co_await read_limits());
  size_t at_once = std::min(points_at_once(parts, std::max(options_.dimension, dimension_)), max_batch_);
  std::vector<StorePoint> out;
  for (size_t first = 0; first < ids.size();) {
    const auto some = std::span(ids).subspan(first, std::min(at_once, ids.size() - first));
    Result<Reply> answered =
        co_await post("/get", "{\"ids\":" + json_strings(some) + ",\"include\":[" + include(parts) + "]}");
    if (!answered.ok()) {
      if (ask_fewer(answered.code(), some.size(), at_once)) continue;
      co_return std::move(answered).failure();
    }
    CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points, read_points(*answered, parts, some.size(), std::nullopt));
    const std::unordered_set<std::string_view> asked(some.begin(), some.end());
    for (StorePoint& point : points) {
      if (asked.count(point.id) == 0) co_return bad(*answered, "a point that was not asked for");
      out.push_back(std::move(point));
    }
    first += some.size();
  }
  co_return std::move(out);
}

Task<Result<std::vector<StorePoint>>> ChromaStore::in_order(std::vector<std::string> ids, StoreParts parts) {
  const std::set<std::string> wanted(ids.begin(), ids.end());
  CO_ASSIGN_OR_RETURN(const std::vector<StorePoint> found, co_await records({wanted.begin(), wanted.end()}, parts));
  co_return in_order_of(ids, found);
}

Task<Result<std::vector<StorePoint>>> ChromaStore::get(std::vector<std::string> ids, StoreParts parts) {
  CO_RETURN_IF_ERROR(open());
  for (const std::string& id : ids) CO_RETURN_IF_ERROR(check_id(id));
  if (ids.empty()) co_return std::vector<StorePoint>();
  co_return co_await in_order(std::move(ids), parts);
}

// Ids of points that pass, in the server's order. `where`: empty, if all do.
Task<Result<std::vector<std::string>>> ChromaStore::matching(std::string where, uint64_t offset, uint64_t limit) {
  std::string body = "{\"include\":[],\"limit\":" + std::to_string(limit);
  if (offset > 0) body += ",\"offset\":" + std::to_string(offset);
  if (!where.empty()) body += ",\"where\":" + where;
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await post("/get", std::move(body) + '}'));
  CO_ASSIGN_OR_RETURN(std::vector<StorePoint> points,
                      read_points(reply, kNoParts, static_cast<size_t>(limit), std::nullopt));
  std::vector<std::string> out;
  out.reserve(points.size());
  for (StorePoint& point : points) out.push_back(std::move(point.id));
  co_return std::move(out);
}

// Fails with kLimitExceeded where they are more than `most`.
Task<Result<std::vector<std::string>>> ChromaStore::all_matching(const ChromaFilter& filter, size_t most) {
  std::vector<std::string> out;
  if (filter.nothing) {
    CO_RETURN_IF_ERROR(co_await resolve());
    co_return std::move(out);
  }
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::vector<std::string> some, co_await matching(filter.where, out.size(), kIdsInAnswer));
    const bool last = some.size() < kIdsInAnswer;
    std::move(some.begin(), some.end(), std::back_inserter(out));
    if (out.size() > most) {
      co_return Error{Code::kLimitExceeded, "more than " + std::to_string(most) + " points would have to be fetched",
                      ""};
    }
    if (last) co_return std::move(out);
  }
}

Task<Result<uint64_t>> ChromaStore::count_all() {
  CO_ASSIGN_OR_RETURN(const Reply reply, co_await call_collection("GET", "/count", "", RetryClass::kRead));
  if (!reply.json.is_number_unsigned()) co_return bad(reply, "no count");
  co_return reply.json.get<uint64_t>();
}

Task<Result<uint64_t>> ChromaStore::count(std::optional<Filter> filter) {
  CO_RETURN_IF_ERROR(open());
  CO_ASSIGN_OR_RETURN(const ChromaFilter compiled, co_await compile(filter ? &*filter : nullptr));
  if (compiled.everything) co_return co_await count_all();
  CO_ASSIGN_OR_RETURN(const std::vector<std::string> found, co_await all_matching(compiled, kMostCounted));
  co_return uint64_t{found.size()};
}

// A cursor is "p" and the id of the last point, in the order of slots and then ids; or "o" and how many of the points
// that others wrote are done.
Task<Result<StorePage>> ChromaStore::scroll(std::optional<Filter> filter, std::string from, size_t limit,
                                            StoreParts parts) {
  CO_RETURN_IF_ERROR(open());
  CO_RETURN_IF_ERROR(check_page(limit));
  const bool among_others = from.starts_with('o');
  const std::optional<uint64_t> done = among_others ? parse_u64(std::string_view(from).substr(1)) : 0;
  if (!done || (!from.empty() && !among_others && (from[0] != 'p' || from.size() == 1)) || *done > UINT32_MAX) {
    co_return no_such_page(from);
  }
  CO_ASSIGN_OR_RETURN(const ChromaFilter compiled, co_await compile(filter ? &*filter : nullptr));
  StorePage page;
  if (compiled.nothing) {
    CO_RETURN_IF_ERROR(co_await resolve());
    co_return std::move(page);
  }
  const auto passing = [&](std::string where) {
    return compiled.everything ? std::move(where) : both(where, compiled.where);
  };

  using Place = std::pair<uint32_t, std::string>;
  std::vector<std::string> ids;
  bool more = false;
  if (!among_others) {
    CO_ASSIGN_OR_RETURN(const uint64_t count, co_await count_all());
    std::optional<Place> after;
    if (!from.empty()) after = Place{chroma_slot(std::string_view(from).substr(1)), from.substr(1)};
    uint64_t first = after ? after->first : 0;
    // Slots are spread evenly: so many have about a page of points, where all pass.
    uint64_t width = std::clamp<uint64_t>(kSlots / std::max<uint64_t>(count, 1) * limit, 1, kSlots);
    uint64_t most = 2 * limit + 100;
    while (first < kSlots && ids.size() <= limit) {
      const uint64_t last = std::min(first + width, kSlots);
      CO_ASSIGN_OR_RETURN(std::vector<std::string> found,
                          co_await matching(passing(both(comparison(kChromaSlot, "$gte", std::to_string(first)),
                                                         comparison(kChromaSlot, "$lt", std::to_string(last)))),
                                            0, most));
      if (found.size() == most) {
        // There may be more. So many in one slot is somebody's doing.
        if (last - first == 1) most *= 4;
        width = std::max<uint64_t>(1, (last - first) / 4);
        continue;
      }
      std::vector<Place> places;
      for (std::string& id : found) {
        const uint32_t slot = chroma_slot(id);
        if (slot < first || slot >= last) {
          co_return Error{Code::kRemoteProtocolError,
                          "the record " + shown(id) + " has the metadata of another one; write it again", shown(id)};
        }
        Place place{slot, std::move(id)};
        if (!after || *after < place) places.push_back(std::move(place));
      }
      heap_sort(places);
      for (Place& place : places) ids.push_back(std::move(place.second));
      if (found.size() < most / 4) width *= 4;
      first = last;
    }
    more = ids.size() > limit;
    if (more) {
      ids.resize(limit);
      page.next = 'p' + ids.back();
    }
  }
  if (!more) {
    const size_t room = limit - ids.size();
    CO_ASSIGN_OR_RETURN(std::vector<std::string> found, co_await matching(passing(of_ours(false)), *done, room + 1));
    if (found.size() > room) {
      found.resize(room);
      page.next = 'o' + std::to_string(*done + room);
    }
    std::move(found.begin(), found.end(), std::back_inserter(ids));
  }
  if (ids.empty()) co_return std::move(page);
  if (wants_any(parts)) {
    CO_ASSIGN_OR_RETURN(page.points, co_await in_order(std::move(ids), parts));
    co_return std::move(page);
  }
  for (std::string& id : ids) {
    page.points.emplace_back();
    page.points.back().id = std::move(id);
  }
  co_return std::move(page);
}

}  // namespace nearfield
