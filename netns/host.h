// What the calls of this folder need to know of the host they act on. All of them act on the network namespace that the calling
// thread is in, but for what they are given a descriptor of.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace vps::netns {

// A value, freely copyable between threads.
struct Host {
  std::string installation;              // tells our links from those of another vpsd: in the marker of each link
  std::string run_dir = "/run/vps/net";  // records of what has been changed and is to be restored; made when missing
  std::string proc_root = "/proc";       // sysctl lie below sys/net
};

// The interface alias (ip link: "alias") that every link of ours carries: "vpsd:INSTALLATION:WHAT:NAME".
std::string marker(const Host& host, std::string_view what, std::string_view name);

}  // namespace vps::netns
