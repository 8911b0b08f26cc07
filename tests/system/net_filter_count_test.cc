// Counters to the byte, and tables that others have touched.
#include <poll.h>

#include <thread>

#include "base/files.h"
#include "tests/support/temp_dir.h"
#include "tests/system/net_filter_fixture.h"

namespace vps::netns {
namespace {

using namespace test;
using net::Direction;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using Counts = std::pair<std::uint64_t, std::uint64_t>;  // bytes, packets

class NetFilterCount : public FilterTest {
 protected:
  // Datagrams of these sizes from one to the other, one by one, so that each has arrived.
  static void transfer(const UniqueFd& from, const UniqueFd& to, const std::string& address, std::uint16_t port, const std::vector<std::size_t>& sizes) {
    std::string data(65536, 'x');
    for (auto size : sizes) {
      ASSERT_TRUE(send(from, address, port, data.substr(0, size)));
      ASSERT_TRUE(readable(to, 10'000));
      ASSERT_EQ(::recv(to.get(), data.data(), data.size(), 0), static_cast<ssize_t>(size));
    }
  }
  // Bytes of IP packets with UDP of these sizes.
  static Counts expected(const std::vector<std::size_t>& sizes, std::size_t header) {
    Counts sum{};
    for (auto size : sizes) sum = {sum.first + size + 8 + header, sum.second + 1};
    return sum;
  }
  Counts difference(const std::string& id, Direction direction, Family family, std::uint8_t number, const Counts& before) {
    auto now = counted(id, direction, family, number);
    return {now.first - before.first, now.second - before.second};
  }
};

TEST_F(NetFilterCount, ClassesAreExactToTheByteInBothModes) {
  const std::vector<std::size_t> kSizes{0, 1, 100, 999, 1400}, kAnswers{7, 1300};
  for (bool routed : {false, true}) {
    unsigned number = routed ? 104 : 101;
    std::string id = std::to_string(number), own4 = routed ? "198.51.100.104" : "10.77.0.101", own6 = routed ? "2001:db8:1::104" : "fd77::101";
    auto guest = start(plan_of(routed, number)), other = start(plan_of(routed, number + 1));
    std::string other4 = routed ? "198.51.100.105" : "10.77.0.102";
    struct Case {
      std::string own, peer;
      const Namespace* where;
      Family family;
      std::uint8_t number;
    };
    for (const auto& each : {Case{own4, "198.51.100.1", &internet_, Family::kV4, 3}, Case{own6, "2001:db8:1::1", &internet_, Family::kV6, 4},
                             Case{own4, other4, &other, Family::kV4, 0}}) {
      ASSERT_TRUE(exchange(guest, *each.where, each.peer)) << each.peer;
      auto here = bound(guest, each.own, 5000), there = bound(*each.where, each.peer, 5001);
      auto out = counted(id, Direction::kOut, each.family, each.number), in = counted(id, Direction::kIn, each.family, each.number);
      transfer(here, there, each.peer, 5001, kSizes);
      transfer(there, here, each.own, 5000, kAnswers);
      std::size_t header = each.family == Family::kV4 ? 20 : 40;
      EXPECT_EQ(difference(id, Direction::kOut, each.family, each.number, out), expected(kSizes, header)) << each.peer;
      EXPECT_EQ(difference(id, Direction::kIn, each.family, each.number, in), expected(kAnswers, header)) << each.peer;
    }
    // The other one has counted the same the other way round.
    EXPECT_GE(counted(std::to_string(number + 1), Direction::kIn, Family::kV4, 0).second, kSizes.size());
  }
}

TEST_F(NetFilterCount, NewClassesCountAtOnceAndOldOnesKeepWhatTheyHave) {
  auto guest = start(plan_of(false, 101));
  ASSERT_TRUE(exchange(guest, internet_, "198.51.100.1"));
  auto here = bound(guest, "10.77.0.101", 5000), there = bound(internet_, "198.51.100.1", 5001);
  auto before = counted("101", Direction::kOut, Family::kV4, 3);
  state_.classes = {{prefix("198.51.100.1/32"), 9}, {prefix("198.51.100.0/25"), 3}};
  ASSERT_TRUE(on_host([&] { return filter_.configure(state_.networks, state_.classes); }));
  transfer(here, there, "198.51.100.1", 5001, {100});
  EXPECT_EQ(counted("101", Direction::kOut, Family::kV4, 9), Counts(128, 1));
  EXPECT_EQ(counted("101", Direction::kOut, Family::kV4, 3), before);
  EXPECT_THAT(check(), IsEmpty());
}

// Intervals of classes that nest, touch and end with each other, each set of them after each other one: a vpsd that starts finds those of the
// one before it.
TEST_F(NetFilterCount, AnyClassesFollowAnyOthers) {
  const std::vector<std::vector<net::TrafficClass>> all = {
      {{prefix("198.51.100.0/24"), 2}, {prefix("2001:db8:1::/64"), 2}},
      {{prefix("198.51.0.0/16"), 2}, {prefix("198.51.100.128/25"), 3}, {prefix("2001:db8::/32"), 3}},
      {{prefix("198.51.100.1/32"), 3}, {prefix("198.51.100.0/31"), 4}, {prefix("0.0.0.0/1"), 5}, {prefix("128.0.0.0/1"), 6}},
      {{prefix("10.77.1.0/24"), 8}, {prefix("198.51.99.0/24"), 2}, {prefix("255.255.255.255/32"), 2}, {prefix("0.0.0.0/32"), 2}},
  };
  for (std::size_t one = 0; one < all.size(); ++one)
    for (std::size_t two = one + 1; two < all.size(); ++two)
      for (auto at : {one, two, one}) {
        SCOPED_TRACE(testing::Message() << one << " and " << two << ", now " << at);
        state_.classes = all[at];
        ensure();
        EXPECT_THAT(ensure(), IsEmpty());
      }
}

TEST_F(NetFilterCount, AForeignFlushIsNoticedPutRightAndLosesNothingForTheMeter) {
  auto plan = plan_of(false, 101);
  plan.firewall.default_in = net::Verdict::kDrop;
  auto guest = start(plan);
  auto watch = on_host([&] { return FilterWatch::open("vpsdtest"); });
  ASSERT_TRUE(watch);
  ASSERT_TRUE(exchange(guest, internet_, "198.51.100.1"));
  auto here = bound(guest, "10.77.0.101", 5000), there = bound(internet_, "198.51.100.1", 5001);
  TrafficMeter meter;
  std::uint64_t total = 0;
  auto read = [&] {
    auto samples = on_host([&] { return filter_.traffic(); });
    ASSERT_TRUE(samples);
    for (const auto& each : meter.add(*samples))
      if (each.direction == Direction::kOut && each.traffic_class == 3) total += each.bytes;
  };
  read();
  total = 0;
  transfer(here, there, "198.51.100.1", 5001, {1000, 1000});
  read();
  EXPECT_EQ(total, 2056u);
  // Our own changes are no news, nor are tables of others.
  change(plan);
  add(plan_of(false, 102));
  nft("add table inet somebody");
  EXPECT_EQ(watch->drain().value_or(true), false);
  EXPECT_EQ(ensure(), std::vector<std::string>{});

  nft("flush ruleset");
  pollfd poll{watch->fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&poll, 1, 10'000), 1);
  EXPECT_EQ(watch->drain().value_or(false), true);
  EXPECT_THAT(check(), Contains(HasSubstr("table inet vpsdtest is missing")));
  transfer(here, there, "198.51.100.1", 5001, {50});  // goes on while nothing is there
  EXPECT_THAT(ensure(), Contains(HasSubstr("table bridge vpsdtest is missing")));
  EXPECT_THAT(check(), IsEmpty());
  EXPECT_EQ(watch->drain().value_or(true), false);
  read();
  transfer(here, there, "198.51.100.1", 5001, {1000});
  transfer(there, here, "10.77.0.101", 5000, {10});   // the firewall still knows the connection
  read();
  EXPECT_EQ(total, 3084u);
  EXPECT_FALSE(exchange(internet_, guest, "10.77.0.101", std::chrono::milliseconds(500)));
}

TEST_F(NetFilterCount, SmallDamageIsPutRightWithoutLosingCounters) {
  auto guest = start(plan_of(false, 101));
  ASSERT_TRUE(exchange(guest, internet_, "198.51.100.1"));
  auto before = counted("101", Direction::kOut, Family::kV4, 3);
  ASSERT_GT(before.second, 0u);
  for (const char* damage : {"delete element bridge vpsdtest macs { \"v101.0\" . 02:00:00:00:00:65 }", "flush chain inet vpsdtest outgoing",
                             "add rule bridge vpsdtest guard accept", "add chain inet vpsdtest other", "flush map inet vpsdtest owner4",
                             "add element inet vpsdtest smtp_deny { 5 }", "flush chain inet vpsdtest connection_caps", "delete table arp vpsdtest"}) {
    nft(damage);
    EXPECT_FALSE(check().empty()) << damage;
    EXPECT_FALSE(ensure().empty()) << damage;
    EXPECT_THAT(check(), IsEmpty()) << damage;
    EXPECT_EQ(counted("101", Direction::kOut, Family::kV4, 3), before) << damage;
  }
  EXPECT_TRUE(exchange(guest, internet_, "198.51.100.1"));
}

TEST_F(NetFilterCount, TakenAwayWithLastReadingsAndByIdAlone) {
  auto plan = plan_of(false, 101);
  plan.ports[0].allowed.push_back(prefix("2001:db8:99::/57"));
  plan.firewall.default_in = net::Verdict::kDrop;
  plan.firewall.forwards = {{1, std::nullopt, net::Protocol::kAny, 9000, 90, ip("10.77.0.101")}};
  add(plan);
  add(plan_of(true, 102));
  EXPECT_THAT(*on_host([&] { return filter_.ids(); }), ElementsAre("101", "102"));
  // Somebody else's address, port or prefix is refused, and nothing of the plan stays.
  auto thief = plan_of(false, 103);
  thief.ports[0].allowed.push_back(prefix("2001:db8:99:10::/60"));
  EXPECT_EQ(on_host([&] { return filter_.add(thief); }).error().code(), Code::kExists);
  thief = plan_of(false, 103);
  thief.ports[0].allowed.push_back(prefix("10.77.0.101/32"));
  EXPECT_EQ(on_host([&] { return filter_.add(thief); }).error().code(), Code::kExists);
  EXPECT_THAT(check(), IsEmpty());
  // Twice is as good as once.
  EXPECT_TRUE(on_host([&] { return filter_.add(plan); }));
  auto last = on_host([&] { return filter_.remove(plan); });
  ASSERT_TRUE(last) << last.error().to_string();
  EXPECT_FALSE(last->empty());
  EXPECT_TRUE(on_host([&] { return filter_.remove(plan); }));
  EXPECT_THAT(*on_host([&] { return filter_.ids(); }), ElementsAre("102"));
  add(plan);
  nft("delete element bridge vpsdtest ports { \"v101.0\" }");
  EXPECT_TRUE(on_host([&] { return filter_.remove(plan); }));
  add(plan);
  EXPECT_TRUE(on_host([&] { return filter_.purge("101"); }));
  EXPECT_TRUE(on_host([&] { return filter_.purge("102"); }));
  EXPECT_TRUE(on_host([&] { return filter_.purge("nobody"); }));
  state_.vpses.clear();
  EXPECT_THAT(check(), IsEmpty());
  EXPECT_TRUE(on_host([&] { return filter_.remove_tables(); }));
  EXPECT_TRUE(on_host([&] { return filter_.remove_tables(); }));
  EXPECT_THAT(nft("list ruleset"), IsEmpty());
  EXPECT_EQ(on_host([&] { return filter_.add(plan); }).error().code(), Code::kNotFound);
  EXPECT_TRUE(on_host([&] { return filter_.remove(plan); }));
}

TEST_F(NetFilterCount, ManyThreadsAtOnceLeaveWhatEachHasDone) {
  constexpr unsigned kThreads = 4, kEach = 15;
  std::vector<net::VpsPlan> stay[kThreads];
  host_.within([&] {  // threads begin in the namespace of the one that makes them
    std::vector<std::jthread> threads;
    for (unsigned thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        for (unsigned i = 0; i < kEach; ++i) {
          auto plan = plan_of(false, 1);
          plan.id = fmt::format("{}-{}", thread, i);
          plan.ports[0].host_link = fmt::format("v{}-{}.0", thread, i);
          plan.ports[0].allowed = {prefix(fmt::format("10.77.{}.{}/32", thread + 1, i)), prefix(fmt::format("fd77:0:{}:{}::/64", thread + 1, i))};
          plan.ports[0].guard.connections = 100 + i % 3;
          if (i % 2 == 0) plan.firewall.default_in = net::Verdict::kDrop;
          EXPECT_TRUE(filter_.add(plan));
          auto after = plan;
          after.firewall.default_out = net::Verdict::kReject;
          EXPECT_TRUE(filter_.change(plan, after));
          EXPECT_TRUE(filter_.traffic());
          if (i % 3 != 0) {
            stay[thread].push_back(after);
            continue;
          }
          EXPECT_TRUE(filter_.remove(after));
        }
      });
  });
  for (auto& plans : stay) state_.vpses.insert(state_.vpses.end(), plans.begin(), plans.end());
  (void)ensure();  // two that need the same new cap at once may both write its rule
  EXPECT_THAT(check(), IsEmpty());
  EXPECT_EQ(on_host([&] { return filter_.ids(); })->size(), kThreads * kEach * 2 / 3);
}

// As fail2ban and docker leave them. What it costs is printed; that our own tables are looked at alone is what the times show.
TEST_F(NetFilterCount, ManyForeignRulesAreNotInTheWay) {
  auto guest = start(plan_of(false, 101));
  auto timed = [](auto&& work) {
    auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  };
  auto look = [&] { EXPECT_THAT(check(), IsEmpty()); };
  look();
  double before = timed(look);
  auto watch = on_host([&] { return FilterWatch::open("vpsdtest"); });
  ASSERT_TRUE(watch);
  TempDir dir;
  std::string rules = "add table ip banned\nadd chain ip banned every { type filter hook forward priority 5; }\n";
  for (int i = 0; i < 200; ++i) rules += fmt::format("add chain ip banned c{}\n", i);
  for (int i = 0; i < 20'000; ++i) rules += fmt::format("add rule ip banned c{} ip saddr 192.0.{}.{} drop\n", i % 200, i / 256, i % 256);
  ASSERT_TRUE(write_file_atomic(dir / "rules.nft", rules));
  auto loaded = host_.in([&] { return run({"nft", "-f", dir / "rules.nft"}); });
  ASSERT_TRUE(loaded && loaded->code == 0) << loaded->describe();
  double drained = timed([&] { EXPECT_TRUE(watch->drain()); });
  double after = timed(look);
  double added = timed([&] { add(plan_of(false, 102)); });
  double blocks = timed([&] { EXPECT_TRUE(on_host([] { return Filter::foreign_blocks("vbr-default", "eth0"); })); });
  std::printf("20000 rules of others: check %.1f ms, %.1f without; notices read in %.1f ms; add %.1f ms; foreign_blocks %.1f ms\n", after, before, drained,
              added, blocks);
  look();
}

TEST_F(NetFilterCount, AThousandVpses) {
  double first = 0, last = 0;
  constexpr unsigned kMany = 1000;
  auto begin = std::chrono::steady_clock::now();
  auto lap = [&] {
    auto now = std::chrono::steady_clock::now();
    double micro = std::chrono::duration<double, std::micro>(now - std::exchange(begin, now)).count();
    return micro;
  };
  for (unsigned i = 0; i < kMany; ++i) {
    auto plan = plan_of(false, 101);
    plan.id = std::to_string(1000 + i);
    plan.ports[0].host_link = "v" + plan.id + ".0";
    plan.ports[0].mac = mac(1000 + i);
    plan.ports[0].allowed = {prefix(fmt::format("10.77.{}.{}/32", i / 250 + 1, i % 250)), prefix(fmt::format("fd77::{:x}/128", 0x1000 + i)),
                             prefix(fmt::format("fd77:0:0:{:x}::/64", i + 1)), host_prefix(link_local(mac(1000 + i)))};
    add(plan);
    if (i == 99) first = lap() / 100;
    if (i == kMany - 101) (void)lap();
  }
  last = lap() / 100;
  auto samples = on_host([&] { return filter_.traffic(); });
  double dump = lap();
  ASSERT_TRUE(samples);
  EXPECT_THAT(check(), IsEmpty());
  double checked = lap();
  for (const auto& plan : state_.vpses) ASSERT_TRUE(on_host([&] { return filter_.remove(plan); }));
  std::printf("add: %.0f us each of the first hundred, %.0f of the last; %zu counters read in %.1f ms; checked in %.1f ms; removed in %.0f us each\n",
              first, last, samples->size(), dump / 1000, checked / 1000, lap() / kMany);
  state_.vpses.clear();
  EXPECT_THAT(check(), IsEmpty());
}

}  // namespace
}  // namespace vps::netns
