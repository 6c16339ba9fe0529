// Collection: points with string ids, vectors, text and payloads, searchable by any mix of them.
//
// In memory and without effects: storage decides when a change is durable and then applies it here. Rows are appended;
// an upsert of a known id and a delete leave a tombstone behind, and compact() drops the dead rows.
//
// Const methods do not change anything a caller can see. Not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/json.h"
#include "core/base/row_set.h"
#include "core/base/section.h"
#include "core/base/status.h"
#include "core/collection/columns.h"
#include "core/collection/request.h"
#include "core/collection/schema.h"
#include "core/filter/filter.h"
#include "core/index/vector_table.h"
#include "core/text/bm25.h"

namespace nearfield {

// Bounds on one point and one batch; beyond them kLimitExceeded.
inline constexpr size_t kMaxIdBytes = 1024;
inline constexpr size_t kMaxTextBytes = 16 << 20;
inline constexpr size_t kMaxPayloadBytes = 1 << 20;
inline constexpr size_t kMaxBatchPoints = 1 << 20;

struct Point {
  std::string id;             // 1..kMaxIdBytes bytes of UTF-8 without NUL
  std::vector<float> vector;  // schema.dimension finite components; empty: this point has no vector
  std::string text;           // UTF-8
  std::string payload;        // a JSON object as text; empty: none
};

// Deletes first, then upserts. An id stands at most once among the upserts.
struct Batch {
  std::vector<std::string> deletes;
  std::vector<Point> upserts;

  bool empty() const { return deletes.empty() && upserts.empty(); }
};

// One row as search, get and scroll hand it out: all of it, whatever the request's include says, which is for whoever
// copies it out. Views stay valid until the collection changes. Parts that the schema keeps on demand are empty once
// storage has them; storage/query.h brings them.
struct RowView {
  std::string_view id;
  std::string_view text;
  std::string_view payload;       // JSON text of an object; empty: none
  std::span<const float> vector;  // empty: none
};

// What one leg of a search thought of a hit.
struct LegScore {
  double score = 0;
  size_t rank = 0;  // from 1
};

struct Hit {
  RowId id = 0;
  RowView row;
  double score = 0;
  std::optional<LegScore> dense;
  std::optional<LegScore> text;
};

// What one leg of a search found: at most as many rows as asked for, by falling score, then by id.
struct LegResult {
  std::vector<Scored> rows;
  size_t scored = 0;
  std::string_view strategy;
  std::string reason;
};

// What a search will do.
struct SearchShape {
  bool dense = false;
  bool text = false;
  size_t offset = 0;
  size_t limit = 0;       // rows of the ranking, from its start
  size_t candidates = 0;  // rows of each leg
};

// How a search was carried out, for `explain`.
struct Plan {
  std::string strategy;     // "flat", "hnsw", "text", "hybrid(flat, text)", ...
  std::string reason;       // why the planner chose it
  size_t rows_allowed = 0;  // live rows that pass the filter
  size_t rows_scored = 0;   // rows whose vector or postings were scored
};

struct SearchResult {
  std::vector<Hit> hits;  // by score, greatest first, then by id
  // What the hits' views point to where it was read from storage.
  std::vector<Point> loaded;
  Plan plan;
};

// How far the index is: it has every row, there is more to do, or that has to wait for vectors that are not in memory.
enum class IndexStep : uint8_t { kDone, kMore, kAway };

struct CollectionInfo {
  size_t count = 0;
  size_t tombstones = 0;
  IndexKind kind = IndexKind::kFlat;
  CodeKind code = CodeKind::kF32;  // what the index compares
  std::string reason;              // why the index is of this kind
  size_t unindexed = 0;            // rows that are still scanned, until the index has them
  size_t effort = 0;               // ef or nprobe of searches that leave it to the collection; 0: there is no index
  size_t rescore = 0;              // candidates that get exact scores for ten hits; 0: there is no index
  size_t index_bytes = 0;          // graph and postings
  size_t vector_bytes = 0;
  size_t payload_bytes = 0;  // ids, texts and payloads
};

class Collection {
 public:
  Collection(std::string name, Schema schema);
  ~Collection();
  Collection(Collection&&) noexcept;
  Collection& operator=(Collection&&) noexcept;

  const std::string& name() const;
  const Schema& schema() const;
  size_t count() const;  // live points

  // Everything that can be wrong with a batch, and no change. Fails with the code and the first offending value:
  // kDimensionMismatch "Vector dimension mismatch: expected 384, got 383", kInvalidArgument for non-finite components,
  // empty or repeated ids and strings that are not UTF-8, kFormatError for a payload that is not a JSON object,
  // kLimitExceeded beyond the bounds above. An id to delete is checked as an id, but may repeat or be unknown.
  Status check(const Batch& batch) const;
  // REQUIRES: check(batch).ok(). Returns how many of `deletes` existed. May throw std::bad_alloc, and the collection is
  // then good for nothing but its destructor.
  size_t apply(Batch batch);
  // The same for a batch that lies in a file. Its bytes are needed until apply() has returned.
  Status check(const RowColumns& columns) const;
  size_t apply(const RowColumns& columns);
  void clear();

  bool contains(std::string_view id) const;
  std::optional<RowView> find(std::string_view id) const;
  std::optional<RowId> find_row(std::string_view id) const;
  // Live rows that pass the filter (null: all), in row order. Here and below: no filter where payloads are on demand.
  RowSet matching(const Filter* filter) const;
  size_t count_matching(const Filter* filter) const;
  RowView row(RowId row) const;

