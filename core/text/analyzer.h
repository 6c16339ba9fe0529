// Analyzer: text to terms for BM25.
//
// Words are folded (NFD without marks, lower case) and, with stemming on, reduced by Snowball's English stemmer.
// Identifiers (`getUserName`, `max_concurrent_uploads`, `HTTPServer2`, `src/core/base.h`, `req-1.2`) give the whole
// identifier and its parts. CJK text, which has no spaces, gives overlapping pairs of characters.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nearfield {

struct Term {
  std::string text;
  uint32_t begin = 0;  // bytes [begin, end) of the input
  uint32_t end = 0;
};

struct AnalyzerOptions {
  bool stemming = true;
};

class Analyzer {
 public:
  explicit Analyzer(AnalyzerOptions options = {});
  ~Analyzer();
  Analyzer(Analyzer&&) noexcept;

  // Replaces `terms` by the terms of `text`, in order of `begin`. Terms are cut to 64 bytes... longer runs are one term
  // of their first 64 bytes. Linear in the bytes; the stemmer's results are cached (bounded).
  void analyze(std::string_view text, std::vector<Term>& terms);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield
