// What the parts of ChromaStore share: chroma_store.cpp (the server, filters, snapshots), chroma_collection.cpp,
// chroma_write.cpp, chroma_read.cpp and chroma_search.cpp.
#pragma once

#include <string>
#include <string_view>

#include "core/remote/answer.h"
#include "core/remote/answer_size.h"
#include "core/remote/chroma_store.h"
#include "core/remote/json_text.h"
#include "core/remote/store_errors.h"

namespace nearfield {

constexpr size_t kMostCounted = 1 << 24;

// {"<key>":{"<op>":<operand>}}
std::string comparison(std::string_view key, std::string_view op, std::string_view operand);

// Records that this store wrote; or others.
std::string of_ours(bool ours);

// As read_answer(). Chroma's `{}` after a write would not tell an error that came with a good status.
Result<Json> read_good(const HttpClient& http, const HttpResponse& response);

}  // namespace nearfield
