#include "netns/network.h"

#include <fmt/core.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>

#include "base/failpoint.h"
#include "base/undo.h"
#include "netns/devices.h"
#include "netns/dump.h"
#include "netns/link_messages.h"
#include "netns/rates.h"
#include "netns/sysctl.h"
#include "specs/net/names.h"

namespace vps::netns {
namespace {

bool is_bridge(const net::NetworkPlan& plan) { return plan.mode == net::Mode::kBridge; }

MacAddress mac_of(const Host& host, const net::NetworkPlan& plan) {
  return net::guest_mac(fmt::format("network/{}/{}", host.installation, plan.name), "eth0");
}

// Ours carry our marker. A bridge whose maker died before it was marked is known by its MAC, which follows from the network's name.
bool ours(const Host& host, const net::NetworkPlan& plan, const Link& link) {
  if (link.kind != "bridge") return false;
  return link.alias == marker(host, "network", plan.name) || (link.alias.empty() && link.mac == mac_of(host, plan));
}

bool uses(const net::NetworkPlan& plan, Family family) {
  auto of_family = [&](const Prefix& prefix) { return prefix.family() == family; };
  if (plan.mode == net::Mode::kRouted && plan.subnets.empty() && plan.gateways.empty()) return true;
  return std::ranges::any_of(plan.gateways, of_family) || std::ranges::any_of(plan.subnets, of_family);
}

class Maker {
 public:
  Maker(const Host& host, const net::NetworkPlan& plan, Socket& socket) : host_(host), plan_(plan), socket_(socket) {}

  Result<NetworkReport> make() {
    for (const auto& uplink : plan_.uplinks) {
      // One that is with a VPS is where it belongs.
      if (plan_.mode == net::Mode::kHostDevice && VPS_TRY(find_lent(host_, uplink))) continue;
      VPS_TRY(need_link(socket_, uplink));
    }
    if (is_bridge(plan_)) VPS_TRY(bridge());
    VPS_TRY(failpoint::hit("net.forwarding"));
    if (plan_.mode == net::Mode::kBridge || plan_.mode == net::Mode::kRouted) {
      if (uses(plan_, Family::kV4)) VPS_TRY(set("ipv4/ip_forward", "1"));
      if (uses(plan_, Family::kV6)) VPS_TRY(forward_v6());
    }
    VPS_TRY(failpoint::hit("net.uplinks"));
    if (plan_.mode == net::Mode::kRouted)
      for (const auto& uplink : plan_.uplinks) VPS_TRY(answer_on(uplink));
    VPS_TRY(failpoint::hit("net.totals"));
    VPS_TRY(ensure_totals(host_, socket_, plan_));
    undo_.commit();
    return std::move(report_);
  }

 private:
  Result<> bridge() {
    if (plan_.bridge.empty() || plan_.bridge.size() >= IFNAMSIZ) return fail(Code::kUsage, "bad name of a bridge: '{}'", plan_.bridge);
    auto link = VPS_TRY(find_link(socket_, plan_.bridge));
    if (link && !ours(host_, plan_, *link))
      return fail(Code::kExists, "there is a network link {} already that was not made for this network ({}{}); it is left alone", plan_.bridge,
                  link->kind.empty() ? "a device" : "kind " + link->kind, link->alias.empty() ? "" : ", alias " + link->alias);
    VPS_TRY(failpoint::hit("net.bridge"));
    if (!link) {
      VPS_TRY(socket_.run(create_bridge(plan_, mac_of(host_, plan_))));
      report_.created = true;
      undo_.push(plan_.bridge, [this] {
        if (auto made = find_link(socket_, plan_.bridge); made && *made) (void)socket_.run(delete_link((*made)->index, plan_.bridge));
      });
      link = VPS_TRY(need_link(socket_, plan_.bridge));
    }
    VPS_TRY(failpoint::hit("net.bridge-marked"));
    std::vector<Message> messages;
    if (link->alias.empty()) messages.push_back(set_alias(link->index, plan_.bridge, marker(host_, "network", plan_.name)));
    if (plan_.mtu != 0 && link->mtu != plan_.mtu) messages.push_back(set_mtu(link->index, plan_.bridge, plan_.mtu));
    messages.push_back(tune_bridge(link->index, plan_.bridge));
    VPS_TRY(socket_.run(messages));
    // Before it is up: the host believes no router and no redirect of a VPS, and without IPv6 it has no address there at all.
    for (auto [key, value] : {std::pair{"ipv6/conf/{}/accept_ra", "0"}, {"ipv6/conf/{}/autoconf", "0"}, {"ipv6/conf/{}/accept_redirects", "0"},
                              {"ipv6/conf/{}/disable_ipv6", uses(plan_, Family::kV6) ? "0" : "1"}, {"ipv4/conf/{}/rp_filter", "1"},
                              {"ipv4/conf/{}/accept_redirects", "0"}})
      VPS_TRY(set_own(fmt::format(fmt::runtime(key), plan_.bridge), value));
    VPS_TRY(failpoint::hit("net.addresses"));
    return gateways(*link);
  }

