#include <algorithm>
#include <limits>

#include "core/base/sort.h"
#include "core/index/hnsw_graph.h"

namespace nearfield {

namespace {

bool farther(const Near& a, const Near& b) { return nearer(b, a); }

// Puts `met`, not expanded, at `place`, and what stands from there on one place later. As WebAssembly, moving memory is
// a call out of the code, which takes longer than a few steps of a loop over both.
void insert_at(size_t place, const Near& met, std::vector<Near>& pool, std::vector<uint8_t>& expanded) {
  constexpr size_t kFew = 32;
  size_t end = pool.size();
  pool.push_back(met);
  expanded.push_back(0);
  if (end - place > kFew) {
    const auto from = static_cast<ptrdiff_t>(place);
    std::copy_backward(pool.begin() + from, pool.end() - 1, pool.end());
    std::copy_backward(expanded.begin() + from, expanded.end() - 1, expanded.end());
    end = place;
  }
  for (; end > place; --end) {
    pool[end] = pool[end - 1];
    expanded[end] = expanded[end - 1];
  }
  pool[place] = met;
  expanded[place] = 0;
}

// The nodes a walk has seen: epoch tags in hnswlib's list, not cleared between walks.
class Visited {
 public:
  explicit Visited(const Graph& graph) : list_(graph.visited_list_pool_->getFreeVisitedList()) {}

  // Whether `node` is new.
  bool insert(NodeId node) {
    const bool fresh = list_->mass[node] != list_->curV;
    list_->mass[node] = list_->curV;
    return fresh;
  }
  // Those of `nodes` that are new, in `room`. Each is written there, whether it stays or not: half of them do, so a
  // branch would be guessed wrong as often.
  std::span<const NodeId> new_of(std::span<const NodeId> nodes, std::span<NodeId> room) {
    size_t count = 0;
    for (const NodeId node : nodes) {
      room[count] = node;
      count += insert(node) ? 1 : 0;
    }
    return room.first(count);
  }

 private:
  hnswlib::VisitedList* list_;
};

}  // namespace

// Best-first over one level.
void Walker::walk(Near start, int level, size_t ef, const NodeId* from, Wanted wanted) {
  Visited visited(graph_);
  pool_.clear();
  expanded_.clear();
  passing_.clear();
  size_t first_open = 0;
  float farthest = std::numeric_limits<float>::infinity();  // of a full pool
  // Invariants: `pool_` holds the nearest wanted nodes met so far, at most ef, nearest first; before `first_open` all
  // are expanded. `passing_` is a heap of unexpanded nodes that are not wanted, the nearest in front.
  const auto keep = [&](const Near& met) {
    if (pool_.size() == ef && !nearer(met, pool_.back())) return;
    if (!wanted(met.node)) {
      passing_.push_back(met);
      std::push_heap(passing_.begin(), passing_.end(), farther);
      return;
    }
    const auto place = static_cast<size_t>(std::lower_bound(pool_.begin(), pool_.end(), met, nearer) - pool_.begin());
    if (pool_.size() == ef) {
      pool_.pop_back();
      expanded_.pop_back();
    }
    insert_at(place, met, pool_, expanded_);
    first_open = std::min(first_open, place);
  };
  visited.insert(start.node);
  keep(start);
  for (;;) {
    while (first_open < pool_.size() && expanded_[first_open] != 0) ++first_open;
    Near next;
    if (!passing_.empty() && (first_open == pool_.size() || nearer(passing_.front(), pool_[first_open]))) {
      next = passing_.front();
      if (pool_.size() == ef && !nearer(next, pool_.back())) break;
      std::pop_heap(passing_.begin(), passing_.end(), farther);
      passing_.pop_back();
    } else if (first_open < pool_.size()) {
      next = pool_[first_open];
      expanded_[first_open++] = 1;
    } else {
      break;
    }
    const std::span<const NodeId> met = visited.new_of(links_of(graph_, next.node, level), nodes_);
    if (from != nullptr) {
      distance_.between(*from, met, distances_.data());
    } else {
      distance_.to_query(met, distances_.data());
    }
    compared += met.size();
    for (size_t i = 0; i < met.size(); ++i) {
      // Most are too far.
      if (distances_[i] > farthest) continue;
      keep({distances_[i], met[i]});
      if (pool_.size() == ef) farthest = pool_.back().distance;
    }
  }
}

// Greedy steps towards the query, down to level 1: where its walk on level 0 begins. A node that was seen, if on a
// higher level, is not nearer than the best.
Near Walker::descend() {
  Visited visited(graph_);
  NodeId entry = graph_.enterpoint_node_;
  Near best{0, entry};
  distance_.to_query({&entry, 1}, &best.distance);
  ++compared;
  for (int level = graph_.maxlevel_; level > 0; --level) {
    for (bool moved = true; moved;) {
      moved = false;
      const auto neighbours = visited.new_of(links_of(graph_, best.node, level), nodes_);
      distance_.to_query(neighbours, distances_.data());
      compared += neighbours.size();
      for (size_t i = 0; i < neighbours.size(); ++i) {
        const Near next{distances_[i], neighbours[i]};
        if (!nearer(next, best)) continue;
        best = next;
        moved = true;
      }
    }
  }
  return best;
}

std::span<const Near> Walker::to_query(size_t ef, const RowSet* wanted, const std::vector<RowId>& row_of) {
  walk(descend(), 0, ef, nullptr, {wanted, row_of.data()});
  return pool_;
}

std::span<const Near> Walker::to_node(NodeId node, NodeId start, int level, size_t ef) {
  Near first{0, start};
  distance_.between(node, {&start, 1}, &first.distance);
  walk(first, level, ef, &node, {nullptr, nullptr});
  return pool_;
}

void Walker::diversify(std::vector<Near>& nearest, size_t limit) {
  if (nearest.size() < limit) return;
  chosen_.clear();
  size_t kept = 0;
  for (const Near candidate : nearest) {
    if (kept == limit) break;
    // A few at a time: most candidates that are refused are refused by the first ones.
    constexpr size_t kStep = 8;
    bool good = true;
    for (size_t begin = 0; good && begin < chosen_.size(); begin += kStep) {
      const auto some = std::span<const NodeId>(chosen_).subspan(begin, std::min(kStep, chosen_.size() - begin));
      float distances[kStep];
      distance_.between(candidate.node, some, distances);
      for (size_t i = 0; i < some.size(); ++i) good = good && !(distances[i] < candidate.distance);
    }
    if (!good) continue;
    chosen_.push_back(candidate.node);
    nearest[kept++] = candidate;
  }
  nearest.resize(kept);
}

}  // namespace nearfield

