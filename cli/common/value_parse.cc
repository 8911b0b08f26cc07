// JSON in, by nlohmann's SAX parser: its own tree would sort the members and keep the heavy header in every command.
#include <nlohmann/json.hpp>

#include "cli/common/value.h"

namespace vps::cli {
namespace {

using nlohmann::json;

class Builder : public nlohmann::json_sax<json> {
 public:
  bool null() override { return add(Value()); }
  bool boolean(bool value) override { return add(Value(value)); }
  bool number_integer(number_integer_t value) override { return add(Value(value)); }
  bool number_unsigned(number_unsigned_t value) override { return add(Value(value)); }
  bool number_float(number_float_t value, const string_t&) override { return add(Value(value)); }
  bool string(string_t& value) override { return add(Value(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Value::object()); }
  bool start_array(std::size_t) override { return open(Value::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& value) override {
    keys_.back() = std::move(value);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    problem_ = fmt::format("malformed JSON at byte {}", position);
    return false;
  }

  [[nodiscard]] const std::string& problem() const { return problem_; }
  Value take() { return std::move(root_); }

 private:
  bool open(Value value) {
    if (open_.size() >= static_cast<std::size_t>(kMaxJsonDepth)) {
      problem_ = fmt::format("JSON of more than {} levels", kMaxJsonDepth);
      return false;
    }
    open_.push_back(std::move(value));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    Value value = std::move(open_.back());
    open_.pop_back();
    keys_.pop_back();
    return add(std::move(value));
  }
  bool add(Value value) {
    if (open_.empty())
      root_ = std::move(value);
    else if (open_.back().is_array())
      open_.back().push(std::move(value));
    else
      open_.back().set(std::move(keys_.back()), std::move(value));
    return true;
  }

  Value root_;
  std::vector<Value> open_;
  std::vector<std::string> keys_;
  std::string problem_;
};

}  // namespace

Result<Value> parse_json(std::string_view text, std::string_view what) {
  Builder builder;
  bool ok = false;
  try {
    ok = json::sax_parse(text.begin(), text.end(), &builder);
  } catch (const std::exception& e) {
    return fail(Code::kFailed, "{}: {}", what, e.what());
  }
  if (!ok) return fail(Code::kFailed, "{}: {}", what, builder.problem().empty() ? "malformed JSON" : builder.problem());
  return builder.take();
}

}  // namespace vps::cli
