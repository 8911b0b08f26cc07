#include "daemon/networks/lease_book.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps::daemon {
namespace {

using std::chrono::milliseconds;

class LeaseBookTest : public testing::Test {
 protected:
  LeaseBookTest() {
    networks_["small"] = *parse_network_definition("{name: small, subnets: [10.0.0.0/29]}", "");
    networks_["both"] = *parse_network_definition("{name: both, subnets: [10.1.0.0/24, 'fd00::/64']}", "");
    networks_["plain"] = *parse_network_definition("{name: plain, mode: macvlan, uplinks: [e]}", "");
  }
  LeaseBook open(milliseconds cool_down = milliseconds(0)) { return LeaseBook(dir_ / "ledger.db", cool_down); }
  static std::vector<Interface> on(const std::string& network, std::vector<std::string> addresses = {"auto"}) {
    Interface interface;
    interface.name = "eth0";
    interface.network = network;
    interface.addresses = std::move(addresses);
    return {interface};
  }
  static std::string text(const Result<std::vector<Lease>>& leases) {
    if (!leases) return fmt::format("{} {}", static_cast<int>(leases.error().code()), leases.error().to_string());
    std::string out;
    for (const auto& lease : *leases) out += (out.empty() ? "" : " ") + format_prefix(lease.address);
    return out;
  }

