#include "netns/listeners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace vps::netns {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kHead = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

std::vector<Listener> parsed(const std::string& lines, net::Protocol protocol, Family family) {
  std::istringstream text(kHead + lines);
  return parse_listeners(text, protocol, family);
}

TEST(Listeners, OfTcpAreAtTheBeginning) {
  EXPECT_THAT(parsed("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
                     "   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1\n"
                     "   2: 026433C6:0016 016433C6:C350 01 00000000:00000000 00:00000000 00000000     0        0 3 1\n"
                     "   3: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4 1\n",
                     net::Protocol::kTcp, Family::kV4),
              ElementsAre(Listener{*parse_ip("127.0.0.1"), 8080}, Listener{*parse_ip("0.0.0.0"), 22}));
}

TEST(Listeners, OfUdpAreThoseWithoutAPeer) {
  EXPECT_THAT(parsed("   0: B80D0120000000000000000001000000:0035 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 1 1\n"
                     "   1: 00000000000000000000000000000000:C350 B80D0120000000000000000001000000:0035 01 0:0 0:0 0 0 0 1 1\n",
                     net::Protocol::kUdp, Family::kV6),
              ElementsAre(Listener{*parse_ip("2001:db8::1"), 53}));
}

TEST(Listeners, WhatIsNoSocketIsPassedOver) {
  EXPECT_THAT(parsed("\n   0: 0100007F 00000000:0000 0A\n   1: 0100007G:0016 00000000:0000 0A 0\n   2: 0100007F:zz16 00000000:0000 0A 0\n", net::Protocol::kTcp, Family::kV4),
              IsEmpty());
}

}  // namespace
}  // namespace vps::netns
