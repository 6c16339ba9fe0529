// Ids for servers that know only UUIDs, and for any string.
//
// An id that is spelt as a UUID, lower-case and with hyphens, is that UUID. Any other becomes its UUIDv5 (RFC 9562) in
// the name space of DNS, as Weaviate's and many of Qdrant's own clients make theirs, so those can find it.
//
// What tells the two apart is stored with the record: a derived one carries its id under a reserved key of the
// adapter's, one that is its UUID carries none. Readers go by that: who asks for the UUID that another
// id's record has gets nothing, and removes nothing. Who writes under it replaces that record; to meet it takes the
// SHA-1 of the other id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nearfield {

// "550e8400-e29b-41d4-a716-446655440000": hexadecimal digits in lower case, of any version.
bool is_uuid(std::string_view text);

// The UUIDv5 of `name`'s bytes in the name space of DNS.
std::string derived_uuid(std::string_view name);

// Where a server has the record of `id`.
std::string uuid_of_id(std::string_view id);

// Decimal, without leading zeros, below 2^64.
std::optional<uint64_t> parse_u64(std::string_view text);

}  // namespace nearfield
