// A collection's simpler truth: points in a map, searched by plain loops that follow the definitions.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/collection/collection.h"
#include "core/text/analyzer.h"

namespace nearfield {

class Model {
 public:
  struct Found {
    std::string id;
    double score = 0;
  };

  explicit Model(Schema schema) : schema_(std::move(schema)) {
    if (schema_.text) analyzer_ = std::make_unique<Analyzer>(AnalyzerOptions{schema_.text->stemming});
  }

  const std::map<std::string, Point>& points() const { return points_; }

  size_t apply(const Batch& batch) {
    size_t removed = 0;
    for (const std::string& id : batch.deletes) removed += points_.erase(id);
    for (const Point& point : batch.upserts) points_[point.id] = point;
    return removed;
  }
  void clear() { points_.clear(); }

  // Ids in order.
  std::vector<std::string> matching(const Filter* filter) const {
    std::vector<std::string> ids;
    for (const auto& [id, point] : points_) {
      const Json payload = point.payload.empty() ? Json() : Json::parse(point.payload);
      if (filter == nullptr || filter->matches(payload)) ids.push_back(id);
    }
    return ids;
  }

  std::vector<Found> search(const SearchRequest& request) const {
    const bool dense = !request.vector.empty() && request.mode != SearchMode::kText;
    const bool text = !request.text.empty() && request.mode != SearchMode::kDense;
    const std::vector<std::string> allowed = matching(request.filter ? &*request.filter : nullptr);
    const size_t limit = std::min(request.offset + request.k, kMaxK);
    std::vector<Found> ranking;
    if (dense && text) {
      const size_t depth = std::max<size_t>(100, limit);
      ranking = fused(request.fusion, ordered(dense_leg(request, allowed), depth),
                      ordered(text_leg(request, allowed), depth));
    } else {
      ranking = dense ? dense_leg(request, allowed) : text_leg(request, allowed);
    }
    ranking = ordered(std::move(ranking), limit);
    if (request.min_score) {
      std::erase_if(ranking, [&](const Found& found) { return found.score < *request.min_score; });
    }
    ranking.erase(ranking.begin(), ranking.begin() + static_cast<ptrdiff_t>(std::min(request.offset, ranking.size())));
    return ranking;
  }

 private:
  static std::vector<Found> ordered(std::vector<Found> leg, size_t limit) {
    std::sort(leg.begin(), leg.end(),
              [](const Found& a, const Found& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; });
    leg.resize(std::min(limit, leg.size()));
    return leg;
  }

  std::vector<Found> dense_leg(const SearchRequest& request, const std::vector<std::string>& allowed) const {
    std::vector<Found> leg;
    for (const std::string& id : allowed) {
      const std::vector<float>& vector = points_.at(id).vector;
      if (!vector.empty()) leg.push_back({id, exact_score(schema_.metric, request.vector, vector)});
    }
    return leg;
  }

  // Remembered, because the same few texts are asked for again and again.
  const std::vector<std::string>& terms(const std::string& text) const {
    const auto [entry, is_new] = terms_.try_emplace(text);
    if (is_new) {
      std::vector<Term> analyzed;
      analyzer_->analyze(text, analyzed);
      for (const Term& term : analyzed) entry->second.push_back(term.text);
    }
    return entry->second;
  }

  // The indexed text of a point. Fields of this model are "text" and top-level names.
  std::string indexed(const Point& point) const {
    const Json payload = point.payload.empty() ? Json::object() : Json::parse(point.payload);
    std::string out;
    for (const std::string& field : schema_.text->fields) {
      if (field == "text") {
        out += point.text + "\n";
      } else if (payload.contains(field) && payload[field].is_string()) {
        out += payload[field].get<std::string>() + "\n";
      } else if (payload.contains(field) && payload[field].is_array()) {
        for (const Json& element : payload[field]) {
          if (element.is_string()) out += element.get<std::string>() + "\n";
        }
      }
    }
    return out;
  }

  // Okapi BM25 as core/text/bm25.h states it.
  std::vector<Found> text_leg(const SearchRequest& request, const std::vector<std::string>& allowed) const {
    std::map<std::string, std::vector<std::string>> documents;
    double total_length = 0;
    for (const auto& [id, point] : points_) {
      documents[id] = terms(indexed(point));
      total_length += static_cast<double>(documents[id].size());
    }
    const auto n = static_cast<double>(documents.size());
    std::vector<Found> leg;
    for (const std::string& id : allowed) {
      const std::vector<std::string>& document = documents[id];
      double score = 0;
      for (const std::string& term : terms(request.text)) {
        const auto tf = static_cast<double>(std::count(document.begin(), document.end(), term));
        if (tf == 0) continue;
        double df = 0;
        for (const auto& [other, words] : documents) df += std::count(words.begin(), words.end(), term) > 0 ? 1 : 0;
        const double idf = std::log(1 + (n - df + .5) / (df + .5));
        const double norm = 1 - .75 + .75 * static_cast<double>(document.size()) / (total_length / n);
        score += idf * tf * (1.2 + 1) / (tf + 1.2 * norm);
      }
      if (score > 0) leg.push_back({id, score});
    }
    return leg;
  }

  static double scaled(const std::vector<Found>& leg, size_t i) {
    const double best = leg.front().score;
    const double worst = leg.back().score;
    return best > worst ? (leg[i].score - worst) / (best - worst) : 1;
  }

  static std::vector<Found> fused(const Fusion& fusion, const std::vector<Found>& dense,
                                  const std::vector<Found>& text) {
    std::map<std::string, double> scores;
    for (size_t i = 0; i < dense.size(); ++i) {
      const auto* rrf = std::get_if<ReciprocalRank>(&fusion);
      scores[dense[i].id] += rrf != nullptr ? rrf->dense_weight / (rrf->k + static_cast<double>(i + 1))
                                            : std::get<Convex>(fusion).alpha * scaled(dense, i);
    }
    for (size_t i = 0; i < text.size(); ++i) {
      const auto* rrf = std::get_if<ReciprocalRank>(&fusion);
      scores[text[i].id] += rrf != nullptr ? rrf->text_weight / (rrf->k + static_cast<double>(i + 1))
                                           : (1 - std::get<Convex>(fusion).alpha) * scaled(text, i);
    }
    std::vector<Found> out;
    for (const auto& [id, score] : scores) out.push_back({id, score});
    return out;
  }

  Schema schema_;
  std::map<std::string, Point> points_;
  std::unique_ptr<Analyzer> analyzer_;
  mutable std::map<std::string, std::vector<std::string>> terms_;
};

}  // namespace nearfield
