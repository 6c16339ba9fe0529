// What the parts of WeaviateStore share: weaviate_store.cpp (the server, filters), weaviate_snapshots.cpp,
// weaviate_collection.cpp, weaviate_write.cpp, weaviate_read.cpp and weaviate_search.cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/remote/answer.h"
#include "core/remote/answer_size.h"
#include "core/remote/json_text.h"
#include "core/remote/store_errors.h"
#include "core/remote/weaviate_store.h"

namespace nearfield {

inline bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// What the server says of a vector that is not as long as those that it has.
struct Dimensions {
  uint64_t stored = 0, given = 0;
};
std::optional<Dimensions> told_dimensions(std::string_view words);

// What fusing two legs is to the server.
struct NativeFusion {
  std::string_view type;
  double alpha = 0;
  double scale = 1;  // of the server's scores
};
Result<NativeFusion> native_fusion(const Fusion& fusion);

}  // namespace nearfield