namespace hnswlib {

template <>
Nearest HierarchicalNSW<float>::searchBaseLayer(tableint start, const void* point, int layer) {
  auto& walker = *static_cast<nearfield::Walker*>(dist_func_param_);
  const auto found = walker.to_node(nearfield::Space::node_at(point), start, layer, ef_construction_);
  std::vector<std::pair<float, tableint>> nearest;
  nearest.reserve(found.size());
  for (const nearfield::Near& near : found) nearest.emplace_back(near.distance, near.node);
  return Nearest(CompareByFirst(), std::move(nearest));
}

// Links the new node and the most diverse of the nearest, both ways.
template <>
tableint HierarchicalNSW<float>::mutuallyConnectNewElement(const void*, tableint node, Nearest& nearest, int level,
                                                           bool) {
  auto& walker = *static_cast<nearfield::Walker*>(dist_func_param_);
  const size_t most = level == 0 ? maxM0_ : maxM_;
  std::vector<nearfield::Near>& candidates = walker.candidates;
  candidates.clear();
  for (; !nearest.empty(); nearest.pop()) candidates.push_back({nearest.top().first, nearest.top().second});
  std::reverse(candidates.begin(), candidates.end());
  walker.diversify(candidates, M_);
  const auto set_links = [&](tableint of, std::span<const nearfield::Near> targets) {
    linklistsizeint* list = get_linklist_at_level(of, level);
    setListCount(list, static_cast<unsigned short>(targets.size()));
    for (size_t i = 0; i < targets.size(); ++i) list[1 + i] = targets[i].node;
  };
  set_links(node, candidates);
  const std::vector<nearfield::Near> chosen = candidates;
  for (const nearfield::Near& near : chosen) {
    linklistsizeint* list = get_linklist_at_level(near.node, level);
    const size_t count = getListCount(list);
    if (count < most) {
      list[1 + count] = node;
      setListCount(list, static_cast<unsigned short>(count + 1));
      continue;
    }
    float distances[2 * nearfield::kMaxLinks];
    walker.distance().between(near.node, {list + 1, count}, distances);
    candidates.assign(1, {near.distance, node});
    for (size_t i = 0; i < count; ++i) candidates.push_back({distances[i], list[1 + i]});
    nearfield::heap_sort(candidates, nearfield::nearer);
    walker.diversify(candidates, most);
    set_links(near.node, candidates);
  }
  return chosen.front().node;
}

}  // namespace hnswlib
