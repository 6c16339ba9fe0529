// Secret: a key that cannot be printed by accident.
//
// There is no operator<<, no comparison and no conversion to a string. expose() is called where a header is made, and
// nowhere else; what a server says is shown after redact() or where Excerpt (core/remote/excerpt.h) has looked at it.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace nearfield {

class Secret {
 public:
  static constexpr std::string_view kMask = "***";

  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}

  bool empty() const { return text_.empty(); }
  const std::string& expose() const { return text_; }

  // `text` with "***" in place of each occurrence.
  std::string redact(std::string_view text) const {
    if (empty()) return std::string(text);
    std::string out;
    for (size_t at = 0;;) {
      const size_t found = text.find(text_, at);
      out += text.substr(at, found - at);
      if (found == std::string_view::npos) return out;
      out += kMask;
      at = found + text_.size();
    }
  }

 private:
  std::string text_;
};

template <typename Stream>
Stream& operator<<(Stream&, const Secret&) = delete;

}  // namespace nearfield
