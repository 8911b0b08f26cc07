// BPF programs for tc (bpf(2), BPF_PROG_TYPE_SCHED_CLS), assembled here: what the classifiers of small kernels cannot do.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vps::netns {

// The class of a host end on a shaping device: 1 to 65535, from its index.
constexpr std::uint16_t class_of(int link) { return static_cast<std::uint16_t>(static_cast<std::uint32_t>(link) % 65535 + 1); }

std::vector<std::uint64_t> classify_code();  // "1:class_of(link that the packet came in by)"
// Drops what goes beyond `packets_per_second`, a tenth of a second's worth may come at once. `map`: an array of one u64.
std::vector<std::uint64_t> packet_cap_code(std::uint64_t packets_per_second, int map);

// Sends a frame out of `link`. A packet socket would do, but closing one waits for RCU (15 ms).
std::vector<std::uint64_t> send_code(int link);

// Loaded; the filter that it is given to keeps it.
Result<UniqueFd> load_classify();
Result<UniqueFd> load_packet_cap(std::uint64_t packets_per_second);
Result<UniqueFd> load_send(int link);
// Runs such a program once over `frame`, in the calling thread's namespace (BPF_PROG_TEST_RUN).
Result<> send_frame(int program, std::string_view frame);

}  // namespace vps::netns
