#include "core/quant/rotation.h"

#include <catch_amalgamated.hpp>
#include <cmath>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/random.h"

using namespace nearfield;

namespace {

constexpr size_t kDims[] = {1, 3, 63, 64, 65, 100, 128, 256, 257, 320, 384, 768, 1536, 4096};

std::vector<float> rotated(const Rotation& rotation, std::vector<float> vector, bool plain = false) {
  vector.resize(rotation.padded_dim());
  std::vector<float> to(vector.size()), spare(vector.size());
  if (plain) {
    rotation.apply_plain(vector.data(), to.data(), spare.data());
  } else {
    rotation.apply(vector.data(), to.data(), spare.data());
  }
  return to;
}

double product(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t j = 0; j < a.size(); ++j) sum += static_cast<double>(a[j]) * b[j];
  return sum;
}

std::vector<float> random_vector(Random& random, size_t dim) {
  std::vector<float> vector(dim);
  for (float& component : vector) component = random.between(-1, 1);
  return vector;
}

}  // namespace

TEST_CASE("a rotation keeps lengths and dot products") {
  Random random(1);
  for (const size_t dim : kDims) {
    CAPTURE(dim);
    const Rotation rotation(dim, dim);
    REQUIRE(rotation.padded_dim() % 64 == 0);
    REQUIRE(rotation.padded_dim() - dim < 64);
    for (size_t i = 0; i < 20; ++i) {
      const std::vector<float> a = random_vector(random, dim), b = random_vector(random, dim);
      const double lengths = std::sqrt(product(a, a) * product(b, b));
      const double after = product(rotated(rotation, a), rotated(rotation, b));
      REQUIRE(std::abs(after - product(a, b)) <= static_cast<double>(kRotationError) * lengths);
    }
  }
}

TEST_CASE("registers give the bits of the plain rotation") {
  Random random(2);
  for (const size_t dim : kDims) {
    const Rotation rotation(dim, 7);
    const std::vector<float> vector = random_vector(random, dim);
    REQUIRE(rotated(rotation, vector) == rotated(rotation, vector, true));
  }
}

TEST_CASE("vectors that are all in one place come out flat") {
  // The largest of n draws from a bell curve is about sqrt(2 log n) deviations; seven are out of the ordinary. A
  // rotation of too few rounds, or one that does not cross its blocks, leaves far larger ones.
  for (const size_t dim : {64, 100, 384, 1536, 4096}) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
      const Rotation rotation(dim, seed);
      const auto flatness = [&](const std::vector<float>& vector) {
        float largest = 0;
        for (const float component : rotated(rotation, vector)) largest = std::max(largest, std::abs(component));
        return largest * std::sqrt(static_cast<double>(rotation.padded_dim()) / product(vector, vector));
      };
      for (size_t at = 0; at < dim; at += 1 + dim / 16) {
        std::vector<float> axis(dim);
        axis[at] = 1;
        REQUIRE(flatness(axis) < 7);
      }
      REQUIRE(flatness(std::vector<float>(dim, 1.f)) < 7);
      std::vector<float> half(dim);
      std::fill(half.begin(), half.begin() + static_cast<std::ptrdiff_t>(dim / 2), 1.f);
      REQUIRE(flatness(half) < 7);
    }
  }
}

TEST_CASE("a rotation is the same on every platform") {
  // The number is part of the format of codes: it is the same natively and as WebAssembly, and stays.
  Bytes bytes;
  Random random(3);
  for (const size_t dim : kDims) {
    const std::vector<float> values = rotated(Rotation(dim, 42), random_vector(random, dim));
    const ByteView view = view_bytes<float>(values);
    bytes.insert(bytes.end(), view.begin(), view.end());
  }
  CHECK(hash64(bytes) == 8859833665791416038u);
}
