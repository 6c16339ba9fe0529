#include "core/collection/fusion.h"

#include "core/base/sort.h"

namespace nearfield {

namespace {

// Both lists by row, without scores.
std::vector<FusedRow> join(std::span<const Scored> dense, std::span<const Scored> text) {
  std::vector<FusedRow> rows;
  rows.reserve(dense.size() + text.size());
  for (size_t i = 0; i < dense.size(); ++i) {
    rows.push_back({dense[i].row, 0, LegScore{dense[i].score, i + 1}, std::nullopt});
  }
  for (size_t i = 0; i < text.size(); ++i) {
    rows.push_back({text[i].row, 0, std::nullopt, LegScore{text[i].score, i + 1}});
  }
  heap_sort(rows, [](const FusedRow& a, const FusedRow& b) { return a.row < b.row; });
  size_t kept = 0;
  for (const FusedRow& row : rows) {
    if (kept == 0 || rows[kept - 1].row != row.row) {
      rows[kept++] = row;
      continue;
    }
    if (row.dense) rows[kept - 1].dense = row.dense;
    if (row.text) rows[kept - 1].text = row.text;
  }
  rows.resize(kept);
  return rows;
}

double reciprocal(double weight, double k, const std::optional<LegScore>& leg) {
  return leg ? weight / (k + static_cast<double>(leg->rank)) : 0;
}

// The leg's score on the scale of its list, worst 0 and best 1.
double scaled(std::span<const Scored> list, const std::optional<LegScore>& leg) {
  if (!leg) return 0;
  const double best = list.front().score;
  const double worst = list.back().score;
  return best > worst ? (leg->score - worst) / (best - worst) : 1;
}

}  // namespace

std::vector<FusedRow> fuse(const Fusion& fusion, std::span<const Scored> dense, std::span<const Scored> text) {
  std::vector<FusedRow> rows = join(dense, text);
  if (const auto* rrf = std::get_if<ReciprocalRank>(&fusion)) {
    for (FusedRow& row : rows) {
      row.score = reciprocal(rrf->dense_weight, rrf->k, row.dense) + reciprocal(rrf->text_weight, rrf->k, row.text);
    }
  } else if (const auto* convex = std::get_if<Convex>(&fusion)) {
    for (FusedRow& row : rows) {
      row.score = convex->alpha * scaled(dense, row.dense) + (1 - convex->alpha) * scaled(text, row.text);
    }
  }
  return rows;
}

}  // namespace nearfield
