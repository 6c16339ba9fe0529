// One script over every kind of index, code and metric: what a collection promises whatever finds its vectors.
#include <catch_amalgamated.hpp>

#include "core/collection/collection.h"
#include "tests/support/vectors.h"

using namespace nearfield;

namespace {

struct Setting {
  IndexKind kind;
  CodeKind code;
};

constexpr Setting kSettings[] = {
    {IndexKind::kFlat, CodeKind::kF32},         {IndexKind::kFlat, CodeKind::kF16},
    {IndexKind::kFlat, CodeKind::kSq8},         {IndexKind::kFlat, CodeKind::kRq8},
    {IndexKind::kFlat, CodeKind::kRq4},         {IndexKind::kFlat, CodeKind::kRaBitQ},
    {IndexKind::kHnsw, CodeKind::kF32},         {IndexKind::kHnsw, CodeKind::kF16},
    {IndexKind::kHnsw, CodeKind::kSq8},         {IndexKind::kHnsw, CodeKind::kRq8},
    {IndexKind::kHnsw, CodeKind::kRq4},         {IndexKind::kIvfFlat, CodeKind::kF32},
    {IndexKind::kIvfFlat, CodeKind::kF16},      {IndexKind::kIvfFlat, CodeKind::kSq8},
    {IndexKind::kIvfFlat, CodeKind::kRq8},      {IndexKind::kIvfFlat, CodeKind::kRq4},
    {IndexKind::kIvfPq, CodeKind::kPq8},        {IndexKind::kIvfPq, CodeKind::kPq4},
    {IndexKind::kIvfRabitq, CodeKind::kRaBitQ},
};

std::string id_of(size_t i) { return "p" + std::to_string(i); }

enum class Rows { kRandom, kEqual, kZero, kTwins };

// Vectors by id are the truth.
class Script {
 public:
  Script(Setting setting, Metric metric, size_t dim, Rows rows) : rows_(rows) {
    schema_.dimension = dim;
    schema_.metric = metric;
    schema_.kind = setting.kind;
    schema_.code = setting.code;
    schema_.hnsw.m = 8;
    schema_.hnsw.ef_construct = 40;
    collection_ = std::make_unique<Collection>("c", schema_);
  }

  Collection& collection() { return *collection_; }
  void upsert(size_t first, size_t count) {
    Batch batch;
    for (size_t i = first; i < first + count; ++i) {
      truth_[id_of(i)] = vector(i);
      batch.upserts.push_back({id_of(i), truth_[id_of(i)], "", ""});
    }
    REQUIRE(collection_->check(batch).ok());
    collection_->apply(std::move(batch));
  }
  void remove(size_t first, size_t count, size_t step) {
    Batch batch;
    for (size_t i = first; i < first + count; i += step) {
      truth_.erase(id_of(i));
      batch.deletes.push_back(id_of(i));
    }
    collection_->apply(std::move(batch));
  }
  void settle() {
    while (collection_->advance_index() == IndexStep::kMore) {
    }
    REQUIRE(!collection_->indexing());
    REQUIRE(collection_->unindexed() == 0);
  }
  // Searches: as many hits as there can be, each once, alive, with its exact score, in order; and most of the best.
  void check() {
    size_t right = 0, wanted = 0;
    for (size_t round = 0; round < 6; ++round) {
      const std::vector<float> query = question(round);
      SearchRequest request;
      request.vector = query;
      request.k = round == 1 ? 3 : 10;
      const auto found = collection_->search(request);
      REQUIRE(found.ok());
      REQUIRE(found->hits.size() == std::min(request.k, truth_.size()));
      request.exact = true;
      const auto exact = collection_->search(request);
      for (size_t i = 0; i < found->hits.size(); ++i) {
        const Hit& hit = found->hits[i];
        const auto stored = truth_.find(std::string(hit.row.id));
        REQUIRE(stored != truth_.end());
        REQUIRE(hit.score == exact_score(schema_.metric, query, stored->second));
        for (size_t j = 0; j < i; ++j) REQUIRE(found->hits[j].row.id != hit.row.id);
        if (i > 0) REQUIRE(found->hits[i - 1].score >= hit.score);
        right += hit.score >= exact->hits.back().score ? 1 : 0;
      }
      wanted += found->hits.size();
    }
    INFO(right << " of " << wanted);
    // Seven twins in ten hits are near, the rest is anywhere.
    CHECK(static_cast<double>(right) >= (rows_ == Rows::kTwins ? 0.7 : 0.85) * static_cast<double>(wanted));
  }
  // What is saved and loaded finds the same.
  void reload() {
    settle();
    Batch all;
    // In the order of rows, the dead ones among them, so that row numbers agree.
    auto copy = std::make_unique<Collection>("c", schema_);
    copy->defer_derived(true);
    for (RowId row = 0; row < collection_->row_count(); ++row) {
      const RowView view = collection_->row(row);
      Batch one;
      one.upserts.push_back({std::string(view.id), {view.vector.begin(), view.vector.end()}, "", ""});
      copy->apply(std::move(one));
    }
    Batch dead;
    for (RowId row = 0; row < collection_->row_count(); ++row) {
      const std::string id(collection_->row(row).id);
      if (truth_.count(id) == 0) dead.deletes.push_back(id);
    }
    copy->apply(std::move(dead));
    Bytes bytes;
    write_sections(gathered(collection_->derived()), bytes);
    // In pieces, as they come from files.
    std::vector<Bytes> pieces;
    for (size_t begin = 0; begin < bytes.size(); begin += 1000) {
      const ByteView piece = ByteView(bytes).subspan(begin, std::min<size_t>(1000, bytes.size() - begin));
      pieces.emplace_back(piece.begin(), piece.end());
    }
    const auto sections = SectionViews::read(std::move(pieces));
    REQUIRE(sections.ok());
    REQUIRE(copy->attach_derived(sections.value()));
    copy->defer_derived(false);
    REQUIRE(copy->indexed() == collection_->indexed());
    SearchRequest request;
    const std::vector<float> query = question(7);
    request.vector = query;
    const auto before = collection_->search(request), after = copy->search(request);
    REQUIRE(before->hits.size() == after->hits.size());
    for (size_t i = 0; i < before->hits.size(); ++i) CHECK(before->hits[i].row.id == after->hits[i].row.id);
    collection_ = std::move(copy);
  }

