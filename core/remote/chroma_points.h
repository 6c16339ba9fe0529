// Points as Chroma keeps them: an id, a vector, the text as document, and metadata, which are flat.
//
// Beside keys of the store's own, metadata have a copy of each payload field that Chroma can hold and name: strings,
// booleans, integers of 64 bits with a sign, other numbers, and arrays of one of these; what is in objects under its
// dotted path. Copies are for other clients. Fields within arrays, names with a dot, and names that Chroma keeps
// for itself (from "#", "$" and "chroma:" on) or that begin with "_nearfield" have none. The store's own keys:
//
//   _nearfield             "1", the version of this layout. A record without is one that others wrote: its payload
//                          is its metadata.
//   _nearfield.payload     the payload's text, as it was given
//   _nearfield.terms       strings, of which filters ask whether they are there (chroma_term): for each value at each
//                          path "=<value> <path>", if it is an element of an array "[<value> <path>" too; and by what
//                          is at the path "#<path>" (a number), "\"<path>" (a string that is no element), otherwise
//                          "?<path>"
//   _nearfield.max.<path>, .min.<path>
//                          the greatest and the least number there, as integers of the same order: Chroma rounds
//                          numbers of more than 15 digits, and compares integers with the whole part of an operand
//   _nearfield.slot        32 bits of the id's hash, by which points are scrolled
//   _nearfield.norm        the vector's, where it is scaled to length 1: Chroma takes norms in floats, and those of
//                          very long and very short vectors are infinite, or 0
//
// All that filters and reads of a point need is written with every upsert, so what Chroma keeps of a record that is
// written again (it merges metadata) matters to other clients alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/base/json.h"
#include "core/base/status.h"
#include "core/metric/metric.h"
#include "core/store/vector_store.h"

namespace nearfield {

inline constexpr std::string_view kChromaOwn = "_nearfield";
inline constexpr std::string_view kChromaLayoutVersion = "1";
inline constexpr std::string_view kChromaTerms = "_nearfield.terms";
inline constexpr std::string_view kChromaMax = "_nearfield.max.";
inline constexpr std::string_view kChromaMin = "_nearfield.min.";
inline constexpr std::string_view kChromaSlot = "_nearfield.slot";

// Whether a key of metadata may have this name.
bool is_chroma_key(std::string_view name);

// A value in words that are alike where values are equal: 1 and 1.0 are "1". Long ones are a "~" and their UUIDv5.
std::string chroma_value(const Json& value);
// "=<value> <path>", "[<value> <path>".
std::string chroma_term(char kind, std::string_view value, std::string_view path);
// Orders as doubles do; 0 is -0. REQUIRES: not NaN.
int64_t chroma_order(double number);
uint32_t chroma_slot(std::string_view id);

// Metadata of a record, each value as JSON text.
struct ChromaMetadata {
  std::map<std::string, std::string> entries;

  // Fails with kLimitExceeded where a record would have more than `max_elements` entries, or elements in arrays: Chroma
  // takes it, and then fails at every later write to the collection. REQUIRES: the point was checked.
  static Result<ChromaMetadata> of(const StorePoint& point, Metric metric, size_t max_elements);
};

// The vector as it is stored, and for queries: of cosine, scaled where floats cannot hold its norm.
void append_chroma_vector(std::string& out, std::span<const float> vector, Metric metric);

// Reads a record; null pointers are parts that were not asked for, JSON nulls are ones that it has not. `dimension`: 0,
// if it is not known. Fails with kRemoteProtocolError; the message goes on from "the answer has".
Result<StorePoint> read_chroma_point(std::string id, const Json* metadata, const Json* document, const Json* vector,
                                     Metric metric, size_t dimension);

}  // namespace nearfield
