#include "runtime/net_devices.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/files.h"
#include "base/log.h"
#include "netns/dump.h"
#include "netns/inside.h"
#include "netns/link_messages.h"

namespace vps::runtime {
namespace {

struct Side {
  UniqueFd owned;
  int netns_fd = -1;
  netns::Socket socket;
};

Result<Side> own_side() {
  auto fd = VPS_TRY(open_path("/proc/self/ns/net", O_RDONLY));
  int number = fd.get();
  return Side{std::move(fd), number, VPS_TRY(netns::Socket::open())};
}

Result<Side> side_of(int netns_fd) { return Side{{}, netns_fd, VPS_TRY(netns::open_socket_inside(netns_fd))}; }

// With its permanent addresses of global scope, up. kNotFound when there is no such device.
Result<> move(Side& from, Side& to, const std::string& name, const std::string& new_name) {
  auto link = VPS_TRY(netns::need_link(from.socket, name));
  // The kernel would move it first and fail to rename it then.
  if (VPS_TRY(netns::find_link(to.socket, new_name))) return fail_errno(EEXIST, "move network device {} to {}", name, new_name);
  auto before = VPS_TRY(netns::addresses(from.socket));
  VPS_TRY(from.socket.run(netns::move_link(link.index, name, to.netns_fd, new_name)));
  auto there = VPS_TRY(netns::need_link(to.socket, new_name));
  for (const auto& address : before) {
    if (address.link != link.index || address.scope != RT_SCOPE_UNIVERSE || (address.flags & IFA_F_PERMANENT) == 0) continue;
    auto added = to.socket.run(netns::add_address(there.index, new_name, address.prefix));
    if (!added && added.error().err() != EEXIST) return added;
  }
  return to.socket.run(netns::set_up(there.index, new_name, true));
}

const std::string& inner_name(const std::string& name, const oci::NetDevice& device) { return device.name.empty() ? name : device.name; }

}  // namespace

Result<> take_net_devices(const oci::Spec& spec, int netns_fd) {
  auto host = VPS_TRY(own_side());
  auto inside = VPS_TRY(side_of(netns_fd));
  std::vector<std::pair<std::string, std::string>> moved;
  for (const auto& [name, device] : spec.linux_->net_devices) {
    const auto& inner = inner_name(name, device);
    auto done = move(host, inside, name, inner);
    if (done) {
      moved.emplace_back(name, inner);
      continue;
    }
    for (const auto& [host_name, inner_of] : moved) {
      auto back = move(inside, host, inner_of, host_name);
      if (!back) log::warning("give back network device {}: {}", host_name, back.error().to_string());
    }
    return done;
  }
  return {};
}

Result<> give_back_net_devices(const oci::Spec& spec, int netns_fd) {
  auto host = VPS_TRY(own_side());
  auto inside = VPS_TRY(side_of(netns_fd));
  Result<> first_error;
  for (const auto& [name, device] : spec.linux_->net_devices) {
    auto done = move(inside, host, inner_name(name, device), name);
    if (!done && done.error().code() != Code::kNotFound && first_error) first_error = std::move(done);
  }
  return first_error;
}

}  // namespace vps::runtime
