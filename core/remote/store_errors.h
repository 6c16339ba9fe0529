// What a store on a server fails with, in the same words whichever the server.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace nearfield {

// kInvalidArgument; `value` is JSON text.
Error invalid(std::string message, std::string value);
// kInvalidConfig, of an option.
Error invalid_option(std::string message, std::string_view value);
// kUnsupported; `value` is JSON text.
Error unsupported(std::string message, std::string value = "");

// "Vector dimension mismatch: expected 1024, got 1536": kDimensionMismatch, or kSchemaMismatch of a collection.
Error dimension_mismatch(Code code, uint64_t expected, uint64_t got);
// kSchemaMismatch: "collection "x" <what>".
Error schema_mismatch(std::string_view collection, std::string_view what);
// kNotFound: "Collection 'x' not found".
Error no_collection(std::string_view collection);

// kClosed where the store of the collection was closed.
Status check_open(bool closed, std::string_view collection);

}  // namespace nearfield
