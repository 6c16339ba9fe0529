#include "core/config/keys.h"

#include <algorithm>
#include <array>

namespace nearfield {

namespace {

constexpr size_t kLongestWord = 64;

char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter; }

// Levenshtein's, where two letters that changed places count as one edit.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::array<std::array<size_t, kLongestWord + 1>, 3> rows;
  for (size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& above = rows[(i + 2) % 3];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
        row[j] = std::min(row[j], rows[(i + 1) % 3][j - 2] + 1);
      }
    }
  }
  return rows[a.size() % 3][b.size()];
}

std::string_view last_part(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

std::string_view first_part(std::string_view path) { return path.substr(0, path.find('.')); }

// Whether the parts of `path` are the first parts of `row`. `exact`: and there are no more.
bool matches(std::string_view row, std::string_view path, bool exact) {
  while (true) {
    const std::string_view wanted = first_part(row), given = first_part(path);
    if (wanted != given && wanted != "*") return false;
    if (given.size() == path.size()) return exact ? wanted.size() == row.size() : wanted.size() != row.size();
    if (wanted.size() == row.size()) return false;
    row.remove_prefix(wanted.size() + 1);
    path.remove_prefix(given.size() + 1);
  }
}

}  // namespace

std::span<const Key> keys() {
  static constexpr Key kKeys[] = {
#define NEARFIELD_KEY(path, type, low, high, unit, fallback, target, e, q, c, w, meaning) \
  {path, KeyType::k##type, low, high, unit, fallback, target, {e, q, c, w}, meaning},
#include "core/config/keys.def"
#undef NEARFIELD_KEY
  };
  return kKeys;
}

Handling Key::handling(Backend backend) const {
  const bool custom = backend == Backend::kCustom;
  const std::string_view cell = cells[custom ? 0 : static_cast<size_t>(backend)];
  if (cell == "later") return Handling::kLater;
  if (custom || cell.starts_with("yes")) return Handling::kImplemented;
  return cell.starts_with("note") ? Handling::kReported : Handling::kRejected;
}

std::string_view Key::fallback_on(Backend backend) const {
  const size_t comma = fallback.find(", "), colon = fallback.find(": ");
  if (comma == std::string_view::npos) return fallback;
  const bool other = fallback.substr(comma + 2, colon - comma - 2) == backend_name(backend);
  return other ? fallback.substr(colon + 2) : fallback.substr(0, comma);
}

std::string_view Key::note(Backend backend) const {
  if (backend == Backend::kCustom) return "handed to the backend";
  std::string_view cell = cells[static_cast<size_t>(backend)];
  cell = cell.substr(0, cell.find(" | "));
  const size_t colon = cell.find(": ");
  return colon == std::string_view::npos ? "" : cell.substr(colon + 2);
}

std::string_view Key::alternative(Backend backend) const {
  if (backend == Backend::kCustom) return "";
  const std::string_view cell = cells[static_cast<size_t>(backend)];
  const size_t bar = cell.find(" | ");
  return bar == std::string_view::npos ? "" : cell.substr(bar + 3);
}

std::vector<std::string_view> Key::choices() const {
  std::vector<std::string_view> out;
  std::string_view rest = unit;
  while (true) {
    const size_t bar = rest.find('|');
    out.push_back(rest.substr(0, bar));
    if (bar == std::string_view::npos) return out;
    rest.remove_prefix(bar + 1);
  }
}

std::string_view Key::owner() const {
  constexpr std::string_view kTable = "vectordb.";
  if (!path.starts_with(kTable)) return "";
  const std::string_view rest = path.substr(kTable.size());
  const size_t end = rest.find_first_of("._");
  return end == std::string_view::npos ? "" : rest.substr(0, end);
}

const Key* find_key(std::string_view path) {
  for (const Key& key : keys()) {
    if (matches(key.path, path, true)) return &key;
  }
  return nullptr;
}

bool is_table(std::string_view path) {
  for (const Key& key : keys()) {
    if (matches(key.path, path, false)) return true;
  }
  return false;
}

std::string suggest_key(std::string_view path) {
  const std::string_view table = path.substr(0, path.size() - last_part(path).size());
  // What stands in the same table, as far as it is known: its keys and the tables in it.
  std::vector<std::string_view> siblings;
  for (const Key& key : keys()) {
    if (!key.path.starts_with(table)) continue;
    const std::string_view name = first_part(key.path.substr(table.size()));
    if (name != "*" && (siblings.empty() || siblings.back() != name)) siblings.push_back(name);
  }
  const std::string_view near = nearest_name(last_part(path), siblings);
  if (!near.empty()) return std::string(table) + std::string(near);
  // Elsewhere only the same word counts.
  const Key* found = nullptr;
  for (const Key& key : keys()) {
    if (last_part(key.path) != last_part(path)) continue;
    if (found == nullptr || (first_part(key.path) == first_part(path) && first_part(found->path) != first_part(path))) {
      found = &key;
    }
  }
  return found == nullptr ? "" : std::string(found->path);
}

std::string_view nearest_name(std::string_view word, std::span<const std::string_view> names) {
  if (word.size() > kLongestWord) return "";
  std::string_view best;
  size_t best_distance = kLongestWord;
  for (const std::string_view name : names) {
    if (name.size() > kLongestWord) continue;
    const size_t distance = edit_distance(word, name);
    if (distance < best_distance && distance <= name.size() / 3 + 1 && distance < name.size()) {
      best = name;
      best_distance = distance;
    }
  }
  // A letter or two are near everything short.
  return best_distance < word.size() ? best : std::string_view();
}

}  // namespace nearfield
