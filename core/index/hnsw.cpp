#include "core/index/hnsw.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>

#include "core/base/random.h"
#include "core/index/best_rows.h"
#include "core/index/hnsw_graph.h"

namespace nearfield {

namespace {

constexpr uint32_t kMaxLevel = 32;
constexpr size_t kFirstCapacity = 256;
// An unfiltered walk compares some 13 vectors for each of its ef candidates (text embeddings, m 16), each at two to
// three times the price of one in a scan; a filtered walk meets more of what it wants than chance says. The value
// between decides only where a scan takes over.
constexpr double kComparedPerCandidate = 16;

Error malformed(std::string what) { return {Code::kFormatError, "hnsw sections: " + std::move(what), ""}; }

}  // namespace

struct Hnsw::State {
  State(std::unique_ptr<const VectorCode> chosen, const VectorTable* table, Metric metric, const HnswOptions& given)
      : options(given),
        code(std::move(chosen)),
        codes(code ? code->code_bytes() : 16),
        distance(code ? code_distance(*code, codes) : vector_distance(*table, metric)),
        graph(&space),
        walker(graph, *distance) {
    // What hnswlib's larger constructor does, but for 65,536 locks that only calls by label need, and for what it
    // loses when memory runs out half-way: this graph is destroyed then.
    graph.data_size_ = space.get_data_size();
    graph.fstdistfunc_ = space.get_dist_func();
    graph.dist_func_param_ = &walker;
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
    grow(kFirstCapacity);
  }

  int level(NodeId node) const { return graph.element_levels_[node]; }

  // One more level with probability 1 / m each: the paper's distribution, in whole numbers, from seed and row alone.
  int level_of(RowId row) const {
    Random random(options.seed + row * uint64_t{0xD1342543DE82EF95});
    int level = 0;
    while (level < static_cast<int>(kMaxLevel) && random.below(options.m) == 0) ++level;
    return level;
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

  // Appends a node without links. Only while a graph is rebuilt from sections, and after what it is compared by.
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
    std::memcpy(graph.getDataByInternalId(node), &node, sizeof node);
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
    if (rows.size() <= row) rows.grow(row + size_t{1});
    rows.insert(row);
    upper_bytes += static_cast<size_t>(level) * graph.size_links_per_element_;
  }

  // The nearest of all nodes whose rows are allowed.
  void scan(const RowSet& allowed, size_t limit, std::vector<Scored>& found) {
    constexpr size_t kBatch = 64;
    NodeId nodes[kBatch];
    float distances[kBatch];
    size_t waiting = 0;
    BestRows best(found, limit);
    const auto compare = [&] {
      distance->to_query({nodes, waiting}, distances);
      walker.compared += waiting;
      for (size_t i = 0; i < waiting; ++i) best.offer(row_of[nodes[i]], -distances[i]);
      waiting = 0;
    };
    for (NodeId node = 0; node < row_of.size(); ++node) {
      if (!allowed.contains(row_of[node])) continue;
      nodes[waiting] = node;
      if (++waiting == kBatch) compare();
    }
    compare();
    best.sort();
  }

