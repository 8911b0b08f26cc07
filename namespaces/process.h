// Everything about a process that is set right before execve, one function per kernel facility, each called in the
// process that it changes. Sources: setrlimit(2), sched_setattr(2), ioprio_set(2), personality(2), set_mempolicy(2),
// proc(5) oom_score_adj. Errors name the facility and the value.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::namespaces {

// A hard limit above the current one needs CAP_SYS_RESOURCE in the initial user namespace.
// `pid` 0 is the calling process; another one must have our user ids, or a user namespace that we own (prlimit(2)).
Result<> apply_rlimits(const std::vector<oci::Rlimit>& rlimits, pid_t pid = 0);
Result<> apply_scheduler(const oci::Scheduler& scheduler);
Result<> apply_io_priority(const oci::IoPriority& priority);
Result<> apply_personality(const oci::Personality& personality);
Result<> apply_memory_policy(const oci::MemoryPolicy& policy);
// proc_dirfd: a verified procfs root. Lowering needs CAP_SYS_RESOURCE in the initial user namespace: kNotAllowed without
// it, which the caller may take as "not available on this host".
Result<> apply_oom_score_adj(int proc_dirfd, int value);
Result<> apply_cpu_affinity(const std::string& cpu_list);
// "0-2,7" -> sorted, without repetition, each at most 8191; also lists of memory nodes. Empty lists are errors.
Result<std::vector<unsigned>> parse_cpu_list(const std::string& list);
// sysctl "net.ipv4.ip_forward" or "kernel/shm_rmid_forced" through a verified procfs fd; only those that a namespace
// owns are let through by validate_sysctl.
Result<> validate_sysctl(const std::string& key, bool own_network, bool own_ipc, bool own_uts);
// Refuses to cross a mount below proc_dirfd (EXDEV): call it on a fresh procfs, before parts of it are covered.
Result<> apply_sysctl(int proc_dirfd, const std::string& key, const std::string& value);
Result<> bring_loopback_up();
// Setuid order that keeps capabilities until apply_capabilities: keepcaps, groups, gid, uid, umask.
Result<> apply_user(const oci::User& user);
// "TERM", "SIGTERM", "sigterm", "15", "RTMIN+3", "SIGRTMAX-1"; 0 is not a signal here.
Result<int> signal_by_name(const std::string& name);
std::string signal_name(int number);  // "SIGTERM", "SIGRTMIN+3"; the number itself when it has no name

std::vector<std::string> known_rlimit_names();
std::vector<std::string> known_memory_policy_modes();
std::vector<std::string> known_memory_policy_flags();

}  // namespace vps::namespaces
