#include "core/quant/pq.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <string>

#include "core/quant/encoding.h"

namespace nearfield {

namespace {

constexpr std::string_view kSubVectorsName = "code.pieces", kScaleName = "code.scale", kBooksName = "code.books";

// Rows that training looks at: more, up to 64 a point, changed the best 20 of text embeddings in nothing.
constexpr size_t kSampleRows = 2048;
constexpr size_t kRounds = 6;
// Where what is cut ends, far beyond the -1..1 of the sample.
constexpr float kMostWhole = 0x1p20f;
// A factor is 1 / <u, u^>, which is .9 where quantisation does what it should.
constexpr double kMostFactor = 16;

size_t book_size(CodeKind kind) { return kind == CodeKind::kPq8 ? 256 : 16; }

size_t padded(size_t number, size_t to) { return (number + to - 1) / to * to; }

// Entries of the table; of sub-vectors that only fill the code, too.
size_t table_size(CodeKind kind, size_t sub_vectors) {
  return kind == CodeKind::kPq8 ? sub_vectors * 256 : padded(sub_vectors, 32) * 16;
}

size_t code_size(CodeKind kind, size_t sub_vectors) {
  return (kind == CodeKind::kPq8 ? padded(sub_vectors, 16) : padded(sub_vectors, 32) / 2) + sizeof(CodeTail);
}

// The first component of a sub-vector: they differ in length by one at most.
size_t first_component(size_t sub_vector, size_t sub_vectors, size_t dim) {
  return static_cast<size_t>(uint64_t{sub_vector} * dim / sub_vectors);
}

float clamped(double value) {
  return static_cast<float>(std::clamp(value, -static_cast<double>(kMostWhole), static_cast<double>(kMostWhole)));
}

// What is cut of `vector`; its length, or 1 for manhattan.
double whole_of(Metric metric, float scale, std::span<const float> vector, std::vector<float>& to) {
  if (metric != Metric::kManhattan) return unit_of(vector, to);
  to.resize(vector.size());
  for (size_t j = 0; j < vector.size(); ++j) to[j] = clamped(static_cast<double>(vector[j]) * scale);
  return 1;
}

}  // namespace

size_t Pq::default_sub_vectors(CodeKind kind, size_t dim) {
  return std::min(dim, padded((dim + 3) / 4, kind == CodeKind::kPq8 ? 16 : 32));
}

Pq::Pq(CodeKind kind, Metric metric, size_t dim, uint64_t seed, float scale, std::vector<LanePoints> books)
    : VectorCode(kind, metric, dim, seed, code_size(kind, books.size())), scale_(scale), books_(std::move(books)) {}

double Pq::whole(std::span<const float> vector, CodeScratch& scratch) const {
  assert(vector.size() == dim());
  return whole_of(metric(), scale_, vector, scratch.a);
}

void Pq::encode(std::span<const float> row, std::span<uint8_t> code, CodeScratch& scratch) const {
  assert(code.size() == code_bytes());
  const double norm = whole(row, scratch);
  std::ranges::fill(code, uint8_t{0});
  double product = 0, square = 0;
  for (size_t sub_vector = 0; sub_vector < sub_vectors(); ++sub_vector) {
    const LanePoints& book = books_[sub_vector];
    const std::span<const float> part =
        std::span(scratch.a).subspan(first_component(sub_vector, sub_vectors(), dim()), book.dim());
    const LanePoints::Found found = book.nearest(part);
    const double half = book.half_square(found.point);
    product += found.nearness + half;
    square += 2 * half;
    if (kind() == CodeKind::kPq8) {
      code[sub_vector] = static_cast<uint8_t>(found.point);
    } else {
      code[sub_vector / 2] = static_cast<uint8_t>(code[sub_vector / 2] | found.point << sub_vector % 2 * 4);
    }
  }
  CodeTail tail;
  tail.norm = held(norm);
  if (metric() == Metric::kManhattan) {
    tail.scale = 1;
  } else if (norm > 0 && product > 0 && square > 0) {
    tail.scale =
        static_cast<float>(std::min(metric() == Metric::kEuclidean ? product / square : 1 / product, kMostFactor));
    tail.stored = held(norm * (tail.scale * std::sqrt(square)));
  }
  std::memcpy(code.data() + code.size() - sizeof tail, &tail, sizeof tail);
}

void Pq::prepare(std::span<const float> query, PreparedQuery& prepared) const {
  prepared.norm = whole(query, prepared.scratch);
  const size_t size = book_size(kind());
  std::vector<float>& entries = prepared.floats;
  entries.resize(sub_vectors() * size);
  float widest = 0;
  double offset = 0;
  for (size_t sub_vector = 0; sub_vector < sub_vectors(); ++sub_vector) {
    const LanePoints& book = books_[sub_vector];
    const std::span<const float> part =
        std::span(prepared.scratch.a).subspan(first_component(sub_vector, sub_vectors(), dim()), book.dim());
    const std::span<float> of_this = std::span(entries).subspan(sub_vector * size, size);
    if (metric() == Metric::kManhattan) {
      for (size_t point = 0; point < size; ++point) {
        float sum = 0;
        for (size_t j = 0; j < part.size(); ++j) sum += std::abs(part[j] - book.component(point, j));
        of_this[point] = sum;
      }
    } else {
      book.products(part, of_this);
    }
    F32x4 least = load_lanes<F32x4>(of_this.data()), most = least;
    for (size_t i = 4; i < size; i += 4) {
      const auto lanes = load_lanes<F32x4>(&of_this[i]);
      least = lanes < least ? lanes : least;
      most = lanes > most ? lanes : most;
    }
    const float low = std::min(std::min(least[0], least[1]), std::min(least[2], least[3]));
    const float high = std::max(std::max(most[0], most[1]), std::max(most[2], most[3]));
    for (size_t i = 0; i < size; i += 4) store_lanes(&of_this[i], load_lanes<F32x4>(&of_this[i]) - low);
    offset += low;
    widest = std::max(widest, high - low);
  }
  const float most_entry = kind() == CodeKind::kPq8 ? 255 : kMostEntry;
  const float factor = widest > 0 ? most_entry / widest : 0;
  // Entries are below 256, so the low bytes of four rounded lanes are all there is of them.
  prepared.tables.assign(table_size(kind(), sub_vectors()), 0);
  for (size_t i = 0; i < entries.size(); i += 16) {
    I8x16 parts[4];
    for (size_t part = 0; part < 4; ++part) {
      F32x4 scaled = load_lanes<F32x4>(&entries[i + 4 * part]) * factor;
      scaled = scaled < most_entry ? scaled : F32x4{} + most_entry;
      parts[part] = reinterpret_cast<I8x16>(rounded(scaled));
    }
    const I8x16 low = __builtin_shufflevector(parts[0], parts[1], 0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
    const I8x16 high = __builtin_shufflevector(parts[2], parts[3], 0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
    store_lanes(&prepared.tables[i],
                __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
  }
  prepared.scale = factor > 0 ? 1 / static_cast<double>(factor) : 0;
  prepared.offset = offset;
}

void Pq::score_rows(const PreparedQuery& query, std::span<const uint32_t> sums, const CodeTail* tails,
                    std::span<float> scores) const {
  if (metric() == Metric::kManhattan) {
    for (size_t i = 0; i < scores.size(); ++i) {
      scores[i] = held(0.0 - (query.offset + query.scale * sums[i]) / scale_ * tails[i].scale);
    }
    return;
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    const double cosine = (query.offset + query.scale * sums[i]) * tails[i].scale;
    scores[i] = estimate(metric(), cosine, query.norm, query.norm, tails[i]);
  }
}

void Pq::score(const PreparedQuery& query, std::span<const uint8_t* const> codes, std::span<float> scores) const {
  assert(scores.size() == codes.size());
  constexpr size_t kStep = 4;
  const bool wide = kind() == CodeKind::kPq8;
  const size_t numbers = wide ? sub_vectors() : (sub_vectors() + 1) / 2;
  for (size_t begin = 0; begin < codes.size(); begin += kStep) {
    const auto step = codes.subspan(begin, std::min(kStep, codes.size() - begin));
    // Places that this step does not fill repeat its last row.
    const uint8_t* rows[kStep];
    for (size_t i = 0; i < kStep; ++i) rows[i] = step[std::min(i, step.size() - 1)];
    uint32_t sums[kStep] = {};
    const uint8_t* table = query.tables.data();
    for (size_t j = 0; j < numbers; ++j) {
      if (wide) {
        for (size_t i = 0; i < kStep; ++i) sums[i] += table[rows[i][j]];
        table += 256;
      } else {
        for (size_t i = 0; i < kStep; ++i) sums[i] += uint32_t{table[rows[i][j] & 15]} + table[16 + (rows[i][j] >> 4)];
        table += 32;
      }
    }
    CodeTail tails[kStep];
    for (size_t i = 0; i < step.size(); ++i) tails[i] = load_tail(rows[i] + code_bytes() - sizeof(CodeTail));
    score_rows(query, {sums, step.size()}, tails, scores.subspan(begin, step.size()));
  }
}

void Pq::between(const uint8_t*, std::span<const uint8_t* const>, std::span<float> scores) const {
  assert(false);
  std::ranges::fill(scores, 0.f);
}

bool Pq::sound(std::span<const uint8_t> code) const {
  assert(code.size() == code_bytes());
  const CodeTail tail = load_tail(code.data() + code.size() - sizeof(CodeTail));
  return sound_tail(tail) && tail.sum == 0 && (metric() != Metric::kManhattan || tail.scale == 1);
}

size_t Pq::memory_bytes() const {
  size_t bytes = sizeof *this + books_.capacity() * sizeof(LanePoints);
  for (const LanePoints& book : books_) bytes += book.memory_bytes();
  return bytes;
}

// Sections, after the header:
//   code.pieces  u32  how many sub-vectors
//   code.scale   f32  a power of two; 1 but for manhattan
//   code.books   f32  the learned points of sub-vector 0, one behind the other, then of sub-vector 1, ...
StateSections Pq::sections() const {
  StateSections sections = VectorCode::sections();
  const auto sub_vectors = static_cast<uint32_t>(books_.size());
  std::vector<float> books;
  for (const LanePoints& book : books_) {
    for (size_t point = 0; point < book.count(); ++point) {
      for (size_t j = 0; j < book.dim(); ++j) books.push_back(book.component(point, j));
    }
  }
  sections.push_back(copy_state<uint32_t>(kSubVectorsName, {&sub_vectors, 1}));
  sections.push_back(copy_state<float>(kScaleName, {&scale_, 1}));
  sections.push_back(copy_state<float>(kBooksName, books));
  return sections;
}

Result<std::unique_ptr<VectorCode>> Pq::from_sections(const SectionViews& sections, CodeKind kind, Metric metric,
                                                      size_t dim, uint64_t seed) {
  ASSIGN_OR_RETURN(const auto count, section_elements<uint32_t>(sections, kSubVectorsName));
  ASSIGN_OR_RETURN(const auto scales, section_elements<float>(sections, kScaleName));
  ASSIGN_OR_RETURN(const auto components, section_elements<float>(sections, kBooksName));
  const auto malformed = [](std::string what) { return Error{Code::kFormatError, "sections code.*: " + what, ""}; };
  if (count.size() != 1 || count[0] < 1 || count[0] > dim) {
    return malformed("the number of sub-vectors is not 1 to " + std::to_string(dim));
  }
  const float scale = scales.size() == 1 ? scales[0] : 0;
  // Written so that not-a-number is refused.
  if (!(scale >= 0x1p-126f && scale <= 0x1p126f) || (metric != Metric::kManhattan && scale != 1)) {
    return malformed("the scale is not one that was written");
  }
  const size_t sub_vectors = count[0], size = book_size(kind);
  if (components.size() / size != dim || components.size() % size != 0) {
    return malformed("the learned points are not those of " + std::to_string(dim) + " dimensions");
  }
  for (size_t i = 0; i < components.size(); ++i) {
    if (!(std::abs(components[i]) <= kMostWhole)) return malformed("a learned point is not finite");
  }
  std::vector<LanePoints> books;
  books.reserve(sub_vectors);
  std::vector<float> points;
  for (size_t sub_vector = 0, at = 0; sub_vector < sub_vectors; ++sub_vector) {
    const size_t width =
        first_component(sub_vector + 1, sub_vectors, dim) - first_component(sub_vector, sub_vectors, dim);
    points.resize(width * size);
    for (float& component : points) component = components[at++];
    books.emplace_back(MatrixView(points, width));
  }
  return std::unique_ptr<VectorCode>(new Pq(kind, metric, dim, seed, scale, std::move(books)));
}

PqTraining::PqTraining(CodeKind kind, Metric metric, MatrixView sample, size_t sub_vectors, uint64_t seed)
    : kind_(kind),
      metric_(metric),
      dim_(sample.dim()),
      sub_vectors_(sub_vectors > 0 ? std::min(sub_vectors, sample.dim()) : Pq::default_sub_vectors(kind, sample.dim())),
      seed_(seed) {
  assert((kind == CodeKind::kPq8 || kind == CodeKind::kPq4) && sample.count() > 0);
  // Rows from all over the sample.
  const size_t count = std::min(kSampleRows, sample.count());
  const auto row = [&](size_t i) { return sample.row(static_cast<size_t>(uint64_t{i} * sample.count() / count)); };
  if (metric == Metric::kManhattan) {
    float largest = 0;
    for (size_t i = 0; i < count; ++i) {
      for (const float component : row(i)) largest = std::max(largest, std::abs(component));
    }
    int exponent = 0;
    if (largest > 0) std::frexp(largest, &exponent);
    scale_ = std::ldexp(1.f, std::clamp(-exponent, -126, 126));
  }
  std::vector<float> whole;
  rows_.reserve(count * dim_);
  for (size_t i = 0; i < count; ++i) {
    whole_of(metric, scale_, row(i), whole);
    rows_.insert(rows_.end(), whole.begin(), whole.end());
  }
  books_.reserve(sub_vectors_);
  begin_sub_vector();
}

void PqTraining::begin_sub_vector() {
  const size_t sub_vector = books_.size();
  const size_t begin = first_component(sub_vector, sub_vectors_, dim_),
               width = first_component(sub_vector + 1, sub_vectors_, dim_) - begin;
  std::vector<float> parts;
  parts.reserve(rows_.size() / dim_ * width);
  for (size_t at = begin; at < rows_.size(); at += dim_) {
    parts.insert(parts.end(), &rows_[at], &rows_[at] + width);
  }
  const KMeansOptions options{.count = book_size(kind_), .rounds = kRounds, .seed = seed_ + sub_vector};
  kmeans_ = std::make_unique<KMeans>(std::move(parts), width, options);
}

bool PqTraining::advance(size_t budget) {
  if (books_.size() == sub_vectors_) return false;
  if (kmeans_->advance(budget)) return true;
  const size_t width =
      first_component(books_.size() + 1, sub_vectors_, dim_) - first_component(books_.size(), sub_vectors_, dim_);
  std::vector<float> points = kmeans_->take();
  // Of a small sample there are fewer; the first one stands for what is missing.
  for (size_t at = points.size(); at < book_size(kind_) * width; ++at) points.push_back(points[at % width]);
  books_.emplace_back(MatrixView(points, width));
  if (books_.size() == sub_vectors_) return false;
  begin_sub_vector();
  return true;
}

std::unique_ptr<VectorCode> PqTraining::take() {
  assert(books_.size() == sub_vectors_);
  return std::unique_ptr<VectorCode>(new Pq(kind_, metric_, dim_, seed_, scale_, std::move(books_)));
}

}  // namespace nearfield
