#include "specs/oci/validate.h"

#include <cctype>
#include <set>

#include "base/units.h"
#include "specs/oci/checks.h"

namespace vps::oci {
namespace checks {

Result<> number_list(const std::string& text, const std::string& at) {
  std::string_view rest = text;
  while (!rest.empty()) {
    auto comma = rest.find(',');
    auto range = rest.substr(0, comma);
    auto dash = range.find('-');
    auto first = parse_u64(range.substr(0, dash));
    auto last = dash == range.npos ? first : parse_u64(range.substr(dash + 1));
    constexpr std::uint64_t kMost = 65535;  // beyond any NR_CPUS
    if (!first || !last || *first > *last || *last > kMost) return bad(at, "'{}' is not a list like 0-3,7", text);
    if (comma == rest.npos) return {};
    rest.remove_prefix(comma + 1);
    if (rest.empty()) return bad(at, "'{}' is not a list like 0-3,7", text);
  }
  return {};
}

const Namespace* find_namespace(const Spec& spec, std::string_view type) {
  if (!spec.linux_) return nullptr;
  for (const auto& entry : spec.linux_->namespaces)
    if (entry.type == type) return &entry;
  return nullptr;
}

}  // namespace checks

namespace {

using namespace checks;

Result<> check_environment(const Strings& env, const std::string& name) {
  return each(env, name, [](const std::string& entry, const std::string& at) -> Result<> {
    auto equals = entry.find('=');
    if (equals == entry.npos || equals == 0) return bad(at, "'{}' is not NAME=VALUE", entry);
    return {};
  });
}

// --- process -------------------------------------------------------------------------------------------------------

Result<> check_args(const Process& process) {
  if (process.args.empty()) return bad("process.args", "names no program");
  if (process.args[0].empty()) return bad("process.args[0]", "is empty");
  return {};
}

Result<> check_cwd(const Process& process) {
  if (!is_absolute(process.cwd)) return bad("process.cwd", "'{}' is not an absolute path", process.cwd);
  return {};
}

Result<> check_env(const Process& process) { return check_environment(process.env, "process.env"); }

constexpr auto kInvalid = UINT32_MAX;  // (uid_t)-1 means "leave as it is" to the kernel

Result<> check_user(const Process& process) {
  if (process.user.umask > 0777U) return bad("process.user.umask", "{} is above 511 (0777)", *process.user.umask);
  if (process.user.uid == kInvalid) return bad("process.user.uid", "{} is not a user id", kInvalid);
  if (process.user.gid == kInvalid) return bad("process.user.gid", "{} is not a group id", kInvalid);
  constexpr std::size_t kMostGroups = 65536;  // NGROUPS_MAX
  if (process.user.additional_gids.size() > kMostGroups)
    return bad("process.user.additionalGids", "has more than {} groups", kMostGroups);
  return each(process.user.additional_gids, "process.user.additionalGids",
              [](std::uint32_t gid, const std::string& at) -> Result<> {
                if (gid == kInvalid) return bad(at, "{} is not a group id", kInvalid);
                return {};
              });
}

// Only the form: names that this kernel does not know are a warning of whoever applies them.
Result<> check_capabilities(const Process& process) {
  if (!process.capabilities) return {};
  const auto& sets = *process.capabilities;
  const std::array<std::pair<std::string_view, const Strings*>, 5> named{{{"bounding", &sets.bounding},
                                                                           {"effective", &sets.effective},
                                                                           {"inheritable", &sets.inheritable},
                                                                           {"permitted", &sets.permitted},
                                                                           {"ambient", &sets.ambient}}};
  for (const auto& [name, set] : named)
    VPS_TRY(each(*set, fmt::format("process.capabilities.{}", name),
                 [](const std::string& capability, const std::string& at) -> Result<> {
                   auto good = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
                   if (capability.empty() || !std::all_of(capability.begin(), capability.end(), good))
                     return bad(at, "'{}' is not a capability like CAP_CHOWN", capability);
                   return {};
                 }));
  return {};
}

Result<> check_rlimits(const Process& process) {
  constexpr std::array<std::string_view, 16> kTypes{
      "RLIMIT_AS",     "RLIMIT_CORE",   "RLIMIT_CPU",      "RLIMIT_DATA", "RLIMIT_FSIZE",  "RLIMIT_LOCKS",
      "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE",  "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS",
      "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK"};
  std::set<std::string_view> seen;
  return each(process.rlimits, "process.rlimits", [&](const Rlimit& limit, const std::string& at) -> Result<> {
    VPS_TRY(one_of(limit.type, kTypes, at + ".type"));
    if (!seen.insert(limit.type).second) return bad(at + ".type", "{} stands twice", limit.type);
    if (limit.soft > limit.hard) return bad(at + ".soft", "{} is above the hard limit {}", limit.soft, limit.hard);
    return {};
  });
}

Result<> check_oom_score(const Process& process) {
  constexpr int kMost = 1000;
  if (process.oom_score_adj && (*process.oom_score_adj < -kMost || *process.oom_score_adj > kMost))
    return bad("process.oomScoreAdj", "{} is not within -1000..1000", *process.oom_score_adj);
  return {};
}

Result<> check_scheduler(const Process& process) {
  if (!process.scheduler) return {};
  const auto& scheduler = *process.scheduler;
  constexpr std::array<std::string_view, 7> kPolicies{"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR",      "SCHED_BATCH",
                                                      "SCHED_ISO",   "SCHED_IDLE", "SCHED_DEADLINE"};
  constexpr std::array<std::string_view, 7> kFlags{
      "SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM",        "SCHED_FLAG_DL_OVERRUN",    "SCHED_FLAG_KEEP_POLICY",
      "SCHED_FLAG_KEEP_PARAMS",   "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"};
  VPS_TRY(one_of(scheduler.policy, kPolicies, "process.scheduler.policy"));
  VPS_TRY(each(scheduler.flags, "process.scheduler.flags",
               [&](const std::string& flag, const std::string& at) { return one_of(flag, kFlags, at); }));
  const bool nice_counts = scheduler.policy == "SCHED_OTHER" || scheduler.policy == "SCHED_BATCH";
  if (nice_counts && (scheduler.nice < -20 || scheduler.nice > 19))
    return bad("process.scheduler.nice", "{} is not within -20..19", scheduler.nice);
  const bool real_time = scheduler.policy == "SCHED_FIFO" || scheduler.policy == "SCHED_RR";
  if (real_time && (scheduler.priority < 1 || scheduler.priority > 99))
    return bad("process.scheduler.priority", "{} is not within 1..99", scheduler.priority);
  if (!real_time && scheduler.priority != 0)
    return bad("process.scheduler.priority", "is only for SCHED_FIFO and SCHED_RR");
  const bool timed = scheduler.runtime != 0 || scheduler.deadline != 0 || scheduler.period != 0;
  if (timed && scheduler.policy != "SCHED_DEADLINE")
    return bad("process.scheduler", "runtime, deadline and period are only for SCHED_DEADLINE");
  return {};
}

Result<> check_io_priority(const Process& process) {
  if (!process.io_priority) return {};
  constexpr std::array<std::string_view, 3> kClasses{"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"};
  VPS_TRY(one_of(process.io_priority->io_class, kClasses, "process.ioPriority.class"));
  if (process.io_priority->priority < 0 || process.io_priority->priority > 7)
    return bad("process.ioPriority.priority", "{} is not within 0..7", process.io_priority->priority);
  return {};
}

Result<> check_affinity(const Process& process) {
  if (!process.exec_cpu_affinity) return {};
  VPS_TRY(number_list(process.exec_cpu_affinity->initial, "process.execCPUAffinity.initial"));
  return number_list(process.exec_cpu_affinity->final, "process.execCPUAffinity.final");
}

constexpr std::array kProcessChecks{check_args,      check_cwd,       check_env,         check_user,    check_capabilities,
                                    check_rlimits,   check_oom_score, check_scheduler,   check_io_priority, check_affinity};

// --- the rest of the file --------------------------------------------------------------------------------------------

Result<> check_version(const Spec& spec) {
  std::string_view rest = spec.oci_version;
  // MAJOR.MINOR.PATCH with an optional -pre-release and +build, of major version 1.
  std::array<std::uint64_t, 3> numbers{};
  bool good = true;
  for (std::size_t i = 0; i < numbers.size() && good; ++i) {
    auto end = rest.find_first_not_of("0123456789");
    auto number = parse_u64(rest.substr(0, end));
    good = number.has_value();
    if (good) numbers[i] = *number;
    rest.remove_prefix(std::min(end, rest.size()));
    if (i < 2) {
      good = good && rest.starts_with('.');
      if (good) rest.remove_prefix(1);
    }
  }
  auto suffix_good = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '+';
  };
  if (!rest.empty())
    good = good && (rest[0] == '-' || rest[0] == '+') && rest.size() > 1 &&
           std::all_of(rest.begin(), rest.end(), suffix_good);
  if (!good) return bad("ociVersion", "'{}' is not a version like 1.3.0", spec.oci_version);
  if (numbers[0] != 1) return bad("ociVersion", "{} is not supported, only 1.x", spec.oci_version);
  return {};
}

Result<> check_root(const Spec& spec) {
  if (!spec.root) return bad("root", "missing");
  if (spec.root->path.empty()) return bad("root.path", "is empty");
  return {};
}

Result<> check_process(const Spec& spec) {
  if (!spec.process) return {};
  return validate_process(*spec.process);
}

Result<> check_names(const Spec& spec) {
  constexpr std::size_t kMost = 64;  // the kernel's __NEW_UTS_LEN
  const std::array<std::pair<std::string, const std::string*>, 2> names{
      {{"hostname", &spec.hostname}, {"domainname", &spec.domainname}}};
  for (const auto& [key, value] : names) {
    if (value->empty()) continue;
    if (value->size() > kMost) return bad(key, "is longer than {} characters", kMost);
    if (!has_namespace(spec, "uts")) return bad(key, "needs a uts namespace in linux.namespaces");
  }
  return {};
}

bool has_option(const Mount& mount, std::initializer_list<std::string_view> names) {
  return std::any_of(mount.options.begin(), mount.options.end(), [&](const std::string& option) {
    return std::find(names.begin(), names.end(), option) != names.end();
  });
}

Result<> check_mounts(const Spec& spec) {
  return each(spec.mounts, "mounts", [&](const Mount& mount, const std::string& at) -> Result<> {
    // A relative destination is deprecated, and taken as relative to "/".
    if (mount.destination.empty()) return bad(at + ".destination", "is empty");
    const bool bind = mount.type == "bind" || has_option(mount, {"bind", "rbind"});
    if (bind && mount.source.empty()) return bad(at + ".source", "a bind mount needs one");
    if (mount.uid_mappings.empty() != mount.gid_mappings.empty())
      return bad(at, "uidMappings and gidMappings must be given together");
    if (!mount.uid_mappings.empty()) {
      VPS_TRY(id_mappings(mount.uid_mappings, at + ".uidMappings"));
      VPS_TRY(id_mappings(mount.gid_mappings, at + ".gidMappings"));
    } else if (has_option(mount, {"idmap", "ridmap"}) && !has_namespace(spec, "user")) {
      return bad(at + ".options", "idmap needs mappings of the mount, or a user namespace in linux.namespaces");
    }
    return {};
  });
}

Result<> check_hooks(const Spec& spec) {
  if (!spec.hooks) return {};
  const auto& hooks = *spec.hooks;
  const std::array<std::pair<std::string_view, const std::vector<Hook>*>, 6> lists{
      {{"prestart", &hooks.prestart},
       {"createRuntime", &hooks.create_runtime},
       {"createContainer", &hooks.create_container},
       {"startContainer", &hooks.start_container},
       {"poststart", &hooks.poststart},
       {"poststop", &hooks.poststop}}};
  for (const auto& [name, list] : lists)
    VPS_TRY(each(*list, fmt::format("hooks.{}", name), [](const Hook& hook, const std::string& at) -> Result<> {
      if (!is_absolute(hook.path)) return bad(at + ".path", "'{}' is not an absolute path", hook.path);
      if (hook.timeout && *hook.timeout <= 0) return bad(at + ".timeout", "{} is not above zero", *hook.timeout);
      return check_environment(hook.env, at + ".env");
    }));
  return {};
}

Result<> check_annotations(const Spec& spec) {
  if (spec.annotations.contains("")) return bad("annotations", "a key is empty");
  return {};
}

constexpr std::array<SpecCheck, 7> kSpecChecks{check_version, check_root,  check_process,    check_names,
                                               check_mounts,  check_hooks, check_annotations};

}  // namespace

Result<> validate_process(const Process& process) {
  for (auto check : kProcessChecks) VPS_TRY(check(process));
  return {};
}

Result<> validate_resources(const Resources& resources) { return check_resources(resources, "resources"); }

Result<> validate(const Spec& spec) {
  for (auto check : kSpecChecks) VPS_TRY(check(spec));
  return check_linux(spec);
}

}  // namespace vps::oci
