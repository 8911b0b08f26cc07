// The device filter: OCI device rules as a BPF_PROG_TYPE_CGROUP_DEVICE program on the group's v2 directory, which works on
// hybrid hosts as well. No libbpf: the program is a list of 8-byte instructions, the attachment is bpf(2).
//
// Meaning of the rules: for each requested access bit (read, write, mknod) the last rule that matches the device and
// names the bit decides; a bit that no rule names is refused; every requested bit must be granted.
// Sources: bpf(2), linux/bpf.h (bpf_cgroup_dev_ctx), cgroup-v2.rst "Device controller", cgroup-v1/devices.rst.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "specs/oci/spec.h"

namespace vps::cgroups {

// One bpf_insn per element. Pure. kUsage for a rule whose type or access letters are unknown, or for too many rules.
Result<std::vector<std::uint64_t>> compile_device_filter(const std::vector<oci::DeviceRule>& rules);

// One line per instruction, for tests and debugging.
std::string disassemble_device_filter(std::span<const std::uint64_t> program);

// Compiles and attaches (BPF_F_ALLOW_MULTI) in place of the program that an earlier call attached, in one step: there is
// no moment without a filter. Filters of others on the group and its ancestors stay and must agree as well. Without rules
// our program is taken away. kUnavailable when the kernel has no cgroup BPF.
Result<> apply_device_filter(int cgroup_dirfd, const std::vector<oci::DeviceRule>& rules);

}  // namespace vps::cgroups
