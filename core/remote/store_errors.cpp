#include "core/remote/store_errors.h"

#include <utility>

namespace nearfield {

Error invalid(std::string message, std::string value) {
  return {Code::kInvalidArgument, std::move(message), std::move(value)};
}

Error invalid_option(std::string message, std::string_view value) {
  return {Code::kInvalidConfig, std::move(message), shown(value)};
}

Error unsupported(std::string message, std::string value) {
  return {Code::kUnsupported, std::move(message), std::move(value)};
}

Error dimension_mismatch(Code code, uint64_t expected, uint64_t got) {
  return {code, "Vector dimension mismatch: expected " + std::to_string(expected) + ", got " + std::to_string(got),
          std::to_string(got)};
}

Error schema_mismatch(std::string_view collection, std::string_view what) {
  return {Code::kSchemaMismatch, "collection " + shown(collection) + ' ' + std::string(what), ""};
}

Error no_collection(std::string_view collection) {
  return {Code::kNotFound, "Collection '" + std::string(collection) + "' not found", shown(collection)};
}

Status check_open(bool closed, std::string_view collection) {
  if (!closed) return {};
  return Error{Code::kClosed, "the store of collection " + shown(collection) + " was closed", ""};
}

}  // namespace nearfield
