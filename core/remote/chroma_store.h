// ChromaStore: a collection on a Chroma server from 1.5.0 on, over its REST v2.
//
// How points lie there is in core/remote/chroma_points.h, what filters become in core/remote/chroma_filter.h. Scores
// are those of core/metric, within what f32 can hold: l2 distances are squared ones, cosine and ip ones 1 - d.
//
// Chroma's upserts merge: what a record had and the new one has not would stay. So an upsert first reads the metadata
// of those that are there, and sends a null for each key that has to go: where either request fails, every point is as
// it was or as it was to be. (To delete first would lose points whose second request fails.) A key that another client
// adds in between stays. Each point has a vector: Chroma takes none without.
//
// Searches are approximate; `exact` ones fetch the vectors of all points that pass, at most 100,000, and score them
// here. Texts are stored and not searched: a server of one node has neither words nor sparse vectors, and nothing here
// pretends to. Points are scrolled by a hash of their ids, so writes do not move the others; those that others wrote
// come last, in the server's order, which deletions do move.
//
// A collection's name becomes its UUID once. Where that is gone (somebody made it anew) the name is asked again, once.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/remote/batches.h"
#include "core/remote/chroma_filter.h"
#include "core/remote/chroma_points.h"
#include "core/remote/http_client.h"
#include "core/remote/ordered_search.h"
#include "core/store/vector_store.h"

namespace nearfield {

struct Reply;  // core/remote/answer.h

struct ChromaOptions {
  std::string collection;                 // 3..512 of [a-zA-Z0-9._-], the first and the last a letter or digit, no ".."
  std::string tenant = "default_tenant";  // empty: that of the key
  std::string database = "default_database";
  Metric metric = Metric::kCosine;  // not manhattan
  size_t dimension = 0;             // 0: that of the first vector

  // Of a collection that is made, and compared with one that is there. 0: the server's own.
  size_t m = 0, ef_construct = 0, ef = 0;

  size_t search_batch = 32;  // queries in one request
  BatchLimits batches;       // the server's own bound is obeyed, too
};

class ChromaStore : public VectorStore {
 public:
  // Fails with kInvalidConfig, naming the option. `http` outlives the store.
  static Result<std::unique_ptr<ChromaStore>> make(HttpClient& http, ChromaOptions options);
  ~ChromaStore() override;

  Task<Result<EnsureReport>> ensure() override;
  Task<Result<WriteReport>> upsert(std::vector<StorePoint> points) override;
  Task<Result<StoreHits>> search(std::vector<StoreQuery> queries) override;
  Task<Result<std::vector<StorePoint>>> get(std::vector<std::string> ids, StoreParts parts) override;
  Task<Result<uint64_t>> remove(std::vector<std::string> ids) override;
  Task<Result<uint64_t>> remove_matching(Filter filter) override;
  Task<Result<uint64_t>> count(std::optional<Filter> filter) override;
  Task<Result<StorePage>> scroll(std::optional<Filter> filter, std::string from, size_t limit,
                                 StoreParts parts) override;
  Task<Status> clear() override;
  Task<Result<bool>> drop() override;
  Task<Result<StoreInfo>> info() override;
  Task<StoreHealth> health() override;
  Task<Result<Snapshot>> create_snapshot() override;
  Task<Result<std::vector<Snapshot>>> list_snapshots() override;
  Task<Status> delete_snapshot(std::string name) override;
  Task<Status> close() override;

 private:
  struct Asked;
  class UpsertJob;

  ChromaStore(HttpClient& http, ChromaOptions options);

  Status open() const;
  std::string path(std::string_view rest) const;
  Error refusal(const HttpResponse& response) const;
  Error bad(const Reply& reply, std::string_view what) const;
  void forget();

  Task<Result<Reply>> call(HttpRequest request);
  Task<Result<Reply>> call_collection(std::string method, std::string rest, std::string body, RetryClass retry);
  Task<Result<Reply>> post(std::string rest, std::string body, RetryClass retry = RetryClass::kRead);
  Task<Status> find_tenant();
  Task<Status> resolve();
  Task<Result<Reply>> describe();
  Task<Status> read_limits();
  std::string create_body() const;
  Result<EnsureReport> compare(const Reply& described) const;

  Status check_points(const std::vector<StorePoint>& points) const;
  Task<Result<uint64_t>> remove_where(std::string where, uint64_t most);
  Task<Status> erase_stale(const std::vector<StorePoint>& points, std::vector<ChromaMetadata>& metadata);
  Task<Result<ChromaFilter>> compile(const Filter* filter);
  Status check_query(const StoreQuery& query) const;
  Task<Result<StoreHits>> find(const std::vector<StoreQuery>& queries);  // outlive the task
  Task<Status> search_some(std::vector<Asked>& asked, StoreHits& out);
  Task<Result<std::vector<StoreHit>>> search_exactly(const StoreQuery& query, const ChromaFilter& filter);
  void finish(std::vector<StoreHit>& hits, const StoreQuery& query) const;

  std::string include(StoreParts parts) const;
  Result<std::vector<StorePoint>> read_points(const Reply& reply, StoreParts parts, size_t most,
                                              std::optional<size_t> row) const;
  Task<Result<std::vector<StorePoint>>> records(std::vector<std::string> ids, StoreParts parts);
  Task<Result<std::vector<StorePoint>>> in_order(std::vector<std::string> ids, StoreParts parts);
  Task<Result<std::vector<std::string>>> matching(std::string where, uint64_t offset, uint64_t limit);
  Task<Result<std::vector<std::string>>> all_matching(const ChromaFilter& filter, size_t most);
  Task<Result<uint64_t>> count_all();

  HttpClient& http_;
  const ChromaOptions options_;
  std::string tenant_;
  std::string uuid_;      // empty: not known
  size_t dimension_ = 0;  // of the vectors that are there; 0: not known
  size_t max_batch_ = 0;  // 0: not asked yet
  bool closed_ = false;
};

}  // namespace nearfield
