// The native opponent of `npm run bench`: hnswlib as its README shows it, over inner products. Flags: see
// tests/CMakeLists.txt; hnswlib chooses its kernels by what the compiler may use.
#include <hnswlib/hnswlib.h>

#include "serve.h"

namespace {

constexpr size_t kLinks = 16, kBuildEffort = 200, kSeed = 100;

class Hnswlib {
 public:
  Hnswlib(size_t dim, size_t rows, std::span<char*>)
      : dim_(dim), space_(dim), graph_(&space_, rows, kLinks, kBuildEffort, kSeed) {}

  void add(std::span<const float> rows) {
    for (size_t row = 0; row < rows.size() / dim_; ++row) graph_.addPoint(rows.data() + row * dim_, row);
  }

  bench::Answer search(std::span<const float> query, int effort) {
    graph_.setEf(static_cast<size_t>(effort));
    bench::Answer answer;
    answer.fill(-1);
    auto nearest = graph_.searchKnn(query.data(), bench::kHits);
    // The queue hands out the farthest first.
    for (size_t i = nearest.size(); i-- > 0; nearest.pop()) answer[i] = static_cast<int>(nearest.top().second);
    return answer;
  }

 private:
  size_t dim_;
  hnswlib::InnerProductSpace space_;
  hnswlib::HierarchicalNSW<float> graph_;
};

}  // namespace

int main(int argc, char** argv) { return bench::serve<Hnswlib>(argc, argv); }
