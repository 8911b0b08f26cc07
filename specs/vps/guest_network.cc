#include "specs/vps/guest_network.h"

#include <fmt/core.h>

#include "base/sha256.h"

namespace vps::guest {
namespace {

constexpr std::string_view kBegin = "# vpsd: begin\n";
constexpr std::string_view kEnd = "# vpsd: end\n";

std::string destination(const net::Route& route) {
  return route.destination.length == 0 ? "default" : format_prefix(route.destination);
}

std::string zero_destination(const net::Route& route) { return format_prefix(route.destination); }

bool of_family(const net::Route& route, Family family) { return route.destination.family() == family; }

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? std::string() : std::string(separator)) + word;
  return text;
}

// NetworkManager wants a uuid that stays the same.
std::string connection_uuid(const net::PortPlan& port) {
  auto digest = sha256_hex(fmt::format("{}/{}", format_mac(port.mac), port.guest_link));
  return fmt::format("{}-{}-4{}-8{}-{}", digest.substr(0, 8), digest.substr(8, 4), digest.substr(12, 3), digest.substr(15, 3), digest.substr(18, 12));
}

}  // namespace

std::string with_block(std::string_view text, std::string_view lines) {
  std::string before(text), after;
  if (auto begin = before.find(kBegin); begin != std::string::npos) {
    if (auto end = before.find(kEnd, begin); end != std::string::npos) after = before.substr(end + kEnd.size());
    before.resize(begin);
  }
  if (!before.empty() && !before.ends_with('\n')) before += '\n';
  if (lines.empty()) return before + after;
  return fmt::format("{}{}{}{}{}", before, kBegin, lines, kEnd, after);
}

std::string hosts_lines(const GuestNames& names) {
  auto dot = names.hostname.find('.');
  if (dot == std::string::npos) return fmt::format("127.0.1.1\t{}\n", names.hostname);
  return fmt::format("127.0.1.1\t{} {}\n", names.hostname, names.hostname.substr(0, dot));
}

std::string resolv_conf(const GuestNames& names) {
  if (names.nameservers.empty()) return {};
  std::string text(kHeader);
  if (!names.search.empty()) text += fmt::format("search {}\n", joined(names.search, " "));
  for (const auto& server : names.nameservers) text += fmt::format("nameserver {}\n", server);
  return text;
}

// "manual" and commands that may be repeated: what is set already is no error, and a restart of the service brings it back.
std::string ifupdown_lines(const net::VpsPlan& plan) {
  std::string text;
  for (const auto& port : plan.ports) {
    const auto& link = port.guest_link;
    text += fmt::format("auto {0}\niface {0} inet manual\n", link);
    for (const auto& address : port.addresses) text += fmt::format("  up ip address replace {} dev {} || true\n", format_prefix(address), link);
    for (const auto& route : port.routes) {
      std::string via = route.via ? fmt::format(" via {}", format_ip(*route.via)) : std::string();
      text += fmt::format("  up ip {} route replace {}{} dev {}{} || true\n", of_family(route, Family::kV6) ? "-6" : "-4", destination(route), via,
                          link, route.on_link && route.via ? " onlink" : "");
    }
  }
  return text;
}

std::string netplan(const net::VpsPlan& plan, const GuestNames& names) {
  std::string text(kHeader);
  text += "network:\n  version: 2\n  ethernets:\n";
  for (const auto& port : plan.ports) {
    text += fmt::format("    {}:\n      dhcp4: false\n      dhcp6: false\n      accept-ra: false\n", port.guest_link);
    if (port.mtu != 0) text += fmt::format("      mtu: {}\n", port.mtu);
    if (!port.addresses.empty()) text += "      addresses:\n";
    for (const auto& address : port.addresses) text += fmt::format("        - \"{}\"\n", format_prefix(address));
    if (!port.routes.empty()) text += "      routes:\n";
    for (const auto& route : port.routes) {
      text += fmt::format("        - to: \"{}\"\n", zero_destination(route));
      if (route.via) text += fmt::format("          via: \"{}\"\n", format_ip(*route.via));
      if (route.on_link) text += "          on-link: true\n";
    }
    if (names.nameservers.empty()) continue;
    text += fmt::format("      nameservers:\n        addresses: [\"{}\"]\n", joined(names.nameservers, "\", \""));
    if (!names.search.empty()) text += fmt::format("        search: [\"{}\"]\n", joined(names.search, "\", \""));
  }
  return text;
}

