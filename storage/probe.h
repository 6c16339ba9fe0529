// Measuring an index: how much of what an exact search finds does it find?
#pragma once

#include <string>
#include <vector>

#include "storage/database.h"

namespace nearfield {

struct ProbeOptions {
  size_t sample = 100;                     // questions, where none are given; at least 1
  size_t k = 10;                           // 1..kMaxK
  size_t ef = 0, nprobe = 0, rescore = 0;  // as in SearchRequest
};

struct ProbeReport {
  double recall = 1;  // share of the exact best k that a search finds; hits that score no less than the last one count
  size_t questions = 0;  // that were asked
};

// Asks each of `questions` (vectors of the collection's dimension, one behind the other; none: options.sample of them,
// in the middle of random points) as searches are answered and exactly, with a pause of the host's between them. Fails
// like Database::search, and with kInvalidArgument where there is no point to draw questions from. What it refers
// to must outlive the task.
Task<Result<ProbeReport>> probe(EffectQueue& effects, Database& database, std::string collection, ProbeOptions options,
                                std::vector<float> questions);

}  // namespace nearfield
