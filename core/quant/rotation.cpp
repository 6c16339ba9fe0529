#include "core/quant/rotation.h"

#include <cassert>
#include <utility>

#include "core/base/random.h"
#include "core/quant/lanes.h"

namespace nearfield {

namespace {

constexpr size_t kLargeBlock = 256, kSmallBlock = 64;

size_t block_at(size_t begin, size_t padded) { return padded - begin >= kLargeBlock ? kLargeBlock : kSmallBlock; }

void butterfly(F32x4& a, F32x4& b) {
  const F32x4 sum = a + b;
  b = a - b;
  a = sum;
}

// A block in three passes over memory. Held as groups (a register is one), the transform's strides 1, 2, 4, ... n/8 are
// between registers. The last two strides are between the lanes of a group, and between registers again once groups
// are transposed, which also puts every component where it belongs.
template <size_t kBlock>
void mix_block(const float* from, const uint32_t* source, const float* signs, float* spare, float* to) {
  constexpr size_t kGroups = kBlock / 4;
  for (size_t first = 0; first < kGroups; first += 8) {
    F32x4 group[8];
    for (size_t i = 0; i < 8; ++i) {
      group[i] = load_lanes<F32x4>(from + 4 * source[first + i]) * load_lanes<F32x4>(signs + 4 * (first + i));
    }
    for (size_t stride = 1; stride < 8; stride *= 2) {
      for (size_t i = 0; i < 8; ++i) {
        if ((i & stride) == 0) butterfly(group[i], group[i + stride]);
      }
    }
    for (size_t i = 0; i < 8; ++i) store_lanes(spare + 4 * (first + i), group[i]);
  }
  constexpr size_t kApart = kGroups / 8;
  for (size_t first = 0; first < 8; ++first) {
    F32x4 group[kApart];
    for (size_t i = 0; i < kApart; ++i) group[i] = load_lanes<F32x4>(spare + 4 * (first + 8 * i));
    for (size_t stride = 1; stride < kApart; stride *= 2) {
      for (size_t i = 0; i < kApart; ++i) {
        if ((i & stride) == 0) butterfly(group[i], group[i + stride]);
      }
    }
    for (size_t i = 0; i < kApart; ++i) store_lanes(spare + 4 * (first + 8 * i), group[i]);
  }
  for (size_t first = 0; first < kGroups; first += 4) {
    F32x4 group[4];
    for (size_t i = 0; i < 4; ++i) group[i] = load_lanes<F32x4>(spare + 4 * (first + i));
    transpose(group[0], group[1], group[2], group[3]);
    butterfly(group[0], group[1]);
    butterfly(group[2], group[3]);
    butterfly(group[0], group[2]);
    butterfly(group[1], group[3]);
    for (size_t i = 0; i < 4; ++i) store_lanes(to + i * kGroups + first, group[i]);
  }
}

}  // namespace

Rotation::Rotation(size_t dim, uint64_t seed) : padded_((dim + kSmallBlock - 1) / kSmallBlock * kSmallBlock) {
  assert(dim > 0 && dim <= size_t{1} << 20);
  Random random(seed);
  for (Round& round : rounds_) {
    const size_t groups = padded_ / 4;
    round.source.resize(groups);
    for (size_t i = 0; i < groups; ++i) round.source[i] = static_cast<uint32_t>(i);
    for (size_t i = groups; i > 1; --i) std::swap(round.source[i - 1], round.source[random.below(i)]);
    round.signs.resize(padded_);
    for (size_t begin = 0, size = 0; begin < padded_; begin += size) {
      size = block_at(begin, padded_);
      const float length = size == kLargeBlock ? 0x1p-4f : 0x1p-3f;
      for (size_t i = begin; i < begin + size; ++i) round.signs[i] = random.next() >> 63 ? -length : length;
    }
  }
}

void Rotation::apply_plain(const float* from, float* to, float* spare) const {
  for (const Round& round : rounds_) {
    for (size_t begin = 0, size = 0; begin < padded_; begin += size) {
      size = block_at(begin, padded_);
      float* const block = to + begin;
      for (size_t i = 0; i < size; ++i) {
        const size_t group = begin / 4 + i / 4;
        block[i % 4 * (size / 4) + i / 4] = from[4 * round.source[group] + i % 4] * round.signs[begin + i];
      }
      for (size_t stride = 1; stride < size; stride *= 2) {
        for (size_t i = 0; i < size; ++i) {
          if ((i & stride) != 0) continue;
          const float a = block[i], b = block[i + stride];
          block[i] = a + b;
          block[i + stride] = a - b;
        }
      }
    }
    from = to;
    std::swap(to, spare);
  }
  // Three rounds: the result lies where the first round put its own.
  assert(from == spare);
}

void Rotation::apply(const float* from, float* to, float* spare) const {
  float held[kLargeBlock];
  for (const Round& round : rounds_) {
    for (size_t begin = 0, size = 0; begin < padded_; begin += size) {
      size = block_at(begin, padded_);
      const auto mix = size == kLargeBlock ? mix_block<kLargeBlock> : mix_block<kSmallBlock>;
      mix(from, round.source.data() + begin / 4, round.signs.data() + begin, held, to + begin);
    }
    from = to;
    std::swap(to, spare);
  }
}

size_t Rotation::memory_bytes() const {
  size_t bytes = sizeof *this;
  for (const Round& round : rounds_)
    bytes += round.source.size() * sizeof(uint32_t) + round.signs.size() * sizeof(float);
  return bytes;
}

}  // namespace nearfield