  HnswOptions options;
  std::unique_ptr<const VectorCode> code;  // null: vectors are compared
  CodeTable codes;                         // by node
  std::unique_ptr<NodeDistance> distance;
  Space space;
  Graph graph;
  Walker walker;
  std::vector<RowId> row_of;  // by node
  RowSet rows;                // that are in the graph
  size_t upper_bytes = 0;
  size_t expected = 0;  // rows in all
};

Hnsw::Hnsw(std::unique_ptr<const VectorCode> code, HnswOptions options)
    : state_(std::make_unique<State>(std::move(code), nullptr, Metric::kCosine, options)) {
  assert(options.m >= 2 && options.m <= kMaxLinks && options.ef_construct >= 1 && options.ef_construct <= 2000);
}

Hnsw::Hnsw(const VectorTable& table, Metric metric, HnswOptions options)
    : state_(std::make_unique<State>(nullptr, &table, metric, options)) {
  assert(options.m >= 2 && options.m <= kMaxLinks && options.ef_construct >= 1 && options.ef_construct <= 2000);
}

Hnsw::~Hnsw() = default;

CodeKind Hnsw::code() const { return state_->code ? state_->code->kind() : CodeKind::kF32; }

void Hnsw::add(RowId row, std::span<const float> vector) {
  State& state = *state_;
  assert(!state.rows.contains(row));
  try {
    const auto node = static_cast<NodeId>(count());
    if (node == state.graph.max_elements_) {
      state.grow(std::max(node + std::max<size_t>(node / 16, kFirstCapacity), state.expected));
    }
    const int level = state.level_of(row);
    state.distance->append(row, vector);
    state.graph.addPoint(&node, node, level);
    // Rows are never looked up by label; the map would cost some 40 bytes a row.
    state.graph.label_lookup_.clear();
    state.note_node(row, level);
  } catch (const std::runtime_error&) {
    // With arguments checked, the only reason left for hnswlib to throw is a failed allocation.
    throw std::bad_alloc();
  }
}

void Hnsw::expect(size_t rows) { state_->expected = rows; }

size_t Hnsw::count() const { return state_->row_of.size(); }
const RowSet& Hnsw::rows() const { return state_->rows; }

void Hnsw::find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const {
  State& state = *state_;
  assert(query.limit >= 1 && query.candidates >= query.limit && query.effort >= 1);
  found.clear();
  if (query.available == 0) return;
  const size_t breadth = std::max(query.effort, query.limit);
  Walker& walker = state.walker;
  walker.compared = 0;
  state.distance->prepare(query.vector);

  // A walk meets wanted rows as rarely as they are in the graph, so to find `breadth` of them it compares about
  // kComparedPerCandidate * breadth * count / available nodes. A scan compares `available`.
  const auto available = static_cast<double>(query.available);
  const double walk_cost = kComparedPerCandidate * static_cast<double>(breadth) * static_cast<double>(count());
  const bool scan_is_cheaper = query.available <= breadth || available * available <= walk_cost;
  if (!scan_is_cheaper) {
    const bool all = query.available == count();
    const auto nearest = walker.to_query(breadth, all ? nullptr : &query.allowed, state.row_of);
    for (const Near& near : nearest.first(std::min(nearest.size(), query.candidates))) {
      found.push_back({state.row_of[near.node], -near.distance});
    }
  }
  // The walk may end early where links into the wanted rows are missing.
  if (found.size() < std::min(query.limit, query.available)) state.scan(query.allowed, query.candidates, found);
  compared += walker.compared;
}

size_t Hnsw::memory_bytes() const {
  const Graph& graph = state_->graph;
  const size_t node_bytes = graph.size_data_per_element_ + sizeof(char*) + sizeof(int) + sizeof(hnswlib::std::mutex) +
                            sizeof(hnswlib::vl_type);
  return graph.max_elements_ * node_bytes + state_->upper_bytes + state_->row_of.capacity() * sizeof(RowId) +
         state_->rows.size() / 8 + state_->codes.memory_bytes() + state_->distance->memory_bytes() +
         (state_->code ? state_->code->memory_bytes() : 0);
}

// Sections, all of one dimension:
//   hnsw.header   u32  m, number of nodes, entry node, its level
//   hnsw.rows     u32  row of each node
//   hnsw.levels   u8   highest level of each node
//   hnsw.degrees  u8   links of each node on each of its levels: node 0 level 0, node 0 level 1, ...
//   hnsw.links    u32  the nodes linked to, in the same order
//   hnsw.codes    u8   the code of each node, where they are wanted
StateSections Hnsw::sections(bool with_codes) const {
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
      const auto targets = links_of(state.graph, node, level);
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
  if (state.code) append_learned(*state.code, sections);
  if (with_codes) sections.push_back(state.codes.section("hnsw.codes"));
  return sections;
}

Status Hnsw::load(const SectionViews& sections, size_t row_count, const VectorTable* table) {
  State& state = *state_;
  assert(count() == 0 && (table != nullptr || state.code));
  ASSIGN_OR_RETURN(const auto header, section_elements<uint32_t>(sections, "hnsw.header"));
  ASSIGN_OR_RETURN(const auto rows, section_elements<uint32_t>(sections, "hnsw.rows"));
  ASSIGN_OR_RETURN(const auto levels, section_elements<uint8_t>(sections, "hnsw.levels"));
  ASSIGN_OR_RETURN(const auto degrees, section_elements<uint8_t>(sections, "hnsw.degrees"));
  ASSIGN_OR_RETURN(const auto links, section_elements<uint32_t>(sections, "hnsw.links"));

  if (header.size() != 4) return malformed("the header has a wrong length");
  const uint32_t m = header[0], nodes = header[1], entry = header[2], top = header[3];
  if (m != state.options.m) {
    return malformed("the graph was built with m " + std::to_string(m) + ", not " + std::to_string(state.options.m));
  }
  if (rows.size() != nodes || levels.size() != nodes) return malformed("nodes are missing or surplus");
  if (nodes > row_count) return malformed("more nodes than rows");

  RowSet seen(row_count);
  for (uint32_t node = 0; node < nodes; ++node) {
    const uint32_t row = rows[node];
    if (row >= row_count || seen.contains(row)) return malformed("a row is unknown or stands twice");
    seen.insert(row);
  }
  uint64_t lists = 0;  // up to kMaxLevel + 1 a node
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

  if (table == nullptr) {
    ASSIGN_OR_RETURN(state.codes, CodeTable::from_section(sections, "hnsw.codes", *state.code, nodes));
  } else {
    for (uint32_t node = 0; node < nodes; ++node) state.distance->append(rows[node], table->row(rows[node]));
  }
  if (nodes > kFirstCapacity) state.grow(nodes);
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
  return {};
}

}  // namespace nearfield
