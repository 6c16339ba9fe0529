// RowSet: a set of rows as a bitmap. Filters, tombstones and search all speak it.
#pragma once

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdint>
#include <vector>

namespace nearfield {

// A row is a position inside one collection, from 0. Rows are ours; users have ids.
using RowId = uint32_t;

class RowSet {
 public:
  RowSet() = default;
  // `size` rows, all in the set or all out of it.
  explicit RowSet(size_t size, bool filled = false) : size_(size), words_((size + 63) / 64, filled ? ~uint64_t{0} : 0) {
    trim();
  }

  size_t size() const { return size_; }
  // New rows are out of the set.
  void grow(size_t size) {
    assert(size >= size_);
    size_ = size;
    words_.resize((size + 63) / 64);
  }
  bool contains(RowId row) const { return row < size_ && (words_[row >> 6] >> (row & 63) & 1) != 0; }
  void insert(RowId row) {
    assert(row < size_);
    words_[row >> 6] |= uint64_t{1} << (row & 63);
  }
  void erase(RowId row) {
    assert(row < size_);
    words_[row >> 6] &= ~(uint64_t{1} << (row & 63));
  }
  // How many rows are in the set. Linear in size() / 64.
  size_t count() const {
    size_t total = 0;
    for (const uint64_t word : words_) total += static_cast<size_t>(std::popcount(word));
    return total;
  }
  // How many rows are in this set and in `other`, which may be of another size.
  size_t count_common(const RowSet& other) const {
    size_t total = 0;
    for (size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) {
      total += static_cast<size_t>(std::popcount(words_[i] & other.words_[i]));
    }
    return total;
  }
  // The first row from `from` on that is in the set; size() where there is none.
  RowId next(RowId from) const {
    for (size_t i = from >> 6; i < words_.size(); ++i) {
      const uint64_t word = i == from >> 6 ? words_[i] >> (from & 63) << (from & 63) : words_[i];
      if (word != 0) return static_cast<RowId>(i * 64 + static_cast<size_t>(std::countr_zero(word)));
    }
    return static_cast<RowId>(size_);
  }
  // Keeps the rows that are also in `other`. REQUIRES: equal sizes.
  void intersect(const RowSet& other) {
    assert(size_ == other.size_);
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
  }
  // Takes out the rows that are in `other`, which may be of another size.
  void subtract(const RowSet& other) {
    for (size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) words_[i] &= ~other.words_[i];
  }
  // Calls visit(row) for each row in the set, ascending.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (size_t i = 0; i < words_.size(); ++i) {
      for (uint64_t word = words_[i]; word != 0; word &= word - 1) {
        visit(static_cast<RowId>(i * 64 + static_cast<size_t>(std::countr_zero(word))));
      }
    }
  }

 private:
  void trim() {
    if (size_ % 64 != 0) words_.back() &= (uint64_t{1} << (size_ % 64)) - 1;
  }

  size_t size_ = 0;
  std::vector<uint64_t> words_;
};

// One candidate of a search. Greater is closer.
struct Scored {
  RowId row = 0;
  double score = 0;
};

// The order of answers: by falling score, then by row.
struct BestFirst {
  bool operator()(const Scored& a, const Scored& b) const {
    return a.score != b.score ? a.score > b.score : a.row < b.row;
  }
};

}  // namespace nearfield
