#include "specs/vps/guest_network.h"

#include <gtest/gtest.h>

namespace vps::guest {
namespace {

net::PortPlan port() {
  net::PortPlan port;
  port.guest_link = "eth0";
  port.mac = *parse_mac("02:00:00:00:00:01");
  port.mtu = 1400;
  port.addresses = {*parse_prefix("10.0.0.2/24"), *parse_prefix("fd00::2/64")};
  net::Route v4, v6;
  v4.via = *parse_ip("10.0.0.1");
  v6.destination.address.family = Family::kV6;
  v6.via = *parse_ip("fe80::1");
  v6.on_link = true;
  port.routes = {v4, v6};
  return port;
}
net::VpsPlan plan() {
  net::VpsPlan plan;
  plan.ports = {port()};
  return plan;
}
GuestNames names() { return {.configure = true, .hostname = "web.example.org", .nameservers = {"9.9.9.9", "2620:fe::fe"}, .search = {"example.org"}}; }

TEST(GuestNetwork, BlocksAreReplacedNotRepeated) {
  EXPECT_EQ(with_block("", "a\n"), "# vpsd: begin\na\n# vpsd: end\n");
  EXPECT_EQ(with_block("x", "a\n"), "x\n# vpsd: begin\na\n# vpsd: end\n");
  auto once = with_block("x\n", "a\n") + "y\n";
  EXPECT_EQ(with_block(once, "b\n"), "x\n# vpsd: begin\nb\n# vpsd: end\ny\n");
  EXPECT_EQ(with_block(with_block(once, "b\n"), "b\n"), with_block(once, "b\n"));
  EXPECT_EQ(with_block(once, ""), "x\ny\n");
  EXPECT_EQ(with_block("# vpsd: begin\ncut off", "a\n"), "# vpsd: begin\na\n# vpsd: end\n");
}

TEST(GuestNetwork, NamesAndServers) {
  EXPECT_EQ(hosts_lines(names()), "127.0.1.1\tweb.example.org web\n");
  EXPECT_EQ(hosts_lines({.configure = true, .hostname = "web", .nameservers = {}, .search = {}}), "127.0.1.1\tweb\n");
  EXPECT_EQ(resolv_conf(names()), std::string(kHeader) + "search example.org\nnameserver 9.9.9.9\nnameserver 2620:fe::fe\n");
  EXPECT_EQ(resolv_conf({}), "");
}

TEST(GuestNetwork, IfupdownRepeatsWithoutFailing) {
  EXPECT_EQ(ifupdown_lines(plan()),
            "auto eth0\niface eth0 inet manual\n"
            "  up ip address replace 10.0.0.2/24 dev eth0 || true\n"
            "  up ip address replace fd00::2/64 dev eth0 || true\n"
            "  up ip -4 route replace default via 10.0.0.1 dev eth0 || true\n"
            "  up ip -6 route replace default via fe80::1 dev eth0 onlink || true\n");
}

TEST(GuestNetwork, Networkd) {
  EXPECT_EQ(networkd(port(), names()), std::string(kHeader) +
                                           "[Match]\nName=eth0\n\n[Network]\nDHCP=no\nIPv6AcceptRA=no\nKeepConfiguration=yes\n"
                                           "Address=10.0.0.2/24\nAddress=fd00::2/64\nDNS=9.9.9.9\nDNS=2620:fe::fe\nDomains=example.org\n"
                                           "\n[Route]\nDestination=0.0.0.0/0\nGateway=10.0.0.1\n"
                                           "\n[Route]\nDestination=::/0\nGateway=fe80::1\nGatewayOnLink=yes\n\n[Link]\nMTUBytes=1400\n");
}

TEST(GuestNetwork, Netplan) {
  EXPECT_EQ(netplan(plan(), names()), std::string(kHeader) +
                                          "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: false\n      dhcp6: false\n      accept-ra: false\n"
                                          "      mtu: 1400\n      addresses:\n        - \"10.0.0.2/24\"\n        - \"fd00::2/64\"\n      routes:\n"
                                          "        - to: \"0.0.0.0/0\"\n          via: \"10.0.0.1\"\n        - to: \"::/0\"\n          via: \"fe80::1\"\n"
                                          "          on-link: true\n      nameservers:\n        addresses: [\"9.9.9.9\", \"2620:fe::fe\"]\n"
                                          "        search: [\"example.org\"]\n");
}

TEST(GuestNetwork, OthersNameEveryAddressAndRoute) {
  auto manager = network_manager(port(), names());
  for (const char* line : {"interface-name=eth0\n", "address1=10.0.0.2/24\nmethod=manual\nroute1=0.0.0.0/0,10.0.0.1\ndns=9.9.9.9;\n",
                           "address1=fd00::2/64\nmethod=manual\nroute1=::/0,fe80::1\nroute1_options=onlink=true\ndns=2620:fe::fe;\n", "mtu=1400\n"})
    EXPECT_NE(manager.find(line), std::string::npos) << line << manager;
  auto redhat = ifcfg_redhat(port());
  for (const char* line : {"DEVICE=eth0\n", "IPADDR=10.0.0.2\nPREFIX=24\n", "IPV6ADDR=fd00::2/64\n", "GATEWAY=10.0.0.1\n", "IPV6_DEFAULTGW=fe80::1%eth0\n"})
    EXPECT_NE(redhat.find(line), std::string::npos) << line << redhat;
  EXPECT_NE(ifcfg_suse(port()).find("IPADDR_0='10.0.0.2/24'\nIPADDR_1='fd00::2/64'\n"), std::string::npos);
  EXPECT_EQ(ifroute_suse(port()), std::string(kHeader) + "default 10.0.0.1 - eth0\ndefault fe80::1 - eth0 onlink\n");
}

}  // namespace
}  // namespace vps::guest
