#include "core/text/embedder.h"

#include <catch_amalgamated.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/base/random.h"
#include "core/text/wordpiece.h"

using namespace nearfield;

namespace {

const std::string kSource = NEARFIELD_SOURCE_DIR;

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

const Embedder& bundled() {
  static const std::unique_ptr<Embedder> embedder = [] {
    const std::string vocabulary = read_whole(kSource + "/core/text/model/vocab.txt");
    const std::string table = read_whole(kSource + "/core/text/model/table.bin");
    auto loaded = Embedder::load(vocabulary, as_bytes(table));
    REQUIRE(loaded.ok());
    return std::move(loaded).value();
  }();
  return *embedder;
}

using Ids = std::vector<uint32_t>;

Ids ids_of(const WordPiece& words, std::string_view text, size_t limit = 64) {
  Ids ids(limit);
  ids.resize(words.tokenize(text, ids));
  return ids;
}

constexpr std::string_view kSmall =
    "[UNK]\na\nab\nabc\n##c\n##cd\n.\n\u4e00\n\u03c3\n\u03c2\n##\u03c3\n##\u03c2\n[\n]\nunk\n#\n";

// A table for kSmall's sixteen tokens, with fields to damage.
struct Table {
  uint32_t magic = 0x5445464E, version = 1, rows = 16, dimension = 32, bits = 4, reserved = 0;
  std::vector<float> scales = {0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  std::vector<uint8_t> codes = std::vector<uint8_t>(16 * 16, 0x9B);

  Bytes bytes() const {
    Bytes out;
    ByteWriter writer(out);
    for (const uint32_t field : {magic, version, rows, dimension, bits, reserved}) writer.put(field);
    writer.put_array<float>(scales);
    writer.put_array<uint8_t>(codes);
    return out;
  }
  Code code() const { return Embedder::load(kSmall, bytes()).code(); }
};

}  // namespace

TEST_CASE("token ids and embeddings equal the golden file") {
  std::ifstream golden(kSource + "/tests/core/text/golden.jsonl");
  size_t count = 0;
  for (std::string line; std::getline(golden, line); ++count) {
    const Json expected = *parse_json(line, "golden line");
    const auto text = expected.at("text").get<std::string>();
    INFO(text);
    CHECK(bundled().token_ids(text) == expected.at("ids").get<Ids>());
    std::vector<float> vector(bundled().dimension(), 7);
    bundled().embed(text, vector);
    float worst = 0;
    for (size_t j = 0; j < vector.size(); ++j) {
      worst = std::max(worst, std::abs(vector[j] - expected.at("embedding").at(j).get<float>()));
    }
    CHECK(worst < 1e-4f);
  }
  CHECK(count == 300);
}

TEST_CASE("words are cut into the longest pieces") {
  const WordPiece words = *WordPiece::load(kSmall);
  CHECK(words.size() == 16);
  CHECK(ids_of(words, "abcd") == Ids{0});  // abc, then no ##d; ab ##cd is not tried: greedy
  CHECK(ids_of(words, "abccd") == Ids{3, 5});
  CHECK(ids_of(words, "ABC.ab") == Ids{3, 6, 2});
  CHECK(ids_of(words, "abx a") == Ids{0, 1});
  CHECK(ids_of(words, "a\u4e00a") == Ids{1, 7, 1});
  CHECK(ids_of(words, "a\u0301\u0302 \u00c1") == Ids{1, 1});
  CHECK(ids_of(words, "[UNK] ##c") == Ids{12, 14, 13, 15, 15, 0});
  CHECK(ids_of(words, std::string("a\0b\x01\xC2\xAD"
                                  "c",
                                  7)) == Ids{3});
  CHECK(ids_of(words,
               "a\xFF"
               "b\xE2\x82"
               "c\uFFFD") == Ids{3});  // bad bytes vanish
  CHECK(ids_of(words, "a\u2028a\u3000a\ta") == Ids{1, 1, 1, 1});
  CHECK(ids_of(words, "").empty());
  CHECK(ids_of(words, " \u0301\u200d\n").empty());
}

TEST_CASE("a capital sigma is final at the end of a word only") {
  const WordPiece words = *WordPiece::load(kSmall);
  CHECK(ids_of(words, "\u03a3\u03a3\u03a3") == Ids{8, 10, 11});
  CHECK(ids_of(words, "\u03a3") == Ids{8});
  CHECK(ids_of(words, "\u03a3\u03a3\u0301 \u03a3\u03a3.") == Ids{8, 11, 8, 11, 6});
  CHECK(ids_of(words, "\u03a3\u03a3\u0301\u03a3") == Ids{8, 10, 11});
}

TEST_CASE("long words are unknown, long texts are cut") {
  const WordPiece words = *WordPiece::load("[UNK]\na\n##a\n\u00e6\n##\u00e6\n");
  const auto repeated = [](std::string_view text, size_t count) {
    std::string out;
    for (size_t i = 0; i < count; ++i) out += text;
    return out;
  };
  CHECK(ids_of(words, repeated("a", 100), 512).size() == 100);
  CHECK(ids_of(words, repeated("a", 101), 512) == Ids{0});
  CHECK(ids_of(words, repeated("\u00c6", 100), 512).size() == 100);
  CHECK(ids_of(words, repeated("\u00c6", 101) + " a", 512) == Ids{0, 1});
  CHECK(ids_of(words, repeated("a", 5), 3) == Ids{1, 2, 2});
  CHECK(ids_of(words, "aax", 2) == Ids{0});  // the piece beyond the limit still decides
  CHECK(ids_of(words, "a", 0).empty());
  CHECK(bundled().token_ids(repeated("the ", 600)).size() == 512);
  CHECK(bundled().token_ids(repeated("x", 1 << 20)) == Ids{0});
}

TEST_CASE("nothing known embeds to zeros, everything else to length one") {
  std::vector<float> vector(bundled().dimension());
  for (const char* text : {"", " ", "\u4f60"}) {
    std::fill(vector.begin(), vector.end(), 3.0f);
    bundled().embed(text, vector);
    CHECK(std::all_of(vector.begin(), vector.end(), [](float value) { return value == 0; }));
  }
  bundled().embed("spec search", vector);
  CHECK(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0) == Catch::Approx(1).epsilon(1e-6));
}

