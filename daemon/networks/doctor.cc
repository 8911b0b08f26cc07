#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/files.h"
#include "base/units.h"
#include "daemon/doctor.h"
#include "specs/net/names.h"

namespace vps::daemon {
namespace {

bool is_on(const std::string& path) {
  auto text = read_file(path, 16);
  return text && text->starts_with("1");
}

// How many connections the host can track.
std::optional<std::uint64_t> host_connections(const std::string& proc) {
  constexpr std::size_t kLong = 32;
  auto text = read_file(proc + "/sys/net/netfilter/nf_conntrack_max", kLong);
  if (!text) return std::nullopt;
  while (text->ends_with('\n')) text->pop_back();
  auto value = parse_u64(*text);
  return value ? std::optional(*value) : std::nullopt;
}

std::set<std::string> as_set(const std::vector<std::string>& list) { return {list.begin(), list.end()}; }

}  // namespace

void examine_networks(const Services& services, const std::string& proc, std::vector<Finding>& findings) {
  auto bad = [&](std::string check, std::string message, std::string fix) {
    findings.push_back({std::move(check), FindingStatus::kWarning, std::move(message), std::move(fix)});
  };
  auto networks = services.networks->all();
  if (networks.empty()) return;
  auto view = services.networks->host().view();
  if (!view) {
    bad("networks", view.error().to_string(), "");
    return;
  }
  std::size_t before = findings.size();
  std::set<std::string> unfiltered;
  const auto table = host_connections(proc);
  for (const auto& container : services.registry.list()) {
    const auto& network = container->snapshot().definition.network;
    if (network.interfaces.empty()) continue;
    if (network.firewall.filters()) unfiltered.merge(as_set(services.networks->unfiltered_bridges(container->snapshot().definition)));
    // One VPS at its cap must leave room for the others: the kernel drops what does not fit.
    if (table && (network.connections == 0 || network.connections > *table / 2))
      bad("vps " + container->id,
          network.connections == 0 ? fmt::format("no cap on its connections: it can fill the host's table of {}", *table)
                                   : fmt::format("may have {} connections, the host's table holds {}", network.connections, *table),
          "raise net.netfilter.nf_conntrack_max, or lower network.connections");
  }
  for (const auto& [name, network] : networks) {
    const std::string check = "network " + name;
    for (const auto& uplink : network.uplinks)
      if (view->link(uplink) == nullptr) bad(check, fmt::format("its uplink {} is not there", uplink), "bring it back, or change the network: vpsctl network set");
    if (network.mode != net::Mode::kBridge && network.mode != net::Mode::kRouted) continue;
    for (auto family : {Family::kV4, Family::kV6}) {
      bool has = std::ranges::any_of(network.subnets, [&](const Prefix& subnet) { return subnet.family() == family; });
      const char* path = family == Family::kV4 ? "/sys/net/ipv4/ip_forward" : "/sys/net/ipv6/conf/all/forwarding";
      if (has && !is_on(proc + path))
        bad(check, fmt::format("the host forwards no {} packets: its VPSes reach the host only", family == Family::kV4 ? "IPv4" : "IPv6"),
            fmt::format("echo 1 > /proc{}, and find out what has turned it off", path));
    }
    if (network.nat && view->uplinks().empty()) bad(check, "the host has no default route for its VPSes to go out by", "connect the host");
    std::string link;
    if (network.mode == net::Mode::kBridge) {
      link = net::bridge_name(services.config.network_links, name);
      if (view->link(link) == nullptr) {
        bad(check, fmt::format("its bridge {} is not there", link), "restart vpsd, or start a VPS on it");
        continue;
      }
    }
    if (link.empty()) continue;
    const auto uplinks = view->uplinks();
    auto blocks = services.networks->host().foreign_blocks(link, uplinks.empty() ? std::string() : uplinks.front());
    if (!blocks) {
      bad(check, "what others filter cannot be read: " + blocks.error().to_string(), "");
      continue;
    }
    if (unfiltered.contains(name))
      bad(check, fmt::format("firewalls are not enforced between its VPSes: {}", Networks::kUnfiltered),
          ::access((proc + "/sys/net/bridge").c_str(), F_OK) != 0
              ? "modprobe br_netfilter"
              : fmt::format("ip link set {} type bridge nf_call_iptables 1 nf_call_ip6tables 1; the next start of one with a firewall does it, too", link));
    for (const auto& block : *blocks) bad(check, block.text, fmt::format("let packets of {} pass there", link));
  }
  if (findings.size() == before) findings.push_back({"networks", FindingStatus::kOk, fmt::format("{} networks, nothing in their way", networks.size()), ""});
}

}  // namespace vps::daemon