std::string networkd(const net::PortPlan& port, const GuestNames& names) {
  std::string text(kHeader);
  text += fmt::format("[Match]\nName={}\n\n[Network]\nDHCP=no\nIPv6AcceptRA=no\nKeepConfiguration=yes\n", port.guest_link);
  for (const auto& address : port.addresses) text += fmt::format("Address={}\n", format_prefix(address));
  for (const auto& server : names.nameservers) text += fmt::format("DNS={}\n", server);
  if (!names.search.empty()) text += fmt::format("Domains={}\n", joined(names.search, " "));
  for (const auto& route : port.routes) {
    text += fmt::format("\n[Route]\nDestination={}\n", zero_destination(route));
    if (route.via) text += fmt::format("Gateway={}\n", format_ip(*route.via));
    if (route.on_link) text += "GatewayOnLink=yes\n";
  }
  if (port.mtu != 0) text += fmt::format("\n[Link]\nMTUBytes={}\n", port.mtu);
  return text;
}

std::string network_manager(const net::PortPlan& port, const GuestNames& names) {
  std::string text(kHeader);
  text += fmt::format("[connection]\nid=vpsd-{0}\nuuid={1}\ntype=ethernet\ninterface-name={0}\nautoconnect=true\n\n[ethernet]\n", port.guest_link,
                      connection_uuid(port));
  if (port.mtu != 0) text += fmt::format("mtu={}\n", port.mtu);
  for (auto family : {Family::kV4, Family::kV6}) {
    text += family == Family::kV4 ? "\n[ipv4]\n" : "\n[ipv6]\n";
    int count = 0;
    for (const auto& address : port.addresses)
      if (address.family() == family) text += fmt::format("address{}={}\n", ++count, format_prefix(address));
    text += fmt::format("method={}\n", count != 0 ? "manual" : family == Family::kV4 ? "disabled" : "link-local");
    int number = 0;
    for (const auto& route : port.routes)
      if (route.via && of_family(route, family)) {
        ++number;
        text += fmt::format("route{}={},{}\n", number, zero_destination(route), format_ip(*route.via));
        if (route.on_link) text += fmt::format("route{}_options=onlink=true\n", number);
      }
    std::string servers;
    for (const auto& server : names.nameservers)
      if ((server.find(':') != std::string::npos) == (family == Family::kV6)) servers += server + ";";
    if (!servers.empty() && count != 0) text += fmt::format("dns={}\n", servers);
    if (!names.search.empty() && count != 0) text += fmt::format("dns-search={};\n", joined(names.search, ";"));
  }
  return text;
}

std::string ifcfg_redhat(const net::PortPlan& port) {
  std::string text(kHeader);
  text += fmt::format("DEVICE={}\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=none\nNM_CONTROLLED=no\nARPCHECK=no\n", port.guest_link);
  if (port.mtu != 0) text += fmt::format("MTU={}\n", port.mtu);
  int count = 0;
  std::vector<std::string> six;
  for (const auto& address : port.addresses) {
    if (address.family() == Family::kV6) {
      six.push_back(format_prefix(address));
      continue;
    }
    std::string number = count == 0 ? std::string() : std::to_string(count);
    text += fmt::format("IPADDR{0}={1}\nPREFIX{0}={2}\n", number, format_ip(address.address), address.length);
    ++count;
  }
  if (!six.empty()) {
    text += fmt::format("IPV6INIT=yes\nIPV6_AUTOCONF=no\nIPV6ADDR={}\n", six.front());
    six.erase(six.begin());
    if (!six.empty()) text += fmt::format("IPV6ADDR_SECONDARIES=\"{}\"\n", joined(six, " "));
  }
  for (const auto& route : port.routes)
    if (route.via && route.destination.length == 0)
      text += of_family(route, Family::kV4) ? fmt::format("GATEWAY={}\n{}", format_ip(*route.via), route.on_link ? "SCOPE=\"scope link\"\n" : "")
                                            : fmt::format("IPV6_DEFAULTGW={}%{}\n", format_ip(*route.via), port.guest_link);
  return text;
}

std::string ifcfg_suse(const net::PortPlan& port) {
  std::string text(kHeader);
  text += "STARTMODE='auto'\nBOOTPROTO='static'\n";
  if (port.mtu != 0) text += fmt::format("MTU='{}'\n", port.mtu);
  for (std::size_t i = 0; i < port.addresses.size(); ++i) text += fmt::format("IPADDR_{}='{}'\n", i, format_prefix(port.addresses[i]));
  return text;
}

std::string ifroute_suse(const net::PortPlan& port) {
  std::string text(kHeader);
  for (const auto& route : port.routes)
    if (route.via) text += fmt::format("{} {} - {}{}\n", destination(route), format_ip(*route.via), port.guest_link, route.on_link ? " onlink" : "");
  return text;
}

}  // namespace vps::guest
