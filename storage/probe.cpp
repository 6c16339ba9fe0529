#include "storage/probe.h"

#include <algorithm>

#include "core/index/tuning.h"
#include "storage/query.h"
#include "storage/recovery.h"

namespace nearfield {

namespace {

// Other rows than those that the index was tuned by.
constexpr uint64_t kSeed = 7;

}  // namespace

Task<Result<ProbeReport>> probe(EffectQueue& effects, Database& database, std::string collection, ProbeOptions options,
                                std::vector<float> questions) {
  const Collection* memory = database.find(collection);
  if (memory == nullptr) co_return unknown_collection(collection);
  const size_t dim = memory->schema().dimension;
  const Metric metric = memory->schema().metric;
  if (questions.empty() && dim > 0) {
    std::vector<std::string> ids;
    const size_t rows_each = rows_a_question(memory->info().kind);
    memory->random_rows(rows_each * options.sample, kSeed).for_each([&](RowId row) {
      ids.emplace_back(memory->row(row).id);
    });
    CO_ASSIGN_OR_RETURN(const std::vector<Point> points,
                        co_await database.get(collection, std::move(ids), {false, true}));
    std::vector<float> rows;
    for (const Point& point : points) {
      if (point.vector.size() == dim) rows.insert(rows.end(), point.vector.begin(), point.vector.end());
    }
    questions = questions_between(metric, MatrixView(rows, dim), std::clamp<size_t>(rows.size() / dim, 1, rows_each));
  }
  if (questions.empty() || dim == 0) {
    co_return Error{Code::kInvalidArgument, "probe: the collection has no points with vectors to draw questions from",
                    ""};
  }
  assert(questions.size() % dim == 0);
  ProbeReport report;
  size_t right = 0, wanted = 0;
  SearchRequest request;
  request.k = options.k;
  for (; report.questions < questions.size() / dim; ++report.questions) {
    request.vector = std::span(questions).subspan(report.questions * dim, dim);
    request.ef = options.ef, request.nprobe = options.nprobe, request.rescore = options.rescore;
    request.exact = false;
    CO_ASSIGN_OR_RETURN(const SearchResult found, co_await database.search(collection, request, {false, false}));
    request.exact = true;
    CO_ASSIGN_OR_RETURN(const SearchResult exact, co_await database.search(collection, request, {false, false}));
    wanted += exact.hits.size();
    for (const Hit& hit : found.hits) right += !exact.hits.empty() && hit.score >= exact.hits.back().score ? 1 : 0;
    const EffectAnswer answer = co_await effects.request(SleepEffect{0});
    if (!answer.status.ok()) co_return host_error(answer.status, "pause", "probe");
  }
  if (wanted > 0) report.recall = static_cast<double>(std::min(right, wanted)) / static_cast<double>(wanted);
  co_return report;
}

}  // namespace nearfield
