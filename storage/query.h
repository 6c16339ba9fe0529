// Queries over collections of a database, with effects where parts of them are on demand. See Database::search.
//
// Each runs once: it fails with kConflict where the collection was rewritten meanwhile, and with kStorageCorrupt also
// where a reader looks for a file that the writer has removed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/body_scan.h"

namespace nearfield {

// What must outlive a query, as everything else that is passed by reference.
struct QuerySource {
  Recovered& now;
  FrameCache& cache;
  const std::string& collection;
};

// That there is no such collection.
Error unknown_collection(std::string_view name);

// Rows that are live at the end, as many as the collection then has.
Task<Result<RowSet>> find_matching(const QuerySource& source, const Filter* filter);
Task<Result<SearchResult>> find_hits(const QuerySource& source, const SearchRequest& request, PointParts parts);
Task<Result<std::vector<Point>>> find_points(const QuerySource& source, const std::vector<std::string>& ids,
                                             PointParts parts);
Task<Result<std::vector<Point>>> find_page(const QuerySource& source, const Filter* filter, const std::string& after,
                                           size_t limit, PointParts parts);

}  // namespace nearfield
