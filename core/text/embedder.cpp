#include "core/text/embedder.h"

#include <array>
#include <cassert>
#include <cmath>
#include <cstring>

#include "core/text/wordpiece.h"

#ifdef __wasm_simd128__
#include <wasm_simd128.h>
#endif

namespace nearfield {
namespace {

constexpr uint32_t kMagic = 0x5445464E;  // "NFET"
constexpr uint32_t kVersion = 1;
constexpr uint32_t kBits = 4;
constexpr size_t kMaxTokens = 512;
// The kernel takes 16 bytes, 32 coordinates, at a time.
constexpr uint32_t kBlock = 32;
constexpr uint32_t kMaxDimension = 4096;
// Keeps every sum below float32's limit, also while the kernel holds it multiplied by 2^24.
constexpr float kMaxScale = 1e20f;
// A nibble n stands for n - kMiddle.
constexpr float kMiddle = 7.5f;

// sum[j] = the sum over `ids` of (nibble j of the row - kMiddle) * scale of the row. `codes` has sum.size() / 2 bytes a
// row. The share of kMiddle is the same in every coordinate, so it is taken off once, at the end.
[[maybe_unused]] void sum_rows_plain(std::span<const uint32_t> ids, const uint8_t* codes, const float* scales,
                                     std::span<float> sum) {
  const size_t row_bytes = sum.size() / 2;
  for (float& value : sum) value = 0;
  float total_scale = 0;
  for (const uint32_t id : ids) {
    const uint8_t* row = codes + id * row_bytes;
    for (size_t j = 0; j < row_bytes; ++j) {
      sum[2 * j] += static_cast<float>(row[j] & 15) * scales[id];
      sum[2 * j + 1] += static_cast<float>(row[j] >> 4) * scales[id];
    }
    total_scale += scales[id];
  }
  for (float& value : sum) value -= kMiddle * total_scale;
}

#ifdef __wasm_simd128__
// The same operations in the same order, 32 coordinates at a time over all ids, so that the sums stay in registers.
// Each 32-bit lane holds eight nibbles, coordinates 8 * lane + 0..7. Nibble i is not shifted down: its value and its
// sum are 16^i times too large, which changes no rounding and is undone at the end.
void sum_rows(std::span<const uint32_t> ids, const uint8_t* codes, const float* scales, std::span<float> sum) {
  const size_t row_bytes = sum.size() / 2;
  float total_scale = 0;
  for (const uint32_t id : ids) total_scale += scales[id];
  for (size_t block = 0; block < row_bytes; block += kBlock / 2) {
    v128_t totals[8] = {};
    const uint8_t* const column = codes + block;
    for (const uint32_t id : ids) {
      const v128_t bytes = wasm_v128_load(column + id * row_bytes);
      const v128_t scale = wasm_v128_load32_splat(scales + id);
      const auto add = [&](v128_t& total, v128_t integers) {
        total = wasm_f32x4_add(total, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(integers), scale));
      };
      add(totals[0], wasm_v128_and(bytes, wasm_i32x4_splat(0xF)));
      add(totals[1], wasm_v128_and(bytes, wasm_i32x4_splat(0xF0)));
      add(totals[2], wasm_v128_and(bytes, wasm_i32x4_splat(0xF00)));
      add(totals[3], wasm_v128_and(bytes, wasm_i32x4_splat(0xF000)));
      add(totals[4], wasm_v128_and(bytes, wasm_i32x4_splat(0xF0000)));
      add(totals[5], wasm_v128_and(bytes, wasm_i32x4_splat(0xF00000)));
      add(totals[6], wasm_v128_and(bytes, wasm_i32x4_splat(0xF000000)));
      add(totals[7], wasm_u32x4_shr(bytes, 28));  // in place it would be the sign
    }
    constexpr float kDown[8] = {1, 0x1p-4f, 0x1p-8f, 0x1p-12f, 0x1p-16f, 0x1p-20f, 0x1p-24f, 1};
    for (size_t i = 0; i < 8; ++i) {
      float lanes[4];
      wasm_v128_store(lanes, wasm_f32x4_mul(totals[i], wasm_f32x4_splat(kDown[i])));
      for (size_t lane = 0; lane < 4; ++lane) {
        sum[block * 2 + lane * 8 + i] = lanes[lane] - kMiddle * total_scale;
      }
    }
  }
}
#else
void sum_rows(std::span<const uint32_t> ids, const uint8_t* codes, const float* scales, std::span<float> sum) {
  sum_rows_plain(ids, codes, scales, sum);
}
#endif

Error bad_table(std::string_view problem, uint64_t value) {
  return {Code::kFormatError, "embedding table: " + std::string(problem), shown(static_cast<int64_t>(value))};
}

}  // namespace

