#include "namespaces/seccomp_names.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "namespaces/seccomp.h"

namespace vps::namespaces {

namespace {

constexpr SeccompAction kActions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, SeccompValue::kNone},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), SeccompValue::kErrno},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, SeccompValue::kNone},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, SeccompValue::kNone},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, SeccompValue::kNone},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG, SeccompValue::kNone},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY, SeccompValue::kNone},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), SeccompValue::kErrno},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP, SeccompValue::kNone},
};

constexpr SeccompName kOperators[] = {
    {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_LE", SCMP_CMP_LE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    {"SCMP_CMP_NE", SCMP_CMP_NE},
};

constexpr SeccompName kFlags[] = {
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

struct ArchitectureName {
  std::string_view name, library_name;
};
constexpr ArchitectureName kArchitectures[] = {
    {"SCMP_ARCH_AARCH64", "aarch64"}, {"SCMP_ARCH_ARM", "arm"},
    {"SCMP_ARCH_LOONGARCH64", "loongarch64"}, {"SCMP_ARCH_M68K", "m68k"},
    {"SCMP_ARCH_MIPS", "mips"}, {"SCMP_ARCH_MIPS64", "mips64"},
    {"SCMP_ARCH_MIPS64N32", "mips64n32"}, {"SCMP_ARCH_MIPSEL", "mipsel"},
    {"SCMP_ARCH_MIPSEL64", "mipsel64"}, {"SCMP_ARCH_MIPSEL64N32", "mipsel64n32"},
    {"SCMP_ARCH_PARISC", "parisc"}, {"SCMP_ARCH_PARISC64", "parisc64"},
    {"SCMP_ARCH_PPC", "ppc"}, {"SCMP_ARCH_PPC64", "ppc64"},
    {"SCMP_ARCH_PPC64LE", "ppc64le"}, {"SCMP_ARCH_RISCV64", "riscv64"},
    {"SCMP_ARCH_S390", "s390"}, {"SCMP_ARCH_S390X", "s390x"},
    {"SCMP_ARCH_SH", "sh"}, {"SCMP_ARCH_SHEB", "sheb"},
    {"SCMP_ARCH_X32", "x32"}, {"SCMP_ARCH_X86", "x86"},
    {"SCMP_ARCH_X86_64", "x86_64"},
};

template <class Table>
auto find(const Table& table, std::string_view name) {
  return std::find_if(std::begin(table), std::end(table), [&](const auto& entry) { return entry.name == name; });
}

template <class Table>
std::vector<std::string> names_of(const Table& table) {
  std::vector<std::string> names;
  for (const auto& entry : table) names.emplace_back(entry.name);
  return names;
}

// seccomp(2): with a null program the kernel says EFAULT for flags that it knows, EINVAL for others.
bool kernel_has_flags(std::uint32_t flags) {
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, nullptr) == -1 && errno == EFAULT;
}

}  // namespace

std::optional<SeccompAction> seccomp_action(std::string_view name) {
  auto it = find(kActions, name);
  return it == std::end(kActions) ? std::nullopt : std::optional(*it);
}

std::optional<std::uint32_t> seccomp_operator(std::string_view name) {
  auto it = find(kOperators, name);
  return it == std::end(kOperators) ? std::nullopt : std::optional(it->value);
}

std::optional<std::uint32_t> seccomp_flag(std::string_view name) {
  auto it = find(kFlags, name);
  return it == std::end(kFlags) ? std::nullopt : std::optional(it->value);
}

std::string_view seccomp_architecture(std::string_view name) {
  auto it = find(kArchitectures, name);
  return it == std::end(kArchitectures) ? std::string_view{} : it->library_name;
}

std::vector<std::string> seccomp_action_names() { return names_of(kActions); }
std::vector<std::string> seccomp_operator_names() { return names_of(kOperators); }
std::vector<std::string> seccomp_flag_names() { return names_of(kFlags); }

std::vector<std::string> seccomp_architecture_names() {
  std::vector<std::string> names;
  for (const auto& entry : kArchitectures)
    if (::seccomp_arch_resolve_name(entry.library_name.data()) != 0) names.emplace_back(entry.name);
  return names;
}

std::vector<std::string> seccomp_supported_flag_names() {
  std::vector<std::string> names;
  for (const auto& entry : kFlags) {
    std::uint32_t flags = entry.value;
    // WAIT_KILLABLE_RECV is legal only beside a listener.
    if (flags == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    if (kernel_has_flags(flags)) names.emplace_back(entry.name);
  }
  return names;
}

}  // namespace vps::namespaces
