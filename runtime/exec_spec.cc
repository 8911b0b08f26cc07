#include "runtime/exec_spec.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/log.h"
#include "namespaces/seccomp_cache.h"
#include "specs/oci/json.h"

namespace vps::runtime {
namespace ns = namespaces;

namespace {

constexpr std::string_view kNotify = "SCMP_ACT_NOTIFY";

// The file that a short form was made from: it is never written in place, so another content is another inode or time.
Result<std::string> identity(int directory, const std::string& name) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno(errno, "stat {}", name);
  return fmt::format("1 {} {} {}.{:09}", info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

// First line: identity and key of the filter ("-": none); then the specification.
Result<ExecSpec> read_short(int directory, const std::string& name, const std::string& made_from, const std::string& cache) {
  auto text = VPS_TRY(read_file_at(directory, name));
  std::string_view rest = text;
  auto line = rest.substr(0, rest.find('\n'));
  auto space = line.rfind(' ');
  if (line.size() == rest.size() || space == std::string_view::npos || line.substr(0, space) != made_from)
    return fail(Code::kNotFound, "{} belongs to another file", name);
  auto key = line.substr(space + 1);
  rest.remove_prefix(line.size() + 1);
  ExecSpec result;
  result.spec = VPS_TRY(oci::parse_spec(rest));
  if (key != "-") result.seccomp = VPS_TRY(ns::cached_seccomp(std::string(key), cache));
  return result;
}

std::string short_form(oci::Spec spec, const std::string& made_from) {
  std::string key = "-";
  if (auto& seccomp = spec.linux_->seccomp) {
    key = ns::seccomp_cache_key(*seccomp);
    std::erase_if(seccomp->syscalls, [](const oci::SeccompRule& rule) { return rule.action != kNotify; });
  }
  // What only a start looks at.
  spec.mounts.clear();
  spec.hooks = {};
  spec.annotations.clear();
  spec.linux_->resources.reset();
  return fmt::format("{} {}\n{}", made_from, key, oci::format_spec(spec));
}

}  // namespace

Result<ExecSpec> read_exec_spec(int directory, const std::string& name, const std::string& seccomp_cache) {
  const std::string short_name = name + ".exec";
  auto made_from = VPS_TRY(identity(directory, name));
  if (auto found = read_short(directory, short_name, made_from, seccomp_cache)) return found;
  ExecSpec result;
  auto text = VPS_TRY(read_file_at(directory, name));
  result.spec = VPS_TRY_CTX(name, oci::parse_spec(text));
  if (!result.spec.linux_ || !result.spec.process) return result;
  if (result.spec.linux_->seccomp && seccomp_cache.empty()) return result;
  if (result.spec.linux_->seccomp) result.seccomp = VPS_TRY_CTX("seccomp", ns::compile_seccomp_cached(*result.spec.linux_->seccomp, seccomp_cache));
  if (auto written = replace_file_at(directory, short_name, short_form(result.spec, made_from), 0600); !written)
    log::debug("{}: {}", short_name, written.error().to_string());
  return result;
}

}  // namespace vps::runtime
