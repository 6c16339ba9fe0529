// As much of GraphQL as adapters send: one operation, fields with arguments of literals. As JSON trees: a field is
// {"name", "args": {..}, "fields": [..]}; a bare word is {"word": ".."}. Throws on anything else.
#pragma once

#include <cctype>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "core/base/json.h"

namespace nearfield {

class GraphqlReader {
 public:
  explicit GraphqlReader(const std::string& text) : text_(text) {}

  // The fields of the operation.
  Json read() {
    Json out = fields();
    skip();
    if (at_ != text_.size()) fail("the end");
    return out;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    throw std::logic_error("GraphQL: expected " + expected + " at " + text_.substr(at_, 40));
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == ',')) ++at_;
  }
  bool is(char c) {
    skip();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool taken(char c) {
    if (!is(c)) return false;
    ++at_;
    return true;
  }
  void take(char c) {
    if (!taken(c)) fail(std::string(1, c));
  }
  std::string word() {
    skip();
    const size_t from = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_')) {
      ++at_;
    }
    if (at_ == from || std::isdigit(static_cast<unsigned char>(text_[from])) != 0) fail("a name");
    return text_.substr(from, at_ - from);
  }
  Json fields() {
    Json out = Json::array();
    take('{');
    do {
      Json field = {{"name", word()}, {"args", Json::object()}, {"fields", Json::array()}};
      if (is('(')) field["args"] = members('(', ')');
      if (is('{')) field["fields"] = fields();
      out.push_back(std::move(field));
    } while (!taken('}'));
    return out;
  }
  Json members(char open, char close) {
    Json out = Json::object();
    take(open);
    while (!taken(close)) {
      const std::string name = word();
      take(':');
      out[name] = value();
    }
    return out;
  }
  Json value() {
    if (is('{')) return members('{', '}');
    if (taken('[')) {
      Json out = Json::array();
      while (!taken(']')) out.push_back(value());
      return out;
    }
    skip();
    const size_t from = at_;
    if (is('"')) {
      for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
        if (static_cast<unsigned char>(text_[at_]) < 0x20) fail("no control character in a string");
        if (text_[at_] == '\\') ++at_;
      }
      ++at_;
      return Json::parse(text_.substr(from, at_ - from));
    }
    if (at_ < text_.size() && (text_[at_] == '-' || std::isdigit(static_cast<unsigned char>(text_[at_])) != 0)) {
      while (at_ < text_.size() && std::string("+-.eE0123456789").find(text_[at_]) != std::string::npos) ++at_;
      return Json::parse(text_.substr(from, at_ - from));
    }
    return Json{{"word", word()}};
  }

  const std::string& text_;
  size_t at_ = 0;
};

}  // namespace nearfield