struct Embedder::State {
  WordPiece words;
  uint32_t dimension = 0;
  std::vector<float> scales;
  std::vector<uint8_t> codes;  // dimension / 2 bytes a row
};

Embedder::Embedder() = default;
Embedder::~Embedder() = default;

Result<std::unique_ptr<Embedder>> Embedder::load(std::string_view vocabulary, ByteView table) {
  auto state = std::make_unique<State>();
  ASSIGN_OR_RETURN(state->words, WordPiece::load(vocabulary));

  ByteReader reader(table);
  const auto magic = reader.get<uint32_t>();
  const auto version = reader.get<uint32_t>();
  const auto rows = reader.get<uint32_t>();
  const auto dimension = reader.get<uint32_t>();
  const auto bits = reader.get<uint32_t>();
  const auto reserved = reader.get<uint32_t>();
  if (!reader.ok()) return bad_table("shorter than its header", table.size());
  if (magic != kMagic) return bad_table("does not start with NFET", magic);
  if (version != kVersion) return bad_table("version is not 1", version);
  if (bits != kBits) return bad_table("bits are not 4", bits);
  if (reserved != 0) return bad_table("the reserved field is not 0", reserved);
  if (dimension == 0 || dimension % kBlock != 0 || dimension > kMaxDimension) {
    return bad_table("the dimension is not a multiple of 32 up to 4096", dimension);
  }
  if (rows != state->words.size()) {
    return bad_table("expected one row for each of " + std::to_string(state->words.size()) + " tokens", rows);
  }
  const uint64_t expected = uint64_t{rows} * (sizeof(float) + dimension / 2);
  if (reader.remaining() != expected) {
    return bad_table("expected " + std::to_string(expected) + " bytes after the header", reader.remaining());
  }
  state->dimension = dimension;
  state->scales = reader.get_array<float>(rows);
  for (uint32_t row = 0; row < rows; ++row) {
    // Written so that NaN fails too.
    if (!(std::abs(state->scales[row]) <= kMaxScale))
      return bad_table("a scale is not finite or beyond 1e20 in row", row);
  }
  if (state->scales[WordPiece::kUnknownId] != 0) return bad_table("the scale of [UNK] is not 0", 0);
  state->codes = reader.get_array<uint8_t>(reader.remaining());

  std::unique_ptr<Embedder> out(new Embedder());
  out->state_ = std::move(state);
  return out;
}

size_t Embedder::dimension() const { return state_->dimension; }

std::vector<uint32_t> Embedder::token_ids(std::string_view text) const {
  std::array<uint32_t, kMaxTokens> ids;
  const size_t count = state_->words.tokenize(text, ids);
  return {ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count)};
}

void Embedder::embed(std::string_view text, std::span<float> out) const {
  assert(out.size() == dimension());
  std::array<uint32_t, kMaxTokens> ids;
  const size_t count = state_->words.tokenize(text, ids);
  sum_rows({ids.data(), count}, state_->codes.data(), state_->scales.data(), out);
  double squares = 0;
  for (const float value : out) squares += double{value} * double{value};
  if (squares == 0) return;  // all zeros already
  const double scale = 1 / std::sqrt(squares);
  for (float& value : out) value = static_cast<float>(value * scale);
}

}  // namespace nearfield