  Result<> gateways(const Link& link) {
    std::vector<Message> messages;
    if (!link.up()) messages.push_back(set_up(link.index, plan_.bridge, true));
    std::vector<Prefix> there;
    for (const auto& address : VPS_TRY(addresses(socket_))) {
      if (address.link != link.index || address.scope == RT_SCOPE_LINK) continue;
      there.push_back(address.prefix);
      if (std::ranges::find(plan_.gateways, address.prefix) == plan_.gateways.end())
        messages.push_back(remove_address(link.index, plan_.bridge, address.prefix));
    }
    for (const auto& gateway : plan_.gateways)
      if (std::ranges::find(there, gateway) == there.end()) messages.push_back(add_address(link.index, plan_.bridge, gateway));
    return socket_.run(messages);
  }

  // A host that forwards IPv6 stops to listen to router advertisements, and would lose its own default route: links that
  // have listened so far are told to go on (accept_ra = 2) first.
  Result<> forward_v6() {
    auto forwarding = VPS_TRY(read_sysctl(host_, "ipv6/conf/all/forwarding"));
    if (!forwarding) return fail(Code::kUnavailable, "network {}: this kernel has no IPv6", plan_.name);
    if (*forwarding == "1") return {};
    for (const auto& link : VPS_TRY(links(socket_))) {
      if ((link.flags & IFF_LOOPBACK) != 0 || link.name == plan_.bridge) continue;
      std::string key = fmt::format("ipv6/conf/{}/accept_ra", link.name);
      if (VPS_TRY(read_sysctl(host_, key)) == "1") VPS_TRY(set(key, "2"));
    }
    return set("ipv6/conf/all/forwarding", "1");
  }

  Result<> answer_on(const std::string& uplink) {
    if (uses(plan_, Family::kV4)) VPS_TRY(borrow(fmt::format("ipv4/neigh/{}/proxy_delay", uplink), "0"));
    if (!uses(plan_, Family::kV6)) return {};
    VPS_TRY(borrow(fmt::format("ipv6/neigh/{}/proxy_delay", uplink), "0"));
    return borrow(fmt::format("ipv6/conf/{}/proxy_ndp", uplink), "1");
  }

  Result<> borrow(const std::string& key, const std::string& value) {
    if (VPS_TRY(borrow_sysctl(host_, plan_.name, key, value))) note(key, value);
    return {};
  }
  // Stays when the network goes: others may rely on it by then.
  Result<> set(const std::string& key, const std::string& value) {
    if (VPS_TRY(read_sysctl(host_, key)) == value) return {};
    VPS_TRY(write_sysctl(host_, key, value));
    note(key, value);
    return {};
  }
  // Of a link of our own: goes with it.
  Result<> set_own(const std::string& key, const std::string& value) {
    auto now = VPS_TRY(read_sysctl(host_, key));
    if (!now || *now == value) return {};
    return write_sysctl(host_, key, value);
  }
  void note(std::string key, std::string_view value) {
    std::ranges::replace(key, '/', '.');
    report_.changed.push_back(fmt::format("net.{} = {}", key, value));
  }

  const Host& host_;
  const net::NetworkPlan& plan_;
  Socket& socket_;
  UndoStack undo_;
  NetworkReport report_;
};

}  // namespace

Result<NetworkReport> ensure_network(const Host& host, const net::NetworkPlan& plan) {
  auto lock = VPS_TRY_CTX(fmt::format("network {}", plan.name), lock_records(host));
  auto socket = VPS_TRY(Socket::open());
  return VPS_TRY_CTX(fmt::format("network {}", plan.name), Maker(host, plan, socket).make());
}

Result<> remove_network(const Host& host, const net::NetworkPlan& plan) {
  auto lock = VPS_TRY_CTX(fmt::format("network {}", plan.name), lock_records(host));
  auto socket = VPS_TRY(Socket::open());
  if (is_bridge(plan)) {
    auto link = VPS_TRY(find_link(socket, plan.bridge));
    if (link && ours(host, plan, *link)) {
      auto all = VPS_TRY(links(socket));
      auto port = std::ranges::find(all, link->index, &Link::master);
      if (port != all.end()) return fail(Code::kBusy, "network {}: {} is still a port of {}", plan.name, port->name, plan.bridge);
      auto gone = socket.run(delete_link(link->index, plan.bridge));
      if (!gone && gone.error().err() != ENODEV) return std::unexpected(std::move(gone).error());
    }
  }
  net::NetworkPlan without;
  without.name = plan.name;
  VPS_TRY(ensure_totals(host, socket, without));
  return return_sysctls(host, plan.name);
}

}  // namespace vps::netns
