// Points as Qdrant keeps them.
//
// An id that is a decimal number below 2^64, or a UUID in lower case with hyphens, is the point's own; any other
// becomes a UUID (core/remote/ids.h). Beside the payload's members a stored payload has the text, under the layout's
// `text_field`, and where there is something to say the object "_nearfield":
//
//   id       the id, where the point's own is derived from it
//   norm     of the vector, where it was scaled to length 1: Qdrant does that to every vector that it compares by
//            cosine, and hands out what it made of them
//   empty    paths of the fields that are empty arrays, which its filters cannot tell from missing ones
//   payload  the payload as it was given, as text, where the stored one differs: arrays in arrays are one array there,
//            since its filters look only one deep; whole numbers from 2^53 on are integers; members named like the text
//            or "_nearfield" are left out. Also where it has numbers of more than 15 digits with a fraction, since its
//            reader rounds those.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/json.h"
#include "core/base/status.h"
#include "core/metric/metric.h"
#include "core/remote/qdrant_filter.h"
#include "core/store/vector_store.h"
#include "core/text/analyzer.h"

namespace nearfield {

// How a collection is laid out. Names of vectors: empty stands for the unnamed dense vector, and for no sparse one.
struct QdrantLayout {
  Metric metric = Metric::kCosine;
  size_t dimension = 0;           // 0: not known
  std::string vector;             // the dense vector
  std::string sparse_vector;      // what callers give
  std::string text_vector;        // made of the text's words
  std::string text_field;         // the payload's member that is the text; not empty
  uint32_t sparse_dimension = 0;  // indices of both are below it; 1 or more
};

// "42" or "\"550e8400-...\"": where the point of `id` is.
std::string qdrant_key(std::string_view id);
// Qdrant's own spelling of an id in an answer as such a key. Nothing where it is none.
std::optional<std::string> read_qdrant_key(const Json& id);

// A text's words as a sparse vector, for scoring with Qdrant's `idf`. Word w is component XXH3(w) % dimension, and has
// the weight that BM25 gives its frequency (k1 1.2, b 0.75, lengths relative to 100 words, since the mean is not known
// here); in a query, how often it stands there.
SparseVector text_weights(Analyzer& analyzer, std::string_view text, uint32_t dimension);
SparseVector query_weights(Analyzer& analyzer, std::string_view text, uint32_t dimension);

void append_sparse(std::string& out, const SparseVector& vector);
// For queries and points: cosine vectors are scaled here, in double precision, because Qdrant leaves short ones as they
// are and overflows at long ones.
void append_dense(std::string& out, std::span<const float> vector, Metric metric);

// {"id":..,"vector":..,"payload":..}. REQUIRES: the point was checked. `analyzer`: where the layout has a text vector.
void append_qdrant_point(std::string& out, const StorePoint& point, const QdrantLayout& layout, Analyzer* analyzer);
// About how many bytes that is.
size_t qdrant_point_bytes(const StorePoint& point);

// What to ask for so that read_qdrant_point() finds `parts`: "with_payload":..,"with_vector":..
std::string qdrant_selection(const QdrantLayout& layout, StoreParts parts);

struct QdrantRecord {
  std::string key;
  StorePoint point;
};

// A point of an answer, with `parts` of it. Fails with kRemoteProtocolError; the message goes on from "the answer has".
Result<QdrantRecord> read_qdrant_point(const Json& record, const QdrantLayout& layout, StoreParts parts);

}  // namespace nearfield
