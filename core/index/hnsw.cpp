#include "core/index/hnsw.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <ostream>
#include <stdexcept>

#include "core/base/random.h"
#include "core/index/flat.h"
#include "core/index/ranking.h"
#include "core/metric/kernels.h"

namespace {

// hnswlib warns about options that we never pass. Nothing is printed here, and no stream is linked in.
struct Silence {
  template <typename T>
  const Silence& operator<<(const T&) const {
    return *this;
  }
  const Silence& operator<<(std::ostream& (*)(std::ostream&)) const { return *this; }
};

}  // namespace
#define HNSWLIB_ERR_OVERRIDE Silence()
// Its prefetches read one link past the end of a full list. Its own distances are not used.
#define NO_MANUAL_VECTORIZATION
// Replaced below; its header is read here so that hnswlib does not read it later.
#define VisitedListPool OriginalVisitedListPool
#include <hnswlib/visited_list_pool.h>
#undef VisitedListPool

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
// Virtual, hence linked in, though never called: empty, so that file streams stay out of the binary.
template <>
inline void HierarchicalNSW<float>::saveIndex(const std::string&) {}
template <>
inline void HierarchicalNSW<float>::loadIndex(const std::string&, SpaceInterface<float>*, size_t) {}

}  // namespace hnswlib

namespace nearfield {

namespace {

using Graph = hnswlib::HierarchicalNSW<float>;
// A position in the graph: nodes are numbered in the order they were added.
using NodeId = uint32_t;

constexpr uint32_t kMaxLevel = 32;
constexpr size_t kFirstCapacity = 256;
// An unfiltered walk compares some 13 vectors for each of its ef candidates (text embeddings, m 16), each at two to
// three times the price of one in a scan; a filtered walk meets more of what it wants than chance says. The value
// between decides only where a scan takes over.
constexpr double kComparedPerCandidate = 16;

// Outside this range products of norms may leave a float's, and exact_score steps in. Zero is outside too.
constexpr float kSmallestNorm = 0x1p-60f;
constexpr float kLargestNorm = 0x1p60f;
bool in_range(float norm) { return norm >= kSmallestNorm && norm <= kLargestNorm; }

// Distances for the graph: minus the score, in single precision, always finite.
class Distance : public hnswlib::SpaceInterface<float> {
 public:
  Distance(const VectorTable& table, Metric metric) : table_(table), metric_(metric), kernel_(fast_kernel(metric)) {}

  void sums(std::span<const float> query, std::span<const float* const> rows, std::span<float> sums) const {
    kernel_(query, rows, sums);
  }

  float from_sum(float sum, std::span<const float> query, float query_norm, RowId row) const {
    float distance = sum;
    switch (metric_) {
      case Metric::kCosine: {
        const float row_norm = table_.norm(row);
        distance = in_range(query_norm) && in_range(row_norm) ? -sum / (query_norm * row_norm)
                                                              : std::numeric_limits<float>::quiet_NaN();
        break;
      }
      case Metric::kDot: distance = -sum; break;
      case Metric::kEuclidean: distance = std::sqrt(sum); break;
      case Metric::kManhattan: break;
    }
    if (std::isfinite(distance)) return distance;
    constexpr double kLargest = std::numeric_limits<float>::max();
    return static_cast<float>(std::clamp(-exact_score(metric_, query, table_.row(row)), -kLargest, kLargest));
  }

  size_t get_data_size() override { return sizeof(RowId); }
  void* get_dist_func_param() override { return this; }
  hnswlib::DISTFUNC<float> get_dist_func() override {
    return [](const void* a, const void* b, const void* self) {
      RowId first, second;
      std::memcpy(&first, a, sizeof first);
      std::memcpy(&second, b, sizeof second);
      return static_cast<const Distance*>(self)->between(first, second);
    };
  }

 private:
  float between(RowId a, RowId b) const {
    const std::span<const float> query = table_.row(a);
    const float* row = table_.row(b).data();
    float sum = 0;
    kernel_(query, {&row, 1}, {&sum, 1});
    return from_sum(sum, query, table_.norm(a), b);
  }

