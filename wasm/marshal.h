// Messages across the line into JavaScript: read from the input buffer, written as one text.
//
// In, all integers u32, little-endian, positions counted from the start of the message:
//   length of the JSON text | the JSON text | zero bytes to a multiple of 4 | binary part
// The binary part is what JSON is bad at: ids, texts, vectors, file contents, and all of a message that is sent too
// often to be parsed: its JSON text is empty. Each call says what it expects there.
//
// Out: JSON text, but for search (wasm/hits.h). Where a value is bytes or floats, it is [offset, count] in the engine's
// memory, valid until the next call; JavaScript copies it at once. Payloads are already JSON text and are passed on as
// they are.
//
// Included by source files only: it needs all of nlohmann/json, which is slow to compile.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/effect.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/collection/collection.h"

namespace nearfield {

struct Message {
  Json options;       // an object; without members where the text was empty
  ByteReader binary;  // a view into the input buffer
};

// Fails with kFormatError on a malformed frame or JSON, kLimitExceeded beyond the bounds of parse_json.
Result<Message> read_message(ByteView bytes);

// A member of an object of options. Fails with kInvalidArgument when it is missing or of another type.
Result<std::string> string_option(const Json& options, const char* name);
Result<uint64_t> whole_option(const Json& options, const char* name);
Result<size_t> size_option(const Json& options, const char* name);  // also when it is 2^32 or more
// `otherwise` where it is missing.
bool flag_option(const Json& options, const char* name, bool otherwise);
// Of the member "relaxed"; strict where it is missing.
Durability durability_option(const Json& options);

// Binary: a count, then that many strings (a length and bytes each).
Result<std::vector<std::string>> read_strings(ByteReader& binary);
// Binary: a count, then per point its id, text and payload as strings, the number of components, zero bytes to a
// multiple of 4, the components.
Result<std::vector<Point>> read_points(ByteReader& binary);

// Compact JSON, written front to back. The caller keeps the order of calls right: key before value inside objects.
class JsonText {
 public:
  JsonText& open(char bracket);   // '{' or '['
  JsonText& close(char bracket);  // '}' or ']'
  JsonText& key(std::string_view name);
  JsonText& string(std::string_view text);
  JsonText& number(double value);  // shortest text that reads back as the same double; null where it is not finite
  JsonText& integer(uint64_t value);
  JsonText& boolean(bool value);
  JsonText& raw(std::string_view json);
  // [offset, count] of something in memory.
  JsonText& place(const void* first, size_t count);

  std::string take() { return std::move(text_); }

 private:
  void separate();

  std::string text_;
};

// The members message and, where there is one, value; inside an open object.
void write_error(JsonText& out, const Error& error);

struct RowParts {
  bool payload = true;
  bool text = true;
  bool vector = false;
  bool payload_text = false;  // the payload as a string that holds its JSON text: nothing of it is lost in JavaScript
};
// { "payload", "text", "vector": false, ... } from an array of names, as `include` in the public API, and
// "payloadText"; all defaults where it is missing. Fails with kInvalidArgument on another name.
Result<RowParts> row_parts(const Json& options);

// The members id, payload, text and vector, those that are wanted and there; inside an open object.
void write_row(JsonText& out, const RowView& row, RowParts parts);

}  // namespace nearfield
