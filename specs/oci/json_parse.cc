#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>

#include "specs/oci/json.h"
#include "specs/oci/json_fields.h"
#include "specs/oci/json_scan.h"

namespace vps::oci {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxText = 16u << 20;
constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxQuoted = 200;  // of a path or parser message inside an error

// A place in the document; lives on the stack and becomes text only in an error.
struct Path {
  const Path* parent = nullptr;
  std::string_view key;        // empty: an array element
  std::size_t index = 0;
  bool element = false;

  [[nodiscard]] std::string text() const {
    std::string result = parent != nullptr ? parent->text() : std::string{};
    if (element) return result + fmt::format("[{}]", index);
    if (!result.empty() && !key.empty()) result += '.';
    return result.append(key);
  }
};

std::string clipped(std::string text) {
  if (text.size() <= kMaxQuoted) return text;
  text.resize(kMaxQuoted);
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0U) == 0x80U) text.pop_back();
  return text + "...";
}

std::unexpected<Error> fail_at(const Path& at, std::string_view problem) {
  auto where = clipped(at.text());
  return fail(Code::kUsage, "{}{}{}", where, where.empty() ? "" : ": ", problem);
}

std::string_view kind_of(const json& value) {
  switch (value.type()) {
    case json::value_t::null: return "null";
    case json::value_t::object: return "an object";
    case json::value_t::array: return "an array";
    case json::value_t::string: return "a string";
    case json::value_t::boolean: return "a boolean";
    case json::value_t::number_float: return "a number with a fraction or exponent";
    default: return "a number";
  }
}

std::unexpected<Error> wrong_type(const Path& at, std::string_view expected, const json& found) {
  return fail_at(at, fmt::format("expected {}, found {}", expected, kind_of(found)));
}

// SAX handler that builds the tree, stopping at the first object or array that is too deep and at a key that stands twice
// (which of two values is meant would depend on the reader).
class Builder {
 public:
  json root;
  std::string error;

