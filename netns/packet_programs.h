// BPF programs for tc (bpf(2), BPF_PROG_TYPE_SCHED_CLS), assembled here: what the classifiers of small kernels cannot do.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vps::netns {

// The class of a host end on a shaping device: 1 to 65534, from its index. The last one is that of all of a network together.
constexpr std::uint16_t kTotalClass = 65535;
constexpr std::uint16_t class_of(int link) { return static_cast<std::uint16_t>(static_cast<std::uint32_t>(link) % (kTotalClass - 1) + 1); }

std::vector<std::uint64_t> classify_code();  // "1:class_of(link that the packet came in by)"
// Drops what goes beyond `packets_per_second`; 25 ms's worth may come at once, and one packet of many segments, which the following
// ones pay for. `map`: an array of one u64.
std::vector<std::uint64_t> packet_cap_code(std::uint64_t packets_per_second, int map);

// Loaded; the filter that it is given to keeps it.
Result<UniqueFd> load_classify();
Result<UniqueFd> load_packet_cap(std::uint64_t packets_per_second);

}  // namespace vps::netns
