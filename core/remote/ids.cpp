#include "core/remote/ids.h"

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

namespace nearfield {

namespace {

constexpr size_t kBlock = 64;
// 6ba7b810-9dad-11d1-80b4-00c04fd430c8
constexpr std::string_view kDnsNameSpace("\x6b\xa7\xb8\x10\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8", 16);

// FIPS 180-4. Not for secrets: it is what UUIDv5 is made of.
class Sha1 {
 public:
  using Digest = std::array<uint8_t, 20>;

  void add(std::string_view bytes) {
    for (const char byte : bytes) add(static_cast<uint8_t>(byte));
  }
  Digest finish() {
    const uint64_t bits = length_ * 8;
    add(0x80);
    while (length_ % kBlock != kBlock - 8) add(0);
    for (int shift = 56; shift >= 0; shift -= 8) add(static_cast<uint8_t>(bits >> shift));
    Digest out;
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
    return out;
  }

 private:
  void add(uint8_t byte) {
    block_[length_++ % kBlock] = byte;
    if (length_ % kBlock == 0) mix();
  }
  void mix() {
    std::array<uint32_t, 80> w;
    for (size_t i = 0; i < 16; ++i) {
      w[i] = uint32_t{block_[4 * i]} << 24 | uint32_t{block_[4 * i + 1]} << 16 | uint32_t{block_[4 * i + 2]} << 8 |
             block_[4 * i + 3];
    }
    for (size_t i = 16; i < w.size(); ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    auto [a, b, c, d, e] = state_;
    for (size_t i = 0; i < w.size(); ++i) {
      uint32_t f = b ^ c ^ d, k = i < 40 ? 0x6ED9EBA1 : 0xCA62C1D6;
      if (i < 20) f = (b & c) | (~b & d), k = 0x5A827999;
      if (i >= 40 && i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
      const uint32_t next = std::rotl(a, 5) + f + e + k + w[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    state_[0] += a;
    state_[1] += b;
    state_[2] += c;
    state_[3] += d;
    state_[4] += e;
  }

  std::array<uint32_t, 5> state_ = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  std::array<uint8_t, kBlock> block_ = {};
  uint64_t length_ = 0;
};

bool is_hyphen_place(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (is_hyphen_place(i) ? c != '-' : !digit) return false;
  }
  return true;
}

std::string derived_uuid(std::string_view name) {
  Sha1 sha;
  sha.add(kDnsNameSpace);
  sha.add(name);
  Sha1::Digest bytes = sha.finish();
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0F) | 0x50);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3F) | 0x80);
  std::string out;
  for (size_t i = 0; i < 16; ++i) {
    if (is_hyphen_place(out.size())) out += '-';
    out += "0123456789abcdef"[bytes[i] >> 4];
    out += "0123456789abcdef"[bytes[i] & 15];
  }
  return out;
}

std::string uuid_of_id(std::string_view id) { return is_uuid(id) ? std::string(id) : derived_uuid(id); }

std::optional<uint64_t> parse_u64(std::string_view text) {
  if (text.empty() || text.size() > 20 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    if (value > (std::numeric_limits<uint64_t>::max() - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

}  // namespace nearfield
