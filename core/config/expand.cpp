#include "core/config/expand.h"

#include <nlohmann/json.hpp>

namespace nearfield {

namespace {

constexpr size_t kLongestName = 200;

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestName || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char letter : name) {
    const bool good = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                      (letter >= '0' && letter <= '9') || letter == '_';
    if (!good) return false;
  }
  return true;
}

}  // namespace

Result<std::string> expand(std::string_view text, const Json& environment) {
  std::string out;
  while (true) {
    const size_t at = text.find("${");
    if (at == std::string_view::npos) return out.append(text);
    if (at > 0 && text[at - 1] == '$') {
      out.append(text.substr(0, at - 1)).append("${");
      text.remove_prefix(at + 2);
      continue;
    }
    out.append(text.substr(0, at));
    const size_t end = text.find('}', at);
    const std::string_view name =
        end == std::string_view::npos ? std::string_view() : text.substr(at + 2, end - at - 2);
    if (!is_name(name)) {
      return Error{Code::kInvalidConfig, "holds ${ without a variable's name and }; a literal ${ is written $${", ""};
    }
    const auto found = environment.find(name);
    if (found == environment.end() || !found->is_string()) {
      return Error{Code::kInvalidConfig, "the environment variable " + std::string(name) + " is not set", shown(name)};
    }
    out.append(found->get_ref<const std::string&>());
    text.remove_prefix(end + 1);
  }
}

bool has_variable(std::string_view text) {
  for (size_t at = text.find("${"); at != std::string_view::npos; at = text.find("${", at + 2)) {
    if (at == 0 || text[at - 1] != '$') return true;
  }
  return false;
}

}  // namespace nearfield
