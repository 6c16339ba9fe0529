// What the tests of configurations share.
#pragma once

#include <catch_amalgamated.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/config/configuration.h"

namespace nearfield {

inline Json layer(std::string_view name, Json values) {
  return {{"name", std::string(name)}, {"values", std::move(values)}};
}

inline Configuration read(const Json& message) {
  auto read = read_configuration(message);
  INFO(message.dump().substr(0, 1000));
  REQUIRE(read.ok());
  return std::move(read).value();
}

// One file, `config.toml`.
inline Configuration read_file(const Json& values, const Json& environment = Json::object()) {
  return read({{"layers", Json::array({layer("config.toml", values)})}, {"environment", environment}});
}

inline Configuration read_files(const std::vector<Json>& files) {
  Json layers = Json::array();
  for (const Json& each : files) layers.push_back(layer("file" + std::to_string(layers.size()), each));
  return read({{"layers", layers}});
}

// { "a": { "b": value } } of "a.b".
inline Json at_path(std::string_view path, Json value) {
  const size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return {{std::string(path), std::move(value)}};
  return at_path(path.substr(0, dot), {{std::string(path.substr(dot + 1)), std::move(value)}});
}

// The key's report; fails where there is none.
inline KeyReport report_of(const Configuration& configuration, std::string_view key) {
  for (const KeyReport& report : configuration.keys) {
    if (report.key == key) return report;
  }
  FAIL("no report of " << key);
  return {};
}

// Of the error it would be thrown as; empty where it is good.
inline std::string error_of(const Configuration& configuration) {
  const Status status = configuration.status();
  return status.ok() ? "" : status.error().message;
}

inline bool warns(const Configuration& configuration, std::string_view words) {
  for (const ConfigProblem& warning : configuration.warnings) {
    if (warning.message().find(words) != std::string::npos) return true;
  }
  return false;
}

}  // namespace nearfield
