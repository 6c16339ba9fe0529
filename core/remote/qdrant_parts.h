// What the parts of QdrantStore share: qdrant_store.cpp (the server, filters, snapshots), qdrant_collection.cpp,
// qdrant_write.cpp, qdrant_read.cpp and qdrant_search.cpp.
#pragma once

#include <string>

#include "core/remote/answer.h"
#include "core/remote/answer_size.h"
#include "core/remote/qdrant_store.h"
#include "core/remote/store_errors.h"

namespace nearfield {

// {"operation_id":1,"status":"completed"}: nothing else means that it is done.
inline bool is_completed(const Json& result) {
  const std::string* status = string_member(result, "status");
  return status != nullptr && *status == "completed";
}

// Taken, and to be done later.
inline bool is_pending(const Json& result) {
  const std::string* status = string_member(result, "status");
  return status != nullptr && (*status == "acknowledged" || *status == "wait_timeout");
}

inline bool is_too_large(const HttpResponse& refusal) {
  return refusal.status == 413 ||
         (refusal.status == 400 && refusal.body.find("is larger than allowed") != std::string::npos);
}

}  // namespace nearfield
