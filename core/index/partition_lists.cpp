#include "core/index/partition_lists.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "core/quant/pq.h"
#include "core/quant/rabitq.h"
#include "core/quant/scan_block.h"

namespace nearfield {

namespace {

constexpr size_t kBatch = 64;
constexpr size_t kTailBytes = 16;
static_assert(kTailBytes == sizeof(RaBitQTail) && kTailBytes == sizeof(CodeTail));

bool lies_side_by_side(const VectorCode* code) {
  return code != nullptr && (code->kind() == CodeKind::kRaBitQ || code->kind() == CodeKind::kPq4);
}

Error malformed(std::string what) { return {Code::kFormatError, "ivf sections: " + std::move(what), ""}; }

bool all_zero(std::span<const uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

PartitionLists::PartitionLists(size_t count, std::unique_ptr<const VectorCode> code, const VectorTable* table,
                               Metric metric)
    : code_(std::move(code)),
      side_by_side_(lies_side_by_side(code_.get())),
      block_rows_(side_by_side_ ? kScanRows : 8),
      lists_(count) {
  assert(count >= 1 && (code_ != nullptr || table != nullptr));
  if (code_) {
    blocks_.emplace(code_->code_bytes() * block_rows_);
    encoded_.resize(code_->code_bytes());
  } else {
    vectors_ = vector_distance(*table, metric);
  }
}

std::pair<uint32_t, size_t> PartitionLists::new_place(size_t list) {
  List& to = lists_[list];
  const size_t place = to.size % block_rows_;
  if (place == 0) {
    const auto block = static_cast<uint32_t>(next_block_.size());
    next_block_.push_back(kNone);
    row_of_.resize(row_of_.size() + block_rows_);
    if (blocks_) blocks_->append();
    (to.size == 0 ? to.first_block : next_block_[to.last_block]) = block;
    to.last_block = block;
  }
  ++to.size;
  ++row_count_;
  return {to.last_block, place};
}

void PartitionLists::append(size_t list, RowId row, std::span<const float> vector) {
  const auto [block, place] = new_place(list);
  row_of_[block * block_rows_ + place] = row;
  if (!code_) {
    while (next_node_ <= row) vectors_->append(next_node_++, {});
    return;
  }
  const size_t bytes = code_->code_bytes();
  uint8_t* const to = blocks_->mutable_row(block).data();
  if (!side_by_side_) return code_->encode(vector, {to + place * bytes, bytes}, scratch_);
  code_->encode(vector, encoded_, scratch_);
  const size_t numbers = bytes - kTailBytes;
  put_row(to, place, std::span(encoded_).first(numbers));
  std::memcpy(to + numbers * kScanRows + place * kTailBytes, &encoded_[numbers], kTailBytes);
}

void PartitionLists::prepare(std::span<const float> query) {
  if (code_) {
    code_->prepare(query, query_);
  } else {
    vectors_->prepare(query);
  }
}

// Calls visit(block, rows) with the rows of each block.
template <typename Visit>
void PartitionLists::each_block(size_t list, Visit visit) const {
  size_t left = lists_[list].size;
  for (uint32_t block = lists_[list].first_block; left > 0; block = next_block_[block]) {
    const size_t count = std::min(left, block_rows_);
    visit(block, std::span(row_of_).subspan(block * block_rows_, count));
    left -= count;
  }
}

void PartitionLists::compare(std::span<const RowId> rows, std::span<const uint8_t* const> codes, BestRows& best) {
  std::array<float, kBatch> scores;
  const std::span<float> used = std::span(scores).first(rows.size());
  if (code_) {
    code_->score(query_, codes, used);
  } else {
    vectors_->to_query(rows, used.data());
    for (float& score : used) score = -score;
  }
  for (size_t i = 0; i < rows.size(); ++i) best.offer(rows[i], used[i]);
}

void PartitionLists::compare_block(uint32_t block, std::span<const RowId> rows, const RowSet* allowed, BestRows& best) {
  std::array<float, kScanRows> scores, most;
  const uint8_t* const numbers = blocks_->row(block);
  const size_t bytes = (code_->code_bytes() - kTailBytes) * kScanRows;
  uint32_t sums[kScanRows];
  scan_sums({numbers, bytes}, query_.tables, sums);
  if (code_->kind() == CodeKind::kRaBitQ) {
    int32_t bit_sums[kScanRows];
    for (size_t i = 0; i < kScanRows; ++i) bit_sums[i] = static_cast<int32_t>(sums[i]) - query_.table_offset;
    RaBitQTail tails[kScanRows];
    std::memcpy(tails, numbers + bytes, sizeof tails);
    static_cast<const RaBitQ&>(*code_).score_rows(query_, bit_sums, tails, scores, most);
  } else {
    CodeTail tails[kScanRows];
    std::memcpy(tails, numbers + bytes, sizeof tails);
    static_cast<const Pq&>(*code_).score_rows(query_, std::span(sums).first(rows.size()), tails,
                                              std::span(scores).first(rows.size()));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (scores[i] >= best.floor() && (allowed == nullptr || allowed->contains(rows[i]))) best.offer(rows[i], scores[i]);
  }
}

size_t PartitionLists::scan(size_t list, const RowSet* allowed, BestRows& best) {
  if (side_by_side_) {
    size_t met = 0;
    each_block(list, [&](uint32_t block, std::span<const RowId> rows) {
      size_t wanted = rows.size();
      if (allowed != nullptr) {
        wanted = static_cast<size_t>(std::ranges::count_if(rows, [&](RowId row) { return allowed->contains(row); }));
      }
      met += wanted;
      if (wanted > 0) compare_block(block, rows, allowed, best);
    });
    return met;
  }
  std::array<RowId, kBatch> waiting;
  std::array<const uint8_t*, kBatch> codes;
  size_t count = 0, met = 0;
  const auto compare_waiting = [&] {
    compare(std::span(waiting).first(count), std::span<const uint8_t* const>(codes).first(code_ ? count : 0), best);
    met += count;
    count = 0;
  };
  each_block(list, [&](uint32_t block, std::span<const RowId> rows) {
    const uint8_t* const first = code_ ? blocks_->row(block) : nullptr;
    for (size_t place = 0; place < rows.size(); ++place) {
      if (allowed != nullptr && !allowed->contains(rows[place])) continue;
      waiting[count] = rows[place];
      if (code_) codes[count] = first + place * code_->code_bytes();
      if (++count == kBatch) compare_waiting();
    }
  });
  compare_waiting();
  return met;
}

size_t PartitionLists::memory_bytes() const {
  return (code_ ? code_->memory_bytes() + blocks_->memory_bytes() : vectors_->memory_bytes()) +
         lists_.capacity() * sizeof(List) + next_block_.capacity() * sizeof(uint32_t) +
         row_of_.capacity() * sizeof(RowId);
}

void PartitionLists::append_sections(bool with_codes, StateSections& sections) const {
  std::vector<uint32_t> sizes, rows;
  rows.reserve(row_count_);
  StateSection codes = {"ivf.codes", ElementType::kU8, 0, {}, nullptr};
  for (size_t list = 0; list < count(); ++list) {
    sizes.push_back(lists_[list].size);
    each_block(list, [&](uint32_t block, std::span<const RowId> of_block) {
      rows.insert(rows.end(), of_block.begin(), of_block.end());
      if (!code_) return;
      const size_t written = side_by_side_ ? kScanRows : of_block.size();
      codes.pieces.push_back({blocks_->row(block), written * code_->code_bytes()});
      codes.count += codes.pieces.back().size();
    });
  }
  sections.push_back(copy_state<uint32_t>("ivf.sizes", sizes));
  sections.push_back(copy_state<uint32_t>("ivf.rows", rows));
  if (code_ && with_codes) sections.push_back(std::move(codes));
}

Status PartitionLists::load(const SectionViews& sections, size_t row_limit, const VectorTable* table) {
  assert(row_count_ == 0 && (table == nullptr || row_limit <= table->count()));
  ASSIGN_OR_RETURN(const auto sizes, section_elements<uint32_t>(sections, "ivf.sizes"));
  ASSIGN_OR_RETURN(const auto rows, section_elements<uint32_t>(sections, "ivf.rows"));
  if (sizes.size() != count()) return malformed("lists are missing or surplus");
  uint64_t total = 0, blocks = 0;
  for (size_t list = 0; list < count(); ++list) {
    total += sizes[list];
    blocks += (uint64_t{sizes[list]} + block_rows_ - 1) / block_rows_;
  }
  if (total != rows.size() || total > row_limit) return malformed("rows are missing or surplus");
  RowSet seen(row_limit);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] >= row_limit || seen.contains(rows[i])) return malformed("a row is unknown or stands twice");
    seen.insert(rows[i]);
  }
  const bool has_codes = code_ && sections.find("ivf.codes") != nullptr;
  if (code_ && !has_codes && table == nullptr) return malformed("codes are missing");
  PiecedBytes codes;
  if (has_codes) {
    ASSIGN_OR_RETURN(codes, take_bytes(sections, "ivf.codes"));
    const uint64_t written = side_by_side_ ? blocks * kScanRows : total;
    if (codes.left() / code_->code_bytes() != written || codes.left() % code_->code_bytes() != 0) {
      return malformed("codes are missing or surplus");
    }
  }
  size_t next = 0;
  for (size_t list = 0; list < count(); ++list) {
    for (size_t i = 0; i < sizes[list]; ++i) {
      const RowId row = rows[next++];
      if (!has_codes) {
        append(list, row, code_ ? table->row(row) : std::span<const float>());
        continue;
      }
      const auto [block, place] = new_place(list);
      row_of_[block * block_rows_ + place] = row;
      const size_t bytes = code_->code_bytes(), numbers = bytes - kTailBytes;
      uint8_t* const to = blocks_->mutable_row(block).data();
      if (!side_by_side_) {
        std::memcpy(to + place * bytes, codes.next(bytes).data(), bytes);
        if (!code_->sound({to + place * bytes, bytes})) return malformed("a code is not one that was written");
        continue;
      }
      if (place == 0) {
        std::memcpy(to, codes.next(bytes * kScanRows).data(), bytes * kScanRows);
      }
      // With the last row, also the places behind it, to which rows will be added.
      const size_t end = i + 1 == sizes[list] ? kScanRows : place + 1;
      for (size_t at = place; at < end; ++at) {
        take_row(to, at, std::span(encoded_).first(numbers));
        std::memcpy(&encoded_[numbers], to + numbers * kScanRows + at * kTailBytes, kTailBytes);
        if (at == place ? !code_->sound(encoded_) : !all_zero(encoded_)) {
          return malformed("a code is not one that was written");
        }
      }
    }
  }
  return {};
}

}  // namespace nearfield
