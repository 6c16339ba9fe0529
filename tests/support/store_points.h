// Points, filters and a key for tests of stores on servers.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/json.h"
#include "core/base/random.h"
#include "core/filter/filter.h"
#include "core/store/vector_store.h"

namespace nearfield {

// In messages it must not be.
inline constexpr std::string_view kKey = "canary-key-of-the-test";
inline constexpr StoreParts kAll{.payload = true, .text = true, .vector = true};

inline Filter filter_of(const std::string& json) { return Filter::parse(Json::parse(json)).value(); }

inline StorePoint point_of(std::string id, std::vector<float> vector = {}, std::string payload = "",
                           std::string text = "") {
  StorePoint out;
  out.id = std::move(id);
  out.vector = std::move(vector);
  out.payload = std::move(payload);
  out.text = std::move(text);
  return out;
}

inline std::vector<float> random_vector(Random& random, size_t dimension) {
  std::vector<float> out(dimension);
  for (float& value : out) value = random.between(-1, 1);
  return out;
}

// "doc-0", ..., the same in every run: fields of all kinds, which some of them have not.
inline std::vector<StorePoint> random_points(size_t count, size_t dimension) {
  Random random(3);
  static const char* const kTags[] = {"red", "green", "blue"};
  std::vector<StorePoint> out;
  for (size_t i = 0; i < count; ++i) {
    Json payload = {{"year", 2000 + random.below(30)},
                    {"tag", kTags[random.below(3)]},
                    {"price", 0.5 * static_cast<double>(random.below(9))}};
    if (random.below(3) == 0) payload["tags"] = {kTags[random.below(3)], random.below(5)};
    if (random.below(4) == 0) payload["tags"] = Json::array({Json::array({"deep"}), 1});
    if (random.below(4) == 0) payload["note"] = nullptr;
    if (random.below(5) == 0) payload["note"] = Json::array();
    if (random.below(3) == 0) payload["author"] = {{"name", kTags[random.below(3)]}};
    if (random.below(5) == 0) payload["author"] = Json::array({{{"name", "red"}}, {{"name", nullptr}}});
    out.push_back(point_of("doc-" + std::to_string(i), random_vector(random, dimension), payload.dump(),
                           "text number " + std::to_string(i)));
  }
  return out;
}

inline std::vector<std::string> ids_of(const std::vector<StorePoint>& points) {
  std::vector<std::string> out;
  for (const StorePoint& point : points) out.push_back(point.id);
  return out;
}

}  // namespace nearfield