TEST_CASE("an embedding is the normalised sum of its rows") {
  // Every shape of the kernel: one to four blocks of 32 coordinates, none to many tokens.
  Random random(3);
  for (const uint32_t dimension : {32u, 64u, 96u, 128u}) {
    Table table;
    table.dimension = dimension;
    table.codes.resize(size_t{16} * dimension / 2);
    for (uint8_t& code : table.codes) code = static_cast<uint8_t>(random.next());
    for (size_t row = 1; row < table.scales.size(); ++row) table.scales[row] = random.between(-2, 2);
    const auto embedder = std::move(Embedder::load(kSmall, table.bytes())).value();
    std::string text;
    for (size_t tokens = 0; tokens < 20; ++tokens, text += tokens % 2 == 0 ? " abccd" : ".ab") {
      std::vector<double> sum(dimension);
      for (const uint32_t id : embedder->token_ids(text)) {
        for (size_t j = 0; j < dimension; ++j) {
          const uint8_t byte = table.codes[id * dimension / 2 + j / 2];
          sum[j] += ((j % 2 == 0 ? byte & 15 : byte >> 4) - 7.5) * double{table.scales[id]};
        }
      }
      const double length = std::sqrt(std::inner_product(sum.begin(), sum.end(), sum.begin(), 0.0));
      std::vector<float> vector(dimension);
      embedder->embed(text, vector);
      for (size_t j = 0; j < dimension; ++j) {
        CHECK(std::abs(double{vector[j]} - (length > 0 ? sum[j] / length : 0)) < 1e-5);
      }
    }
  }
}

TEST_CASE("malformed vocabularies and tables are refused") {
  for (const std::string_view vocabulary : {"", "\n", "a\n", "[UNK]\n\na\n", "[UNK]\na\na\n", "[UNK]\n\xFF\n"}) {
    INFO(vocabulary);
    CHECK(WordPiece::load(vocabulary).code() == Code::kFormatError);
  }
  CHECK(WordPiece::load("[UNK]\n" + std::string(257, 'a')).code() == Code::kFormatError);
  CHECK(WordPiece::load("[UNK]\n" + std::string(256, 'a')).ok());
  CHECK(WordPiece::load("[UNK]").ok());

  CHECK(Table{}.code() == Code::kOk);
  const Bytes whole = Table{}.bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    CHECK(Embedder::load(kSmall, ByteView(whole).first(size)).code() == Code::kFormatError);
  }
  Bytes longer = whole;
  longer.push_back(0);
  CHECK(Embedder::load(kSmall, longer).code() == Code::kFormatError);
  const auto damaged = [](auto change) {
    Table table;
    change(table);
    return table.code();
  };
  CHECK(damaged([](Table& t) { t.magic ^= 1; }) == Code::kFormatError);
  CHECK(damaged([](Table& t) { t.version = 2; }) == Code::kFormatError);
  CHECK(damaged([](Table& t) { t.rows = 15; }) == Code::kFormatError);
  CHECK(damaged([](Table& t) { t.rows = 0xFFFFFFFF; }) == Code::kFormatError);
  for (const uint32_t dimension : {0u, 31u, 64u, 8192u, 0xFFFFFFE0u}) {
    CHECK(damaged([&](Table& t) { t.dimension = dimension; }) == Code::kFormatError);
  }
  CHECK(damaged([](Table& t) { t.bits = 8; }) == Code::kFormatError);
  CHECK(damaged([](Table& t) { t.reserved = 1; }) == Code::kFormatError);
  CHECK(damaged([](Table& t) { t.scales[3] = NAN; }) == Code::kFormatError);
  CHECK(damaged([](Table& t) { t.scales[3] = -INFINITY; }) == Code::kFormatError);
  CHECK(damaged([](Table& t) { t.scales[3] = 1e30f; }) == Code::kFormatError);
  CHECK(damaged([](Table& t) { t.scales[0] = 1; }) == Code::kFormatError);
}
