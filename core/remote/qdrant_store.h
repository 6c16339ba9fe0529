// QdrantStore: a collection on a Qdrant server, over REST.
//
// What is Qdrant's own way of things is in core/remote/qdrant_points.h (ids, payloads, vectors) and
// core/remote/qdrant_filter.h. Scores are those of core/metric, within what f32 can hold. The scores of a text are the
// server's sum of idf and our weights: a ranking much like BM25's, with other numbers.
//
// Searches by two legs are fused here, as Collection does it, from the best max(100, offset + k) of each: the server's
// own fusion ranks equal scores in any order. Which of equal ones are among those the server chooses. Without a filter
// that passes everything, no request has an empty filter; only clear(), and remove_matching() with such a filter, send
// one.
//
// Its requests take a page of at most 10,000 points, and fewer where vectors make them long.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/remote/batches.h"
#include "core/remote/http_client.h"
#include "core/remote/ordered_search.h"
#include "core/remote/qdrant_filter.h"
#include "core/remote/qdrant_points.h"
#include "core/store/vector_store.h"

namespace nearfield {

struct Reply;  // core/remote/answer.h

struct QdrantOptions {
  std::string collection;  // 1..255 bytes of UTF-8, none of <>:"/\|?* and control characters
  QdrantLayout layout;

  // Of a collection that is made, and compared with one that is there. 0, nullopt: the server's own.
  size_t m = 0, ef_construct = 0;
  std::optional<uint64_t> indexing_threshold;  // KB of vectors
  bool vectors_on_disk = false;
  bool payload_on_disk = false;
  bool sparse_float16 = false;

  // Payload indexes: `indexed` when the collection is made or found, and one for each field of a filter when it is
  // first used; servers in strict mode take no filter without.
  bool payload_index = false;
  std::vector<QdrantFilter::Field> indexed;

  size_t ef = 0;             // of searches that leave it to the store; 0: the server's own
  size_t search_batch = 32;  // queries in one request
  Fusion fusion = ReciprocalRank{};
  bool stemming = true;  // of the text's words
  BatchLimits batches;
};

class QdrantStore : public VectorStore {
 public:
  // Fails with kInvalidConfig, naming the option. `http` outlives the store.
  static Result<std::unique_ptr<QdrantStore>> make(HttpClient& http, QdrantOptions options);
  ~QdrantStore() override;

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
  struct Leg;
  struct Ranked;
  class UpsertJob;

  QdrantStore(HttpClient& http, QdrantOptions options);

  std::string path(std::string_view rest) const;
  Status open() const;
  Task<Result<Reply>> call(HttpRequest request);
  Task<Result<Reply>> fetch(std::string_view rest);
  Task<Result<Reply>> post(std::string_view rest, std::string body, RetryClass retry = RetryClass::kRead);
  Error refusal(const HttpResponse& response) const;
  Error bad(const Reply& reply, std::string_view what) const;

  std::string create_body() const;
  Result<EnsureReport> compare(const Reply& described) const;
  Task<Status> make_indexes(std::vector<QdrantFilter::Field> fields);
  Task<Status> learn_dimension();
  Task<Result<QdrantFilter>> compile(const Filter* filter);

  Status check_points(std::span<const StorePoint> points) const;
  Status check_sparse(const SparseVector& vector, std::string_view what) const;
  Result<std::vector<Leg>> legs_of(const StoreQuery& query, const QdrantFilter& filter);
  Task<Result<StoreHits>> find(const std::vector<StoreQuery>& queries);  // outlive the task
  Task<Result<std::vector<Ranked>>> run(const std::vector<Leg>& legs);
  Task<Result<std::vector<QdrantRecord>>> records(std::vector<std::string> keys, std::string selection,
                                                  StoreParts parts);
  Task<Status> remove_by(std::string selector, RetryClass retry);
  Task<Result<uint64_t>> count_matching(const QdrantFilter& filter);

  HttpClient& http_;
  QdrantOptions options_;
  size_t configured_dimension_;         // the layout's may have been learned
  std::unique_ptr<Analyzer> analyzer_;  // where there is a text vector
  std::set<std::string> indexed_;       // keys that are known to have an index
  bool closed_ = false;
};

}  // namespace nearfield
