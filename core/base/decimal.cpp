#include "core/base/decimal.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace nearfield {

namespace {

// The middle between two doubles has at most 767 digits; what comes behind this many can only say "a little more".
constexpr int kMaxDigits = 770;
// 10^310 is beyond the largest double, 10^-324 is less than half of the smallest.
constexpr int64_t kTooLarge = 310;
constexpr int64_t kTooSmall = -324;

// A natural number below 2^3840: 10^(770 + 324) and one bit more is the largest that is met.
class Natural {
 public:
  explicit Natural(uint32_t value) : size_(value != 0) { limbs_[0] = value; }

  void multiply_add(uint32_t factor, uint32_t addend) {
    uint64_t carry = addend;
    for (size_t i = 0; i < size_; ++i) {
      carry += uint64_t{limbs_[i]} * factor;
      limbs_[i] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) push(static_cast<uint32_t>(carry));
  }

  void multiply_by_power_of_ten(int64_t power) {
    for (; power >= 9; power -= 9) multiply_add(1'000'000'000, 0);
    for (; power > 0; --power) multiply_add(10, 0);
  }

  size_t bits() const { return size_ == 0 ? 0 : size_ * 32 - static_cast<size_t>(std::countl_zero(limbs_[size_ - 1])); }

  void shift_left(size_t bits) {
    for (; bits >= 16; bits -= 16) multiply_add(1 << 16, 0);
    multiply_add(uint32_t{1} << bits, 0);
  }

  // Below 0, 0 or above 0, as this is below, equal to or above `other`.
  int compare(const Natural& other) const {
    if (size_ != other.size_) return size_ < other.size_ ? -1 : 1;
    for (size_t i = size_; i-- > 0;) {
      if (limbs_[i] != other.limbs_[i]) return limbs_[i] < other.limbs_[i] ? -1 : 1;
    }
    return 0;
  }

  // REQUIRES: `other` is not above this.
  void subtract(const Natural& other) {
    uint64_t borrow = 0;
    for (size_t i = 0; i < size_; ++i) {
      const uint64_t difference = uint64_t{limbs_[i]} - (i < other.size_ ? other.limbs_[i] : 0) - borrow;
      limbs_[i] = static_cast<uint32_t>(difference);
      borrow = difference >> 63;
    }
    while (size_ > 0 && limbs_[size_ - 1] == 0) --size_;
  }

 private:
  void push(uint32_t limb) {
    assert(size_ < std::size(limbs_));
    limbs_[size_++] = limb;
  }

  size_t size_;          // without leading zeros
  uint32_t limbs_[120];  // the lowest first
};

// digits[0] digits[1] ... times 10^scale, without zeros at either end.
struct Decimal {
  uint8_t digits[kMaxDigits + 1];
  int count = 0;
  int64_t scale = 0;
  bool negative = false;
};

void read_digits(std::string_view number, Decimal& out) {
  bool fraction = false;
  bool more = false;
  size_t i = 0;
  for (; i < number.size(); ++i) {
    const char c = number[i];
    if (c == '-') {
      out.negative = true;
    } else if (c == '.') {
      fraction = true;
    } else if (c < '0' || c > '9') {
      break;  // the exponent
    } else {
      const bool kept = out.count < kMaxDigits;
      if (!kept) {
        more = more || c != '0';
      } else if (out.count > 0 || c != '0') {
        out.digits[out.count++] = static_cast<uint8_t>(c - '0');
      }
      out.scale += (kept ? 0 : 1) - (fraction ? 1 : 0);
    }
  }
  if (i < number.size()) {
    constexpr int64_t kEnough = 1'000'000'000'000;  // more than a text has digits
    const bool down = number[++i] == '-';
    if (down || number[i] == '+') ++i;
    int64_t exponent = 0;
    for (; i < number.size(); ++i) exponent = std::min(kEnough, exponent * 10 + (number[i] - '0'));
    out.scale += down ? -exponent : exponent;
  }
  if (more) {
    out.digits[out.count++] = 1;
    --out.scale;
  }
  while (out.count > 0 && out.digits[out.count - 1] == 0) {
    --out.count;
    ++out.scale;
  }
}

// Bit by bit, as in a division on paper.
double divide(const Decimal& decimal) {
  Natural left(0);
  for (int i = 0; i < decimal.count; ++i) left.multiply_add(10, decimal.digits[i]);
  Natural right(1);
  (decimal.scale < 0 ? right : left).multiply_by_power_of_ten(decimal.scale < 0 ? -decimal.scale : decimal.scale);

  // left / right is moved into [1, 2); what it was is that times 2^exponent.
  int exponent = static_cast<int>(left.bits()) - static_cast<int>(right.bits());
  (exponent < 0 ? left : right).shift_left(static_cast<size_t>(exponent < 0 ? -exponent : exponent));
  if (left.compare(right) < 0) {
    left.shift_left(1);
    --exponent;
  }
  if (exponent > 1023) return std::numeric_limits<double>::infinity();
  // Below 2^-1022 doubles have fewer bits, and end at 2^-1074.
  const int bits = std::min(53, exponent + 1075);
  if (bits < 0) return 0;
  uint64_t mantissa = 0;
  for (int i = 0; i < bits; ++i) {
    const bool one = left.compare(right) >= 0;
    if (one) left.subtract(right);
    left.shift_left(1);
    mantissa = mantissa << 1 | (one ? 1 : 0);
  }
  const int rest = left.compare(right);  // with a half
  if (rest > 0 || (rest == 0 && (mantissa & 1) != 0)) ++mantissa;
  // The mantissa's highest bit is not stored: it adds one to the exponent, which begins at 0 where there is
  // no such bit. What is rounded up to 2^1024 becomes an infinity by the same addition.
  const auto biased = static_cast<uint64_t>(exponent - bits + 1 + 1074);
  return std::bit_cast<double>((biased << 52) + mantissa);
}

double magnitude(const Decimal& decimal) {
  if (decimal.count == 0 || decimal.count + decimal.scale <= kTooSmall) return 0;
  if (decimal.count + decimal.scale > kTooLarge) return std::numeric_limits<double>::infinity();
  // Both are exact in a double, so that what their product or quotient is rounded to is nearest.
  constexpr int kExactDigits = 15;
  constexpr int64_t kExactPower = 22;
  if (decimal.count <= kExactDigits && decimal.scale >= -kExactPower && decimal.scale <= kExactPower) {
    double value = 0;
    for (int i = 0; i < decimal.count; ++i) value = value * 10 + decimal.digits[i];
    double power = 1;
    for (int64_t i = decimal.scale < 0 ? -decimal.scale : decimal.scale; i > 0; --i) power *= 10;
    return decimal.scale < 0 ? value / power : value * power;
  }
  return divide(decimal);
}

}  // namespace

double read_decimal(std::string_view number) {
  Decimal decimal;
  read_digits(number, decimal);
  const double value = magnitude(decimal);
  return decimal.negative ? -value : value;
}

}  // namespace nearfield