  bool null() { return put(nullptr) != nullptr; }
  bool boolean(bool value) { return put(value) != nullptr; }
  bool number_integer(json::number_integer_t value) { return put(value) != nullptr; }
  bool number_unsigned(json::number_unsigned_t value) { return put(value) != nullptr; }
  bool number_float(json::number_float_t value, const std::string&) { return put(value) != nullptr; }
  bool string(std::string& value) { return put(std::move(value)) != nullptr; }
  bool binary(json::binary_t&) { return false; }  // has no form in JSON text
  bool start_object(std::size_t) { return open(json::object()); }
  bool start_array(std::size_t) { return open(json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    auto& level = stack_.back();
    auto [member, fresh] = level.value->get_ref<json::object_t&>().try_emplace(name);
    if (!fresh) {
      level.key = nullptr;
      auto where = clipped(path_text());
      error = fmt::format("{}{}key '{}' stands twice", where, where.empty() ? "" : ": ", clipped(name));
      return false;
    }
    level.key = &member->first;
    level.member = &member->second;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& problem) {
    std::string_view text = problem.what();
    if (auto end = text.find("] "); text.starts_with('[') && end != text.npos) text.remove_prefix(end + 2);
    error = "not JSON: " + clipped(std::string(text));
    return false;
  }

 private:
  struct Level {
    json* value;
    const std::string* key = nullptr;  // of an object: the member that is being read (a map's nodes keep their place)
    json* member = nullptr;
  };
  std::vector<Level> stack_;

  json* put(json&& value) {
    if (stack_.empty()) {
      root = std::move(value);
      return &root;
    }
    auto& top = stack_.back();
    // The parent does not change while one of its children is open, so the child's address holds.
    if (top.value->is_array()) {
      top.value->push_back(std::move(value));
      return &top.value->back();
    }
    return &(*top.member = std::move(value));
  }

  bool open(json&& value) {
    if (stack_.size() == kMaxDepth) {
      error = fmt::format("{}: nested deeper than {} levels", clipped(path_text()), kMaxDepth);
      return false;
    }
    stack_.push_back({put(std::move(value))});
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  [[nodiscard]] std::string path_text() const {
    std::string text;
    for (const auto& level : stack_) {
      if (level.value->is_array())  // the open element has been appended already, unless it is the one refused
        text += fmt::format("[{}]", level.value->size() - (&level == &stack_.back() ? 0 : 1));
      else if (level.key != nullptr)
        text.append(text.empty() ? "" : ".").append(*level.key);
    }
    return text;
  }
};

Result<json> parse_text(std::string_view text) {
  if (text.size() > kMaxText)
    return fail(Code::kUsage, "larger than the limit of {} MiB ({} bytes)", kMaxText >> 20, text.size());
  Builder builder;
  try {
    if (JsonScanner(text, builder).run()) return std::move(builder.root);
    if (!builder.error.empty()) return fail(Code::kUsage, "{}", builder.error);
    builder = {};
    if (!json::sax_parse(text.begin(), text.end(), &builder)) return fail(Code::kUsage, "{}", builder.error);
  } catch (const std::exception& problem) {
    return fail(Code::kUsage, "not JSON: {}", problem.what());
  }
  return std::move(builder.root);
}

Result<> read(const json& value, const Path& at, bool& out) {
  if (!value.is_boolean()) return wrong_type(at, "true or false", value);
  out = value.get<bool>();
  return {};
}

Result<> read(const json& value, const Path& at, std::string& out) {
  if (!value.is_string()) return wrong_type(at, "a string", value);
  const auto& text = value.get_ref<const std::string&>();
  // The kernel would see only what stands before it.
  if (text.find('\0') != text.npos) return fail_at(at, "contains a NUL character");
  out = text;
  return {};
}

template <std::integral T>
Result<> read(const json& value, const Path& at, T& out) {
  constexpr auto kLow = std::numeric_limits<T>::min();
  constexpr auto kHigh = std::numeric_limits<T>::max();
  if (!value.is_number_integer())
    return wrong_type(at, std::is_unsigned_v<T> ? "an unsigned number" : "a whole number", value);
  bool fits = false;
  if (value.is_number_unsigned()) {
    auto number = value.get<std::uint64_t>();
    fits = number <= static_cast<std::uint64_t>(kHigh);
    out = static_cast<T>(number);
  } else {
    auto number = value.get<std::int64_t>();
    fits = std::cmp_greater_equal(number, kLow) && std::cmp_less_equal(number, kHigh);
    out = static_cast<T>(number);
  }
  if (!fits) return fail_at(at, fmt::format("{} is not within {}..{}", value.dump(), kLow, kHigh));
  return {};
}

template <class T>
Result<> read(const json& value, const Path& at, std::vector<T>& out);
template <class T>
Result<> read(const json& value, const Path& at, std::map<std::string, T>& out);
template <class T>
Result<> read(const json& value, const Path& at, std::optional<T>& out);
template <HasFields T>
Result<> read(const json& value, const Path& at, T& out);

template <class T>
Result<> read(const json& value, const Path& at, std::vector<T>& out) {
  if (!value.is_array()) return wrong_type(at, "an array", value);
  out.clear();
  out.reserve(value.size());
  for (const auto& element : value) {
    Path here{&at, {}, out.size(), true};
    VPS_TRY(read(element, here, out.emplace_back()));
  }
  return {};
}

template <class T>
Result<> read(const json& value, const Path& at, std::map<std::string, T>& out) {
  if (!value.is_object()) return wrong_type(at, "an object", value);
  out.clear();
  for (const auto& [key, member] : value.items()) {
    Path here{&at, key};
    if (key.find('\0') != key.npos) return fail_at(at, "a key contains a NUL character");
    VPS_TRY(read(member, here, out[key]));
  }
  return {};
}

template <class T>
Result<> read(const json& value, const Path& at, std::optional<T>& out) {
  return read(value, at, out.emplace());
}

template <class T, class M>
Result<> read_field(const json& object, const Path& at, const Field<T, M>& field, T& out) {
  Path here{&at, field.key};
  auto found = object.find(field.key);
  // null is what encoders of other languages write for an absent list or struct.
  if (found == object.end() || found->is_null()) {
    if (field.presence == Presence::kRequired) return fail_at(here, "missing");
    return {};
  }
  return read(*found, here, out.*field.member);
}

template <HasFields T>
Result<> read(const json& value, const Path& at, T& out) {
  if (!value.is_object()) return wrong_type(at, "an object", value);
  Result<> result{};
  std::apply(
      [&](const auto&... fields) {
        // Stops at the first field that fails.
        (void)((result = read_field(value, at, fields, out), result.has_value()) && ...);
      },
      kFields<T>);
  return result;
}

template <class T>
Result<T> parse_document(std::string_view text, std::string_view name) {
  auto tree = VPS_TRY(parse_text(text));
  T result;
  VPS_TRY(read(tree, Path{nullptr, name}, result));
  return result;
}

}  // namespace

Result<Spec> parse_spec(std::string_view text) { return parse_document<Spec>(text, ""); }
Result<Process> parse_process(std::string_view text) { return parse_document<Process>(text, "process"); }
Result<Resources> parse_resources(std::string_view text) { return parse_document<Resources>(text, "resources"); }
Result<Seccomp> parse_seccomp(std::string_view text) { return parse_document<Seccomp>(text, "seccomp"); }

}  // namespace vps::oci
