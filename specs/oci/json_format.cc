#include <nlohmann/json.hpp>

#include "specs/oci/json.h"
#include "specs/oci/json_fields.h"

namespace vps::oci {
namespace {

using nlohmann::ordered_json;  // keys in the order of the table, which is the order a person looks for them

template <class T>
ordered_json write(const T& value) {
  return value;
}
template <class T>
ordered_json write(const std::vector<T>& values);
template <class T>
ordered_json write(const std::map<std::string, T>& values);
template <HasFields T>
ordered_json write(const T& value);

template <class T>
ordered_json write(const std::vector<T>& values) {
  auto result = ordered_json::array();
  for (const auto& value : values) result.push_back(write(value));
  return result;
}

template <class T>
ordered_json write(const std::map<std::string, T>& values) {
  auto result = ordered_json::object();
  for (const auto& [key, value] : values) result[key] = write(value);
  return result;
}

template <class T, class M>
void write_field(ordered_json& object, const Field<T, M>& field, const T& value, const T& defaults) {
  const auto& member = value.*field.member;
  if (field.presence == Presence::kOptional && member == defaults.*field.member) return;
  if constexpr (requires { member.has_value(); })
    object[field.key] = write(*member);
  else
    object[field.key] = write(member);
}

template <HasFields T>
ordered_json write(const T& value) {
  auto result = ordered_json::object();
  const T defaults{};
  std::apply([&](const auto&... fields) { (write_field(result, fields, value, defaults), ...); }, kFields<T>);
  return result;
}

template <class T>
std::string format_document(const T& value) {
  // Text that is not UTF-8 cannot be said in JSON; it is replaced instead of thrown about.
  return write(value).dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string format_spec(const Spec& spec) { return format_document(spec); }
std::string format_process(const Process& process) { return format_document(process); }
std::string format_resources(const Resources& resources) { return format_document(resources); }
std::string format_seccomp(const Seccomp& seccomp) { return format_document(seccomp); }

}  // namespace vps::oci