  vps::test::TempDir dir_;
  LeaseBook::Networks networks_;
};

TEST_F(LeaseBookTest, GivesTheNextFreeAndKeepsIt) {
  auto book = open();
  EXPECT_EQ(text(book.assign("1", on("small"), networks_)), "10.0.0.2/29");
  EXPECT_EQ(text(book.assign("2", on("small"), networks_)), "10.0.0.3/29");
  EXPECT_EQ(text(book.assign("1", on("small"), networks_)), "10.0.0.2/29");
  EXPECT_EQ(text(book.assign("3", on("both"), networks_)), "10.1.0.2/24 fd00::2/64");
  auto again = open();
  EXPECT_EQ(text(again.of_vps("2")), "10.0.0.3/29");
  EXPECT_EQ(text(again.assign("4", on("small"), networks_)), "10.0.0.4/29");
}

TEST_F(LeaseBookTest, ExhaustedPoolsAndDuplicatesChangeNothing) {
  auto book = open();
  for (const char* id : {"1", "2", "3", "4", "5"}) ASSERT_TRUE(book.assign(id, on("small"), networks_));
  EXPECT_EQ(text(book.assign("6", on("small"), networks_)), "9 no free address in network small (10.0.0.0/29)");
  EXPECT_EQ(text(book.assign("6", on("both", {"10.1.0.9", "10.0.0.2"}), networks_)),
            "2 network.interfaces.eth0.addresses: 10.0.0.2 is in no subnet of network both");
  EXPECT_EQ(text(book.assign("6", on("small", {"10.0.0.4"}), networks_)), "4 address 10.0.0.4 of network small is vps 3's");
  EXPECT_EQ(text(book.assign("6", on("small", {"10.0.0.1"}), networks_)),
            "2 network.interfaces.eth0.addresses: 10.0.0.1 cannot be given out in network small: it is a gateway or the edge of 10.0.0.0/29");
  EXPECT_EQ(text(book.assign("6", on("small", {"10.0.0.4/24"}), networks_)),
            "2 network.interfaces.eth0.addresses: 10.0.0.4/24: network small has the subnet 10.0.0.0/29");
  EXPECT_EQ(text(book.of_vps("6")), "");
  EXPECT_EQ(text(book.assign("7", on("plain", {"192.0.2.1/24"}), networks_)), "192.0.2.1/24");
  EXPECT_EQ(text(book.assign("8", on("plain", {"192.0.2.1/24"}), networks_)), "4 address 192.0.2.1 of network plain is vps 7's");
}

TEST_F(LeaseBookTest, AddressesRestBeforeTheyAreAnothers) {
  auto book = open(milliseconds(3'600'000));
  ASSERT_TRUE(book.assign("1", on("small"), networks_));
  ASSERT_TRUE(book.release("1"));
  EXPECT_EQ(text(book.assign("2", on("small"), networks_)), "10.0.0.3/29");
  EXPECT_EQ(text(book.assign("1", on("small"), networks_)), "10.0.0.2/29") << "who had it may have it again";
  for (const char* id : {"3", "4", "5"}) ASSERT_TRUE(book.assign(id, on("small"), networks_));
  ASSERT_TRUE(book.release("3"));
  EXPECT_EQ(text(book.assign("6", on("small"), networks_)),
            "9 no free address in network small (10.0.0.0/29); 1 given back a while ago rests, the first for another 1h");
  ASSERT_TRUE(book.release("4"));
  EXPECT_EQ(text(book.assign("6", on("small"), networks_)),
            "9 no free address in network small (10.0.0.0/29); 2 given back a while ago rest, the first for another 1h");
  auto quick = open(milliseconds(0));
  ASSERT_TRUE(quick.release("1"));
  EXPECT_EQ(text(quick.assign("7", on("small"), networks_)), "10.0.0.2/29");
}

// An address that leads to somebody by a prefix is passed over, also where this VPS had it once.
TEST_F(LeaseBookTest, NothingIsGivenOutThatLeadsElsewhere) {
  auto book = open();
  const LeaseBook::Elsewhere elsewhere = [](const IpAddress& address) { return address == *parse_ip("10.0.0.2") || address == *parse_ip("10.0.0.4"); };
  EXPECT_EQ(text(book.assign("1", on("small"), networks_, false, elsewhere)), "10.0.0.3/29");
  EXPECT_EQ(text(book.assign("2", on("small", {"10.0.0.4"}), networks_, false, elsewhere)), "10.0.0.4/29") << "by name it is the caller's affair";
  ASSERT_TRUE(book.release("2"));
  EXPECT_EQ(text(book.assign("2", on("small"), networks_, false, elsewhere)), "10.0.0.5/29");
}

TEST_F(LeaseBookTest, ChangesGiveBackWhatIsNotAskedForAnyMore) {
  auto book = open();
  ASSERT_TRUE(book.assign("1", on("small", {"auto", "10.0.0.6"}), networks_));
  EXPECT_EQ(text(book.of_vps("1")), "10.0.0.2/29 10.0.0.6/29");
  ASSERT_TRUE(book.assign("1", on("small", {"10.0.0.5"}), networks_, true));
  EXPECT_EQ(book.of_vps("1")->size(), 3u) << "it runs with the others still";
  ASSERT_TRUE(book.assign("1", on("small", {"10.0.0.5"}), networks_));
  EXPECT_EQ(text(book.of_vps("1")), "10.0.0.5/29");
}

TEST_F(LeaseBookTest, SweepsWhatBelongsToNobody) {
  auto book = open();
  ASSERT_TRUE(book.assign("1", on("small"), networks_));
  ASSERT_TRUE(book.assign("2", on("small"), networks_));
  auto gone = book.sweep([](const std::string& id) { return id == "2"; });
  ASSERT_TRUE(gone);
  EXPECT_EQ(*gone, std::vector<std::string>{"1"});
  EXPECT_EQ(book.of_network("small")->size(), 1u);
}

// A ledger that was lost: what VPSes say is theirs again, and nothing of it is given out.
TEST_F(LeaseBookTest, ClaimsFillABookThatWasLost) {
  std::vector<LeaseBook::Claim> claims;
  std::vector<Interface> two = on("both");
  two.push_back(on("small", {"10.0.0.6", "auto"})[0]);
  two[1].name = "eth1";
  {
    auto book = open();
    ASSERT_TRUE(book.assign("9", on("small"), networks_));
    ASSERT_TRUE(book.assign("1", two, networks_));
    ASSERT_TRUE(book.assign("2", on("both"), networks_));
    for (const char* id : {"1", "2"}) {
      auto leases = book.of_vps(id);
      ASSERT_TRUE(leases);
      for (const auto& lease : *leases) claims.push_back({lease});
    }
    ASSERT_EQ(claims.size(), 6u);
  }
  ASSERT_TRUE(remove_file(dir_ / "ledger.db"));
  auto book = open();
  auto restored = book.restore(claims);
  ASSERT_TRUE(restored) << restored.error().to_string();
  EXPECT_EQ(restored->taken.size(), 6u);
  EXPECT_TRUE(restored->conflicts.empty());
  EXPECT_EQ(text(book.assign("3", on("both"), networks_)), "10.1.0.4/24 fd00::4/64");
  EXPECT_EQ(text(book.assign("1", two, networks_)), "10.1.0.2/24 fd00::2/64 10.0.0.6/29 10.0.0.3/29");
  EXPECT_EQ(text(book.assign("2", on("both"), networks_)), "10.1.0.3/24 fd00::3/64");
  EXPECT_EQ(text(book.assign("4", on("small", {"10.0.0.6"}), networks_)), "4 address 10.0.0.6 of network small is vps 1's");
  auto again = book.restore(claims);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->taken.empty());
  EXPECT_EQ(text(open().of_vps("2")), "10.1.0.3/24 fd00::3/64") << "on disk";
}

