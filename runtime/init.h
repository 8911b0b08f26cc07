// The init half: what the new process does to itself between clone3 and execve, as one table of named steps. The same names
// stand in errors ("init mounts: ..."), debug logs and failpoints ("init.mounts").
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "namespaces/seccomp.h"
#include "runtime/init_plan.h"
#include "runtime/joins.h"
#include "runtime/launcher.h"
#include "runtime/sync.h"

namespace vps::runtime {

// A detached mount for the init half: the root (index -1), or PlannedMount::fd_index.
struct ReadyMount {
  int index = -1;
  bool directory = true;
  UniqueFd fd;
};

// What the child inherits from the launcher's memory.
struct InitInput {
  const LaunchRequest* request = nullptr;
  const InitPlan* plan = nullptr;
  const namespaces::SeccompProgram* seccomp = nullptr;
  const std::vector<JoinedNamespace>* joins = nullptr;
  bool by_user = false;  // the launcher is not root of the host
  const std::vector<UniqueFd>* v1_entries = nullptr;  // cgroups::Group::v1_entries() of its group
  std::vector<ReadyMount>* mounts = nullptr;          // made before the clone; empty: to be asked for
};

struct InitContext {
  InitInput in;
  SyncChannel channel;
  UniqueFd root;                      // the root mount; "/" after pivot-root
  std::map<int, UniqueFd> mount_fds;  // by PlannedMount::fd_index
  std::map<int, bool> mount_is_dir;
  UniqueFd console;                   // the pty's slave

  [[nodiscard]] const oci::Spec& spec() const { return *in.request->spec; }
  [[nodiscard]] const oci::Process& process() const { return *in.request->spec->process; }
  [[nodiscard]] const oci::Linux& linux_section() const { return *in.request->spec->linux_; }
};

enum class Need { kAlways, kUserNamespace, kNewCgroup, kNewTime, kNewNetwork, kTerminal };

struct InitStep {
  std::string_view name;
  Need need;
  Result<> (*run)(InitContext&);
};
// What the two halves need not talk about (sync.h): each knows it from the plan.
bool asks_for_id_maps(const LaunchRequest& request, const InitPlan& plan);
bool asks_for_hooks(const oci::Spec& spec);
// Some of the sysctls that it sets are the interfaces' own.
bool network_comes_first(const LaunchRequest& request);

// In order. For tests that walk the steps; run_init runs nothing else.
const std::vector<InitStep>& init_steps();

// Never returns: execve, or a Failure on the channel and _exit(1).
[[noreturn]] void run_init(InitInput input, SyncChannel channel);

// The last step, shared with exec: resolves `process.args[0]` along the PATH of process.env and replaces the program. Returns
// only on failure; errno ENOENT and EACCES are kept for the callers' 127 and 126.
Result<> exec_program(const oci::Process& process);
// Whether exec_program() has something to execute: the same errors, while the container is only being created.
Result<> check_program(const oci::Process& process);
// Opens the pty of the devpts at `root_fd`/dev/pts: master and slave, unlocked.
struct Pty {
  UniqueFd master, slave;
};
Result<Pty> open_pty(int root_fd);
Result<> take_stdio(int in, int out, int err);
Result<> set_console_size(int tty, const oci::Box& size);
// rlimits, scheduling, labels, capabilities, user: everything of `spec` that belongs to a process and that execve does not
// carry. In a user namespace the rlimits are left to the caller, who can still raise them. `seccomp` may be null.
Result<> apply_process(const oci::Spec& spec, const InitPlan& plan, const namespaces::SeccompProgram* seccomp,
                       const SyncChannel* channel);
// Descriptors 3 to 2 + count stay open over execve.
Result<> keep_descriptors(int count);

}  // namespace vps::runtime
