// Everything that tells the kernel where and when a process runs, and where its memory lies.
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>

#include "namespaces/name_table.h"
#include "namespaces/process.h"

namespace vps::namespaces {

namespace {

// sched_setattr(2), first version; linux/sched/types.h and glibc's sched.h cannot be included together.
struct SchedulerAttributes {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;  // ns
};
static_assert(sizeof(SchedulerAttributes) == 48);

constexpr Named<std::uint32_t> kPolicies[] = {
    {"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},      {"SCHED_BATCH", 3},
    {"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6},
};
constexpr Named<std::uint64_t> kSchedulerFlags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},       {"SCHED_FLAG_DL_OVERRUN", 0x04},
    {"SCHED_FLAG_KEEP_POLICY", 0x08},   {"SCHED_FLAG_KEEP_PARAMS", 0x10},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40},
};

constexpr Named<int> kIoClasses[] = {
    {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT}, {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE}, {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE}};

constexpr Named<unsigned long> kDomains[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}};

constexpr Named<int> kMemoryModes[] = {
    {"MPOL_DEFAULT", MPOL_DEFAULT}, {"MPOL_PREFERRED", MPOL_PREFERRED}, {"MPOL_BIND", MPOL_BIND},
    {"MPOL_INTERLEAVE", MPOL_INTERLEAVE}, {"MPOL_LOCAL", MPOL_LOCAL}, {"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY},
    {"MPOL_WEIGHTED_INTERLEAVE", 6},  // Linux 6.9, newer than the headers of some build hosts
};
constexpr Named<int> kMemoryFlags[] = {{"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING},
                                       {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
                                       {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES}};

}  // namespace

Result<> apply_scheduler(const oci::Scheduler& scheduler) {
  if (scheduler.priority < 0) return fail(Code::kUsage, "scheduler: priority {} is negative", scheduler.priority);
  SchedulerAttributes attr{.size = sizeof attr,
                           .policy = VPS_TRY(value_of(kPolicies, scheduler.policy, "scheduling policy")),
                           .flags = VPS_TRY(flags_of(kSchedulerFlags, scheduler.flags, "scheduler flag")),
                           .nice = scheduler.nice,
                           .priority = static_cast<std::uint32_t>(scheduler.priority),
                           .runtime = scheduler.runtime,
                           .deadline = scheduler.deadline,
                           .period = scheduler.period};
  if (::syscall(SYS_sched_setattr, 0, &attr, 0) != 0)
    return fail_errno(errno, "set scheduler {} (nice {}, priority {}, runtime {} deadline {} period {} ns)",
                      scheduler.policy, scheduler.nice, scheduler.priority, scheduler.runtime, scheduler.deadline,
                      scheduler.period);
  return {};
}

Result<> apply_io_priority(const oci::IoPriority& priority) {
  int io_class = VPS_TRY(value_of(kIoClasses, priority.io_class, "I/O priority class"));
  if (priority.priority < 0 || priority.priority >= IOPRIO_NR_LEVELS)
    return fail(Code::kUsage, "I/O priority {} is not in 0..{}", priority.priority, IOPRIO_NR_LEVELS - 1);
  int value = io_class << IOPRIO_CLASS_SHIFT | priority.priority;
  if (::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) != 0)
    return fail_errno(errno, "set I/O priority {} {}", priority.io_class, priority.priority);
  return {};
}

Result<> apply_personality(const oci::Personality& personality) {
  unsigned long domain = VPS_TRY(value_of(kDomains, personality.domain, "personality domain"));
  // The specification reserves the list and names no flag.
  if (!personality.flags.empty()) return fail(Code::kUsage, "unknown personality flag '{}'", personality.flags[0]);
  if (::personality(domain) == -1) return fail_errno(errno, "set personality {}", personality.domain);
  return {};
}

Result<> apply_memory_policy(const oci::MemoryPolicy& policy) {
  int mode = VPS_TRY(value_of(kMemoryModes, policy.mode, "memory policy mode"));
  mode |= VPS_TRY(flags_of(kMemoryFlags, policy.flags, "memory policy flag"));
  std::vector<unsigned> nodes;
  if (!policy.nodes.empty()) nodes = VPS_TRY_CTX("memory policy nodes", parse_cpu_list(policy.nodes));
  constexpr unsigned kBits = sizeof(unsigned long) * CHAR_BIT;
  std::vector<unsigned long> mask(nodes.empty() ? 0 : nodes.back() / kBits + 1);
  for (unsigned node : nodes) mask[node / kBits] |= 1ul << (node % kBits);
  // The kernel takes the size as one more than the bits that it reads.
  unsigned long bits = mask.empty() ? 0 : mask.size() * kBits + 1;
  if (::syscall(SYS_set_mempolicy, mode, mask.empty() ? nullptr : mask.data(), bits) != 0)
    return fail_errno(errno, "set memory policy {} on nodes '{}'", policy.mode, policy.nodes);
  return {};
}

std::vector<std::string> known_memory_policy_modes() { return names_of(kMemoryModes); }
std::vector<std::string> known_memory_policy_flags() { return names_of(kMemoryFlags); }

Result<> apply_cpu_affinity(const std::string& cpu_list) {
  auto cpus = VPS_TRY_CTX("cpu affinity", parse_cpu_list(cpu_list));
  std::size_t size = CPU_ALLOC_SIZE(cpus.back() + 1);
  std::vector<unsigned long> words(size / sizeof(unsigned long));
  auto* set = reinterpret_cast<cpu_set_t*>(words.data());
  for (unsigned cpu : cpus) CPU_SET_S(cpu, size, set);
  if (::sched_setaffinity(0, size, set) != 0) return fail_errno(errno, "set cpu affinity to {}", cpu_list);
  return {};
}

}  // namespace vps::namespaces
