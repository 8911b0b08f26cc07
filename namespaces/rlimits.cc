#include <sys/resource.h>

#include <cerrno>

#include "namespaces/name_table.h"
#include "namespaces/process.h"

namespace vps::namespaces {

namespace {

constexpr Named<int> kRlimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},         {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},     {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},     {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING}, {"RLIMIT_STACK", RLIMIT_STACK},
};

std::string limit_text(rlim_t value) { return value == RLIM_INFINITY ? "unlimited" : std::to_string(value); }

}  // namespace

Result<> apply_rlimits(const std::vector<oci::Rlimit>& rlimits, pid_t pid) {
  for (const auto& limit : rlimits) {
    auto resource = static_cast<__rlimit_resource>(VPS_TRY(value_of(kRlimits, limit.type, "rlimit")));
    rlimit wanted{.rlim_cur = limit.soft, .rlim_max = limit.hard};
    if (::prlimit(pid, resource, &wanted, nullptr) == 0) continue;
    int err = errno;
    rlimit now{};
    (void)::prlimit(pid, resource, nullptr, &now);
    return fail_errno(err, "set {} to {}:{} (now {}:{})", limit.type, limit_text(limit.soft), limit_text(limit.hard),
                      limit_text(now.rlim_cur), limit_text(now.rlim_max));
  }
  return {};
}

std::vector<std::string> known_rlimit_names() { return names_of(kRlimits); }

}  // namespace vps::namespaces
