#include "core/store/registry.h"

#include <cassert>

#include "core/config/backend_choice.h"

namespace nearfield {

namespace {

bool is_name(std::string_view name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
  return !name.empty() && name.size() <= 64 && kLetters.find(name.front()) != std::string_view::npos &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

}  // namespace

Status StoreRegistry::add(std::string name, StoreFactory factory) {
  assert(factory != nullptr);
  if (!is_name(name)) {
    return Error{Code::kInvalidArgument, "a backend's name is a lower-case letter and at most 63 more, digits, _ or -",
                 shown(name)};
  }
  if (is_built_in(name) || !factories_.emplace(name, factory).second) {
    return Error{Code::kConflict, "there is a backend " + shown(name) + " already", shown(name)};
  }
  return {};
}

std::vector<std::string> StoreRegistry::names() const {
  std::vector<std::string> out;
  for (const auto& [name, factory] : factories_) out.push_back(name);
  return out;
}

Result<std::unique_ptr<VectorStore>> StoreRegistry::open(EffectQueue& effects, const Settings& settings) const {
  const auto found = factories_.find(settings.name);
  if (found != factories_.end()) return found->second(effects, settings);
  std::string known;
  for (const auto& [name, factory] : factories_) known += (known.empty() ? "" : ", ") + name;
  return Error{Code::kNotFound,
               "there is no backend " + shown(settings.name) +
                   (known.empty() ? "; none is registered" : "; registered are " + known),
               shown(settings.name)};
}

StoreRegistry& registered_stores() {
  static StoreRegistry registry;
  return registry;
}

}  // namespace nearfield
