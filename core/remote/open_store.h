// The store that settings describe, where it is one on a server.
#pragma once

#include <memory>

#include "core/base/effect.h"
#include "core/config/settings.h"
#include "core/remote/http_client.h"
#include "core/store/vector_store.h"

namespace nearfield {

struct RemoteStore {
  std::unique_ptr<HttpClient> http;  // outlives the store; null where that is none of a server
  std::unique_ptr<VectorStore> store;
};

// Asks for nothing yet. `seed`: of the back-off's jitter. Fails with kInvalidConfig or kHostNotAllowed, naming what is
// to blame. REQUIRES: settings.backend is that of a server.
Result<RemoteStore> open_store(EffectQueue& effects, const Settings& settings, bool browser, uint64_t seed);

}  // namespace nearfield
