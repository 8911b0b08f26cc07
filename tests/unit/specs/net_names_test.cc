#include "specs/net/names.h"

#include <gtest/gtest.h>

#include <set>

namespace vps::net {
namespace {

TEST(NetNames, FitIntoALinkName) {
  EXPECT_EQ(host_link_name("v", "101", "eth0"), "v101.0");
  EXPECT_EQ(host_link_name("v", "a2345678901", "eth3"), "va2345678901.3") << "the longest that fits as it is";
  EXPECT_EQ(host_link_name("v", "101", "venet0"), "v101.venet0");
  EXPECT_EQ(host_link_name("v", "101", "eth007"), "v101.eth007") << "another interface than eth7";
  std::set<std::string> names;
  const std::string longest(63, 'a');
  for (const auto& id : {longest, longest.substr(1), longest + "b", std::string("customer-number-17"), std::string("customer-number-18")})
    for (const char* interface : {"eth0", "eth9", "eth10", "eth015", "0", "venet0", "venet1", "enp3s0", "customers-of-it", "customers-of-us"}) {
      auto name = host_link_name("vps", id, interface);
      EXPECT_LE(name.size(), 15u) << name;
      EXPECT_TRUE(names.insert(name).second) << name << " twice";
    }
}

TEST(NetNames, Bridges) {
  EXPECT_EQ(bridge_name("v", "default"), "vbr-default");
  EXPECT_LE(bridge_name("vps", std::string(63, 'n')).size(), 15u);
  EXPECT_NE(bridge_name("v", "customers-of-berlin"), bridge_name("v", "customers-of-hamburg"));
}

TEST(NetNames, MacsAreStableAndLocal) {
  auto mac = guest_mac("6f1c1a52-4b55-4f0e-8a56-0d7f8a4b0f11", "eth0");
  EXPECT_EQ(mac, guest_mac("6f1c1a52-4b55-4f0e-8a56-0d7f8a4b0f11", "eth0"));
  EXPECT_NE(mac, guest_mac("6f1c1a52-4b55-4f0e-8a56-0d7f8a4b0f11", "eth1"));
  EXPECT_FALSE(mac.multicast());
  EXPECT_EQ(mac.bytes[0], 0x02);
}

}  // namespace
}  // namespace vps::net
