#include "daemon/networks/neighbours.h"

#include <gtest/gtest.h>

#include "specs/net/names.h"

namespace vps::daemon {
namespace {

constexpr const char* kUuid = "0f8fad5b-d9cb-469f-a165-70867728950e";

DefinedVps vps(std::string id, const std::string& mac = "auto", const std::string& network = "default") {
  DefinedVps out{std::move(id), kUuid, {}};
  out.network.none = false;
  auto& interface = out.network.interfaces.emplace_back();
  interface.name = "eth0";
  interface.network = network;
  interface.mac = mac;
  interface.addresses = {"auto"};
  return out;
}

std::string refusal(const DefinedVps& mine, const DefinedVps& other) {
  auto good = check_neighbours(mine, std::vector{other});
  return good ? "" : good.error().to_string();
}

TEST(Neighbours, AMacByHandIsNobodyElsesOnItsNetwork) {
  const std::string mac = "02:00:00:00:00:01", derived = format_mac(net::guest_mac(kUuid, "eth0"));
  EXPECT_EQ(refusal(vps("1", mac), vps("2", mac)), "network.interfaces.eth0.mac: 02:00:00:00:00:01 is vps 2's on network default");
  EXPECT_EQ(refusal(vps("1", derived), vps("2")), "network.interfaces.eth0.mac: " + derived + " is vps 2's on network default");
  EXPECT_EQ(refusal(vps("1"), vps("2", derived)), "network.interfaces.eth0.mac: " + derived + " is vps 2's on network default");
  EXPECT_EQ(refusal(vps("1", mac), vps("2")), "");
  EXPECT_EQ(refusal(vps("1", mac), vps("2", mac, "other")), "");
  EXPECT_EQ(refusal(vps("1", mac), vps("1", mac)), "") << "itself";
}

TEST(Neighbours, APortOfTheHostLeadsToOne) {
  auto with = [](std::string id, std::uint16_t port, net::Protocol protocol = net::Protocol::kTcp, const char* listen = nullptr, const char* guest = nullptr) {
    auto out = vps(std::move(id));
    Forward forward;
    forward.protocol = protocol;
    forward.port = port;
    if (listen != nullptr) forward.listen = *parse_ip(listen);
    if (guest != nullptr) forward.guest = *parse_ip(guest);
    out.network.firewall.forwards = {forward};
    return out;
  };
  using enum net::Protocol;
  EXPECT_EQ(refusal(with("1", 8080), with("2", 8080)), "network.firewall.forwards: tcp port 8080 of every address leads to vps 2 already");
  EXPECT_EQ(refusal(with("1", 8080, kUdp, "192.0.2.1"), with("2", 8080, kUdp, "192.0.2.1")),
            "network.firewall.forwards: udp port 8080 of 192.0.2.1 leads to vps 2 already");
  EXPECT_EQ(refusal(with("1", 8080), with("2", 8081)), "");
  EXPECT_EQ(refusal(with("1", 8080), with("2", 8080, kUdp)), "");
  EXPECT_EQ(refusal(with("1", 8080), with("2", 8080, kTcp, "192.0.2.1")), "") << "the exact one wins";
  EXPECT_EQ(refusal(with("1", 8080), with("2", 8080, kTcp, nullptr, "fd00::9")), "") << "another family";
}

TEST(Neighbours, APrefixLeadsToOne) {
  auto other = vps("2");
  other.network.interfaces[0].routed = {*parse_network("192.0.2.16/28")};
  auto with = [](const char* routed, const char* address) {
    auto out = vps("1");
    if (routed != nullptr) out.network.interfaces[0].routed = {*parse_network(routed)};
    if (address != nullptr) out.network.interfaces[0].addresses = {address};
    return out;
  };
  EXPECT_EQ(refusal(with("192.0.2.0/24", nullptr), other), "192.0.2.0/24 leads to vps 2 already (192.0.2.16/28)");
  EXPECT_EQ(refusal(with(nullptr, "192.0.2.17"), other), "192.0.2.17/32 leads to vps 2 already (192.0.2.16/28)");
  EXPECT_EQ(refusal(with(nullptr, "192.0.2.32"), other), "");
  EXPECT_EQ(refusal(with("192.0.2.0/28", nullptr), other), "");
  EXPECT_TRUE(routed_to(std::vector{other}, *parse_ip("192.0.2.16")));
  EXPECT_FALSE(routed_to(std::vector{other}, *parse_ip("192.0.2.15")));
}

}  // namespace
}  // namespace vps::daemon
