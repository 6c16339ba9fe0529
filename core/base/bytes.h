// Bytes in and out: little-endian, fixed width, bounded.
//
// ByteReader treats its input as hostile: every read checks what is left before it touches or allocates anything, and
// the first failure is kept, so a caller may read a whole header and ask once.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nearfield {

static_assert(std::endian::native == std::endian::little, "multi-byte values are copied as they lie in memory");

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

inline ByteView as_bytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

template <typename T>
concept FixedWidth = std::is_arithmetic_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, long double>;

// The bytes of `values` as they lie in memory.
template <FixedWidth T>
ByteView view_bytes(std::span<const T> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}

// Numbers in bytes from outside, which may stand at any address.
template <FixedWidth T>
class Elements {
 public:
  Elements() = default;
  // Bytes behind the last whole element are left out.
  explicit Elements(ByteView bytes) : bytes_(bytes) {}

  size_t size() const { return bytes_.size() / sizeof(T); }
  bool empty() const { return size() == 0; }
  ByteView bytes() const { return bytes_; }
  // REQUIRES: i < size().
  T operator[](size_t i) const {
    T value;
    std::memcpy(&value, bytes_.data() + i * sizeof(T), sizeof value);
    return value;
  }
  // REQUIRES: to.size() == size().
  void copy_to(std::span<T> to) const {
    if (!to.empty()) std::memcpy(to.data(), bytes_.data(), to.size_bytes());
  }
  std::vector<T> copy() const {
    std::vector<T> out(size());
    copy_to(out);
    return out;
  }
  // REQUIRES: begin + count <= size().
  Elements subspan(size_t begin, size_t count) const {
    return Elements(bytes_.subspan(begin * sizeof(T), count * sizeof(T)));
  }

 private:
  ByteView bytes_;
};

class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  template <FixedWidth T>
  void put(T value) {
    put_bytes({reinterpret_cast<const uint8_t*>(&value), sizeof value});
  }
  void put_bytes(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  // A u32 length, then the bytes.
  void put_string(std::string_view text) {
    put(static_cast<uint32_t>(text.size()));
    put_bytes(as_bytes(text));
  }
  template <FixedWidth T>
  void put_array(std::span<const T> values) {
    put_bytes({reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
  }
  // Zero bytes up to a multiple of `alignment`, counted from the start of the output.
  void align(size_t alignment) { out_.resize((out_.size() + alignment - 1) / alignment * alignment); }
  size_t size() const { return out_.size(); }

 private:
  Bytes& out_;
};

class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

  // False once any read asked for more than was left; later reads then answer zero or empty.
  bool ok() const { return ok_; }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  bool at_end() const { return ok_ && remaining() == 0; }

  template <FixedWidth T>
  T get() {
    T value{};
    const ByteView bytes = get_bytes(sizeof value);
    if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  // A view into the input; empty and !ok() when fewer than `count` bytes are left.
  ByteView get_bytes(uint64_t count) {
    if (!ok_ || count > remaining()) {
      ok_ = false;
      return {};
    }
    const ByteView out = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += static_cast<size_t>(count);
    return out;
  }
  std::string_view get_string() { return as_text(get_bytes(get<uint32_t>())); }
  // Allocates only after the length was found to be there.
  template <FixedWidth T>
  std::vector<T> get_array(uint64_t count) {
    if (count > remaining() / sizeof(T)) ok_ = false;
    const ByteView bytes = get_bytes(ok_ ? count * sizeof(T) : 0);
    std::vector<T> out(bytes.size() / sizeof(T));
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
  void align(size_t alignment) { get_bytes((alignment - position_ % alignment) % alignment); }
  void fail() { ok_ = false; }

 private:
  ByteView bytes_;
  size_t position_ = 0;
  bool ok_ = true;
};

}  // namespace nearfield