  const VectorTable& table_;
  Metric metric_;
  Kernel kernel_;
};

struct Near {
  float distance;
  NodeId node;
};
// Orders of the two heaps of a walk; equal distances are ordered by node, so that a walk does not depend on the heap.
bool nearer(const Near& a, const Near& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.node < b.node;
}
bool farther(const Near& a, const Near& b) { return nearer(b, a); }

// The nodes a walk has seen: epoch tags in hnswlib's list, not cleared between walks.
class Visited {
 public:
  explicit Visited(const Graph& graph) : list_(graph.visited_list_pool_->getFreeVisitedList()) {}

  // Whether `node` is new.
  bool insert(NodeId node) {
    if (list_->mass[node] == list_->curV) return false;
    list_->mass[node] = list_->curV;
    return true;
  }

 private:
  hnswlib::VisitedList* list_;
};

Error malformed(std::string what) { return {Code::kFormatError, "hnsw sections: " + std::move(what), ""}; }

}  // namespace

struct Hnsw::State {
  State(const VectorTable& vectors, Metric chosen, const HnswOptions& given, size_t capacity)
      : table(vectors), metric(chosen), options(given), distance(vectors, chosen), graph(&distance) {
    // What hnswlib's larger constructor does, but for 65,536 locks that only calls by label need, and for what it
    // loses when memory runs out half-way: this graph is destroyed then.
    graph.data_size_ = distance.get_data_size();
    graph.fstdistfunc_ = distance.get_dist_func();
    graph.dist_func_param_ = distance.get_dist_func_param();
    graph.M_ = graph.maxM_ = given.m;
    graph.maxM0_ = 2 * given.m;
    graph.ef_construction_ = std::max(given.ef_construct, given.m);
    graph.size_links_level0_ = graph.maxM0_ * sizeof(hnswlib::tableint) + sizeof(hnswlib::linklistsizeint);
    graph.size_links_per_element_ = graph.maxM_ * sizeof(hnswlib::tableint) + sizeof(hnswlib::linklistsizeint);
    graph.offsetData_ = graph.size_links_level0_;
    graph.label_offset_ = graph.offsetData_ + graph.data_size_;
    graph.size_data_per_element_ = graph.label_offset_ + sizeof(hnswlib::labeltype);
    graph.enterpoint_node_ = static_cast<hnswlib::tableint>(-1);
    graph.maxlevel_ = -1;
    grow(capacity);
  }

  std::span<const NodeId> links(NodeId node, int level) const {
    hnswlib::linklistsizeint* list = graph.get_linklist_at_level(node, level);
    return {list + 1, graph.getListCount(list)};
  }
  size_t max_degree(int level) const { return level == 0 ? graph.maxM0_ : graph.maxM_; }
  int level(NodeId node) const { return graph.element_levels_[node]; }

  // One more level with probability 1 / m each: the paper's distribution, in whole numbers, from seed and row alone.
  int level_of(RowId row) const {
    Random random(options.seed + row * uint64_t{0xD1342543DE82EF95});
    int level = 0;
    while (level < static_cast<int>(kMaxLevel) && random.below(options.m) == 0) ++level;
    return level;
  }

  // Distances of `nodes` to the query, into `distances`.
  void compare(std::span<const float> query, float query_norm) {
    vectors_of_nodes.resize(nodes.size());
    distances.resize(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) vectors_of_nodes[i] = table.row(row_of[nodes[i]]).data();
    distance.sums(query, vectors_of_nodes, distances);
    for (size_t i = 0; i < nodes.size(); ++i) {
      distances[i] = distance.from_sum(distances[i], query, query_norm, row_of[nodes[i]]);
    }
    compared += nodes.size();
  }

  // Greedy steps down to level 1: where the walk on level 0 begins.
  Near descend(std::span<const float> query, float query_norm) {
    nodes.assign(1, graph.enterpoint_node_);
    compare(query, query_norm);
    Near best{distances[0], nodes[0]};
    for (int level = graph.maxlevel_; level > 0; --level) {
      for (bool moved = true; moved;) {
        moved = false;
        const auto neighbours = links(best.node, level);
        nodes.assign(neighbours.begin(), neighbours.end());
        compare(query, query_norm);
        for (size_t i = 0; i < nodes.size(); ++i) {
          const Near next{distances[i], nodes[i]};
          if (nearer(next, best)) {
            best = next;
            moved = true;
          }
        }
      }
    }
    return best;
  }

