// Definition -> oci::Spec + storage plan: pure, golden-tested. The one place that knows the security defaults of a VPS
// (docs/design/security.md): capability set, masked and read-only paths, devices, mounts, seccomp profile.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "specs/oci/spec.h"
#include "specs/vps/definition.h"
#include "specs/vps/id.h"

namespace vps {

struct IdRange {
  std::uint32_t base = 0;
  std::uint32_t size = 0;  // 0: no user namespace (security.idmap: host)
  bool operator==(const IdRange&) const = default;
};

struct BlockDevice {  // of the file system that holds the VPS's disk; io limits apply to it
  std::int64_t major = 0, minor = 0;
  bool known = false;
};

// What compile() needs to know of the host, gathered by the caller.
struct HostFacts {
  std::uint32_t cpus = 1;
  BlockDevice disk_device;
  std::string architecture = "x86_64";  // uname -m
  bool apparmor = false;
  // CLOCK_MONOTONIC and CLOCK_BOOTTIME at the start, whole seconds: a time namespace counts from zero. 0: unknown.
  std::int64_t monotonic_seconds = 0, boottime_seconds = 0;
};

// The overlay (or other) root file system, to be mounted by the launcher: lower directories from top to bottom.
struct RootfsPlan {
  std::vector<std::string> lower;
  std::string upper, work;  // empty: a plain directory (lower[0]) is the root
  bool idmapped = false;    // layers on disk are uid 0 based and get mapped by the mount
};

struct CompileInput {
  Definition definition;
  IdRange ids;
  RootfsPlan rootfs;
  HostFacts host;
  Roots roots;
};

struct Compiled {
  oci::Spec spec;        // passes oci::validate
  RootfsPlan rootfs;
  // What the definition asks for and this host or this choice does not give, a sentence each, the key first:
  // "resources.io.read: ...". What the cgroups of the host cannot enforce is said by cgroups::Group::explain.
  std::vector<std::string> warnings;
};

// kUsage: a value of the definition that no host could run with (definition_yaml.h refuses most of them earlier).
Result<Compiled> compile_vps(const CompileInput& input);

// What a start does, in order, a line each: for `start --dry-run`.
std::vector<std::string> describe_start(const Compiled& compiled);

// The named defaults, for `show`, docs and tests.
const oci::Strings& default_capabilities();           // "CAP_CHOWN" ...
oci::Seccomp default_seccomp_profile();               // default-deny; EPERM, or ENOSYS where programs fall back on it
const oci::Strings& default_masked_paths();
const oci::Strings& default_readonly_paths();

}  // namespace vps
