// Configuration: files, environment and options read in both dialects, merged, checked, and told in full.
//
// Nothing is ignored: every key that is given becomes a KeyReport, and is implemented, reported (a warning), rejected
// or not supported yet. All problems are collected. No text in a Configuration holds a secret, outside of its settings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/json.h"
#include "core/base/status.h"
#include "core/config/settings.h"

namespace nearfield {

struct ConfigProblem {
  Code code = Code::kInvalidConfig;
  std::string key;     // full path; empty: of the whole
  std::string source;  // file, "CW_...", "options"; empty: a default
  uint64_t line = 0;   // 0: not known
  std::string reason;
  std::string alternative;  // may be empty

  // "backend.timeout in .codeweaver.toml:5 must be seconds, ...; alternative"
  std::string message() const;
};

enum class KeyState : uint8_t { kImplemented, kReported, kRejected, kUnsupported, kUnknown };

// What became of one key.
struct KeyReport {
  std::string key;
  std::string value;  // JSON text as it was written, variables not expanded; "***" for secrets
  std::string source;
  uint64_t line = 0;
  KeyState state = KeyState::kImplemented;
  std::string note;
};

struct Configuration {
  Settings settings;            // where there are problems: what could be read
  std::string dialect;          // "vectordb" or "backend"
  std::vector<KeyReport> keys;  // that were given, in the order of keys.def; of a key given twice the one that counts
  // Keys that were not given and count all the same, and their values as JSON text.
  std::vector<std::pair<std::string_view, std::string_view>> defaults;
  std::vector<ConfigProblem> problems;
  std::vector<ConfigProblem> warnings;
  uint64_t more_problems = 0;  // than are listed
  std::string shown_settings;  // JSON text of an object, secrets masked

  // The first problem, and how many more there are.
  Status status() const;
};

// Reads
//   { "layers": [{ "name", "values": {...} | "text": "JSON text", "lines": { path: number }, "odd": { path: text } }
//               or { "name", "broken": why it could not be parsed, "line": number }],
//     "options": as a layer, "environment": { name: text }, "strict": true, "host": "node" | "browser" | "edge",
//     "backends": [names], "stores": [those of them that are registered in C++], "embedders": [names] }
// where all but "layers" may be missing. Layers come in order, later ones win; between them and the options come the
// CW_ variables of the environment, which is also what ${NAME} is looked up in. "lines" says where keys stand, "odd"
// how values were written that JSON cannot hold. Backends and embedders are registered names.
//
// Fails with kFormatError on a message of another shape; what is wrong with the configuration is in its problems.
Result<Configuration> read_configuration(const Json& message);

// JSON text:
//   { "ok", "dialect", "backend", "settings": {...}, "keys": [{ "key", "value", "source", "line"?, "state", "note" }],
//     "defaults": [{ "key", "value" }],
//     "problems": [{ "code", "key", "source", "line"?, "reason", "alternative"?, "message" }], "warnings": as problems,
//     "error"?: { "code": number, "message", "value" } }
std::string configuration_json(const Configuration& configuration);

}  // namespace nearfield
