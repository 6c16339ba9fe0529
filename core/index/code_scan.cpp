#include "core/index/code_scan.h"

#include <array>
#include <optional>

#include "core/index/best_rows.h"
#include "core/quant/code_table.h"
#include "core/quant/rabitq.h"
#include "core/quant/scan_table.h"

namespace nearfield {

namespace {

constexpr size_t kBatch = 64;

Error malformed(std::string what) { return {Code::kFormatError, "flat sections: " + std::move(what), ""}; }

}  // namespace

struct CodeScan::State {
  explicit State(std::unique_ptr<const VectorCode> chosen) : code(std::move(chosen)), codes(code->code_bytes()) {
    if (code->kind() == CodeKind::kRaBitQ) bits.emplace(static_cast<const RaBitQ&>(*code));
  }

  void append(std::span<const float> vector) {
    if (!bits) return code->encode(vector, codes.append(), scratch);
    encoded.resize(code->code_bytes());
    code->encode(vector, encoded, scratch);
    bits->append(encoded);
  }

  void note(RowId row) {
    row_of.push_back(row);
    if (rows.size() <= row) rows.grow(row + size_t{1});
    rows.insert(row);
  }

  size_t scan_codes(const RowSet& allowed, BestRows& best) const {
    std::array<size_t, kBatch> places;
    std::array<const uint8_t*, kBatch> pointers;
    std::array<float, kBatch> scores;
    size_t waiting = 0, compared = 0;
    const auto compare = [&] {
      code->score(query, std::span<const uint8_t* const>(pointers).first(waiting), std::span(scores).first(waiting));
      compared += waiting;
      for (size_t i = 0; i < waiting; ++i) best.offer(row_of[places[i]], scores[i]);
      waiting = 0;
    };
    for (size_t place = 0; place < row_of.size(); ++place) {
      if (!allowed.contains(row_of[place])) continue;
      places[waiting] = place;
      pointers[waiting] = codes.row(static_cast<RowId>(place));
      if (++waiting == kBatch) compare();
    }
    compare();
    return compared;
  }

  size_t scan_bits(const RowSet& allowed, BestRows& best) const {
    std::array<float, kScanRows> scores, most;
    size_t compared = 0;
    for (size_t block = 0; block < bits->block_count(); ++block) {
      const size_t begin = block * kScanRows;
      const size_t end = std::min(begin + kScanRows, row_of.size());
      bits->score_block(query, block, scores, most);
      compared += end - begin;
      for (size_t place = begin; place < end; ++place) {
        const float score = scores[place - begin];
        if (score >= best.floor() && allowed.contains(row_of[place])) best.offer(row_of[place], score);
      }
    }
    return compared;
  }

  std::unique_ptr<const VectorCode> code;
  CodeTable codes;                // by place, but for codes of one bit...
  std::optional<ScanTable> bits;  // ...which are here
  std::vector<RowId> row_of;      // by place
  RowSet rows;
  CodeScratch scratch;
  std::vector<uint8_t> encoded;
  PreparedQuery query;  // scratch of a search
};

CodeScan::CodeScan(std::unique_ptr<const VectorCode> code) : state_(std::make_unique<State>(std::move(code))) {}

CodeScan::~CodeScan() = default;

CodeKind CodeScan::code() const { return state_->code->kind(); }
size_t CodeScan::count() const { return state_->row_of.size(); }
const RowSet& CodeScan::rows() const { return state_->rows; }

void CodeScan::add(RowId row, std::span<const float> vector) {
  assert(!state_->rows.contains(row));
  state_->append(vector);
  state_->note(row);
}

void CodeScan::find(const IndexQuery& query, std::vector<Scored>& found, size_t& compared) const {
  assert(query.limit >= 1 && query.candidates >= query.limit);
  State& state = *state_;
  BestRows best(found, query.candidates);
  state.code->prepare(query.vector, state.query);
  compared += state.bits ? state.scan_bits(query.allowed, best) : state.scan_codes(query.allowed, best);
  best.sort();
}

size_t CodeScan::memory_bytes() const {
  const State& state = *state_;
  return state.codes.memory_bytes() + (state.bits ? state.bits->memory_bytes() : 0) + state.code->memory_bytes() +
         state.row_of.capacity() * sizeof(RowId) + state.rows.size() / 8;
}

StateSections CodeScan::sections(bool with_codes) const {
  const State& state = *state_;
  StateSections sections;
  sections.push_back(view_state<uint32_t>("flat.rows", state.row_of));
  append_learned(*state.code, sections);
  if (state.bits) {
    sections.push_back(state.bits->section("flat.codes"));
  } else if (with_codes) {
    sections.push_back(state.codes.section("flat.codes"));
  }
  return sections;
}

Status CodeScan::load(const SectionViews& sections, size_t row_count, const VectorTable* table) {
  State& state = *state_;
  assert(count() == 0);
  ASSIGN_OR_RETURN(const auto rows, section_elements<uint32_t>(sections, "flat.rows"));
  if (rows.size() > row_count) return malformed("more rows than there are");
  RowSet seen(row_count);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] >= row_count || seen.contains(rows[i])) return malformed("a row is unknown or stands twice");
    seen.insert(rows[i]);
  }
  if (state.bits) {
    ASSIGN_OR_RETURN(state.bits, ScanTable::from_section(sections, "flat.codes",
                                                         static_cast<const RaBitQ&>(*state.code), rows.size()));
  } else if (table == nullptr) {
    ASSIGN_OR_RETURN(state.codes, CodeTable::from_section(sections, "flat.codes", *state.code, rows.size()));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!state.bits && table != nullptr) state.append(table->row(rows[i]));
    state.note(rows[i]);
  }
  return {};
}

}  // namespace nearfield
