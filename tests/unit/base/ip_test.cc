#include "base/ip.h"

#include <gtest/gtest.h>

namespace vps {
namespace {

IpAddress ip(std::string_view text) {
  auto address = parse_ip(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(IpAddress{});
}
Prefix prefix(std::string_view text) {
  auto value = parse_prefix(text);
  EXPECT_TRUE(value) << text;
  return value.value_or(Prefix{});
}

TEST(Ip, AddressesArePrintedInTheirCanonicalForm) {
  EXPECT_EQ(format_ip(ip("10.200.0.1")), "10.200.0.1");
  EXPECT_EQ(format_ip(ip("FD00:0:0:0:0:0:0:2")), "fd00::2");
  EXPECT_EQ(format_ip(ip("::")), "::");
  for (const char* bad : {"", "10.0.0", "10.0.0.256", "10.0.0.1 ", "fd00::1%eth0", "1:2", "localhost", "010.0.0.1.2"})
    EXPECT_FALSE(parse_ip(bad)) << bad;
  EXPECT_FALSE(parse_ip(std::string_view("10.0.0.1\0x", 10)));
}

TEST(Ip, AdvanceCarriesAndStopsAtTheEnd) {
  auto address = ip("10.0.0.255");
  EXPECT_TRUE(advance(address));
  EXPECT_EQ(format_ip(address), "10.0.1.0");
  EXPECT_TRUE(advance(address, 0x10000));
  EXPECT_EQ(format_ip(address), "10.1.1.0");
  auto last = ip("255.255.255.255");
  EXPECT_FALSE(advance(last));
  EXPECT_EQ(format_ip(last), "255.255.255.255");
  auto six = ip("fd00::ffff:ffff:ffff:ffff");
  EXPECT_TRUE(advance(six));
  EXPECT_EQ(format_ip(six), "fd00:0:0:1::");
  auto end = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
  EXPECT_TRUE(advance(end, 0));
  EXPECT_FALSE(advance(end, 2));
  EXPECT_TRUE(advance(end, 1));
}

TEST(Ip, PrefixesKnowTheirNetwork) {
  auto net = prefix("10.1.2.3/20");
  EXPECT_EQ(format_prefix(net), "10.1.2.3/20");
  EXPECT_EQ(format_prefix(net.network()), "10.1.0.0/20");
  EXPECT_EQ(format_ip(net.last()), "10.1.15.255");
  EXPECT_TRUE(net.contains(ip("10.1.15.255")));
  EXPECT_FALSE(net.contains(ip("10.1.16.0")));
  EXPECT_FALSE(net.contains(ip("a01::"))) << "same bits, other family";
  EXPECT_TRUE(prefix("10.1.2.3").single());
  EXPECT_EQ(format_prefix(prefix("fd00::1/64").network()), "fd00::/64");
  EXPECT_TRUE(prefix("0.0.0.0/0").contains(prefix("10.0.0.0/8")));
  EXPECT_FALSE(prefix("10.0.0.0/8").contains(prefix("0.0.0.0/0")));
  EXPECT_TRUE(prefix("10.0.0.0/8").overlaps(prefix("0.0.0.0/0")));
  EXPECT_FALSE(prefix("10.0.0.0/24").overlaps(prefix("10.0.1.0/24")));
  for (const char* bad : {"10.0.0.1/33", "fd00::/129", "10.0.0.1/", "10.0.0.1/-1", "/24", "10.0.0.1/8/8"})
    EXPECT_FALSE(parse_prefix(bad)) << bad;
}

TEST(Ip, ANetworkHasALengthAndNoHostBits) {
  EXPECT_TRUE(parse_network("10.0.0.0/24"));
  auto bits = parse_network("10.0.0.1/24");
  ASSERT_FALSE(bits);
  EXPECT_NE(bits.error().message().find("10.0.0.0/24"), std::string::npos);
  EXPECT_FALSE(parse_network("10.0.0.0"));
}

TEST(Ip, MacAddresses) {
  auto mac = parse_mac("02:00:0A:c8:00:05");
  ASSERT_TRUE(mac);
  EXPECT_EQ(format_mac(*mac), "02:00:0a:c8:00:05");
  EXPECT_FALSE(mac->multicast());
  EXPECT_EQ(format_ip(link_local(*mac)), "fe80::aff:fec8:5") << "the universal bit is turned over, ff:fe stands in the middle";
  for (const char* bad : {"", "02:00:0a:c8:00", "02-00-0a-c8-00-05", "02:00:0a:c8:00:0g", "02:00:0a:c8:00:05:06"})
    EXPECT_FALSE(parse_mac(bad)) << bad;
}

}  // namespace
}  // namespace vps
