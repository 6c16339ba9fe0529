// Embedder: text to a unit vector without running a model.
//
// WordPiece token ids, one table row each, sum, divide by the length. The model and the exact algorithm are described
// in core/text/model/README.md; ids equal and vectors agree to 1e-4 with its golden file.
//
// Const methods may run concurrently.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/status.h"

namespace nearfield {

class Embedder {
 public:
  // `vocabulary` is one token a line, `table` as in the model's README. Both are copied.
  // Fails with kFormatError, naming what is wrong, on anything malformed.
  static Result<std::unique_ptr<Embedder>> load(std::string_view vocabulary, ByteView table);
  ~Embedder();

  size_t dimension() const;
  // The first 512 WordPiece ids of `text` (UTF-8; bad bytes are dropped as the algorithm drops U+FFFD).
  std::vector<uint32_t> token_ids(std::string_view text) const;
  // The embedding; all zeros when no token is known. REQUIRES: out.size() == dimension().
  void embed(std::string_view text, std::span<float> out) const;

 private:
  Embedder();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield
