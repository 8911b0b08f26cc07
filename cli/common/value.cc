#include "cli/common/value.h"

#include <cmath>

namespace vps::cli {
namespace {

const Value& null_value() {
  static const Value kNull;
  return kNull;
}

std::string print_double(double value) {
  if (!std::isfinite(value)) return "null";  // JSON has neither NaN nor infinity
  auto text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

struct TextOf {
  std::string operator()(std::monostate) const { return {}; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(std::uint64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{:.6g}", value); }
  std::string operator()(const std::string& value) const { return value; }
  std::string operator()(const Value::Array& values) const {
    std::string text;
    for (const auto& value : values) text += (text.empty() ? "" : ",") + value.text();
    return text;
  }
  std::string operator()(const Value::Object& members) const {
    std::string text;
    for (const auto& member : members) text += (text.empty() ? "" : ",") + member.key + "=" + member.value.text();
    return text;
  }
};

// RFC 8259 section 7. DEL is legal there, but no terminal should get it.
void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (byte < 0x20 || byte == 0x7f)
          out += fmt::format("\\u{:04x}", byte);
        else
          out += c;
    }
  }
  out += '"';
}

class JsonPrinter {
 public:
  explicit JsonPrinter(int indent) : indent_(indent) {}

  void print(const Value& value) {
    value.visit([this](const auto& data) { put(data); });
  }
  std::string take() { return std::move(out_); }

 private:
  void put(std::monostate) { out_ += "null"; }
  void put(bool value) { out_ += value ? "true" : "false"; }
  void put(std::int64_t value) { out_ += fmt::format("{}", value); }
  void put(std::uint64_t value) { out_ += fmt::format("{}", value); }
  void put(double value) { out_ += print_double(value); }
  void put(const std::string& value) { append_quoted(out_, value); }
  void put(const Value::Array& values) {
    list('[', ']', values, [this](const Value& value) { print(value); });
  }
  void put(const Value::Object& members) {
    list('{', '}', members, [this](const Value::Member& member) {
      append_quoted(out_, member.key);
      out_ += indent_ > 0 ? ": " : ":";
      print(member.value);
    });
  }
  template <class List, class Function>
  void list(char open, char close, const List& values, Function function) {
    out_ += open;
    ++depth_;
    bool first = true;
    for (const auto& value : values) {
      if (!first) out_ += ',';
      first = false;
      line();
      function(value);
    }
    --depth_;
    if (!values.empty()) line();
    out_ += close;
  }
  void line() {
    if (indent_ == 0) return;
    out_ += '\n';
    out_.append(static_cast<std::size_t>(indent_ * depth_), ' ');
  }

  int indent_;
  int depth_ = 0;
  std::string out_;
};

}  // namespace

Value Value::strings(const std::vector<std::string>& values) {
  Value list = array();
  for (const auto& value : values) list.push(value);
  return list;
}

bool Value::is_number() const {
  return std::holds_alternative<std::int64_t>(data_) || std::holds_alternative<std::uint64_t>(data_) ||
         std::holds_alternative<double>(data_);
}

const Value& Value::get(std::string_view key) const {
  for (const auto& member : members())
    if (member.key == key) return member.value;
  return null_value();
}

const Value& Value::path(std::string_view dotted) const {
  for (const auto& member : members()) {
    if (member.key == dotted) return member.value;
    if (dotted.size() > member.key.size() && dotted.starts_with(member.key) && dotted[member.key.size()] == '.') {
      const Value& found = member.value.path(dotted.substr(member.key.size() + 1));
      if (!found.is_null()) return found;
    }
  }
  return null_value();
}

const Value::Array& Value::items() const {
  static const Array kNone;
  const auto* list = std::get_if<Array>(&data_);
  return list != nullptr ? *list : kNone;
}

const Value::Object& Value::members() const {
  static const Object kNone;
  const auto* list = std::get_if<Object>(&data_);
  return list != nullptr ? *list : kNone;
}

bool Value::truth() const {
  const auto* value = std::get_if<bool>(&data_);
  return value != nullptr && *value;
}

const std::string& Value::string() const {
  static const std::string kNone;
  const auto* value = std::get_if<std::string>(&data_);
  return value != nullptr ? *value : kNone;
}

std::optional<std::uint64_t> Value::u64() const {
  if (const auto* value = std::get_if<std::uint64_t>(&data_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&data_); value != nullptr && *value >= 0)
    return static_cast<std::uint64_t>(*value);
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const auto* value = std::get_if<std::uint64_t>(&data_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<std::int64_t>(&data_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<double>(&data_)) return *value;
  return std::nullopt;
}

std::string Value::text() const { return visit(TextOf{}); }

Value& Value::set(std::string key, Value value) {
  if (!is_object()) data_ = Object{};
  auto& object = std::get<Object>(data_);
  for (auto& member : object)
    if (member.key == key) {
      member.value = std::move(value);
      return *this;
    }
  object.push_back({std::move(key), std::move(value)});
  return *this;
}

Value& Value::push(Value value) {
  if (!is_array()) data_ = Array{};
  std::get<Array>(data_).push_back(std::move(value));
  return *this;
}

std::string format_json(const Value& value, int indent) {
  JsonPrinter printer(indent);
  printer.print(value);
  return printer.take();
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    auto lead = static_cast<unsigned char>(text[i]);
    std::size_t length = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
    if (length == 0 || i + length > text.size()) return false;
    std::uint32_t code = length == 1 ? lead : lead & (0x7fu >> length);
    for (std::size_t k = 1; k < length; ++k) {
      auto byte = static_cast<unsigned char>(text[i + k]);
      if ((byte & 0xc0) != 0x80) return false;
      code = (code << 6) | (byte & 0x3fu);
    }
    bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    bool surrogate = code >= 0xd800 && code < 0xe000;
    if (overlong || surrogate || code > 0x10ffff) return false;
    i += length;
  }
  return true;
}

}  // namespace vps::cli
