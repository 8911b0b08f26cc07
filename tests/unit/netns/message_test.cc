// Netlink messages byte by byte, and reading what is cut short or lies about its length.
#include "netns/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include "netns/link_messages.h"
#include "tests/unit/netns/show.h"

namespace vps::netns {
namespace {

using testing::HasSubstr;

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (int value : values) text.push_back(static_cast<char>(value));
  return text;
}

TEST(NetlinkMessage, IsAHeaderAndPaddedAttributes) {
  Message message(RTM_NEWLINK, NLM_F_CREATE, "try");
  message.u8(3, 7).text(4, "ab").nest(5, [](Message& inner) { inner.u16(1, 0x0201); });
  EXPECT_EQ(message.finish(9, NLM_F_ACK), bytes({16 + 8 + 8 + 12, 0, 0, 0, 16, 0, 0x05, 0x04, 9, 0, 0, 0, 0, 0, 0, 0,  //
                                                 5, 0, 3, 0, 7, 0, 0, 0,                                             //
                                                 7, 0, 4, 0, 'a', 'b', 0, 0,                                         //
                                                 12, 0, 5, 0x80, 6, 0, 1, 0, 1, 2, 0, 0}));
}

TEST(NetlinkMessage, IsReadAsItWasBuilt) {
  Message message(RTM_NEWLINK, 0, "try");
  ifinfomsg head{};
  head.ifi_index = 77;
  message.header(head).u32(IFLA_MTU, 1400).text(IFLA_IFNAME, "eth0").mac(IFLA_ADDRESS, {{2, 0, 0, 0, 0, 1}});
  message.nest(IFLA_LINKINFO, [](Message& info) { info.text(IFLA_INFO_KIND, "veth"); });
  std::string_view data = message.finish(1);
  auto view = next_message(data);
  ASSERT_TRUE(view);
  EXPECT_TRUE(data.empty());
  EXPECT_EQ(view->header<ifinfomsg>()->ifi_index, 77);
  Attributes attributes(*view, sizeof head);
  EXPECT_EQ(attributes.u32(IFLA_MTU), 1400u);
  EXPECT_EQ(attributes.text(IFLA_IFNAME), "eth0");
  EXPECT_EQ(attributes.mac(IFLA_ADDRESS), (MacAddress{{2, 0, 0, 0, 0, 1}}));
  EXPECT_EQ(attributes.nested(IFLA_LINKINFO).text(IFLA_INFO_KIND), "veth");
  EXPECT_FALSE(attributes.u64(IFLA_MTU)) << "four bytes are no eight";
  EXPECT_FALSE(attributes.address(IFLA_ADDRESS));
  EXPECT_TRUE(attributes.nested(IFLA_AF_SPEC).empty());
}

TEST(NetlinkMessage, ImpossibleLengthsEndTheList) {
  Message message(RTM_NEWLINK, 0, "try");
  message.u32(1, 1).u32(2, 2);
  std::string whole = message.finish(1);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::string_view cut = std::string_view(whole).substr(0, size);
    EXPECT_FALSE(next_message(cut)) << size;
  }
  for (int length : {0, 3, 17, 255}) {
    std::string bad = whole;
    bad[16] = static_cast<char>(length);
    std::string_view data = bad;
    auto view = next_message(data);
    ASSERT_TRUE(view);
    EXPECT_FALSE(Attributes(view->payload).next()) << length;
  }
  std::string short_header = whole;
  short_header[0] = 15;
  std::string_view data = short_header;
  EXPECT_FALSE(next_message(data));
}

