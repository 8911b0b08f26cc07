// Name servers of the host, for VPSes that have `inherit`: what they get at their start, and that they follow while they run.
#pragma once

#include <atomic>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "daemon/container.h"
#include "daemon/services.h"
#include "specs/vps/guest_network.h"

namespace vps::daemon {

// Without those that only the host itself can reach: where it has a stub of systemd-resolved only, that one's own servers.
std::vector<std::string> host_nameservers(const std::string& resolv_conf);
GuestNames guest_names(const Definition& definition, const std::string& resolv_conf);

// Watches the host's resolv.conf, where it leads to by symbolic links, and the file of systemd-resolved. A change is written into every
// running VPS with `inherit` whose own file is still what vpsd has written, with one event; a file that the tenant has changed stays.
class Resolvers {
 public:
  explicit Resolvers(Services& services) : services_(services) {}
  // Looks once, for what has changed while no vpsd ran, and at every change from now on.
  void start();
  void refresh();

 private:
  Result<> watch();
  void on_change();
  Result<bool> refresh(const ContainerPtr& container);

  Services& services_;
  UniqueFd inotify_;
  std::set<std::string> names_;  // of files in the watched directories
  EventLoop::TimerId timer_ = 0;
  std::atomic<bool> busy_ = false, again_ = false;
};

}  // namespace vps::daemon
