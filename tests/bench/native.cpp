// Our own engine without WebAssembly and JavaScript, for `npm run bench`: what do those two cost?
//
// Options: the collection's index as JSON, as db.collection() takes it, and the name of the search option that the
// effort sets ("ef", "nprobe"; "" for none).
#include <nlohmann/json.hpp>

#include "core/collection/collection.h"
#include "serve.h"

namespace {

using namespace nearfield;

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) bench::fail(std::string(result.error().message));
  return std::move(result).value();
}

constexpr size_t kBatchRows = 1000;  // as engines.mjs

class Native {
 public:
  Native(size_t dim, size_t, std::span<char*> options) : dim_(dim), effort_name_(options[1]) {
    const Json schema = {{"dimension", dim}, {"metric", "cosine"}, {"index", must(parse_json(options[0], "index"))}};
    collection_ = std::make_unique<Collection>("bench", must(parse_schema(schema)));
  }

  void add(std::span<const float> rows) {
    const size_t count = rows.size() / dim_;
    for (size_t first = 0; first < count; first += kBatchRows) {
      Batch batch;
      for (size_t row = first; row < std::min(count, first + kBatchRows); ++row) {
        const auto vector = rows.subspan(row * dim_, dim_);
        batch.upserts.push_back({std::to_string(row), {vector.begin(), vector.end()}, "", ""});
      }
      if (const Status status = collection_->check(batch); !status.ok()) bench::fail("a row is refused");
      collection_->apply(std::move(batch));
    }
    while (collection_->advance_index() == IndexStep::kMore) {
    }
  }

  bench::Answer search(std::span<const float> query, int effort) {
    SearchRequest request;
    request.vector = query;
    request.k = bench::kHits;
    request.include_payload = request.include_text = false;
    if (effort_name_ == "ef") request.ef = static_cast<size_t>(effort);
    bench::Answer answer;
    answer.fill(-1);
    const SearchResult found = must(collection_->search(request));
    for (size_t i = 0; i < found.hits.size(); ++i) answer[i] = std::atoi(std::string(found.hits[i].row.id).c_str());
    return answer;
  }

 private:
  size_t dim_;
  std::string effort_name_;
  std::unique_ptr<Collection> collection_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) bench::fail("usage: FOLDER ROWS DIM INDEX EFFORT-NAME");
  return bench::serve<Native>(argc, argv);
}
