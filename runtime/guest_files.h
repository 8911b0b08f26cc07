// Finds out what a guest configures its network with, and writes its files (specs/vps/guest_network.h) below its root. Every path
// is resolved inside the root; what the tenant has put in the way (links, directories, devices) is left alone and no reason to fail.
// Repeating it changes nothing.
#pragma once

#include "base/error.h"
#include "specs/net/plan.h"
#include "specs/vps/guest_network.h"

namespace vps::runtime {

Result<> write_guest_files(int root_fd, const net::VpsPlan& plan, const GuestNames& names);

// Writes a file inside the root: existing regular files are replaced in place, anything else that stands there is removed when it
// is no directory. False: there is no such directory, or something that is not ours to remove.
Result<bool> write_in_root(int root_fd, const std::string& path, std::string_view content, mode_t mode);

}  // namespace vps::runtime
