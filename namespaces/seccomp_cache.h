// The stored form of a compiled filter: what compile_seccomp_cached writes and reads. Separate from the files so that a
// hostile or damaged entry can be tried on the reader alone.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "namespaces/seccomp.h"

namespace vps::namespaces {

// Digest of everything that the compiled program depends on: profile, libseccomp version, machine, format version.
std::string seccomp_cache_key(const oci::Seccomp& profile);
std::string format_seccomp_entry(const SeccompProgram& program, std::string_view key);
// kUsage for anything but an undamaged entry of this key.
Result<SeccompProgram> parse_seccomp_entry(std::string_view entry, std::string_view key);
// What compile_seccomp_cached has left under this key; an error when there is nothing of it that can be trusted.
Result<SeccompProgram> cached_seccomp(const std::string& key, const std::string& cache_dir);

}  // namespace vps::namespaces
