// A further process in a running container: joins its namespaces and cgroups, takes on what config.json says of processes,
// executes. The caller is single-threaded and privileged; it is changed by the call (it joins the container's pid namespace
// and v1 cgroups), so it should be a process made for this one exec.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/pidfd.h"
#include "cgroups/cgroup.h"
#include "namespaces/seccomp.h"
#include "specs/oci/spec.h"

namespace vps::runtime {

// A cgroup below the container's own that is there already.
struct SubCgroup {
  std::string controller;  // of a v1 hierarchy ("memory"); empty: every hierarchy that has the path, one at least
  std::string path;        // "/sub"
};

struct ExecRequest {
  const oci::Spec* spec = nullptr;        // of the container: namespaces, seccomp
  oci::Process process;                   // what to run; capabilities absent: those of the container's own process
  bool resolve_user = false;              // take `user` by the container's passwd instead of process.user
  std::string user;
  bool login = false;                     // home as cwd, the shell when process.args is empty, HOME USER SHELL LOGNAME
  const PidFd* target = nullptr;          // a process of the container, usually pid 1
  const cgroups::Group* group = nullptr;  // null: stay in the caller's cgroups
  std::vector<SubCgroup> cgroups;         // where in the group; none: beside the target
  std::array<int, 3> stdio{-1, -1, -1};   // without a terminal
  int preserve_fds = 0;                   // as in LaunchRequest
  std::string keyring;                    // session keyring to join; empty: none
  std::string seccomp_cache;
  const namespaces::SeccompProgram* seccomp = nullptr;  // the compiled filter (exec_spec.h); null: compiled from the spec
  bool clone_parent = false;              // the new process becomes a child of the caller's parent
  // Called as soon as the process exists: with clone_parent somebody else has to reap it, also when its start fails.
  std::function<Result<>(const PidFd&)> on_process;
  std::function<Result<>(UniqueFd)> on_console;  // the pty master, with process.terminal
  // The listener of the new process's own filter, when the profile notifies; without a taker that is an error.
  std::function<Result<>(const PidFd&, UniqueFd)> on_seccomp_listener;
};

// Returns once execve has happened. Errors keep execve's errno (ENOENT: 127, EACCES: 126 for those who print exit codes).
Result<PidFd> exec_in_container(ExecRequest request);

}  // namespace vps::runtime
