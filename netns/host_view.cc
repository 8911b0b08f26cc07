#include "netns/host_view.h"

#include <fmt/core.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <utility>

namespace vps::netns {
namespace {

// The next candidate of the same length; false at the end of `pool`.
bool next_subnet(Prefix& subnet, const Prefix& pool) {
  IpAddress last = subnet.last();
  if (!advance(last) || !pool.contains(last)) return false;
  subnet.address = last;
  return true;
}

}  // namespace

const Link* HostView::link(std::string_view name) const {
  auto found = std::ranges::find(links, name, &Link::name);
  return found == links.end() ? nullptr : &*found;
}

const Link* HostView::link(int index) const {
  auto found = std::ranges::find(links, index, &Link::index);
  return found == links.end() ? nullptr : &*found;
}

std::vector<std::string> HostView::uplinks(std::optional<Family> family) const {
  std::vector<const RouteEntry*> defaults;
  for (const auto& route : routes)
    if (route.destination.length == 0 && route.type == RTN_UNICAST && route.table == RT_TABLE_MAIN &&
        (!family || route.destination.family() == *family))
      defaults.push_back(&route);
  std::ranges::sort(defaults, {}, [](const RouteEntry* route) { return std::pair(route->metric, route); });  // as they stand, otherwise
  std::vector<std::string> names;
  for (const auto* route : defaults)
    for (const auto& hop : route->hops)
      if (const Link* device = link(hop.link); device != nullptr && (device->flags & IFF_LOOPBACK) == 0 &&
                                               std::ranges::find(names, device->name) == names.end())
        names.push_back(device->name);
  return names;
}

std::vector<std::string> HostView::overlaps(const Prefix& prefix, std::span<const std::string> except) const {
  std::vector<std::string> found;
  auto note = [&](const Prefix& other, int index) {
    if (other.length == 0 || !prefix.overlaps(other)) return;
    const Link* device = link(index);
    if (device != nullptr && std::ranges::find(except, device->name) != except.end()) return;
    auto text = device != nullptr ? fmt::format("{} on {}", format_prefix(other.network()), device->name) : format_prefix(other.network());
    if (std::ranges::find(found, text) == found.end()) found.push_back(std::move(text));
  };
  for (const auto& address : addresses) note(address.prefix, address.link);
  for (const auto& route : routes) {
    if (route.type == RTN_MULTICAST || route.type == RTN_BROADCAST || route.type == RTN_ANYCAST) continue;
    if (route.hops.empty()) note(route.destination, 0);
    for (const auto& hop : route.hops) note(route.destination, hop.link);
  }
  return found;
}

std::optional<Prefix> HostView::free_subnet(const Prefix& pool, std::uint8_t length, std::span<const Prefix> taken) const {
  if (length < pool.length || length > address_bits(pool.family())) return std::nullopt;
  Prefix subnet{pool.first(), length};
  constexpr int kMost = 1 << 16;  // an IPv6 pool has no end
  for (int tried = 0; tried < kMost; ++tried) {
    if (std::ranges::none_of(taken, [&](const Prefix& other) { return subnet.overlaps(other); }) && overlaps(subnet).empty()) return subnet;
    if (!next_subnet(subnet, pool)) break;
  }
  return std::nullopt;
}

Result<HostView> view_host() {
  auto socket = VPS_TRY(Socket::open());
  HostView view;
  view.links = VPS_TRY(links(socket));
  view.addresses = VPS_TRY(addresses(socket));
  for (Family family : {Family::kV4, Family::kV6}) {
    auto found = routes(socket, family);
    if (!found && family == Family::kV6) break;  // a kernel without IPv6
    for (auto& route : VPS_TRY(std::move(found)))
      if (route.type != RTN_MULTICAST && route.type != RTN_BROADCAST) view.routes.push_back(std::move(route));
  }
  return view;
}

}  // namespace vps::netns
