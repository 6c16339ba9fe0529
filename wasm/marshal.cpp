#include "wasm/marshal.h"

namespace nearfield {

namespace {

Error malformed(std::string_view what) {
  return {Code::kFormatError, "message from JavaScript: " + std::string(what), ""};
}

Error wrong_option(const char* name, const char* expected, const Json* value) {
  return {Code::kInvalidArgument, std::string(name) + " must be " + expected, value ? shown_json(*value) : "null"};
}

// What is no object has no members.
const Json* member(const Json& options, const char* name) {
  if (!options.is_object()) return nullptr;
  const auto found = options.find(name);
  return found == options.end() ? nullptr : &*found;
}

}  // namespace

Result<Message> read_message(ByteView bytes) {
  ByteReader reader(bytes);
  const std::string_view text = reader.get_string();
  reader.align(4);
  if (!reader.ok()) return malformed("the frame is cut short");
  if (text.empty()) return Message{Json::object(), reader};
  ASSIGN_OR_RETURN(Json options, parse_json(text, "options"));
  if (!options.is_object()) return malformed("the options are not an object");
  return Message{std::move(options), reader};
}

Result<std::string> string_option(const Json& options, const char* name) {
  const Json* value = member(options, name);
  if (value == nullptr || !value->is_string()) return wrong_option(name, "a string", value);
  return value->get<std::string>();
}

Result<uint64_t> whole_option(const Json& options, const char* name) {
  const Json* value = member(options, name);
  if (value == nullptr || !value->is_number_unsigned()) return wrong_option(name, "a whole number", value);
  return value->get<uint64_t>();
}

Result<size_t> size_option(const Json& options, const char* name) {
  ASSIGN_OR_RETURN(const uint64_t value, whole_option(options, name));
  if (value > UINT32_MAX) return wrong_option(name, "below 2^32", member(options, name));
  return static_cast<size_t>(value);
}

bool flag_option(const Json& options, const char* name, bool otherwise) {
  const Json* value = member(options, name);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : otherwise;
}

Durability durability_option(const Json& options) {
  return flag_option(options, "relaxed", false) ? Durability::kRelaxed : Durability::kStrict;
}

Result<std::vector<std::string>> read_strings(ByteReader& binary) {
  const auto count = binary.get<uint32_t>();
  // Each string takes at least its length's four bytes: a count that cannot be true reserves nothing.
  if (count > binary.remaining() / 4) return malformed("the count of strings is larger than the message");
  std::vector<std::string> out;
  out.reserve(count);
  for (uint32_t i = 0; i < count; ++i) out.emplace_back(binary.get_string());
  if (!binary.ok()) return malformed("a string is cut short");
  return out;
}

Result<std::vector<Point>> read_points(ByteReader& binary) {
  const auto count = binary.get<uint32_t>();
  if (count > binary.remaining() / 16) return malformed("the count of points is larger than the message");
  std::vector<Point> out;
  out.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    Point point;
    point.id = binary.get_string();
    point.text = binary.get_string();
    point.payload = binary.get_string();
    const auto components = binary.get<uint32_t>();
    binary.align(4);
    point.vector = binary.get_array<float>(components);
    if (!binary.ok()) return malformed("a point is cut short");
    out.push_back(std::move(point));
  }
  return out;
}

void JsonText::separate() {
  if (text_.empty()) return;
  const char last = text_.back();
  if (last != '{' && last != '[' && last != ':') text_ += ',';
}

JsonText& JsonText::open(char bracket) {
  separate();
  text_ += bracket;
  return *this;
}

JsonText& JsonText::close(char bracket) {
  text_ += bracket;
  return *this;
}

JsonText& JsonText::key(std::string_view name) {
  string(name);
  text_ += ':';
  return *this;
}

JsonText& JsonText::string(std::string_view text) {
  separate();
  text_ += '"';
  size_t copied = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    text_.append(text, copied, i - copied);
    copied = i + 1;
    text_ += '\\';
    if (byte == '"' || byte == '\\') {
      text_ += static_cast<char>(byte);
    } else if (byte == '\n') {
      text_ += 'n';
    } else {
      constexpr char kHex[] = "0123456789abcdef";
      text_ += {'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  text_.append(text, copied);
  text_ += '"';
  return *this;
}

JsonText& JsonText::number(double value) {
  // nlohmann carries the shortest-digits algorithm already; std::to_chars would bring a second one of 20 KB.
  return raw(write_json(value));
}

JsonText& JsonText::integer(uint64_t value) { return raw(std::to_string(value)); }

JsonText& JsonText::boolean(bool value) { return raw(value ? "true" : "false"); }

JsonText& JsonText::raw(std::string_view json) {
  separate();
  text_ += json;
  return *this;
}

JsonText& JsonText::place(const void* first, size_t count) {
  return open('[').integer(reinterpret_cast<uintptr_t>(first)).integer(count).close(']');
}

void write_error(JsonText& out, const Error& error) {
  out.key("message").string(error.message);
  if (!error.value.empty()) out.key("value").raw(error.value);
}

Result<RowParts> row_parts(const Json& options) {
  const Json* include = member(options, "include");
  if (include == nullptr) return RowParts{};
  if (!include->is_array()) return wrong_option("include", "an array", include);
  RowParts parts{false, false, false};
  for (const Json& name : *include) {
    if (name == "payload") {
      parts.payload = true;
    } else if (name == "payloadText") {
      parts.payload = parts.payload_text = true;
    } else if (name == "text") {
      parts.text = true;
    } else if (name == "vector") {
      parts.vector = true;
    } else {
      return wrong_option("include", "an array of \"payload\", \"text\" and \"vector\"", &name);
    }
  }
  return parts;
}

void write_row(JsonText& out, const RowView& row, RowParts parts) {
  out.key("id").string(row.id);
  if (parts.payload && !row.payload.empty()) {
    out.key("payload");
    parts.payload_text ? out.string(row.payload) : out.raw(row.payload);
  }
  if (parts.text && !row.text.empty()) out.key("text").string(row.text);
  if (parts.vector && !row.vector.empty()) out.key("vector").place(row.vector.data(), row.vector.size());
}

}  // namespace nearfield
