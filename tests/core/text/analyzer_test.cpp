#include "core/text/analyzer.h"

#include <catch_amalgamated.hpp>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/base/utf8.h"

using namespace nearfield;

namespace {

std::vector<Term> terms_of(std::string_view text, bool stemming = true) {
  Analyzer analyzer({stemming});
  std::vector<Term> terms;
  analyzer.analyze(text, terms);
  return terms;
}

// The terms with blanks between them.
std::string joined(std::string_view text, bool stemming = true) {
  std::string out;
  for (const Term& term : terms_of(text, stemming)) out += (out.empty() ? "" : " ") + term.text;
  return out;
}

}  // namespace

TEST_CASE("the terms of some texts") {
  struct Case {
    std::string text, terms;
  };
  const std::vector<Case> cases = {
      {"", ""},
      {" \t\r\n.,;-_/'\u3002", ""},
      {"The users' running FILES", "the user run file"},
      {"the user's don\u2019t rock'n'roll 'quoted'", "the user don't rock'n'rol quot"},
      {"getUserName", "getusernam get user name"},
      {"getusername", "getusernam"},
      {"HTTPServer2", "httpserver2 http server 2"},
      {"APIs URLs IDs APIserver", "api url id apiserv ap iserv"},
      {"iPhone's", "iphon i phone"},
      {"max_concurrent_uploads MAX_SIZE", "max_concurrent_uploads max concurr upload max_size max size"},
      {"kebab-case real-time", "kebab-case kebab case real-time real time"},
      {"src/core/base.h", "src/core/base.h src core base h"},
      {"..\\src\\a.cpp", "src\\a.cpp src a cpp"},
      {"a.b().c", "a.b a b c"},
      {"req-1.2 v1.2.3 1.2", "req-1.2 req 1.2 v1.2.3 v 1.2.3 1.2"},
      {"3.14 1,000 10MB 1.a", "3.14 1 000 10mb 10 mb 1.a 1 a"},
      {"__init__ foo__bar a--b", "init foo bar a b"},
      {"end. Next/ -x", "end next x"},
      {"caf\u00e9 cafe\u0301 CAF\u00c9", "cafe cafe cafe"},
      {"\u00c9tatCivil \u00e9tat\u00c9lu", "etatcivil etat civil etatelu etat elu"},
      {"\u0130stanbul stra\u00dfe", "istanbul stra\u00dfe"},
      {"\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03bf\u03c2", "\u03bf\u03b4\u03bf\u03c3 \u03bf\u03b4\u03bf\u03c3"},
      {"soft\u00adhyphen zero\u200dwidth", "softhyphen zerowidth"},
      {"\u5168\u6587\u691c\u7d22", "\u5168\u6587 \u6587\u691c \u691c\u7d22"},
      {"\u7a0e", "\u7a0e"},
      {"API\u3092\u547c\u3076v2", "api \u3092\u547c \u547c\u3075 v2 v 2"},
      {"\u30c7\u30fc\u30bf\u3002\u691c", "\u30c6\u30fc \u30fc\u30bf \u691c"},
      // Composed and decomposed Hangul: units are syllables.
      {"\uac00\ub098", "\u1100\u1161\u1102\u1161"},
      {"\u1100\u1161\u1102\u1161", "\u1100\u1161\u1102\u1161"},
      {"\u041f\u0440\u0438\u0432\u0435\u0442 \u0439", "\u043f\u0440\u0438\u0432\u0435\u0442 \u0438"},
      {"C++ \U0001F680go\U0001F468\u200d\U0001F469", "c go"},
      {std::string("nul\0byte", 8), "nul byte"},
      {"bad\xFF"
       "byte\xE2\x82",
       "bad byte"},
  };
  for (const Case& one : cases) {
    INFO(one.text);
    CHECK(joined(one.text) == one.terms);
  }
}

TEST_CASE("without stemming words stay whole") {
  CHECK(joined("The user's running getUserNames", false) == "the user's running getusernames get user names");
}

TEST_CASE("ranges name the bytes of the text") {
  const std::string text = "x \u00c9t\u00e9: getUserName/\u691c\u7d22\u8a9e don't e\u0301";
  std::vector<std::string> slices;
  for (const Term& term : terms_of(text)) slices.push_back(text.substr(term.begin, term.end - term.begin));
  CHECK(slices == std::vector<std::string>{"x", "\u00c9t\u00e9", "getUserName", "get", "User", "Name", "\u691c\u7d22",
                                           "\u7d22\u8a9e", "don't", "e\u0301"});
}

TEST_CASE("long terms are cut to whole characters, their ranges are not") {
  const std::string word(100, 'q');
  CHECK(terms_of(word, false).at(0).text == word.substr(0, 64));
  CHECK(terms_of(word).at(0).end == 100);
  std::string wide = "x";
  for (int i = 0; i < 50; ++i) wide += "\u03b1";
  CHECK(terms_of(wide).at(0).text.size() == 63);
  const std::vector<Term> path = terms_of(word + "/" + word, false);
  REQUIRE(path.size() == 3);
  CHECK(path[0].text == word.substr(0, 64));
  CHECK(path[0].end == 201);
  CHECK(path[2].begin == 101);
}

TEST_CASE("a megabyte without spaces is read in linear time") {
  const auto repeated = [](std::string_view text) {
    std::string out;
    while (out.size() < (1 << 20)) out += text;
    return out;
  };
  CHECK(terms_of(repeated("x")).size() == 1);
  CHECK(terms_of(repeated("a.")).size() == (1 << 19) + 1);
  CHECK(terms_of(repeated("Ab")).size() == (1 << 19) + 1);
  CHECK(terms_of(repeated("1.")).size() == 1);
  CHECK(terms_of("A" + repeated("\u0301") + "B").size() == 1);
  CHECK(terms_of(repeated("\u691c")).size() == (1 << 20) / 3);
  CHECK(terms_of(repeated("\u1161")).size() > 0);
}

TEST_CASE("whatever comes in, terms are UTF-8, short, in order, and the same from a used analyzer") {
  Random random(11);
  const std::vector<std::string> pieces = {"a",  "B",  "s",      "1",      ".",      "_",          "-",      "'",
                                           " ",  "\n", "\u0301", "\u00c9", "\u691c", "\uac00",     "\u1161", "ing",
                                           "ed", "/",  "\xFF",   "\xE2",   "\u2019", "\U0001F680", "\u03a3", "y"};
  Analyzer used;
  std::vector<Term> terms;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (uint64_t count = random.below(60); count > 0; --count)
      text += pieces[static_cast<size_t>(random.below(pieces.size()))];
    INFO(text);
    used.analyze(text, terms);
    const std::vector<Term> fresh = terms_of(text);
    REQUIRE(terms.size() == fresh.size());
    uint32_t begin = 0;
    for (size_t i = 0; i < terms.size(); ++i) {
      const Term& term = terms[i];
      REQUIRE(term.text == fresh[i].text);
      REQUIRE(!term.text.empty());
      REQUIRE(term.text.size() <= 64);
      REQUIRE(is_utf8(term.text));
      REQUIRE(term.begin >= begin);
      REQUIRE(term.begin < term.end);
      REQUIRE(term.end <= text.size());
      begin = term.begin;
    }
  }
}
