// WordPiece: text to token ids, as the "BERT uncased" tokenizer does it, without special tokens.
//
// Characters are cleaned, folded (NFD without accents, lower case) and split into words at white space, punctuation
// and CJK ideographs; each word is then cut from the left into the longest entries of the vocabulary, later pieces
// marked by "##". The exact rules are in core/text/model/README.md.
//
// Const methods may run concurrently. A loaded WordPiece never changes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace nearfield {

class WordPiece {
 public:
  // What a word becomes that the vocabulary cannot spell.
  static constexpr uint32_t kUnknownId = 0;

  // One token a line, lines end at LF (the last one may lack it), the line number from 0 is the id, id 0 is "[UNK]".
  // Fails with kFormatError, naming the line, on an empty, repeated or overlong token and on text that is not UTF-8.
  static Result<WordPiece> load(std::string_view vocabulary);

  size_t size() const { return token_ends_.size(); }

  // Writes the first ids.size() ids of `text` and answers how many there were. Bytes that are not UTF-8 are dropped.
  // Linear in the bytes it reads; it stops once `ids` is full.
  size_t tokenize(std::string_view text, std::span<uint32_t> ids) const;

 private:
  std::string_view token(uint32_t id) const {
    const uint32_t begin = id == 0 ? 0 : token_ends_[id - 1];
    return std::string_view(tokens_).substr(begin, token_ends_[id] - begin);
  }
  bool insert(uint32_t id);
  // The longest token that is `prefix` and a beginning of `text`, as its id; kUnknownId if there is none.
  uint32_t longest(std::string_view prefix, std::string_view text, size_t& length) const;
  size_t split(std::string_view word, std::span<uint32_t> ids) const;

  std::string tokens_;                // one behind the other
  std::vector<uint32_t> token_ends_;  // by id
  std::vector<uint32_t> slots_;       // open addressing, a power of two: hash byte << 24 | id; kEmptySlot
  size_t longest_token_ = 0;          // in bytes
};

}  // namespace nearfield
