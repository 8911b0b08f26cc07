// A strict reader of JSON text (RFC 8259) that tells its finds to a handler with the callbacks of nlohmann's SAX interface. Most of
// the time of a container's start that is ours goes into reading config.json; this takes a fifth of the library's.
//
// It says yes or no and leaves words to the library: no means that the text is wrong, that the handler has refused something, or
// that there is a number which is no integer of 64 bits.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace vps::oci {

template <class Handler>
class JsonScanner {
 public:
  JsonScanner(std::string_view text, Handler& handler) : at_(text.data()), end_(text.data() + text.size()), handler_(handler) {}

  bool run() {
    skip_space();
    if (!value()) return false;
    skip_space();
    return at_ == end_;
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  [[nodiscard]] char next() const { return at_ < end_ ? *at_ : '\0'; }
  void skip_space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  bool take(char c) {
    if (next() != c) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view text) {
    if (static_cast<std::size_t>(end_ - at_) < text.size() || std::string_view(at_, text.size()) != text) return false;
    at_ += text.size();
    return true;
  }

  // Recursive: the handler bounds the depth.
  bool value() {
    switch (next()) {
      case '{': return object();
      case '[': return array();
      case '"': return string() && handler_.string(text_);
      case 't': return word("true") && handler_.boolean(true);
      case 'f': return word("false") && handler_.boolean(false);
      case 'n': return word("null") && handler_.null();
      default: return number();
    }
  }

  bool object() {
    ++at_;
    if (!handler_.start_object(0)) return false;
    skip_space();
    if (take('}')) return handler_.end_object();
    while (true) {
      if (next() != '"' || !string() || !handler_.key(text_)) return false;
      skip_space();
      if (!take(':')) return false;
      skip_space();
      if (!value()) return false;
      skip_space();
      if (take('}')) return handler_.end_object();
      if (!take(',')) return false;
      skip_space();
    }
  }

  bool array() {
    ++at_;
    if (!handler_.start_array(0)) return false;
    skip_space();
    if (take(']')) return handler_.end_array();
    while (true) {
      if (!value()) return false;
      skip_space();
      if (take(']')) return handler_.end_array();
      if (!take(',')) return false;
      skip_space();
    }
  }

  bool number() {
    const char* begin = at_;
    const bool negative = take('-');
    if (!is_digit(next())) return false;
    if (next() == '0' && at_ + 1 < end_ && is_digit(at_[1])) return false;
    while (is_digit(next())) ++at_;
    if (next() == '.' || next() == 'e' || next() == 'E') return false;
    if (negative) {
      std::int64_t number = 0;
      return std::from_chars(begin, at_, number).ec == std::errc() && handler_.number_integer(number);
    }
    std::uint64_t number = 0;
    return std::from_chars(begin, at_, number).ec == std::errc() && handler_.number_unsigned(number);
  }

  // Into text_.
  bool string() {
    ++at_;
    text_.clear();
    while (true) {
      const char* begin = at_;
      while (at_ < end_ && static_cast<unsigned char>(*at_) >= 0x20 && static_cast<unsigned char>(*at_) < 0x80 && *at_ != '"' && *at_ != '\\') ++at_;
      text_.append(begin, at_);
      if (at_ == end_) return false;
      if (take('"')) return true;
      if (*at_ == '\\' ? !escape() : !beyond_ascii()) return false;
    }
  }

  bool escape() {
    ++at_;
    const char c = next();
    ++at_;
    switch (c) {
      case '"': case '\\': case '/': text_ += c; return true;
      case 'b': text_ += '\b'; return true;
      case 'f': text_ += '\f'; return true;
      case 'n': text_ += '\n'; return true;
      case 'r': text_ += '\r'; return true;
      case 't': text_ += '\t'; return true;
      case 'u': return code_point();
      default: return false;
    }
  }

  bool four_digits(std::uint32_t& unit) {
    if (end_ - at_ < 4) return false;
    auto [stop, error] = std::from_chars(at_, at_ + 4, unit, 16);
    if (error != std::errc() || stop != at_ + 4) return false;
    at_ += 4;
    return true;
  }

  bool code_point() {
    std::uint32_t unit = 0;
    if (!four_digits(unit)) return false;
    if (unit >= 0xdc00 && unit < 0xe000) return false;
    if (unit >= 0xd800 && unit < 0xdc00) {
      std::uint32_t low = 0;
      if (!word("\\u") || !four_digits(low) || low < 0xdc00 || low >= 0xe000) return false;
      unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    auto put = [&](std::uint32_t byte) { text_ += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (unit < 0x80) {
      put(unit);
    } else if (unit < 0x800) {
      put(0xc0 | unit >> 6);
      put(0x80 | (unit & 0x3f));
    } else if (unit < 0x10000) {
      put(0xe0 | unit >> 12);
      put(0x80 | (unit >> 6 & 0x3f));
      put(0x80 | (unit & 0x3f));
    } else {
      put(0xf0 | unit >> 18);
      put(0x80 | (unit >> 12 & 0x3f));
      put(0x80 | (unit >> 6 & 0x3f));
      put(0x80 | (unit & 0x3f));
    }
    return true;
  }

  // One UTF-8 sequence (RFC 3629).
  bool beyond_ascii() {
    auto byte = [&](int i) { return at_ + i < end_ ? static_cast<unsigned char>(at_[i]) : 0U; };
    auto tail = [&](int i) { return (byte(i) & 0xc0U) == 0x80U; };
    const unsigned first = byte(0);
    int length = 0;
    if (first >= 0xc2 && first < 0xe0 && tail(1)) {
      length = 2;
    } else if (first >= 0xe0 && first < 0xf0 && tail(1) && tail(2)) {
      const bool overlong = first == 0xe0 && byte(1) < 0xa0, surrogate = first == 0xed && byte(1) >= 0xa0;
      length = overlong || surrogate ? 0 : 3;
    } else if (first >= 0xf0 && first < 0xf5 && tail(1) && tail(2) && tail(3)) {
      const bool out_of_range = (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90);
      length = out_of_range ? 0 : 4;
    }
    if (length == 0) return false;
    text_.append(at_, static_cast<std::size_t>(length));
    at_ += length;
    return true;
  }

  const char* at_;
  const char* end_;
  Handler& handler_;
  std::string text_;
};

}  // namespace vps::oci
