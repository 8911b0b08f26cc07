// The names of runtime-spec's linux.seccomp and their values: one table for the compiler and for `features`.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vps::namespaces {

enum class SeccompValue {
  kNone,   // the action takes no errnoRet
  kErrno,  // errnoRet goes into the low 16 bits
};

struct SeccompAction {
  std::string_view name;
  std::uint32_t value;  // SCMP_ACT_*
  SeccompValue takes;
};
struct SeccompName {
  std::string_view name;
  std::uint32_t value;
};

std::optional<SeccompAction> seccomp_action(std::string_view name);
std::optional<std::uint32_t> seccomp_operator(std::string_view name);  // enum scmp_compare
std::optional<std::uint32_t> seccomp_flag(std::string_view name);      // SECCOMP_FILTER_FLAG_*
// libseccomp's name of an architecture ("x86_64"); empty when the specification does not have it.
std::string_view seccomp_architecture(std::string_view name);

}  // namespace vps::namespaces
