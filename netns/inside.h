// The one place that enters another network namespace. setns(2) changes the calling thread for as long as it takes, so this is
// for single-threaded programs (vps_netns_attach).
#pragma once

#include "netns/socket.h"

namespace vps::netns {

// A netlink socket that was opened inside, and works there from wherever it is used.
Result<Socket> open_socket_inside(int netns_fd);

}  // namespace vps::netns