  // Up to `limit` points that pass `filter`, by ascending id (bytes), that come after `after` (empty: from the start).
  std::vector<RowView> scroll(const Filter* filter, std::string_view after, size_t limit) const;

  // The rows of such a page, where the filter is a set of rows. REQUIRES: allowed.size() <= row_count().
  std::vector<RowId> page(const RowSet& allowed, std::string_view after, size_t limit) const;

  // Fails with kDimensionMismatch or kInvalidArgument (non-finite component; text search where the schema has none).
  // The index kinds that approximate are used only where the request allows (request.exact is false), and not where a
  // filter leaves so few rows that a scan is cheaper, or the graph reached too few. In a hybrid search each leg hands
  // its best max(100, offset + k) to the fusion.
  // REQUIRES: vectors are in memory where it asks for them; payloads where it has a filter.
  Result<SearchResult> search(const SearchRequest& request) const;
  // The same in parts, for who must wait between them: what a request asks for, or what is wrong with it; then the
  // search among `allowed`, with a dense leg that was made elsewhere where vectors are on demand.
  // REQUIRES: allowed.size() == row_count().
  Result<SearchShape> shape(const SearchRequest& request) const;
  SearchResult search(const SearchRequest& request, const SearchShape& shape, const RowSet& allowed,
                      LegResult dense) const;
  LegResult search_dense(const SearchRequest& request, const SearchShape& shape, const RowSet& allowed) const;
  // Where vectors are on demand: the rows whose vectors, once they are here, make the dense leg. All of `leg` but its
  // rows.
  RowSet rows_to_score(const SearchRequest& request, const SearchShape& shape, const RowSet& allowed,
                       LegResult& leg) const;

  // Byte ranges [begin, end) of `text` that a query's words match, ascending; empty without a text index. Words that
  // more than a quarter of the rows hold ("the", "when") count only where no other word matches.
  std::vector<std::pair<uint32_t, uint32_t>> highlights(std::string_view query, std::string_view text) const;

  CollectionInfo info() const;

  // Rows that were never dropped, in order, dead or alive: storage writes what came after a given row.
  size_t row_count() const;
  bool is_live(RowId row) const;
  bool has_vector(RowId row) const;
  const RowSet& live() const;

  // Whether payloads or vectors are on demand. Rows before first_resident() (0 where nothing is on demand) have only
  // what is in memory; evict() is for when storage has all of them.
  bool on_demand() const;
  RowId first_resident() const;
  void evict();

  // True when more than half of the rows (and more than a thousand) are dead.
  bool wants_compaction() const;
  // Drops dead rows and renumbers the rest in order. Invalidates views and row numbers. Takes as long as building the
  // derived state anew, so there is also a way to do it in steps, with anything in between: start, advance until it
  // answers false, finish. Until finish nothing that a caller can see changes.
  void compact();
  // REQUIRES, as compact(): first_resident() is 0. Storage compacts the others.
  // Answers false, and starts nothing, when no row is dead or a compaction is under way.
  bool start_compaction();
  bool compacting() const;
  // Copies live rows until `rows` or `bytes` are reached. False: every row there is now has been copied.
  // REQUIRES: compacting(). May throw std::bad_alloc; cancel_compaction() then leaves the collection as it was.
  bool advance_compaction(size_t rows, size_t bytes);
  // Copies what is left and changes over. REQUIRES: compacting().
  void finish_compaction();
  void cancel_compaction();
  // Rows looked at so far, of how many; {0, 0} where none is under way.
  std::pair<size_t, size_t> compaction_progress() const;
  bool has_graph() const;

  // Rows that are scanned in each search because the index does not have them yet: apply() adds a few rows at once, so
  // that no call takes long, and leaves the rest, and learning from them, to this. Does the next slice.
  // What there is no memory for is given up: searches then scan all rows, until renew_index().
  IndexStep advance_index();
  void give_up_index();
  bool gave_up_index() const;
  // Whether there is more for it to do.
  bool indexing() const;
  // How many rows are still to be looked at, dead ones among them. 0 where there will be no index.
  size_t unindexed() const;
  // How many rows the index has.
  size_t indexed() const;
  // Lets go of an index that was, or is being, learned from a fifth fewer rows than there are, to be learned again; and
  // begins again with one that was given up.
  void renew_index();
  // After kAway, for whoever reads vectors: the rows to learn from, or, where there is an index, the next ones that it
  // needs; and what was read. Rows that were meanwhile deleted or indexed are passed over.
  bool wants_sample() const;
  RowSet sample_rows() const;
  RowSet rows_to_index() const;
  void take_sample(std::vector<float> sample);
  // As many live rows with a vector, or all there are, drawn by `seed`.
  RowSet random_rows(size_t count, uint64_t seed) const;
  void index_row(RowId row, std::span<const float> vector);

  // Derived state: the graph and the postings, for the rows as they are now, as sections to be written before the
  // next change. `attach_derived` takes sections written for exactly these rows and answers whether it could use them;
  // if not, nothing has changed.
  StateSections derived() const;
  bool attach_derived(const SectionViews& sections);
  // While true, apply() does not maintain derived state; attach_derived or rebuild_derived must follow, before or after
  // the flag is taken back, and before derived() and any search for text. For recovery. REQUIRES of rebuild_derived:
  // every row is resident, or payloads are in memory.
  void defer_derived(bool defer);
  void rebuild_derived();

 private:
  bool remove(std::string_view id);

  struct State;
  std::unique_ptr<State> state_;
  // A compaction under way: the state to be, which holds the live rows before `copied_`.
  std::unique_ptr<State> next_;
  size_t copied_ = 0;
};

}  // namespace nearfield
