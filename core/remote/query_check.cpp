#include "core/remote/query_check.h"

#include <cmath>
#include <string>

#include "core/remote/store_errors.h"

namespace nearfield {

Status check_mode(const StoreQuery& query) {
  const auto needs = [](std::string_view mode, std::string_view what) {
    return invalid("a search of mode " + std::string(mode) + " needs a " + std::string(what), shown(mode));
  };
  const bool has_vector = !query.vector.empty(), has_text = !query.text.empty(), has_sparse = !query.sparse.empty();
  if (!has_vector && !has_text && !has_sparse) return invalid("a search needs a vector, a text or both", "");
  if (query.mode == SearchMode::kDense && !has_vector) return needs("dense", "vector");
  if (query.mode == SearchMode::kText && !has_text) return needs("text", "text");
  if (query.mode == SearchMode::kHybrid && !has_vector) return needs("hybrid", "vector");
  if (query.mode == SearchMode::kHybrid && !has_text && !has_sparse) return needs("hybrid", "text");
  return {};
}

Status check_range(const StoreQuery& query) {
  if (query.k == 0 || query.k > kMaxK) {
    return invalid("search.k is from 1 to " + std::to_string(kMaxK), std::to_string(query.k));
  }
  if (query.offset > kMaxK - query.k) {
    return invalid("search.offset is at most " + std::to_string(kMaxK) + " together with k",
                   std::to_string(query.offset));
  }
  if (query.min_score && !std::isfinite(*query.min_score)) {
    return invalid("search.minScore is a finite number", shown(*query.min_score));
  }
  return {};
}

Error no_text_search(std::string_view collection, std::string_view text) {
  return invalid("collection " + shown(collection) +
                     " was configured without text search (enable_hybrid_search); search with a vector alone",
                 shown(text));
}

Status check_page(size_t limit) {
  if (limit > 0 && limit <= kMaxPage) return {};
  return invalid("a page has 1 to " + std::to_string(kMaxPage) + " points", std::to_string(limit));
}

Error no_such_page(std::string_view from) {
  return invalid("a page begins where the one before says so, not at " + shown(from), shown(from));
}

}  // namespace nearfield
