// WeaviateStore: a collection on a Weaviate server (1.24 or later), over REST and GraphQL.
//
// Points are objects of a class, as core/remote/weaviate_points.h says; what filters become is in
// core/remote/weaviate_filter.h.
//
// Scores are those of core/metric, within what f32 can hold. Scores of texts and of two legs are the server's own:
// BM25, `relativeScoreFusion` for Convex and `rankedFusion` for ReciprocalRank, which counts ranks from 0.
//
// A server makes a class for objects of one that is not there. So every upsert first looks whether it is.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/remote/batches.h"
#include "core/remote/http_client.h"
#include "core/remote/ordered_search.h"
#include "core/remote/weaviate_filter.h"
#include "core/remote/weaviate_points.h"
#include "core/store/vector_store.h"

namespace nearfield {

struct Reply;  // core/remote/answer.h

struct WeaviateOptions : WeaviateLayout {
  std::string collection;  // UTF-8, 1 byte or more; its class has at most 255 characters
  size_t dimension = 0;    // 0: that of the first vector

  // Of a class that is made, and compared with one that is there. 0: the server's own.
  size_t m = 0;             // 4..2,047
  size_t ef_construct = 0;  // 4 or more
  size_t ef = 0;            // of every search: the server takes none with a query

  bool text_search = false;     // BM25 over the text
  Fusion fusion = Convex{0.7};  // of searches that leave it to the store
  size_t search_batch = 32;     // queries in one request
  BatchLimits batches;
  std::string backup_backend;  // "filesystem", "s3", ...; empty: the first that the server has
};

class WeaviateStore : public VectorStore {
 public:
  // Fails with kInvalidConfig, naming the option. `http` and `effects` outlive the store.
  static Result<std::unique_ptr<WeaviateStore>> make(EffectQueue& effects, HttpClient& http, WeaviateOptions options);
  ~WeaviateStore() override;

  Task<Result<EnsureReport>> ensure() override;
  Task<Result<WriteReport>> upsert(std::vector<StorePoint> points) override;
  Task<Result<StoreHits>> search(std::vector<StoreQuery> queries) override;
  Task<Result<std::vector<StorePoint>>> get(std::vector<std::string> ids, StoreParts parts) override;
  Task<Result<uint64_t>> remove(std::vector<std::string> ids) override;
  Task<Result<uint64_t>> remove_matching(Filter filter) override;
  Task<Result<uint64_t>> count(std::optional<Filter> filter) override;
  // A filter is evaluated here, page after page, because the server's cursor takes none; so it may be any.
  Task<Result<StorePage>> scroll(std::optional<Filter> filter, std::string from, size_t limit,
                                 StoreParts parts) override;
  Task<Status> clear() override;
  Task<Result<bool>> drop() override;
  Task<Result<StoreInfo>> info() override;
  Task<StoreHealth> health() override;
  // Backups of this class alone, where the server has a module for them.
  Task<Result<Snapshot>> create_snapshot() override;
  Task<Result<std::vector<Snapshot>>> list_snapshots() override;
  // kUnsupported: the server's interface cannot.
  Task<Status> delete_snapshot(std::string name) override;
  Task<Status> close() override;

 private:
  struct Leg;
  class UpsertJob;

  WeaviateStore(EffectQueue& effects, HttpClient& http, WeaviateOptions options);

  Status open() const;
  Error missing() const;
  Error refusal(const HttpResponse& response) const;
  Error bad(const Reply& reply, std::string_view what) const;
  Task<Result<Reply>> call(HttpRequest request);
  Task<Result<Reply>> ask(std::vector<std::string> queries);
  Result<const Json*> found(const Reply& reply, const Json& answer, std::string_view root) const;
  Error graphql_error(const Reply& reply, const Json& errors) const;

  std::string create_body() const;
  Task<Result<Reply>> described();
  Result<EnsureReport> compare(const Reply& described) const;
  Task<Result<size_t>> stored_dimension(const Json& described);
  Task<Status> learn_dimension();
  Task<Result<std::string>> version();
  Task<Result<WeaviateFilter>> compile(const Filter* filter);

  Status check_points(const std::vector<StorePoint>& points) const;
  Result<Leg> leg_of(const StoreQuery& query, const WeaviateCondition& where, bool lean) const;
  Result<std::vector<StoreHit>> read_hits(const Reply& reply, const Json& answer, const Leg& leg) const;
  Task<Result<StoreHits>> find(const std::vector<StoreQuery>& queries);  // outlive the task
  Task<Result<bool>> check_exact(const WeaviateCondition& where);
  Task<Result<std::vector<WeaviateRecord>>> records(std::vector<std::string> uuids, StoreParts parts);
  Task<Result<uint64_t>> count_matching(const WeaviateCondition& where);
  Task<Result<uint64_t>> remove_where(std::string where, RetryClass retry, bool all);
  Task<Result<std::string>> backup_path();

  EffectQueue& effects_;
  HttpClient& http_;
  const WeaviateOptions options_;
  const std::string class_;
  size_t dimension_;     // the options', or what was learned
  std::string version_;  // of the server; empty: not asked yet
  bool closed_ = false;
};

}  // namespace nearfield
