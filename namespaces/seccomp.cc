// OCI profile -> libseccomp -> classic BPF.
#include "namespaces/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <type_traits>

#include "base/files.h"
#include "namespaces/seccomp_names.h"

namespace vps::namespaces {

namespace {

constexpr std::size_t kMaxArgs = 6;  // of a system call

struct ContextRelease {
  void operator()(void* context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, ContextRelease>;

Result<std::uint32_t> action_value(const std::string& name, std::optional<std::uint32_t> errno_ret,
                                   std::string_view where) {
  auto action = seccomp_action(name);
  if (!action) return fail(Code::kUsage, "seccomp {}: unknown action '{}'", where, name);
  if (action->takes == SeccompValue::kNone) {
    // The specification: an action that cannot carry an errno makes the runtime fail.
    if (errno_ret) return fail(Code::kUsage, "seccomp {}: {} takes no errnoRet", where, name);
    return action->value;
  }
  std::uint32_t value = errno_ret.value_or(EPERM);
  if (value > 0xffff) return fail(Code::kUsage, "seccomp {}: errnoRet {} is above 65535", where, value);
  return action->value | value;
}

Result<> add_architectures(scmp_filter_ctx context, const oci::Strings& names) {
  for (const auto& name : names) {
    std::string_view library_name = seccomp_architecture(name);
    if (library_name.empty()) return fail(Code::kUsage, "seccomp: unknown architecture '{}'", name);
    std::uint32_t token = ::seccomp_arch_resolve_name(library_name.data());
    // In the specification but newer than this libseccomp: such code cannot run on this machine either.
    if (token == 0) continue;
    int rc = ::seccomp_arch_add(context, token);
    if (rc == -EDOM) return fail(Code::kUsage, "seccomp: architecture {} has another byte order than this machine", name);
    if (rc < 0 && rc != -EEXIST) return fail_errno(-rc, "seccomp: add architecture {}", name);
  }
  return {};
}

Result<scmp_arg_cmp> comparison(const oci::SeccompArg& arg, const std::string& call) {
  auto op = seccomp_operator(arg.op);
  if (!op) return fail(Code::kUsage, "seccomp rule for {}: unknown operator '{}'", call, arg.op);
  if (arg.index >= kMaxArgs) return fail(Code::kUsage, "seccomp rule for {}: argument index {} is above 5", call, arg.index);
  // MASKED_EQ: value is the mask, valueTwo what must remain.
  return scmp_arg_cmp{.arg = arg.index, .op = static_cast<scmp_compare>(*op), .datum_a = arg.value,
                      .datum_b = arg.value_two};
}

// How the conditions of one rule are handed to libseccomp, which takes one condition per argument: all in one rule (they
// must all hold), or, when two look at the same argument, each as a rule of its own (one must hold). The established
// runtimes read the specification's silence this way, and profiles in use count on it.
Result<std::vector<std::vector<scmp_arg_cmp>>> alternatives(const oci::SeccompRule& rule, const std::string& call) {
  std::vector<scmp_arg_cmp> all;
  std::array<int, kMaxArgs> uses{};
  for (const auto& arg : rule.args) {
    all.push_back(VPS_TRY(comparison(arg, call)));
    ++uses[arg.index];
  }
  std::vector<std::vector<scmp_arg_cmp>> rules;
  if (std::ranges::all_of(uses, [](int n) { return n <= 1; })) {
    rules.push_back(std::move(all));
  } else {
    for (const auto& one : all) rules.push_back({one});
  }
  return rules;
}

Result<> add_rule(scmp_filter_ctx context, const oci::SeccompRule& rule, std::uint32_t default_action,
                  SeccompProgram& program) {
  std::uint32_t action =
      VPS_TRY(action_value(rule.action, rule.errno_ret, "rule for " + (rule.names.empty() ? "" : rule.names[0])));
  for (const auto& name : rule.names) {
    auto rules = VPS_TRY(alternatives(rule, name));
    if (action == SCMP_ACT_NOTIFY) {
      // Between loading the filter and execve the init half sends the listener; nobody could answer for that call.
      if (name == "write" || name == "sendmsg")
        return fail(Code::kUsage, "seccomp rule for {}: SCMP_ACT_NOTIFY would block the container's own start", name);
      program.needs_listener = true;
    }
    int number = ::seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) {
      program.skipped_syscalls.push_back(name);
      continue;
    }
    // libseccomp refuses a rule that says what the default says; it would change nothing.
    if (action == default_action) continue;
    for (const auto& conditions : rules) {
      int rc = ::seccomp_rule_add_array(context, action, number, static_cast<unsigned>(conditions.size()),
                                        conditions.data());
      if (rc < 0 && rc != -EEXIST) return fail_errno(-rc, "seccomp rule for {} ({})", name, rule.action);
    }
  }
  return {};
}

Result<std::vector<std::uint64_t>> export_program(scmp_filter_ctx context) {
  UniqueFd fd(::memfd_create("vps-seccomp", MFD_CLOEXEC));
  if (!fd) return fail_errno(errno, "memfd_create for the seccomp filter");
  if (int rc = ::seccomp_export_bpf(context, fd.get()); rc < 0) return fail_errno(-rc, "export seccomp filter");
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return fail_errno(errno, "rewind seccomp filter");
  std::string bytes = VPS_TRY_CTX("read seccomp filter", read_fd(fd.get()));
  std::size_t count = bytes.size() / sizeof(sock_filter);
  if (count == 0 || bytes.size() % sizeof(sock_filter) != 0 || count > BPF_MAXINSNS)
    return fail(Code::kUsage, "seccomp filter of {} instructions: the kernel takes at most {}", count, BPF_MAXINSNS);
  std::vector<std::uint64_t> instructions(count);
  std::memcpy(instructions.data(), bytes.data(), bytes.size());
  return instructions;
}

}  // namespace

Result<SeccompProgram> compile_seccomp(const oci::Seccomp& profile) {
  SeccompProgram program;
  for (const auto& name : profile.flags) {
    auto flag = seccomp_flag(name);
    if (!flag) return fail(Code::kUsage, "seccomp: unknown flag '{}'", name);
    program.flags |= *flag;
  }
  std::uint32_t default_action =
      VPS_TRY(action_value(profile.default_action, profile.default_errno_ret, "default action"));
  if (default_action == SCMP_ACT_NOTIFY)
    return fail(Code::kUsage, "seccomp default action: SCMP_ACT_NOTIFY would block the container's own start");

  Context context(::seccomp_init(default_action));
  if (!context) return fail(Code::kFailed, "seccomp: cannot make a filter with default action {}", profile.default_action);
  // A balanced tree over the call numbers: a third of the time to load and to deny. Older libraries do without.
  (void)::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  (void)::seccomp_attr_set(context.get(), SCMP_FLTATR_API_SYSRAWRC, 1);
  VPS_TRY(add_architectures(context.get(), profile.architectures));
  for (const auto& rule : profile.syscalls) VPS_TRY(add_rule(context.get(), rule, default_action, program));
  std::ranges::sort(program.skipped_syscalls);
  auto repeated = std::ranges::unique(program.skipped_syscalls);
  program.skipped_syscalls.erase(repeated.begin(), repeated.end());
  program.instructions = VPS_TRY(export_program(context.get()));
  return program;
}

}  // namespace vps::namespaces