  // Best-first over level 0: leaves the nearest `ef` rows of `wanted` it met in `nearest`. Other rows are walked
  // through, but not kept.
  void walk(std::span<const float> query, const RowSet& wanted, size_t ef) {
    const float query_norm = narrowed(vector_norm(query));
    const Near start = descend(query, query_norm);
    Visited visited(graph);
    frontier.clear();
    nearest.clear();
    // Invariant: `frontier` is a heap with the nearest unexpanded node in front, `nearest` one with the farthest kept.
    const auto keep = [&](const Near& found) {
      if (nearest.size() == ef && !nearer(found, nearest.front())) return;
      frontier.push_back(found);
      std::push_heap(frontier.begin(), frontier.end(), farther);
      if (!wanted.contains(row_of[found.node])) return;
      if (nearest.size() == ef) {
        std::pop_heap(nearest.begin(), nearest.end(), nearer);
        nearest.pop_back();
      }
      nearest.push_back(found);
      std::push_heap(nearest.begin(), nearest.end(), nearer);
    };
    visited.insert(start.node);
    keep(start);
    while (!frontier.empty()) {
      const Near next = frontier.front();
      if (nearest.size() == ef && nearer(nearest.front(), next)) break;
      std::pop_heap(frontier.begin(), frontier.end(), farther);
      frontier.pop_back();
      nodes.clear();
      for (const NodeId neighbour : links(next.node, 0)) {
        if (visited.insert(neighbour)) nodes.push_back(neighbour);
      }
      compare(query, query_norm);
      for (size_t i = 0; i < nodes.size(); ++i) keep({distances[i], nodes[i]});
    }
  }

  // A multiplication that wraps inside hnswlib would allocate too little.
  void grow(size_t capacity) {
    if (capacity > std::numeric_limits<size_t>::max() / 2 / graph.size_data_per_element_) throw std::bad_alloc();
    try {
      graph.resizeIndex(capacity);
    } catch (const std::runtime_error&) {
      throw std::bad_alloc();
    }
  }

  // Appends a node without links. Only while a graph is rebuilt from sections.
  void append_node(RowId row, int level) {
    const NodeId node = static_cast<NodeId>(graph.cur_element_count.load());
    if (level > 0) {
      graph.linkLists_[node] =
          static_cast<char*>(std::calloc(static_cast<size_t>(level), graph.size_links_per_element_));
      if (graph.linkLists_[node] == nullptr) throw std::bad_alloc();
    }
    // From here on hnswlib's destructor frees the lists.
    graph.element_levels_[node] = level;
    graph.cur_element_count = node + 1;
    std::memset(graph.get_linklist0(node), 0, graph.size_data_per_element_);
    std::memcpy(graph.getDataByInternalId(node), &row, sizeof row);
    graph.setExternalLabel(node, node);
    note_node(row, level);
  }
  void set_links(NodeId node, int level, Elements<NodeId> targets) {
    hnswlib::linklistsizeint* list = graph.get_linklist_at_level(node, level);
    graph.setListCount(list, static_cast<unsigned short>(targets.size()));
    targets.copy_to({list + 1, targets.size()});
  }

  void note_node(RowId row, int level) {
    row_of.push_back(row);
    if (rows.size() < table.count()) rows.grow(table.count());
    rows.insert(row);
    upper_bytes += static_cast<size_t>(level) * graph.size_links_per_element_;
  }

  const VectorTable& table;
  Metric metric;
  HnswOptions options;
  Distance distance;
  Graph graph;
  std::vector<RowId> row_of;  // by node
  RowSet rows;                // that are in the graph
  size_t upper_bytes = 0;

