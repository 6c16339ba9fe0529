#include "core/text/bm25.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "core/base/hash.h"
#include "core/base/sort.h"
#include "core/base/utf8.h"

namespace nearfield {
namespace {

constexpr uint32_t kEmptySlot = 0xFFFFFFFF;
// A row's distance to the one before is doubled in a posting and must still fit 32 bits.
constexpr size_t kMaxRows = size_t{1} << 30;

using TermId = uint32_t;

// Postings of a term: for each row, ascending, varint((row - previous row) << 1 | (tf > 1)), then varint(tf) if tf > 1.
// The first row is told from -1, so a distance is never 0.
struct Postings {
  Bytes bytes;
  RowId last_row = std::numeric_limits<RowId>::max();  // -1: no row yet

  void append(RowId row, uint32_t tf) {
    // Doubling would leave a third of the memory unused on average.
    constexpr size_t kLargest = 10;
    if (bytes.capacity() - bytes.size() < kLargest) reserve_for(row, tf);
    put((row - last_row) << 1 | (tf > 1 ? 1u : 0u));
    if (tf > 1) put(tf);
    last_row = row;
  }

 private:
  static size_t width(uint32_t value) { return (static_cast<size_t>(std::bit_width(value | 1u)) + 6) / 7; }
  void reserve_for(RowId row, uint32_t tf) {
    const size_t wanted = bytes.size() + width((row - last_row) << 1) + (tf > 1 ? width(tf) : 0);
    if (wanted > bytes.capacity()) bytes.reserve(std::max(wanted, bytes.size() + bytes.size() / 4));
  }
  void put(uint32_t value) {
    for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<uint8_t>(value | 0x80));
    bytes.push_back(static_cast<uint8_t>(value));
  }
};

struct TermEntry {
  Postings postings;
  uint32_t text_end = 0;   // in State::texts; the term starts where the one before ends
  uint32_t row_count = 0;  // live rows that hold the term, and those removed without its being told
};

// Reads postings that were checked or written by us.
inline uint32_t read_varint(const uint8_t*& next) {
  uint32_t value = *next++;
  if (value < 0x80) return value;
  value &= 0x7F;
  for (int shift = 7;; shift += 7) {
    const uint32_t byte = *next++;
    value |= (byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

template <typename Visit>
void for_each_posting(const Bytes& bytes, Visit visit) {
  RowId row = std::numeric_limits<RowId>::max();
  const uint8_t* const end = bytes.data() + bytes.size();
  for (const uint8_t* next = bytes.data(); next != end;) {
    const uint32_t head = read_varint(next);
    row += head >> 1;
    visit(row, (head & 1) == 0 ? 1 : read_varint(next));
  }
}

// Reads one varint of at most 32 bits from outside; false when there is none before `end`.
bool checked_varint(const uint8_t*& next, const uint8_t* end, uint32_t& value) {
  uint64_t wide = 0;
  for (int shift = 0; shift < 35 && next != end; shift += 7) {
    const uint32_t byte = *next++;
    wide |= uint64_t{byte & 0x7F} << shift;
    value = static_cast<uint32_t>(wide);
    if (byte < 0x80) return wide <= std::numeric_limits<uint32_t>::max();
  }
  return false;
}

Error damaged(std::string_view problem, uint64_t value) {
  return {Code::kFormatError, "text index: " + std::string(problem), shown(static_cast<int64_t>(value))};
}

// The `limit`-th greatest of the positive scores of `rows`; 0 when there are fewer.
double score_at(std::span<const double> scores, std::span<const RowId> rows, size_t limit) {
  if (limit >= rows.size()) return 0;
  std::vector<double> best;  // a heap with the least on top
  best.reserve(limit);
  for (const RowId row : rows) {
    if (best.size() < limit) {
      best.push_back(scores[row]);
      std::push_heap(best.begin(), best.end(), std::greater<>());
    } else if (scores[row] > best.front()) {
      std::pop_heap(best.begin(), best.end(), std::greater<>());
      best.back() = scores[row];
      std::push_heap(best.begin(), best.end(), std::greater<>());
    }
  }
  return best.front();
}

}  // namespace

struct Bm25::State {
  Bm25Options options;
  std::string texts;
  std::vector<TermEntry> terms;
  std::vector<TermId> slots = std::vector<TermId>(16, kEmptySlot);  // open addressing, a power of two
  std::vector<uint32_t> lengths;  // by row: its terms + 1; 0 for rows never added or removed
  size_t live_rows = 0;
  uint64_t live_terms = 0;  // the sum of the live rows' lengths
  bool untold = false;      // rows were removed without their terms

  std::string_view text(TermId id) const {
    const uint32_t begin = id == 0 ? 0 : terms[id - 1].text_end;
    return std::string_view(texts).substr(begin, terms[id].text_end - begin);
  }

  // Where `term` is or belongs.
  size_t slot_of(std::string_view term) const {
    const size_t mask = slots.size() - 1;
    auto slot = static_cast<size_t>(hash64(as_bytes(term))) & mask;
    while (slots[slot] != kEmptySlot && text(slots[slot]) != term) slot = (slot + 1) & mask;
    return slot;
  }

  std::optional<TermId> find(std::string_view term) const {
    const TermId id = slots[slot_of(term)];
    return id == kEmptySlot ? std::nullopt : std::optional(id);
  }

  // The term's id; a new one if it was not there.
  TermId intern(std::string_view term) {
    if ((terms.size() + 1) * 4 > slots.size() * 3) rehash(slots.size() * 2);
    TermId& slot = slots[slot_of(term)];
    if (slot == kEmptySlot) {
      slot = static_cast<TermId>(terms.size());
      texts += term;
      terms.emplace_back().text_end = static_cast<uint32_t>(texts.size());
    }
    return slot;
  }

  void rehash(size_t slot_count) {
    slots.assign(slot_count, kEmptySlot);
    for (TermId id = 0; id < terms.size(); ++id) slots[slot_of(text(id))] = id;
  }

  // df: live rows that hold the term.
  size_t rows_with(const TermEntry& term) const {
    if (!untold || term.row_count == 0) return term.row_count;
    size_t count = 0;
    for_each_posting(term.postings.bytes, [&](RowId row, uint32_t) { count += lengths[row] != 0 ? 1 : 0; });
    return count;
  }

  void forget(RowId row) {
    --live_rows;
    live_terms -= lengths[row] - 1;
    lengths[row] = 0;
  }

  // What tf is weighed against in a row. A removed row (0) gets some number; its score is not looked at.
  double norm(uint32_t length_plus_one) const {
    const double mean = static_cast<double>(live_terms) / static_cast<double>(live_rows);
    return options.k1 * (1 - options.b + options.b * (length_plus_one - 1) / mean);
  }

  // Adds the term's share to the score of each row that holds it. `singles` is 1 / (1 + norm) of each row: nearly all
  // postings count one, and so they are spared the division.
  void accumulate(const TermEntry& term, double repeats, std::span<const double> singles,
                  std::span<double> scores) const {
    const auto n = static_cast<double>(live_rows);
    const auto df = static_cast<double>(rows_with(term));
    const double weight = repeats * std::log(1 + (n - df + 0.5) / (df + 0.5)) * (options.k1 + 1);
    for_each_posting(term.postings.bytes, [&](RowId row, uint32_t tf) {
      scores[row] += tf == 1 ? weight * singles[row] : weight * tf / (tf + norm(lengths[row]));
    });
  }
};

Bm25::Bm25(Bm25Options options) : state_(std::make_unique<State>()) {
  assert(options.k1 >= 0 && options.b >= 0 && options.b <= 1);
  state_->options = options;
}
Bm25::~Bm25() = default;
Bm25::Bm25(Bm25&&) noexcept = default;
Bm25& Bm25::operator=(Bm25&&) noexcept = default;

void Bm25::add(RowId row, std::span<const std::string_view> terms) {
  State& state = *state_;
  assert(row >= state.lengths.size() && row < kMaxRows);
  std::vector<TermId> ids;
  ids.reserve(terms.size());
  for (const std::string_view term : terms) ids.push_back(state.intern(term));
  heap_sort(ids);
  for (size_t i = 0; i < ids.size();) {
    const size_t begin = i;
    while (i < ids.size() && ids[i] == ids[begin]) ++i;
    TermEntry& term = state.terms[ids[begin]];
    term.postings.append(row, static_cast<uint32_t>(i - begin));
    ++term.row_count;
  }
  state.lengths.resize(row);
  state.lengths.push_back(static_cast<uint32_t>(terms.size()) + 1);
  ++state.live_rows;
  state.live_terms += terms.size();
}

void Bm25::remove(RowId row, std::span<const std::string_view> terms) {
  State& state = *state_;
  if (row >= state.lengths.size() || state.lengths[row] == 0) return;
  std::vector<TermId> ids;
  for (const std::string_view term : terms) {
    if (const std::optional<TermId> id = state.find(term)) ids.push_back(*id);
  }
  // Sections may come from a file that was made for other words. Then the words of the row are not known.
  const bool known = state.lengths[row] == terms.size() + 1 && ids.size() == terms.size() &&
                     std::ranges::all_of(ids, [&](TermId id) { return state.terms[id].row_count > 0; });
  if (!known) return remove(row);
  heap_sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const TermId id : ids) --state.terms[id].row_count;
  state.forget(row);
}

void Bm25::remove(RowId row) {
  State& state = *state_;
  if (row >= state.lengths.size() || state.lengths[row] == 0) return;
  state.forget(row);
  state.untold = true;
}

std::vector<Scored> Bm25::search(std::span<const std::string_view> terms, const RowSet& allowed, size_t limit,
                                 size_t* scored) const {
  const State& state = *state_;
  // Each term of the query once, in the order of their first appearance, with how often it stands there. Sorting finds
  // the repeats, because a query of a megabyte has a hundred thousand terms.
  struct Wanted {
    TermId id;
    size_t position;
    double repeats;
  };
  std::vector<Wanted> wanted;
  for (size_t i = 0; i < terms.size(); ++i) {
    const std::optional<TermId> id = state.find(terms[i]);
    if (id.has_value() && state.terms[*id].row_count > 0) wanted.push_back({*id, i, 1});
  }
  heap_sort(wanted,
            [](const Wanted& a, const Wanted& b) { return a.id != b.id ? a.id < b.id : a.position < b.position; });
  size_t kept = 0;
  for (const Wanted& next : wanted) {
    if (kept > 0 && wanted[kept - 1].id == next.id) {
      ++wanted[kept - 1].repeats;
    } else {
      wanted[kept++] = next;
    }
  }
  wanted.resize(kept);
  heap_sort(wanted, [](const Wanted& a, const Wanted& b) { return a.position < b.position; });
  std::vector<Scored> hits;
  std::vector<RowId> touched;
  std::vector<double> scores;
  if (!wanted.empty()) {
    std::vector<double> singles(state.lengths.size());
    for (size_t row = 0; row < singles.size(); ++row) singles[row] = 1 / (1 + state.norm(state.lengths[row]));
    scores.resize(state.lengths.size());
    for (const Wanted& term : wanted) state.accumulate(state.terms[term.id], term.repeats, singles, scores);
    for (RowId row = 0; row < scores.size(); ++row) {
      // Every share is positive: idf is, since df <= n.
      if (scores[row] > 0 && state.lengths[row] != 0 && allowed.contains(row)) touched.push_back(row);
    }
  }
  if (scored != nullptr) *scored = touched.size();
  if (limit == 0 || touched.empty()) return hits;
  const double least = score_at(scores, touched, limit);
  for (const RowId row : touched) {
    if (scores[row] >= least) hits.push_back({row, scores[row]});
  }
  heap_sort(hits, BestFirst());
  return hits;
}

double Bm25::share_of_rows(std::string_view term) const {
  const std::optional<TermId> id = state_->find(term);
  if (!id.has_value()) return 0;
  return static_cast<double>(state_->rows_with(state_->terms[*id])) /
         static_cast<double>(std::max<size_t>(1, state_->live_rows));
}

size_t Bm25::memory_bytes() const {
  const State& state = *state_;
  size_t total = sizeof(State) + state.texts.capacity() + state.terms.capacity() * sizeof(TermEntry) +
                 state.slots.capacity() * sizeof(TermId) + state.lengths.capacity() * sizeof(uint32_t);
  for (const TermEntry& term : state.terms) total += term.postings.bytes.capacity();
  return total;
}

// bm25.texts          u8   the terms, one behind the other
// bm25.text_ends      u32  by term
// bm25.postings       u8   of one term behind the other
// bm25.posting_ends   u64  by term
// bm25.lengths        u32  by row, as in State
// The counts are not stored: reading has to walk the postings anyway.
StateSections Bm25::sections() const {
  const State& state = *state_;
  std::vector<uint32_t> text_ends;
  std::vector<uint64_t> posting_ends;
  StateSection postings = {"bm25.postings", ElementType::kU8, 0, {}, nullptr};
  text_ends.reserve(state.terms.size());
  posting_ends.reserve(state.terms.size());
  postings.pieces.reserve(state.terms.size());
  for (const TermEntry& term : state.terms) {
    text_ends.push_back(term.text_end);
    postings.pieces.push_back(term.postings.bytes);
    postings.count += term.postings.bytes.size();
    posting_ends.push_back(postings.count);
  }
  StateSections sections;
  sections.push_back(view_state<uint8_t>("bm25.texts", as_bytes(state.texts)));
  sections.push_back(copy_state<uint32_t>("bm25.text_ends", text_ends));
  sections.push_back(std::move(postings));
  sections.push_back(copy_state<uint64_t>("bm25.posting_ends", posting_ends));
  sections.push_back(view_state<uint32_t>("bm25.lengths", state.lengths));
  return sections;
}

Result<Bm25> Bm25::from_sections(const SectionViews& sections, size_t row_count, Bm25Options options) {
  ASSIGN_OR_RETURN(const ByteView texts, section_bytes(sections, "bm25.texts"));
  ASSIGN_OR_RETURN(const auto text_ends, section_elements<uint32_t>(sections, "bm25.text_ends"));
  ASSIGN_OR_RETURN(const ByteView postings, section_bytes(sections, "bm25.postings"));
  ASSIGN_OR_RETURN(const auto posting_ends, section_elements<uint64_t>(sections, "bm25.posting_ends"));
  ASSIGN_OR_RETURN(std::vector<uint32_t> lengths, section_values<uint32_t>(sections, "bm25.lengths"));
  if (lengths.size() > row_count || lengths.size() > kMaxRows)
    return damaged("more rows than expected", lengths.size());
  if (text_ends.size() != posting_ends.size()) return damaged("terms without postings", posting_ends.size());

  Bm25 out(options);
  State& state = *out.state_;
  state.texts.reserve(texts.size());
  state.terms.reserve(text_ends.size());
  state.rehash(std::bit_ceil(text_ends.size() * 4 / 3 + 16));
  std::vector<uint64_t> counted(lengths.size());  // the terms of each row, as its postings tell
  uint32_t text_begin = 0;
  uint64_t posting_begin = 0;
  for (size_t i = 0; i < text_ends.size(); ++i) {
    const uint32_t text_end = text_ends[i];
    if (text_end < text_begin || text_end > texts.size()) return damaged("a term's end is out of order", i);
    const std::string_view text = as_text(texts).substr(text_begin, text_end - text_begin);
    if (!is_utf8(text)) return damaged("a term is not UTF-8", i);
    if (state.intern(text) != i) return damaged("a term repeats", i);
    const uint64_t posting_end = posting_ends[i];
    if (posting_end < posting_begin || posting_end > postings.size()) {
      return damaged("the end of a term's postings is out of order", i);
    }
    TermEntry& term = state.terms.back();
    const ByteView bytes =
        postings.subspan(static_cast<size_t>(posting_begin), static_cast<size_t>(posting_end - posting_begin));
    uint64_t next_row = 0;
    const uint8_t* const end = bytes.data() + bytes.size();
    for (const uint8_t* next = bytes.data(); next != end;) {
      uint32_t head = 0;
      uint32_t tf = 1;
      if (!checked_varint(next, end, head) || head >> 1 == 0) return damaged("malformed posting of term", i);
      next_row += head >> 1;
      if (next_row > lengths.size()) return damaged("a posting names a row that does not exist", next_row - 1);
      if ((head & 1) != 0 && (!checked_varint(next, end, tf) || tf < 2)) return damaged("malformed count of term", i);
      const auto row = static_cast<size_t>(next_row - 1);
      counted[row] += tf;
      term.row_count += lengths[row] != 0;
    }
    term.postings.bytes.assign(bytes.begin(), bytes.end());
    term.postings.last_row = static_cast<RowId>(next_row) - 1;
    text_begin = text_end;
    posting_begin = posting_end;
  }
  if (text_begin != texts.size() || posting_begin != postings.size()) {
    return damaged("bytes behind the last term", texts.size() - text_begin + postings.size() - posting_begin);
  }
  for (size_t row = 0; row < lengths.size(); ++row) {
    if (lengths[row] == 0) continue;
    if (counted[row] != lengths[row] - 1) return damaged("the length disagrees with the postings of row", row);
    ++state.live_rows;
    state.live_terms += counted[row];
  }
  state.lengths = std::move(lengths);
  return out;
}

}  // namespace nearfield