 private:
  // A row, or something near one: without any structure partitions promise nothing.
  std::vector<float> question(size_t i) const {
    std::vector<float> query = vector(i * 3);
    Random random(i);
    for (float& component : query) component += static_cast<float>(i) * 0.05f * random.between(-1, 1);
    return query;
  }
  std::vector<float> vector(size_t i) const {
    if (rows_ == Rows::kZero) return std::vector<float>(schema_.dimension, 0.f);
    if (rows_ == Rows::kEqual) return std::vector<float>(schema_.dimension, 0.5f);
    Random random(rows_ == Rows::kTwins ? i / 7 : i);
    return random_vector(random, schema_.dimension);
  }

  Schema schema_;
  Rows rows_;
  std::unique_ptr<Collection> collection_;
  std::map<std::string, std::vector<float>> truth_;
};

void run(Setting setting, Metric metric, size_t dim, Rows rows, size_t count) {
  if (!check_code(setting.kind, setting.code, metric, "").ok()) return;
  INFO(index_kind_name(setting.kind) << " " << code_kind_name(setting.code) << " " << metric_name(metric) << " "
                                     << dim);
  Script script(setting, metric, dim, rows);
  script.check();
  script.upsert(0, 1);
  script.check();
  script.upsert(1, count - 1);
  script.check();
  script.settle();
  script.check();
  script.remove(0, count, 3);
  script.check();
  script.upsert(0, count / 5);  // some back, some replaced
  script.check();
  script.reload();
  script.check();
  script.upsert(count, 20);
  script.check();
  script.collection().compact();
  script.settle();
  script.check();
  script.remove(0, count + 20, 1);
  script.check();
}

}  // namespace

TEST_CASE("every index, code and metric keeps what a collection promises") {
  const Setting setting = GENERATE(from_range(std::begin(kSettings), std::end(kSettings)));
  for (const Metric metric : kAllMetrics) {
    // Enough rows to learn from.
    run(setting, metric, 8, Rows::kRandom, 1'700);
    run(setting, metric, 3, Rows::kTwins, 60);
    run(setting, metric, 100, Rows::kRandom, 60);
  }
}

TEST_CASE("every index and code takes rows that are alike") {
  const Setting setting = GENERATE(from_range(std::begin(kSettings), std::end(kSettings)));
  for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) {
    for (const Rows rows : {Rows::kEqual, Rows::kZero, Rows::kTwins}) run(setting, metric, 5, rows, 1'500);
  }
}

TEST_CASE("every index and code takes every dimension") {
  const Setting setting = GENERATE(from_range(std::begin(kSettings), std::end(kSettings)));
  run(setting, Metric::kCosine, 1, Rows::kRandom, 1'500);
  run(setting, Metric::kDot, 384, Rows::kTwins, 1'600);
  for (const size_t dim : {1536, 4096}) run(setting, Metric::kCosine, dim, Rows::kRandom, 30);
}