  // Scratch of a search, kept so that a search allocates next to nothing.
  std::vector<NodeId> nodes;
  std::vector<const float*> vectors_of_nodes;
  std::vector<float> distances;
  std::vector<Near> frontier;
  std::vector<Near> nearest;
  size_t compared = 0;
};

Hnsw::Hnsw(const VectorTable& table, Metric metric, HnswOptions options)
    : state_(std::make_unique<State>(table, metric, options, kFirstCapacity)) {
  assert(options.m >= 2 && options.m <= 100 && options.ef_construct >= 1 && options.ef_construct <= 2000);
}

Hnsw::~Hnsw() = default;

void Hnsw::add(RowId row) {
  State& state = *state_;
  assert(row < state.table.count() && !state.rows.contains(row));
  try {
    if (count() == state.graph.max_elements_) state.grow(2 * count());
    const int level = state.level_of(row);
    state.graph.addPoint(&row, count(), level);
    // Rows are never looked up by label; the map would cost some 40 bytes a row.
    state.graph.label_lookup_.clear();
    state.note_node(row, level);
  } catch (const std::runtime_error&) {
    // With arguments checked, the only reason left for hnswlib to throw is a failed allocation.
    throw std::bad_alloc();
  }
}

size_t Hnsw::count() const { return state_->row_of.size(); }

std::vector<Scored> Hnsw::search(std::span<const float> query, const RowSet& allowed, size_t limit, size_t ef,
                                 size_t* scored) const {
  State& state = *state_;
  assert(query.size() == state.table.dim() && allowed.size() == state.table.count() && ef >= 1);
  RowSet wanted = state.rows;
  wanted.grow(state.table.count());
  wanted.intersect(allowed);
  const size_t available = wanted.count();
  const size_t breadth = std::max(ef, limit);
  state.compared = 0;

  // A walk meets wanted rows as rarely as they are in the graph, so to find `breadth` of them it compares about
  // kComparedPerCandidate * breadth * count / available vectors. A scan compares `available`.
  const double walk_cost = kComparedPerCandidate * static_cast<double>(breadth) * static_cast<double>(count());
  const bool scan_is_cheaper =
      available <= breadth || static_cast<double>(available) * static_cast<double>(available) <= walk_cost;

  std::vector<Scored> found;
  if (limit > 0 && !scan_is_cheaper) {
    state.walk(query, wanted, breadth);
    for (const Near& near : state.nearest) {
      const RowId row = state.row_of[near.node];
      found.push_back({row, exact_score(state.metric, query, state.table.row(row))});
    }
    rank(found, limit);
  }
  // The walk may end early where links into the wanted rows are missing.
  if (found.size() < std::min(limit, available)) {
    found = flat_search(state.table, state.metric, query, wanted, limit);
    state.compared += available;
  }
  if (scored != nullptr) *scored = state.compared;
  return found;
}

size_t Hnsw::memory_bytes() const {
  const Graph& graph = state_->graph;
  const size_t node_bytes =
      graph.size_data_per_element_ + sizeof(char*) + sizeof(int) + sizeof(std::mutex) + sizeof(hnswlib::vl_type);
  return graph.max_elements_ * node_bytes + state_->upper_bytes + state_->row_of.capacity() * sizeof(RowId) +
         state_->rows.size() / 8;
}

// Sections, all of one dimension:
//   hnsw.header   u32  m, number of nodes, entry node, its level
//   hnsw.rows     u32  row of each node
//   hnsw.levels   u8   highest level of each node
//   hnsw.degrees  u8   links of each node on each of its levels: node 0 level 0, node 0 level 1, ...
//   hnsw.links    u32  the nodes linked to, in the same order
StateSections Hnsw::sections() const {
  const State& state = *state_;
  const uint32_t nodes = static_cast<uint32_t>(count());
  std::vector<uint8_t> levels, degrees;
  StateSection links = {"hnsw.links", ElementType::kU32, 0, {}, nullptr};
  levels.reserve(nodes);
  degrees.reserve(nodes + nodes / 8);
  links.pieces.reserve(nodes + nodes / 8);
  for (NodeId node = 0; node < nodes; ++node) {
    levels.push_back(static_cast<uint8_t>(state.level(node)));
    for (int level = 0; level <= state.level(node); ++level) {
      const auto targets = state.links(node, level);
      degrees.push_back(static_cast<uint8_t>(targets.size()));
      links.pieces.push_back(view_bytes(targets));
      links.count += targets.size();
    }
  }
  const uint32_t entry = nodes == 0 ? 0 : state.graph.enterpoint_node_;
  const uint32_t top = nodes == 0 ? 0 : static_cast<uint32_t>(state.graph.maxlevel_);
  const uint32_t header[] = {static_cast<uint32_t>(state.options.m), nodes, entry, top};
  StateSections sections;
  sections.push_back(copy_state<uint32_t>("hnsw.header", header));
  sections.push_back(view_state<uint32_t>("hnsw.rows", state.row_of));
  sections.push_back(copy_state<uint8_t>("hnsw.levels", levels));
  sections.push_back(copy_state<uint8_t>("hnsw.degrees", degrees));
  sections.push_back(std::move(links));
  return sections;
}

Result<std::unique_ptr<Hnsw>> Hnsw::from_sections(const SectionViews& sections, const VectorTable& table, Metric metric,
                                                  HnswOptions options) {
  ASSIGN_OR_RETURN(const auto header, section_elements<uint32_t>(sections, "hnsw.header"));
  ASSIGN_OR_RETURN(const auto rows, section_elements<uint32_t>(sections, "hnsw.rows"));
  ASSIGN_OR_RETURN(const auto levels, section_elements<uint8_t>(sections, "hnsw.levels"));
  ASSIGN_OR_RETURN(const auto degrees, section_elements<uint8_t>(sections, "hnsw.degrees"));
  ASSIGN_OR_RETURN(const auto links, section_elements<uint32_t>(sections, "hnsw.links"));

  if (header.size() != 4) return malformed("the header has a wrong length");
  const uint32_t m = header[0], nodes = header[1], entry = header[2], top = header[3];
  if (m != options.m) {
    return malformed("the graph was built with m " + std::to_string(m) + ", not " + std::to_string(options.m));
  }
  if (rows.size() != nodes || levels.size() != nodes) return malformed("nodes are missing or surplus");
  if (nodes > table.count()) return malformed("more nodes than vectors");

  RowSet seen(table.count());
  for (uint32_t node = 0; node < nodes; ++node) {
    const uint32_t row = rows[node];
    if (row >= table.count() || seen.contains(row)) return malformed("a row is unknown or stands twice");
    seen.insert(row);
  }
  size_t lists = 0;
  uint32_t highest = 0;
  for (uint32_t node = 0; node < nodes; ++node) {
    const uint8_t level = levels[node];
    if (level > kMaxLevel) return malformed("a level is too high");
    highest = std::max<uint32_t>(highest, level);
    lists += level + 1u;
  }
  if (highest != top) return malformed("the header names a wrong level");
  if (nodes == 0 ? entry != 0 : (entry >= nodes || levels[entry] != top)) return malformed("a wrong entry node");
  if (degrees.size() != lists) return malformed("degrees are missing or surplus");
  size_t list = 0, link = 0;
  for (uint32_t node = 0; node < nodes; ++node) {
    for (uint32_t level = 0; level <= levels[node]; ++level) {
      const size_t degree = degrees[list++];
      if (degree > (level == 0 ? 2 * m : m)) return malformed("a node has too many links");
      if (degree > links.size() - link) return malformed("links are missing");
      for (const size_t end = link + degree; link < end; ++link) {
        const uint32_t target = links[link];
        if (target >= nodes || target == node || levels[target] < level) {
          return malformed("a link leads nowhere");
        }
      }
    }
  }
  if (link != links.size()) return malformed("links are surplus");

  auto hnsw = std::make_unique<Hnsw>(table, metric, options);
  State& state = *hnsw->state_;
  if (nodes > kFirstCapacity) state.grow(std::bit_ceil(size_t{nodes}));
  list = link = 0;
  for (uint32_t node = 0; node < nodes; ++node) {
    state.append_node(rows[node], levels[node]);
    for (int level = 0; level <= levels[node]; ++level) {
      const size_t degree = degrees[list++];
      state.set_links(node, level, links.subspan(link, degree));
      link += degree;
    }
  }
  if (nodes > 0) {
    state.graph.enterpoint_node_ = entry;
    state.graph.maxlevel_ = static_cast<int>(top);
  }
  return hnsw;
}

}  // namespace nearfield
