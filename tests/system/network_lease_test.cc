// Addresses outlive the ledger that they are kept in: every VPS's own record knows them as well.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/files.h"
#include "daemon/records.h"
#include "tests/system/network_fixture.h"

namespace vps::test {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Not;

class LeaseTest : public NetworkTest {
 protected:
  void TearDown() override {
    if (vpsd_) {
      EXPECT_TRUE(remove_tree(vpsd_->state() + "/quarantine"));  // the damaged ledgers
    }
    NetworkTest::TearDown();
  }
  std::string ledger() const { return vpsd_->state() + "/ledger.db"; }
  std::string record_path(const std::string& id) const { return vpsd_->state() + "/containers/" + id + "/record.json"; }
  // While vpsd is down.
  void damage_ledger() {
    remove_ledger();
    ASSERT_TRUE(write_file_atomic(ledger(), std::string(64u << 10, 'x')));
  }
  void remove_ledger() {
    for (const char* suffix : {"", "-wal", "-shm"}) ASSERT_TRUE(remove_file(ledger() + suffix));
  }
  std::vector<std::string> recorded(const std::string& id) {
    std::vector<std::string> found;
    auto text = read_file(record_path(id));
    auto record = text ? daemon::parse_record(*text) : Result<daemon::Record>(std::unexpected(text.error()));
    EXPECT_TRUE(record) << record.error().to_string();
    if (!record) return found;
    for (const auto& lease : record->addresses) found.push_back(format_ip(lease.address.address));
    return found;
  }
  // "interface address" of `id`, as `network show` says it.
  std::vector<std::string> held(const std::string& network, const std::string& id) {
    std::vector<std::string> found;
    for (const auto& lease : json({"network", "show", network}).items("/addresses"))
      if (lease.string("/vps") == id) {
        const auto address = lease.string("/address");
        found.push_back(lease.string("/interface") + " " + address.substr(0, address.find('/')));
      }
    return found;
  }
  // Two networks, and VPSes of which 102 is on both, 103 has a fixed address beside its own one, and 101 runs.
  void populate() {
    ctl({"network", "create", "lan", "--subnet", "10.9.0.0/24", "--subnet", "fd09::/64"});
    ctl({"create", "gone", "-t", "busybox", "--ip", "auto"});  // whoever is counted anew gets what it had
    for (const char* id : {"101", "102", "103"})
      ctl({"create", id, "-t", "busybox", "--set",
           fmt::format("network.interfaces=[{{name: eth0, network: default, addresses: [auto]}}, {{name: eth1, network: lan, addresses: [{}]}}]",
                       std::string_view(id) == "103" ? "10.9.0.77, auto" : "auto")});
    ctl({"start", "--wait", "101"});
    ctl({"destroy", "gone"});
  }
  struct Picture {
    std::map<std::string, std::vector<std::string>> addresses, holders;
    bool operator==(const Picture&) const = default;
  };
  Picture picture() {
    Picture found;
    for (const char* id : {"101", "102", "103"}) {
      found.addresses[id] = addresses(id);
      for (const char* network : {"default", "lan"}) {
        auto more = held(network, id);
        found.holders[id].insert(found.holders[id].end(), more.begin(), more.end());
      }
    }
    return found;
  }
  void expect_as(const Picture& before) {
    EXPECT_THAT(picture().addresses, testing::ContainerEq(before.addresses));
    EXPECT_THAT(picture().holders, testing::ContainerEq(before.holders));
    for (const char* id : {"101", "102", "103"}) {
      EXPECT_EQ(vpsd_->ctl({"start", "--wait", id}).code, std::string_view(id) == "101" ? 5 : 0);
      EXPECT_EQ(addresses(id), before.addresses.at(id)) << id;
      ping(id, "203.0.113.1");
    }
    ping("102", before.addresses.at("103").at(0));
    // Nobody else gets one of them.
    ctl({"create", "new", "-t", "busybox", "--set",
         "network.interfaces=[{name: eth0, network: default, addresses: [auto]}, {name: eth1, network: lan, addresses: [auto]}]"});
    for (const auto& mine : addresses("new"))
      for (const auto& [id, theirs] : before.addresses) EXPECT_THAT(theirs, Not(testing::Contains(mine))) << id;
    auto refused = ctl({"create", "thief", "-t", "busybox", "--set", "network.interfaces=[{name: eth0, network: lan, addresses: [10.9.0.77]}]"}, 4);
    EXPECT_THAT(refused.err, HasSubstr("vps 103's"));
  }
};

TEST_F(LeaseTest, OutliveALedgerThatIsDamaged) {
  populate();
  const auto before = picture();
  ASSERT_EQ(before.addresses.at("103").size(), 5u);
  for (const auto& [id, mine] : before.addresses) EXPECT_THAT(recorded(id), testing::UnorderedElementsAreArray(mine));
  ASSERT_TRUE(vpsd_->kill());
  damage_ledger();
  restart_vpsd();
  EXPECT_THAT(ctl({"events"}).out, HasSubstr("the ledger did not know the addresses of 101, 102, 103; they are theirs as before"));
  EXPECT_THAT(ctl({"events"}).out, Not(HasSubstr("network.conflict")));
  expect_as(before);
}

TEST_F(LeaseTest, OutliveALedgerThatIsGone) {
  populate();
  const auto before = picture();
  ASSERT_TRUE(vpsd_->stop());
  remove_ledger();
  restart_vpsd();
  expect_as(before);
  // Said once.
  ASSERT_TRUE(vpsd_->stop());
  restart_vpsd();
  const auto events = ctl({"events"}).out;
  EXPECT_EQ(events.find("network.restored"), events.rfind("network.restored")) << events;
}

// Changed, destroyed, deleted: what was given back before is not taken over.
TEST_F(LeaseTest, OnlyWhatWasHeldIsTakenOver) {
  populate();
  ctl({"set", "102", "network.interfaces=[{name: eth0, network: default, addresses: [auto]}]"});
  ctl({"set", "103", "network.interfaces=[{name: eth0, network: default, addresses: [auto]}]"});
  ctl({"stop", "--force", "101"});
  ctl({"set", "101", "network.interfaces=[]"});
  EXPECT_TRUE(recorded("101").empty());
  const auto two = addresses("102"), three = addresses("103");
  ctl({"network", "delete", "lan"});
  ctl({"destroy", "103"});
  ASSERT_TRUE(vpsd_->kill());
  damage_ledger();
  restart_vpsd();
  EXPECT_EQ(addresses("102"), two);
  EXPECT_EQ(json({"network", "show", "default"}).items("/addresses").size(), 2u);
  // What nobody holds is free: 101's first, which is the lowest, then 103's.
  ctl({"create", "104", "-t", "busybox", "--ip", "auto"});
  ctl({"create", "105", "-t", "busybox", "--ip", "auto"});
  ctl({"create", "106", "-t", "busybox", "--ip", "auto"});
  std::vector<std::string> given;
  for (const char* id : {"104", "105", "106"}) given.push_back(addresses(id).at(0));
  EXPECT_THAT(given, testing::Contains(three.at(0)));
  EXPECT_THAT(given, Not(testing::Contains(two.at(0))));
}

// A destroy that cannot give the addresses back since the ledger cannot be written is finished by the next vpsd.
TEST_F(LeaseTest, ADestroyThatTheDamageInterruptedIsFinished) {
  populate();
  ASSERT_TRUE(vpsd_->stop());
  restart_vpsd({{"VPS_FAILPOINTS", "daemon.destroy.disk=kill"}});
  (void)vpsd_->ctl({"destroy", "102"});
  ASSERT_TRUE(vpsd_->wait_exit());
  damage_ledger();
  restart_vpsd();
  ctl({"show", "102"}, 3);
  EXPECT_TRUE(held("lan", "102").empty());
  EXPECT_EQ(held("lan", "103").size(), 3u);
}

// vpsd dies between the ledger and the record: the ledger is right while there is one, the record is as good as it was before.
TEST_F(LeaseTest, AChangeThatDiesBetweenLedgerAndRecord) {
  populate();
  const auto before = recorded("103");
  auto die_changing = [&] {
    ASSERT_TRUE(vpsd_->stop());
    restart_vpsd({{"VPS_FAILPOINTS", "daemon.change.addresses=kill"}});
    (void)vpsd_->ctl({"set", "103", "network.interfaces=[{name: eth0, network: default, addresses: [auto]}, {name: eth1, network: lan, addresses: [10.9.0.99]}]"});
    ASSERT_TRUE(vpsd_->wait_exit());
    EXPECT_EQ(recorded("103"), before);
  };
  die_changing();
  restart_vpsd();
  EXPECT_TRUE(eventually([&] { return recorded("103") != before; }));
  EXPECT_THAT(held("lan", "103"), ElementsAreArray({"eth1 10.9.0.99"}));
  EXPECT_THAT(recorded("103"), Not(testing::Contains("10.9.0.77")));
  ctl({"start", "--wait", "103"});  // by the definition, which is the old one
  EXPECT_THAT(addresses("103"), testing::Contains("10.9.0.77"));
  ctl({"stop", "--force", "103"});
  ASSERT_EQ(recorded("103"), before);
  die_changing();
  damage_ledger();
  restart_vpsd();
  EXPECT_EQ(recorded("103"), before);
  ctl({"start", "--wait", "103"});
  EXPECT_THAT(addresses("103"), testing::UnorderedElementsAreArray(before));
}

// The other way round: records say more than a ledger that is older, or claim what is another's.
TEST_F(LeaseTest, RecordsAndLedgerThatDisagree) {
  populate();
  const auto before = picture();
  const auto two = recorded("102"), three = recorded("103"), on_default = held("default", "101");
  ASSERT_TRUE(vpsd_->stop());
  auto rewrite = [&](const std::string& id, const auto& change) {
    auto text = read_file(record_path(id));
    ASSERT_TRUE(text);
    auto record = daemon::parse_record(*text);
    ASSERT_TRUE(record);
    change(record->addresses);
    ASSERT_TRUE(write_file_atomic(record_path(id), daemon::format_record(*record), 0600));
  };
  const auto one = parse_ip(before.addresses.at("101").at(0));
  ASSERT_TRUE(one);
  // 102's says that it has what 101 runs with; 103's is that of an older vpsd. The ledger is right, and they are put right.
  rewrite("102", [&](auto& leases) { leases.at(0).address.address = *one; });
  rewrite("103", [](auto& leases) { leases.clear(); });
  restart_vpsd();
  EXPECT_THAT(ctl({"events"}).out, HasSubstr(fmt::format("address {} of network default is vps 101's as well, which keeps it", before.addresses.at("101").at(0))));
  EXPECT_TRUE(eventually([&] { return recorded("102") == two && recorded("103") == three; }));
  EXPECT_EQ(picture(), before);
  // Without a ledger what runs has it, although 101's record does not say so any more.
  ASSERT_TRUE(vpsd_->stop());
  rewrite("101", [](auto& leases) { leases.clear(); });
  rewrite("102", [&](auto& leases) { leases.at(0).address.address = *one; });
  damage_ledger();
  restart_vpsd();
  EXPECT_EQ(addresses("101"), before.addresses.at("101"));
  EXPECT_EQ(held("default", "101"), on_default);
  ctl({"start", "--wait", "102"});
  EXPECT_NE(addresses("102").at(0), before.addresses.at("101").at(0));
  ping("102", "203.0.113.1");
  ping("101", "203.0.113.1");
}

// A start that changes nothing writes nothing.
TEST_F(LeaseTest, RecordsAreWrittenOnlyWhenAddressesChange) {
  make_connected("101");
  auto written = [&] {
    struct stat st{};
    EXPECT_EQ(::stat(record_path("101").c_str(), &st), 0);
    return st.st_ino;
  };
  const auto first = written();
  ctl({"restart", "101"});
  ctl({"set", "101", "hostname=other"});
  ASSERT_TRUE(vpsd_->kill());
  restart_vpsd();
  ctl({"restart", "101"});
  EXPECT_EQ(written(), first);
  ctl({"network", "create", "lan", "--subnet", "10.9.0.0/24"});
  ctl({"set", "101", "network.interfaces=[{name: eth0, network: default, addresses: [auto]}, {name: eth1, network: lan, addresses: [auto]}]"});
  EXPECT_NE(written(), first);
}

}  // namespace
}  // namespace vps::test