TEST_F(LeaseBookTest, OfTwoThatClaimOneAddressTheOneThatRunsHasIt) {
  auto claim = [](const char* vps, bool runs) {
    return LeaseBook::Claim{{"small", vps, "eth0", *parse_prefix("10.0.0.2/29"), false}, runs};
  };
  auto who = [](const Result<LeaseBook::Restored>& restored) {
    std::string out;
    for (const auto& [lease, holder] : restored->conflicts) out += lease.vps + " loses to " + holder + ";";
    return out;
  };
  auto book = open();
  EXPECT_EQ(who(book.restore({claim("1", false), claim("2", true), claim("3", true)})), "3 loses to 2;1 loses to 2;");
  ASSERT_EQ(text(book.of_vps("2")), "10.0.0.2/29");
  // Where the book knows the holder, only one that runs takes it from it.
  EXPECT_EQ(who(book.restore({claim("4", false)})), "4 loses to 2;");
  EXPECT_EQ(who(book.restore({claim("4", true), claim("2", false)})), "2 loses to 4;2 loses to 4;");
  EXPECT_EQ(text(book.of_vps("4")), "10.0.0.2/29");
  EXPECT_EQ(text(book.of_vps("2")), "");
}

TEST_F(LeaseBookTest, WhatWasGivenBackIsNotClaimedAgain) {
  auto book = open(milliseconds(3'600'000));
  ASSERT_TRUE(book.assign("1", on("small"), networks_));
  const LeaseBook::Claim old{book.of_vps("1")->at(0), false};
  ASSERT_TRUE(book.release("1"));
  EXPECT_TRUE(book.restore({old})->taken.empty()) << "its record was not written any more";
  EXPECT_EQ(text(book.of_vps("1")), "");
  EXPECT_EQ(book.restore({{old.lease, true}})->taken.size(), 1u) << "it runs with it";
  EXPECT_EQ(text(book.of_vps("1")), "10.0.0.2/29");
}

// Networks can be deleted and made anew while a VPS that does not name them any more holds an address there.
TEST_F(LeaseBookTest, AnAddressThatIsTheGatewaysByNowIsNotKept) {
  auto book = open();
  ASSERT_TRUE(book.assign("1", on("small"), networks_));
  networks_["small"] = *parse_network_definition("{name: small, subnets: [10.0.0.0/29], gateways: [10.0.0.2]}", "");
  EXPECT_EQ(text(book.assign("1", on("small"), networks_)), "10.0.0.1/29");
}

TEST(LeaseClaimsTest, ARecordAndTheRunOfIt) {
  auto lease = [](const char* address, bool fixed) { return Lease{"n", "1", "eth0", *parse_prefix(address), fixed}; };
  Definition definition;
  Interface interface;
  interface.name = "eth0";
  interface.network = "n";
  interface.addresses = {"auto", "10.0.0.9"};
  definition.network.interfaces = {interface};
  net::VpsPlan plan;
  plan.id = "1";
  auto& port = plan.ports.emplace_back();
  port.network = "n";
  port.guest_link = "eth0";
  port.addresses = {*parse_prefix("10.0.0.3/24"), *parse_prefix("10.0.0.9/24"), *parse_prefix("10.0.0.4/24")};
  using Claims = std::vector<LeaseBook::Claim>;
  EXPECT_EQ(lease_claims({lease("10.0.0.2/24", false)}, definition, nullptr), (Claims{{lease("10.0.0.2/24", false), false}}));
  EXPECT_EQ(lease_claims({lease("10.0.0.2/24", false), lease("10.0.0.3/24", false)}, definition, &plan),
            (Claims{{lease("10.0.0.2/24", false), false},
                    {lease("10.0.0.3/24", false), true},
                    {lease("10.0.0.9/24", true), true},
                    {lease("10.0.0.4/24", false), true}}));
}

TEST_F(LeaseBookTest, WhatCannotBeReadGivesNothingOut) {
  ASSERT_TRUE(write_file_atomic(dir_ / "ledger.db", std::string(8192, 'x')));
  auto book = open();
  EXPECT_FALSE(book.assign("1", on("small"), networks_));
  EXPECT_FALSE(book.of_vps("1"));
}

}  // namespace
}  // namespace vps::daemon
