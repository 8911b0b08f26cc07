#include "netns/port.h"

#include <fmt/core.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/files.h"
#include "netns/host_end.h"
#include "netns/link_messages.h"
#include "netns/rates.h"

namespace vps::netns {
namespace {

// What is asked to go and is not there has gone.
bool gone(const Error& error) { return error.err() == ENODEV || error.err() == ENOENT || error.err() == ESRCH || error.err() == ENXIO; }

// The link of the port's name on the host; an error where that is not ours.
Result<std::optional<Link>> find_host_end(const Host& host, Socket& socket, const std::string& id, const net::PortPlan& port) {
  auto link = VPS_TRY(find_link(socket, port.host_link));
  if (link && !is_ours(host, id, port, *link))
    return fail(Code::kExists, "there is a network link {} that was not made for this VPS ({}{}); it is left alone", port.host_link,
                link->kind.empty() ? "a device" : "kind " + link->kind, link->alias.empty() ? "" : ", alias " + link->alias);
  return link;
}

Result<> detach(const Host& host, const net::VpsPlan& plan, bool links_too) {
  auto socket = VPS_TRY(Socket::open());
  Result<> first;
  bool shaped = false;
  for (const auto& port : plan.ports) {
    auto done = remove_proxies(socket, port);
    if (done && links_too && has_host_end(port)) done = delete_host_end(host, socket, plan.id, port);
    shaped = shaped || port.rate_out.has_value();
    // One that cannot be taken away must not keep the others.
    if (!done && first) first = std::unexpected(std::move(done).error().wrap(fmt::format("detach {} of {}", port.guest_link, plan.id)));
  }
  if (shaped && links_too)
    if (auto swept = sweep_shapers(host, socket); !swept && first) first = std::unexpected(std::move(swept).error());
  return first;
}

}  // namespace

bool reflects(const net::VpsPlan& plan, const net::PortPlan& port) {
  if (port.mode != net::Mode::kBridge) return false;
  return std::ranges::any_of(plan.firewall.forwards, [&](const net::PortForward& forward) {
    return std::ranges::any_of(port.addresses, [&](const Prefix& own) { return own.address == forward.guest; });
  });
}

Result<> set_reflection(const Host& host, const net::VpsPlan& plan) {
  auto socket = VPS_TRY(Socket::open());
  for (const auto& port : plan.ports) {
    if (port.mode != net::Mode::kBridge) continue;
    auto link = VPS_TRY(find_host_end(host, socket, plan.id, port));
    if (link) VPS_TRY(socket.run(set_reflection(link->index, port.host_link, reflects(plan, port))));
  }
  return {};
}

Result<> rejoin_bridge(const Host& host, const std::string& bridge, std::span<const net::VpsPlan> plans, std::set<std::string>* rejoined) {
  auto socket = VPS_TRY(Socket::open());
  const auto all = VPS_TRY(links(socket));
  std::map<std::string_view, const Link*> by_name;
  for (const auto& link : all) by_name[link.name] = &link;
  auto master = by_name.find(bridge);
  if (master == by_name.end()) return fail(Code::kNotFound, "there is no bridge {}", bridge);
  Result<> first;
  for (const auto& plan : plans)
    for (const auto& port : plan.ports) {
      if (port.mode != net::Mode::kBridge || port.bridge != bridge) continue;
      auto link = by_name.find(port.host_link);
      if (link == by_name.end() || link->second->master == master->second->index || !is_ours(host, plan.id, port, *link->second)) continue;
      Message messages[] = {join_bridge(link->second->index, port.host_link, master->second->index),
                            finish_host_end(port, port_marker(host, plan.id), has_ipv6(host, port), reflects(plan, port)),
                            set_up(link->second->index, port.host_link, true)};
      auto done = socket.run(messages);
      if (done) rejoined->insert(plan.id);
      else if (first && !gone(done.error())) first = std::unexpected(std::move(done).error().wrap(fmt::format("{} of {}", port.guest_link, plan.id)));
    }
  return first;
}

std::string port_marker(const Host& host, const std::string& id) { return marker(host, "port", id); }

bool is_ours(const Host& host, const std::string& id, const net::PortPlan& port, const Link& link) {
  if (link.kind != "veth") return false;
  return link.alias == port_marker(host, id) || (link.alias.empty() && link.mac == host_mac_of(port));
}

Result<> delete_host_end(const Host& host, Socket& socket, const std::string& id, const net::PortPlan& port) {
  auto link = VPS_TRY(find_host_end(host, socket, id, port));
  if (!link) return {};
  auto deleted = socket.run(delete_link(link->index, port.host_link));
  if (!deleted && !gone(deleted.error())) return deleted;
  return {};
}

Result<bool> put_aside(const Host& host, Socket& socket, const std::string& id, const net::PortPlan& port) {
  auto link = VPS_TRY(find_host_end(host, socket, id, port));
  if (!link) return false;
  // One that is up is not renamed before Linux 6.2.
  Message messages[] = {set_alias(link->index, port.host_link, marker(host, "replaced", id)), set_up(link->index, port.host_link, false),
                        rename_link(link->index, port.host_link, "vpsdold%d")};
  auto done = socket.run(messages);
  if (!done && !gone(done.error())) return std::unexpected(std::move(done).error());
  return true;
}

std::vector<IpAddress> proxied(const net::PortPlan& port) {
  std::vector<IpAddress> addresses;
  if (port.mode != net::Mode::kRouted) return addresses;
  for (const auto& prefix : port.routed)
    if (prefix.single()) addresses.push_back(prefix.address);
  return addresses;
}

Result<> remove_proxies(Socket& socket, const net::PortPlan& port) {
  auto addresses = proxied(port);
  if (addresses.empty()) return {};
  for (const auto& name : port.uplinks) {
    auto uplink = VPS_TRY(find_link(socket, name));
    if (!uplink) continue;
    for (const auto& address : addresses)
      if (auto removed = socket.run(remove_proxy(uplink->index, name, address)); !removed && !gone(removed.error())) return removed;
  }
  return {};
}

bool has_ipv6(const Host& host, const net::PortPlan& port) { return (port.mtu == 0 || port.mtu >= net::kLeastIpv6Mtu) && has_ipv6(host); }

bool has_ipv6(const Host& host) { return path_exists(host.proc_root + "/sys/net/ipv6"); }

Result<> detach_ports(const Host& host, const net::VpsPlan& plan) { return detach(host, plan, true); }
Result<> release_ports(const Host& host, const net::VpsPlan& plan) { return detach(host, plan, false); }

Result<std::vector<std::string>> sweep_orphans(const Host& host) {
  auto socket = VPS_TRY(Socket::open());
  auto removed = VPS_TRY(sweep_shapers(host, socket));
  for (const auto& link : VPS_TRY(links(socket))) {
    if (link.kind != "veth" || !link.alias.starts_with(marker(host, "replaced", ""))) continue;
    auto done = socket.run(delete_link(link.index, link.name));
    if (!done && !gone(done.error())) return std::unexpected(std::move(done).error());
    if (done) removed.push_back(fmt::format("the link {} of an earlier run is gone", link.name));
  }
  for (Family family : {Family::kV4, Family::kV6}) {
    if (family == Family::kV6 && !has_ipv6(host)) continue;
    // The proxies first: a port that is being made has its route before its proxy.
    auto answered = VPS_TRY(proxies(socket, family));
    auto routed = VPS_TRY(routes(socket, family));
    for (const auto& proxy : answered) {
      if (proxy.protocol != kOurProtocol) continue;
      bool used = std::ranges::any_of(routed, [&](const RouteEntry& route) {
        return route.protocol == kOurProtocol && route.destination == host_prefix(proxy.address);
      });
      if (used) continue;
      auto done = socket.run(remove_proxy(proxy.link, std::to_string(proxy.link), proxy.address));
      if (!done && !gone(done.error())) return std::unexpected(std::move(done).error());
      if (done) removed.push_back(fmt::format("the host no longer answers for {}, which no VPS has", format_ip(proxy.address)));
    }
  }
  return removed;
}

}  // namespace vps::netns
