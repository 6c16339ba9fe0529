// The graph of HNSW, kept by hnswlib, and the walks that build and search it. Private to hnsw.cpp and hnsw_walk.cpp.
//
// hnswlib owns the links, the levels and the order of insertion (addPoint). Everything that compares many nodes is
// ours, by batches: hnsw_walk.cpp.
#pragma once

#include <array>
#include <cstring>
#include <ostream>
#include <queue>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/row_set.h"
#include "core/index/node_distance.h"

namespace nearfield {

// hnswlib warns about options that we never pass. Nothing is printed here, and no stream is linked in.
struct Silence {
  template <typename T>
  const Silence& operator<<(const T&) const {
    return *this;
  }
  const Silence& operator<<(std::ostream& (*)(std::ostream&)) const { return *this; }
};

}  // namespace nearfield
#define HNSWLIB_ERR_OVERRIDE nearfield::Silence()
// Its prefetches read one link past the end of a full list. Its own distances are not used.
#define NO_MANUAL_VECTORIZATION

// Replaced below; its header is read here so that hnswlib does not read it later.
#define VisitedListPool OriginalVisitedListPool
#include <hnswlib/visited_list_pool.h>
#undef VisitedListPool

namespace hnswlib {

// hnswlib locks, and what a lock of the library throws brings printf with its number formats. A graph belongs to one
// thread: what hnswlib calls std::mutex and std::unique_lock is found here first, everything else behind it.
namespace std {

using namespace ::std;

struct mutex {
  void lock() {}
  void unlock() {}
};

template <typename Mutex>
struct unique_lock {
  explicit unique_lock(Mutex&) {}
  unique_lock(Mutex&, defer_lock_t) {}
  ~unique_lock() {}  // not trivial: none is an unused variable
  void lock() {}
  void unlock() {}
};

}  // namespace std
}  // namespace hnswlib

namespace hnswlib {

// One walk at a time needs one list. hnswlib's pool of many loses a list when a walk runs out of memory.
class VisitedListPool {
 public:
  VisitedListPool(int, size_t nodes) : list_(static_cast<int>(nodes)) {}
  VisitedList* getFreeVisitedList() {
    list_.reset();
    return &list_;
  }
  void releaseVisitedList(VisitedList*) {}

 private:
  VisitedList list_;
};

}  // namespace hnswlib

#include <hnswlib/hnswlib.h>

// Members of hnswlib that we replace, all of them before the class is instantiated.
namespace hnswlib {

// addPoint takes a level of 0 as "draw one"; ours are drawn from the seed and the row (see level_of), so that a graph
// that was saved and loaded grows as if it had stayed in memory.
template <>
inline int HierarchicalNSW<float>::getRandomLevel(double) {
  return 0;
}
// Virtual, hence linked in, though never called: empty, so that file streams, updates and its search stay out of the
// binary.
template <>
inline void HierarchicalNSW<float>::addPoint(const void*, labeltype, bool) {}
template <>
inline std::priority_queue<std::pair<float, labeltype>> HierarchicalNSW<float>::searchKnn(const void*, size_t,
                                                                                          BaseFilterFunctor*) const {
  return {};
}
// Called for a label that is known: none is.
template <>
inline void HierarchicalNSW<float>::updatePoint(const void*, tableint, float) {}
template <>
inline void HierarchicalNSW<float>::saveIndex(const std::string&) {}
template <>
inline void HierarchicalNSW<float>::loadIndex(const std::string&, SpaceInterface<float>*, size_t) {}

// What takes the time of building, compared by batches: hnsw_walk.cpp.
using Nearest = std::priority_queue<std::pair<float, tableint>, std::vector<std::pair<float, tableint>>,
                                    HierarchicalNSW<float>::CompareByFirst>;
template <>
Nearest HierarchicalNSW<float>::searchBaseLayer(tableint start, const void* point, int layer);
template <>
tableint HierarchicalNSW<float>::mutuallyConnectNewElement(const void* point, tableint node, Nearest& nearest,
                                                           int level, bool is_update);

}  // namespace hnswlib

namespace nearfield {

using Graph = hnswlib::HierarchicalNSW<float>;

constexpr size_t kMaxLinks = 100;  // on a level but the lowest, which has twice as many

struct Near {
  float distance;
  NodeId node;
};
// Equal distances are ordered by node, so that a walk depends on nothing else.
inline bool nearer(const Near& a, const Near& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.node < b.node;
}

inline std::span<const NodeId> links_of(const Graph& graph, NodeId node, int level) {
  hnswlib::linklistsizeint* list = graph.get_linklist_at_level(node, level);
  return {list + 1, graph.getListCount(list)};
}

// Walks of one graph, with scratch memory that is kept between them: nothing is allocated once it has grown.
class Walker {
 public:
  Walker(const Graph& graph, NodeDistance& distance) : graph_(graph), distance_(distance) {}

  // The nodes nearest to the prepared query on the lowest level whose rows are `wanted` (null: all), at most `ef`,
  // nearest first, until the next walk. `row_of` names the row of each node. Other nodes are walked through, but not
  // kept.
  std::span<const Near> to_query(size_t ef, const RowSet* wanted, const std::vector<RowId>& row_of);
  // The nodes nearest to `node` on one level, begun at `start`.
  std::span<const Near> to_node(NodeId node, NodeId start, int level, size_t ef);

  // Of `nearest`, nearest first, keeps those that are closer to the centre than to any kept before them, at most
  // `limit`: Malkov and Yashunin, algorithm 4. `distance` is that to the centre. Fewer than `limit` stay
  // as they are.
  void diversify(std::vector<Near>& nearest, size_t limit);

  NodeDistance& distance() const { return distance_; }

  size_t compared = 0;           // nodes, since it was last set
  std::vector<Near> candidates;  // scratch for whoever builds

 private:
  struct Wanted {
    const RowSet* rows;  // null: all
    const RowId* row_of;
    bool operator()(NodeId node) const { return rows == nullptr || rows->contains(row_of[node]); }
  };

  Near descend();
  // Compares with `from`, or the query where that is null.
  void walk(Near start, int level, size_t ef, const NodeId* from, Wanted wanted);

  const Graph& graph_;
  NodeDistance& distance_;
  std::vector<Near> pool_;
  std::vector<uint8_t> expanded_;  // by place in the pool
  std::vector<Near> passing_;
  // Of one node's neighbours.
  std::array<NodeId, 2 * kMaxLinks> nodes_;
  std::array<float, 2 * kMaxLinks> distances_;
  std::vector<NodeId> chosen_;
};

// How hnswlib compares by itself: only on the steps to the level of a new node, one by one. A node's data is its
// number.
class Space : public hnswlib::SpaceInterface<float> {
 public:
  size_t get_data_size() override { return sizeof(NodeId); }
  void* get_dist_func_param() override { return nullptr; }
  hnswlib::DISTFUNC<float> get_dist_func() override {
    return [](const void* a, const void* b, const void* walker) {
      const NodeId to = node_at(b);
      float distance;
      static_cast<const Walker*>(walker)->distance().between(node_at(a), {&to, 1}, &distance);
      return distance;
    };
  }
  static NodeId node_at(const void* data) {
    NodeId node;
    std::memcpy(&node, data, sizeof node);
    return node;
  }
};

}  // namespace nearfield