TEST(NetlinkMessage, ErrorsCarryTheKernelsWords) {
  nlmsgerr error{};
  error.error = -EEXIST;
  Message message(NLMSG_ERROR, NLM_F_ACK_TLVS | NLM_F_CAPPED, "try");
  message.header(error).text(NLMSGERR_ATTR_MSG, "Device already exists.");
  std::string_view data = message.finish(1);
  auto answer = parse_acknowledgement(*next_message(data));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error, EEXIST);
  EXPECT_EQ(answer->text, "Device already exists.");

  // Without NETLINK_CAP_ACK the request stands between the error and the words.
  error.msg.nlmsg_len = sizeof(nlmsghdr) + 8;
  Message with_request(NLMSG_ERROR, NLM_F_ACK_TLVS, "try");
  with_request.header(error).header(std::uint64_t{0x1122334455667788}).text(NLMSGERR_ATTR_MSG, "no");
  data = with_request.finish(1);
  EXPECT_EQ(parse_acknowledgement(*next_message(data))->text, "no");

  Message good(NLMSG_ERROR, 0, "try");
  good.header(nlmsgerr{});
  data = good.finish(1);
  EXPECT_EQ(parse_acknowledgement(*next_message(data))->error, 0);
  Message other(RTM_NEWLINK, 0, "try");
  data = other.finish(1);
  EXPECT_FALSE(parse_acknowledgement(*next_message(data)));
}

net::PortPlan port() {
  net::PortPlan plan;
  plan.host_link = "v101.0";
  plan.guest_link = "eth0";
  plan.mac = {{2, 0, 0, 0, 0, 0x65}};
  plan.mtu = 1400;
  return plan;
}

TEST(LinkMessages, OneMessageMakesAPairWithItsPeerInTheVps) {
  auto message = create_veth(port(), host_mac_of(port()), 12, 7);
  EXPECT_EQ(show(message, sizeof(ifinfomsg)),
            "IFNAME v101.0\n"
            "ADDRESS fe:00:00:00:00:65\n"
            "NUM_TX_QUEUES 1\n"
            "NUM_RX_QUEUES 1\n"
            "MTU 1400\n"
            "MASTER 12\n"
            "LINKINFO:\n"
            "  KIND veth\n"
            "  DATA:\n"
            "    PEER:\n"
            "      IFNAME eth0\n"
            "      ADDRESS 02:00:00:00:00:65\n"
            "      NUM_TX_QUEUES 1\n"
            "      NUM_RX_QUEUES 1\n"
            "      MTU 1400\n"
            "      NET_NS_FD 7\n");
  std::string_view data = message.finish(1);
  auto view = next_message(data);
  EXPECT_EQ(view->flags & (NLM_F_CREATE | NLM_F_EXCL), NLM_F_CREATE | NLM_F_EXCL) << "never somebody else's link";
  EXPECT_EQ(view->header<ifinfomsg>()->ifi_flags, unsigned{IFF_UP});
  Attributes info = Attributes(*view, sizeof(ifinfomsg)).nested(IFLA_LINKINFO).nested(IFLA_INFO_DATA);
  ifinfomsg peer;
  std::memcpy(&peer, info.find(VETH_INFO_PEER)->data(), sizeof peer);
  EXPECT_EQ(peer.ifi_flags, 0u) << "a peer that is up is refused";
}

TEST(LinkMessages, SayWhatTheyCouldNotDo) {
  auto prefix = *parse_prefix("10.0.0.2/24");
  EXPECT_EQ(add_address(3, "eth0", prefix).what(), "add the address 10.0.0.2/24 to eth0");
  EXPECT_EQ(add_route(3, "eth0", {*parse_prefix("0.0.0.0/0"), *parse_ip("10.0.0.1"), false}).what(), "add the route 0.0.0.0/0 via 10.0.0.1 on eth0");
  EXPECT_EQ(add_host_route(3, "v101.0", *parse_prefix("fd00::2")).what(), "route fd00::2/128 to v101.0");
  EXPECT_EQ(add_proxy(3, "eth0", *parse_ip("10.0.0.2")).what(), "answer for 10.0.0.2 on eth0");
}

TEST(LinkMessages, OfIPv6AddressesNoDuplicateIsLookedFor) {
  auto v6 = add_address(3, "eth0", *parse_prefix("fd00::2/64"));
  std::string_view data = v6.finish(1);
  EXPECT_EQ(Attributes(*next_message(data), sizeof(ifaddrmsg)).u32(IFA_FLAGS), unsigned{IFA_F_NODAD});
  auto v4 = add_address(3, "eth0", *parse_prefix("10.0.0.2/24"));
  data = v4.finish(1);
  EXPECT_EQ(Attributes(*next_message(data), sizeof(ifaddrmsg)).address(IFA_BROADCAST), *parse_ip("10.0.0.255"));
}

}  // namespace
}  // namespace vps::netns
