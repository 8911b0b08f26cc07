#include <algorithm>

#include "base/files.h"
#include "daemon/doctor.h"
#include "specs/net/names.h"

namespace vps::daemon {
namespace {

bool is_on(const std::string& path) {
  auto text = read_file(path, 16);
  return text && text->starts_with("1");
}

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
    for (const auto& block : *blocks) bad(check, block.text, fmt::format("let packets of {} pass there", link));
  }
  if (findings.size() == before) findings.push_back({"networks", FindingStatus::kOk, fmt::format("{} networks, nothing in their way", networks.size()), ""});
}

}  // namespace vps::daemon
