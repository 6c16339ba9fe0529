// Points as Weaviate keeps them: objects of a class.
//
// The class has one vector, "default", and these properties, all of them declared, so that the server never guesses a
// type:
//
//   nf_id       the id, where the object's UUID is derived from it (core/remote/ids.h)
//   nf_payload  the payload, as it was given
//   nf_terms    what it is filtered by (core/remote/weaviate_terms.h)
//   nf_norm     of a vector that is compared by cosine and so long or so short that the server's floats would lose it:
//               it is stored scaled to length 1
//   <text>      the text; its words are what BM25 searches
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/base/json.h"
#include "core/base/status.h"
#include "core/metric/metric.h"
#include "core/store/vector_store.h"

namespace nearfield {

// The class of a collection: a name of letters, digits and "_" that begins with a capital, different for different
// names even where case does not count, because the server takes classes for the same then. Lower-case letters and
// digits are themselves, other bytes are "_" and two hexadecimal digits; the first letter is a capital, and where there
// is none "X_z" stands before: "docs" is "Docs", "my-docs" "My_2ddocs", "Docs" "X_z_44ocs".
std::string weaviate_class(std::string_view collection);

// How the objects of a class are laid out.
struct WeaviateLayout {
  Metric metric = Metric::kCosine;
  bool payload_index = true;        // without it there are no filters, but those of scroll()
  std::string text_field = "text";  // a property's name: [a-z_][A-Za-z0-9_]*, at most 230 characters
};

// The vector as it is stored, and for queries: of cosine, scaled where floats cannot hold its norm.
void append_weaviate_vector(std::string& out, std::span<const float> vector, Metric metric);

// {"class":..,"id":..,"properties":..,"vectors":..}. REQUIRES: the point was checked.
void append_weaviate_object(std::string& out, const StorePoint& point, std::string_view class_name,
                            const WeaviateLayout& layout);
// About how many bytes that is.
size_t weaviate_object_bytes(const StorePoint& point, const WeaviateLayout& layout);

// The fields of a query so that read_weaviate_object() finds `parts`. `additional`: "distance", "score" or nothing.
std::string weaviate_selection(const WeaviateLayout& layout, StoreParts parts, std::string_view additional);

struct WeaviateRecord {
  std::string uuid;
  StorePoint point;
};

// An object of an answer, with `parts` of it. `dimension`: 0, if it is not known. Fails with kRemoteProtocolError; the
// message goes on from "the answer has".
Result<WeaviateRecord> read_weaviate_object(const Json& object, const WeaviateLayout& layout, StoreParts parts,
                                            size_t dimension);

}  // namespace nearfield
