#include "netns/attach.h"

#include <fmt/core.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>

#include "base/failpoint.h"
#include "base/files.h"
#include "base/undo.h"
#include "netns/announce.h"
#include "netns/devices.h"
#include "netns/host_end.h"
#include "netns/inside.h"
#include "netns/link_messages.h"
#include "netns/rates.h"

namespace vps::netns {
namespace {

bool is_link_local(const IpAddress& address) {
  return address.family == Family::kV6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

bool good_name(std::string_view name) {
  return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
         std::ranges::none_of(name, [](char c) { return c == '/' || c == ':' || c == '%' || static_cast<unsigned char>(c) <= ' '; });
}

Result<> check(const net::PortPlan& port) {
  bool named = port.mode == net::Mode::kMacvlan || good_name(port.host_link);
  if (!named || !good_name(port.guest_link)) return fail(Code::kUsage, "bad name of a link: '{}', '{}'", port.host_link, port.guest_link);
  if (port.mode == net::Mode::kBridge && !good_name(port.bridge)) return fail(Code::kUsage, "bad name of a bridge: '{}'", port.bridge);
  if (port.mode == net::Mode::kMacvlan && port.uplinks.size() != 1) return fail(Code::kUsage, "a macvlan needs one uplink, not {}", port.uplinks.size());
  return {};
}

// The port's own addresses are neighbours of the host. Those of an extra prefix may be anywhere behind it (on another interface of the
// guest, in its containers), where nobody answers for them: they lead to the port's own address.
std::optional<IpAddress> gateway_to(const net::PortPlan& port, const Prefix& routed) {
  for (const auto& own : port.addresses)
    if (host_prefix(own.address) == routed) return {};
  for (const auto& own : port.addresses)
    if (own.family() == routed.family()) return own.address;
  return {};
}

class Attacher {
 public:
  Attacher(const Host& host, const net::VpsPlan& plan, int netns_fd, Socket outside, Socket inside)
      : host_(host), plan_(plan), netns_fd_(netns_fd), outside_(std::move(outside)), inside_(std::move(inside)) {}

  Result<std::vector<LimitReport>> attach() {
    for (const auto& port : plan_.ports) VPS_TRY_CTX(port.guest_link, make(port));
    VPS_TRY(failpoint::hit("port.inside"));
    VPS_TRY(configure_inside());
    VPS_TRY(failpoint::hit("port.announce"));
    if (plan_.announce) (void)announce_all();
    undo_.commit();
    return std::move(reports_);
  }

 private:
  Result<> make(const net::PortPlan& port) {
    // Without an end on the host there is nothing to hold a rate, which the reports say.
    if (!has_host_end(port) && port.has_limits()) std::ranges::move(look_at_limits(host_, outside_, port), std::back_inserter(reports_));
    if (port.mode == net::Mode::kHostDevice) return lend(port);
    if (port.mode == net::Mode::kMacvlan) {
      VPS_TRY(failpoint::hit("port.link"));
      int parent = VPS_TRY(index_of(port.uplinks.front()));
      undo_.push(port.guest_link, [this, &port] {
        for (const auto& name : {macvlan_birth_name(port), port.guest_link})
          if (auto made = find_link(inside_, name); made && *made && (*made)->kind == "macvlan" && (*made)->mac == port.mac)
            (void)inside_.run(delete_link((*made)->index, name));
      });
      VPS_TRY(outside_.run(create_macvlan(port, parent, netns_fd_)));
      auto born = VPS_TRY(need_link(inside_, macvlan_birth_name(port)));
      return inside_.run(rename_link(born.index, born.name, port.guest_link));
    }
    VPS_TRY(failpoint::hit("port.link"));
    VPS_TRY(make_veth(port));
    VPS_TRY(failpoint::hit("port.rates"));
    if (port.has_limits()) {
      std::ranges::move(apply_limits(host_, outside_, port), std::back_inserter(reports_));
      VPS_TRY(outside_.run(set_up(0, port.host_link, true)));
    }
    return port.mode == net::Mode::kRouted ? route_to(port) : Result<>();
  }

  Result<> make_veth(const net::PortPlan& port) {
    int bridge = port.mode == net::Mode::kBridge ? VPS_TRY(bridge_of(port)) : 0;
    // Before anything is there: what follows may fail halfway.
    undo_.push(port.host_link, [this, &port] { (void)delete_host_end(host_, outside_, plan_.id, port); });
    for (bool again = false;; again = true) {
      auto made = outside_.run(create_veth(port, host_mac_of(port), bridge, netns_fd_));
      if (made) break;
      if (made.error().err() != EEXIST || again) return made;
      // A run that has ended, whose namespace has not quite gone.
      bool there = VPS_TRY(put_aside(host_, outside_, plan_.id, port));
      if (!there && VPS_TRY(find_link(inside_, port.guest_link))) return fail(Code::kExists, "the VPS has an interface {} already", port.guest_link);
    }
    // Not in the same batch: the kernel goes on behind a message that fails, and would set up somebody else's link of that name.
    return outside_.run(finish_host_end(port, port_marker(host_, plan_.id), has_ipv6(host_, port), reflects(plan_, port)));
  }

  Result<int> bridge_of(const net::PortPlan& port) {
    auto known = indexes_.find(port.bridge);
    if (known != indexes_.end()) return known->second;
    auto link = VPS_TRY(find_link(outside_, port.bridge));
    if (!link) return fail(Code::kNotFound, "network {} has no bridge {} on this host", port.network, port.bridge);
    if (link->kind != "bridge") return fail(Code::kExists, "the link {} of network {} is no bridge", port.bridge, port.network);
    indexes_[port.bridge] = link->index;
    return link->index;
  }

  Result<int> index_of(const std::string& name) {
    auto known = indexes_.find(name);
    if (known != indexes_.end()) return known->second;
    auto link = VPS_TRY(need_link(outside_, name));
    return indexes_[name] = link.index;
  }

  // The host's routes to the port, the gateway's IPv6 address on it, and what the uplinks answer for.
  Result<> route_to(const net::PortPlan& port) {
    VPS_TRY(failpoint::hit("port.host-routes"));
    int link = VPS_TRY(index_of(port.host_link));
    std::vector<Message> messages;
    for (Family family : {Family::kV4, Family::kV6})
      if (family == Family::kV4 || has_ipv6(host_, port)) messages.push_back(set_proxy_delay(link, port.host_link, family, 0));
    for (const auto& route : port.routes)
      if (route.via && is_link_local(*route.via)) messages.push_back(add_address(link, port.host_link, {*route.via, 64}));
    std::size_t first_route = messages.size();
    for (const auto& prefix : port.routed) messages.push_back(add_host_route(link, port.host_link, prefix.network(), gateway_to(port, prefix)));
    std::size_t failed = 0;
    if (auto done = outside_.run(messages, &failed); !done) {
      if (failed >= first_route && done.error().err() == EEXIST)
        return fail(Code::kExists, "{} is routed to something else already", format_prefix(port.routed[failed - first_route]));
      return done;
    }
    VPS_TRY(failpoint::hit("port.proxies"));
    messages.clear();
    undo_.push(port.host_link, [this, &port] { (void)remove_proxies(outside_, port); });
    for (const auto& uplink : port.uplinks)
      for (const auto& address : proxied(port)) messages.push_back(add_proxy(VPS_TRY(index_of(uplink)), uplink, address));
    return outside_.run(messages);
  }

  Result<> lend(const net::PortPlan& port) {
    auto link = VPS_TRY(find_link(outside_, port.host_link));
    auto lent = VPS_TRY(find_lent(host_, port.host_link));
    if (!link) {
      if (lent) return fail(Code::kBusy, "the device {} is with VPS {}", port.host_link, lent->vps);
      return fail(Code::kNotFound, "there is no network device {} on this host", port.host_link);
    }
    if ((link->flags & IFF_LOOPBACK) != 0 || link->master != 0)
      return fail(Code::kBusy, "the device {} is {} and cannot be lent", port.host_link, link->master != 0 ? "part of another link" : "the loopback");
    auto device = describe_device(*link, VPS_TRY(addresses(outside_)));
    device.vps = plan_.id;
    device.guest_name = port.guest_link;
    // A record of it means that it was lent and is back, if not quite as it was: the record knows better what that is.
    if (lent && link->alias == device_marker(host_, *lent)) {
      lent->vps = plan_.id;
      lent->guest_name = port.guest_link;
      device = *lent;
    }
    VPS_TRY(failpoint::hit("port.record"));
    VPS_TRY(save_lent(host_, device));
    undo_.push(port.host_link, [this, port] { (void)give_back(port); });
    VPS_TRY(failpoint::hit("port.link"));
    Message messages[] = {set_alias(link->index, port.host_link, device_marker(host_, device)), set_up(link->index, port.host_link, false),
                          move_link(link->index, port.host_link, netns_fd_, port.guest_link)};
    VPS_TRY(outside_.run(messages));
    auto all = VPS_TRY(links(inside_));
    const Link* there = recognise(host_, device, all);
    if (there == nullptr) return fail(Code::kFailed, "the device {} has not arrived in the VPS", port.host_link);
    if (there->name != port.guest_link) VPS_TRY(inside_.run(rename_link(there->index, there->name, port.guest_link)));
    return {};
  }

 public:
  Result<> give_back(const net::PortPlan& port) {
    auto device = VPS_TRY(find_lent(host_, port.host_link));
    if (!device || device->vps != plan_.id) return {};
    auto all = VPS_TRY(links(inside_));
    if (const Link* there = recognise(host_, *device, all)) {
      auto home = VPS_TRY(open_path("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      Message messages[] = {set_alias(there->index, there->name, device_marker(host_, *device)), set_up(there->index, there->name, false),
                            move_link(there->index, there->name, home.get(), device->name)};
      VPS_TRY(inside_.run(messages));
    }
    auto outside = VPS_TRY(links(outside_));
    const Link* back = recognise(host_, *device, outside);
    if (back == nullptr) {
      // A physical one is in a namespace that the VPS has made, and on the host again when that dies: recover_devices knows it then.
      if (!device->permanent) VPS_TRY(forget_lent(host_, *device));
      return fail(Code::kNotFound, "the device {} is neither in the VPS nor on the host", device->name);
    }
    return restore_device(host_, outside_, *device, *back);
  }

 private:
  // All interfaces in one go: a message per link, address and route.
  Result<> configure_inside() {
    std::vector<Message> messages;
    messages.push_back(set_up(1, "lo", true));
    for (const auto& port : plan_.ports) {
      auto link = VPS_TRY(need_link(inside_, port.guest_link));
      if (port.mode == net::Mode::kHostDevice && port.mtu != 0) messages.push_back(set_mtu(link.index, link.name, port.mtu));
      messages.push_back(set_up(link.index, link.name, true));
      for (const auto& address : port.addresses) messages.push_back(add_address(link.index, link.name, address));
      for (const auto& route : port.routes) {
        // The gateway of a routed port is the host's end, whatever its address: known from the start, nothing has to be asked. A
        // guest that sets its interface up anew asks, and the host's end answers (proxy ARP).
        if (port.mode == net::Mode::kRouted && route.via && route.via->family == Family::kV4)
          messages.push_back(set_neighbour(link.index, link.name, *route.via, host_mac_of(port), NUD_PERMANENT));
        messages.push_back(add_route(link.index, link.name, route));
      }
    }
    return inside_.run(messages);
  }

  // From the host's side, since a link that has just come up may not send yet. Nobody is worse off when it fails.
  Result<> announce_all() {
    Announcer announcer;
    for (const auto& port : plan_.ports) (void)announce(announcer, port);
    announcer.leave_open();
    return {};
  }

  Result<> announce(Announcer& announcer, const net::PortPlan& port) {
    std::vector<IpAddress> own;
    for (const auto& prefix : port.addresses) own.push_back(prefix.address);
    if (port.mode == net::Mode::kRouted)
      for (const auto& name : port.uplinks) {
        auto uplink = VPS_TRY(need_link(outside_, name));
        VPS_TRY(announcer.announce(uplink, std::nullopt, proxied(port)));
      }
    if (port.mode == net::Mode::kMacvlan) {
      auto parent = VPS_TRY(need_link(outside_, port.uplinks.front()));
      return announcer.announce(parent, port.mac, own);
    }
    if (port.mode != net::Mode::kBridge) return {};
    Link bridge;
    bridge.index = indexes_[port.bridge];
    bridge.name = port.bridge;
    // A bridge sends a broadcast into every VPS: with a thousand of them that costs more than the port. So the neighbours hear of
    // an address only where the host knows it as another's; the host itself, which does not hear what it sends, is told always.
    std::vector<IpAddress> moved;
    std::vector<Message> messages;
    for (const auto& address : own) {
      auto known = VPS_TRY(find_neighbour(outside_, bridge.index, address));
      if (known && known->mac && known->mac != port.mac) moved.push_back(address);
      messages.push_back(set_neighbour(bridge.index, port.bridge, address, port.mac, NUD_STALE));
    }
    VPS_TRY(announcer.announce(bridge, port.mac, moved));
    return outside_.run(messages);
  }

  const Host& host_;
  const net::VpsPlan& plan_;
  int netns_fd_;
  Socket outside_, inside_;
  std::map<std::string, int> indexes_;
  std::vector<LimitReport> reports_;
  UndoStack undo_;
};

Result<Attacher> enter(const Host& host, const net::VpsPlan& plan, int netns_fd) {
  auto outside = VPS_TRY(Socket::open());
  auto inside = VPS_TRY(open_socket_inside(netns_fd));
  return Attacher(host, plan, netns_fd, std::move(outside), std::move(inside));
}

}  // namespace

Result<std::vector<LimitReport>> attach_ports(const Host& host, const net::VpsPlan& plan, int netns_fd) {
  for (const auto& port : plan.ports) VPS_TRY(check(port));
  VPS_TRY(failpoint::hit("port.enter"));
  auto attacher = VPS_TRY(enter(host, plan, netns_fd));
  return attacher.attach();
}

Result<> return_devices(const Host& host, const net::VpsPlan& plan, int netns_fd) {
  if (std::ranges::none_of(plan.ports, [](const net::PortPlan& port) { return port.mode == net::Mode::kHostDevice; })) return {};
  auto attacher = VPS_TRY(enter(host, plan, netns_fd));
  Result<> first;
  for (const auto& port : plan.ports) {
    if (port.mode != net::Mode::kHostDevice) continue;
    auto done = attacher.give_back(port);
    // What may be tried again outweighs what is lost.
    if (!done && (first || first.error().code() == Code::kNotFound))
      first = std::unexpected(std::move(done).error().wrap(fmt::format("take back the device {}", port.host_link)));
  }
  return first;
}

}  // namespace vps::netns
