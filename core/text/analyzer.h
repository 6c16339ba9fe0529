// Analyzer: text to terms for BM25.
//
// Words are folded (NFD without marks, lower case) and, with stemming on, those spelt in a to z are reduced by
// Snowball's English stemmer. There is no list of stop words. What the rules make of some texts:
//
//   The user's files        the, user, file              (an apostrophe inside a word belongs to it)
//   getUserName             getusernam, get, user, name  (stemmed like the plain word `getusername`)
//   max_uploads, max-depth  max_uploads, max, upload, max-depth, max, depth
//   src/core/base.h         src/core/base.h, src, core, base, h
//   HTTPServer2             httpserver2, http, server, 2
//   req-1.2                 req-1.2, req, 1.2            (a number keeps its points)
//   APIs                    api                          (a plural of capitals is a plain word)
//   全文検索                全文, 文検, 検索             (CJK has no spaces: overlapping pairs; one alone is a term)
//
// An identifier is words joined by single `_`, `-`, `.`, `/` or `\`; it gives the whole, then its parts, which also
// split where lower case meets upper case and letters meet digits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nearfield {

struct Term {
  std::string text;    // UTF-8, 1 to 64 bytes
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
  Analyzer& operator=(Analyzer&&) noexcept;

  // Replaces `terms` by the terms of `text`, in order of `begin`, an identifier before its parts. A term longer than
  // 64 bytes is cut to its first whole characters within them; its range still covers all of it. Bytes that are not
  // UTF-8 separate words. Linear in the bytes; the stemmer's results are cached (bounded, about 190 KB).
  // REQUIRES: text.size() < 2^32.
  void analyze(std::string_view text, std::vector<Term>& terms);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield
