// Seccomp filters: the OCI linux.seccomp section compiled by libseccomp to classic BPF, cached on disk, loaded by
// seccomp(2) without libseccomp. Source of the semantics: runtime-spec config-linux.md#seccomp, seccomp(2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "specs/oci/spec.h"

namespace vps::namespaces {

struct SeccompProgram {
  std::vector<std::uint64_t> instructions;  // struct sock_filter each
  std::uint32_t flags = 0;                  // SECCOMP_FILTER_FLAG_*
  bool needs_listener = false;              // a rule or the default says SCMP_ACT_NOTIFY
  std::vector<std::string> skipped_syscalls;  // names that this libseccomp does not know
};

Result<SeccompProgram> compile_seccomp(const oci::Seccomp& profile);
// The same, made as small as can be (seccomp_compact.h), through a cache directory, keyed by a digest of the profile, the libseccomp
// version and the machine. A damaged or foreign-owned entry is ignored and rewritten; an unwritable cache costs time only. Empty
// `cache_dir`: no cache, and the program as libseccomp makes it.
Result<SeccompProgram> compile_seccomp_cached(const oci::Seccomp& profile, const std::string& cache_dir);
// Loads into the calling thread; returns the listener fd when the program needs one. The caller has no_new_privs or
// CAP_SYS_ADMIN in its user namespace. Async-signal-safe but for the error text.
Result<UniqueFd> load_seccomp(const SeccompProgram& program);

// Names this build knows, for `vpsrun features`.
std::vector<std::string> seccomp_action_names();
std::vector<std::string> seccomp_operator_names();
std::vector<std::string> seccomp_architecture_names();
std::vector<std::string> seccomp_flag_names();
std::vector<std::string> seccomp_supported_flag_names();
std::string seccomp_library_version();  // "2.5.4"

}  // namespace vps::namespaces
