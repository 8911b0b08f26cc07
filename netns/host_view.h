// Questions about the host's links and routes that vpsd asks before it makes a network: pure functions over one picture.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "netns/dump.h"

namespace vps::netns {

struct HostView {
  std::vector<Link> links;
  std::vector<Address> addresses;
  std::vector<RouteEntry> routes;  // of both families, main and other tables, without broadcast and multicast ones

  [[nodiscard]] const Link* link(std::string_view name) const;
  [[nodiscard]] const Link* link(int index) const;
  // Links that a default route leads to, the best metric first; `family` nullopt: of either.
  [[nodiscard]] std::vector<std::string> uplinks(std::optional<Family> family = {}) const;
  // Addresses and routes of the host that share addresses with `prefix`, for people: "10.0.0.0/8 on eth0". Default routes do not
  // count, nor does what lies on a link of `except`.
  [[nodiscard]] std::vector<std::string> overlaps(const Prefix& prefix, std::span<const std::string> except = {}) const;
  // The first subnet of `length` in `pool` that overlaps nothing of the host and none of `taken`.
  [[nodiscard]] std::optional<Prefix> free_subnet(const Prefix& pool, std::uint8_t length, std::span<const Prefix> taken = {}) const;
};

Result<HostView> view_host();  // of the calling thread's namespace

}  // namespace vps::netns
