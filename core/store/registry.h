// StoreRegistry: stores that are made elsewhere, by the name that a configuration calls them.
//
// Whoever builds the core into a program of their own adds theirs before configurations are read:
//
//   registered_stores().add("mystore", [](EffectQueue& effects, const Settings& settings)
//                                          -> Result<std::unique_ptr<VectorStore>> { ... });
//
// A page or a script registers with registerBackend() in JavaScript instead.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/effect.h"
#include "core/config/settings.h"
#include "core/store/vector_store.h"

namespace nearfield {

// `effects` outlives the store; the settings do not.
using StoreFactory = Result<std::unique_ptr<VectorStore>> (*)(EffectQueue& effects, const Settings& settings);

class StoreRegistry {
 public:
  // Fails with kInvalidArgument for a name that is not [a-z][a-z0-9_-]{0,63}, and with kConflict for one that is taken,
  // also by a backend that is built in.
  Status add(std::string name, StoreFactory factory);
  std::vector<std::string> names() const;
  // Fails with kNotFound, listing the names there are, and as the factory does.
  Result<std::unique_ptr<VectorStore>> open(EffectQueue& effects, const Settings& settings) const;

 private:
  std::map<std::string, StoreFactory, std::less<>> factories_;
};

// The one that connect() looks in.
StoreRegistry& registered_stores();

}  // namespace nearfield
