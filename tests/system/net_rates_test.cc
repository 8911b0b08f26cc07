// Rates of ports, measured: the bytes that pass while a sender sends as fast as it can.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "netns/rates.h"
#include "tests/support/command.h"
#include "tests/support/net_fixture.h"

namespace vps::netns {
namespace {

using test::Namespace;
using testing::HasSubstr;
using testing::IsEmpty;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kMega = 1'000'000;

class NetRates : public test::NetTest {
 protected:
  // Bytes per second that a listener of `to` gets from a sender of `from`, over TCP, after a start that is not counted.
  static double throughput(const Namespace& from, const Namespace& to, const std::string& address,
                           std::chrono::milliseconds measured = std::chrono::milliseconds(2500)) {
    auto pair = test::tcp_pair(from, to, address);
    if (!pair) return 0;
    std::jthread sender([fd = pair->first.get()](std::stop_token stop) {
      std::string block(64 << 10, 'x');
      while (!stop.stop_requested()) {
        pollfd ready{fd, POLLOUT, 0};
        if (::poll(&ready, 1, 50) == 1) (void)::send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      }
    });
    std::string block(256 << 10, '\0');
    auto begin = Clock::now() + std::chrono::milliseconds(700), end = begin + measured;
    auto first = begin, last = begin;
    std::uint64_t bytes = 0;
    while (Clock::now() < end) {
      pollfd ready{pair->second.get(), POLLIN, 0};
      if (::poll(&ready, 1, 50) != 1) continue;
      ssize_t got = ::recv(pair->second.get(), block.data(), block.size(), MSG_DONTWAIT);
      auto now = Clock::now();
      if (got <= 0 || now < begin) {
        first = last = now;
        continue;
      }
      bytes += static_cast<std::uint64_t>(got);
      last = now;
    }
    return static_cast<double>(bytes) / std::chrono::duration<double>(last - first).count();
  }
  std::vector<LimitReport> set(const net::VpsPlan& plan) { return *host_.in([&] { return set_rates(where_, plan); }); }
  std::vector<LimitReport> report(const net::VpsPlan& plan) { return *host_.in([&] { return report_rates(where_, plan); }); }
  static void expect_enforced(const std::vector<LimitReport>& reports, std::size_t count) {
    EXPECT_EQ(reports.size(), count);
    for (const auto& each : reports) EXPECT_TRUE(each.enforced) << each.limit << ": " << each.by;
  }
};

TEST_F(NetRates, BothDirectionsAreHeldAndChangeLive) {
  network(bridge_network());
  auto guest = Namespace::make();
  auto plan = vps("101", bridge_port(101));
  plan.ports[0].rate_in = BitRate{20 * kMega};
  plan.ports[0].rate_out = BitRate{20 * kMega};
  expect_enforced(attach(plan, guest), 2);
  double in_slow = throughput(host_, guest, "10.77.0.101"), out_slow = throughput(guest, host_, "10.77.0.1");
  plan.ports[0].rate_in = BitRate{80 * kMega};
  plan.ports[0].rate_out = BitRate{80 * kMega};
  expect_enforced(set(plan), 2);
  double in_fast = throughput(host_, guest, "10.77.0.101"), out_fast = throughput(guest, host_, "10.77.0.1");
  RecordProperty("in20", std::to_string(in_slow * 8 / 1e6));
  RecordProperty("out20", std::to_string(out_slow * 8 / 1e6));
  RecordProperty("in80", std::to_string(in_fast * 8 / 1e6));
  RecordProperty("out80", std::to_string(out_fast * 8 / 1e6));
  std::printf("Mbit/s of TCP payload: in %.2f and %.2f, out %.2f and %.2f (20 and 80 configured)\n", in_slow * 8 / 1e6, in_fast * 8 / 1e6,
              out_slow * 8 / 1e6, out_fast * 8 / 1e6);
  // A loaded machine makes it slower, never faster than what is configured but for what has waited in a buffer.
  for (double slow : {in_slow, out_slow}) EXPECT_LE(slow * 8, 20e6 * 1.15);
  for (double fast : {in_fast, out_fast}) EXPECT_LE(fast * 8, 80e6 * 1.15);
  EXPECT_GT(in_fast, in_slow * 2);
  EXPECT_GT(out_fast, out_slow * 2);
  plan.ports[0].rate_in = plan.ports[0].rate_out = std::nullopt;
  EXPECT_THAT(set(plan), IsEmpty());
  EXPECT_GT(throughput(host_, guest, "10.77.0.101"), in_fast);
  EXPECT_GT(throughput(guest, host_, "10.77.0.1"), out_fast);
}

// From what a cheap plan has to what this machine cannot reach: packets of 64 KiB, which are larger than what a slow rate lets pass at
// once, neither stall nor go beyond the rate.
TEST_F(NetRates, SlowAndFastRatesAreHeld) {
  network(bridge_network());
  auto guest = Namespace::make();
  auto plan = vps("101", bridge_port(101));
  attach(plan, guest);
  const double free_in = throughput(host_, guest, "10.77.0.101") * 8, free_out = throughput(guest, host_, "10.77.0.1") * 8;
  std::printf("Mbit/s of TCP payload: unlimited in %.0f, out %.0f\n", free_in / 1e6, free_out / 1e6);
  for (std::uint64_t rate : {1 * kMega, 100 * kMega, 5000 * kMega, 3 * kMega}) {
    plan.ports[0].rate_in = plan.ports[0].rate_out = BitRate{rate};
    expect_enforced(set(plan), 2);
    const std::chrono::milliseconds measured(rate < 10 * kMega ? 4000 : 1200);
    const double in = throughput(host_, guest, "10.77.0.101", measured) * 8, out = throughput(guest, host_, "10.77.0.1", measured) * 8;
    std::printf("%llu: in %.3f, out %.3f Mbit/s (%.3f, %.3f of the rate)\n", static_cast<unsigned long long>(rate / kMega), in / 1e6, out / 1e6,
                in / static_cast<double>(rate), out / static_cast<double>(rate));
    for (double got : {in, out}) {
      EXPECT_LE(got, static_cast<double>(rate) * 1.15) << rate;
      // Payload is 1448 of 1514 bytes. Beyond a slow rate it is the machine that bounds it, too.
      if (rate <= 100 * kMega) {
        EXPECT_GT(got, static_cast<double>(rate) * (rate < 10 * kMega ? 0.9 * 1448 / 1514 : 0.3)) << rate;
      }
    }
  }
}

// Every byte arrives, in order, over rates that change all the time.
TEST_F(NetRates, ALiveChangeLosesNothing) {
  network(bridge_network());
  auto guest = Namespace::make();
  auto plan = vps("101", bridge_port(101));
  plan.ports[0].rate_in = plan.ports[0].rate_out = BitRate{50 * kMega};
  expect_enforced(attach(plan, guest), 2);
  for (bool in : {true, false}) {
    SCOPED_TRACE(in ? "in" : "out");
    auto pair = in ? test::tcp_pair(host_, guest, "10.77.0.101") : test::tcp_pair(guest, host_, "10.77.0.1");
    ASSERT_TRUE(pair);
    constexpr std::size_t kBytes = 24 << 20;
    std::jthread sender([fd = pair->first.get()] {
      std::string block(64 << 10, '\0');
      for (std::size_t sent = 0; sent < kBytes;) {
        for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<char>((sent + i) % 251);
        pollfd ready{fd, POLLOUT, 0};
        if (::poll(&ready, 1, 10'000) != 1) return;
        ssize_t done = ::send(fd, block.data(), std::min(block.size(), kBytes - sent), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done <= 0) return;
        sent += static_cast<std::size_t>(done);
      }
      ::shutdown(fd, SHUT_WR);
    });
    std::string block(256 << 10, '\0');
    std::size_t got = 0, wrong = 0, changes = 0;
    while (true) {
      // Each few hundred KiB another rate, and none at all now and then.
      if (got > changes * (1 << 20)) {
        const std::uint64_t rates[] = {20 * kMega, 400 * kMega, 0, 80 * kMega};
        const auto rate = rates[changes++ % 4];
        plan.ports[0].rate_in = plan.ports[0].rate_out = rate == 0 ? std::nullopt : std::optional(BitRate{rate});
        set(plan);
      }
      pollfd ready{pair->second.get(), POLLIN, 0};
      ASSERT_EQ(::poll(&ready, 1, 10'000), 1) << "stalled after " << got << " bytes and " << changes << " changes";
      ssize_t done = ::recv(pair->second.get(), block.data(), block.size(), 0);
      ASSERT_GE(done, 0);
      if (done == 0) break;
      for (ssize_t i = 0; i < done; ++i) wrong += static_cast<unsigned char>(block[static_cast<std::size_t>(i)]) != (got + static_cast<std::size_t>(i)) % 251;
      got += static_cast<std::size_t>(done);
    }
    EXPECT_EQ(got, kBytes);
    EXPECT_EQ(wrong, 0u);
    EXPECT_GT(changes, 20u);
  }
}

TEST_F(NetRates, VpsesHaveRatesOfTheirOwn) {
  network(routed_network());
  auto one = Namespace::make(), two = Namespace::make();
  auto slow = vps("101", routed_port(101)), fast = vps("102", routed_port(102));
  slow.ports[0].rate_out = BitRate{10 * kMega};
  fast.ports[0].rate_out = BitRate{40 * kMega};
  expect_enforced(attach(slow, one), 1);
  expect_enforced(attach(fast, two), 1);
  double first = throughput(one, internet_, "198.51.100.1"), second = throughput(two, internet_, "198.51.100.1");
  std::printf("Mbit/s of TCP payload: %.2f and %.2f (10 and 40 configured)\n", first * 8 / 1e6, second * 8 / 1e6);
  EXPECT_LE(first * 8, 10e6 * 1.15);
  EXPECT_LE(second * 8, 40e6 * 1.15);
  EXPECT_GT(second, first * 2);
}

// Both want all of it: each has its guarantee of the network's total, whatever order they came in.
TEST_F(NetRates, GuaranteesAreSharesOfTheTotalOfANetwork) {
  auto whole = bridge_network();
  whole.rate_in = whole.rate_out = BitRate{24 * kMega};
  network(whole);
  auto one = Namespace::make(), two = Namespace::make();
  auto small = vps("101", bridge_port(101)), large = vps("102", bridge_port(102));
  for (auto* plan : {&small, &large}) {
    plan->ports[0].total_in = plan->ports[0].total_out = whole.rate_in;
    plan->ports[0].guarantee_in = plan->ports[0].guarantee_out = BitRate{(plan == &small ? 4 : 20) * kMega};
  }
  expect_enforced(attach(small, one), 2);
  expect_enforced(attach(large, two), 2);
  for (bool in : {true, false}) {
    SCOPED_TRACE(in ? "in" : "out");
    auto measure = [&](const Namespace& guest, const std::string& address) {
      return in ? throughput(host_, guest, address) : throughput(guest, host_, "10.77.0.1");
    };
    double alone = measure(one, "10.77.0.101") * 8, first = 0, second = 0;
    {
      std::jthread other([&] { second = measure(two, "10.77.0.102") * 8; });
      first = measure(one, "10.77.0.101") * 8;
    }
    std::printf("Mbit/s of TCP payload %s: %.2f alone, %.2f and %.2f together (4 and 20 of 24)\n", in ? "in" : "out", alone / 1e6, first / 1e6, second / 1e6);
    EXPECT_LE(alone, 24e6 * 1.15);
    EXPECT_LE(first + second, 24e6 * 1.25);
    EXPECT_GT(alone, first * 2) << "what the other does not use is there for it";
    EXPECT_GT(second, first * 2);
  }
  // Live: the shares change sides, and without a total nothing is shared and nothing left behind.
  small.ports[0].guarantee_out = BitRate{20 * kMega};
  large.ports[0].guarantee_out = BitRate{4 * kMega};
  expect_enforced(set(small), 2);
  expect_enforced(set(large), 2);
  for (auto* plan : {&small, &large}) {
    plan->ports[0].total_in = plan->ports[0].total_out = std::nullopt;
    for (const auto& each : set(*plan)) EXPECT_FALSE(each.enforced) << each.limit;
    plan->ports[0].guarantee_in = plan->ports[0].guarantee_out = std::nullopt;
    plan->ports[0].rate_in = plan->ports[0].rate_out = BitRate{80 * kMega};
    expect_enforced(set(*plan), 2);
  }
  network(bridge_network());
  for (const auto& name : link_names(host_)) EXPECT_FALSE(name.starts_with("vnet")) << name;
  EXPECT_GT(throughput(one, host_, "10.77.0.1") * 8, 24e6);
}

TEST_F(NetRates, PacketsBeyondTheCapAreDropped) {
  network(bridge_network());
  auto guest = Namespace::make();
  auto plan = vps("101", bridge_port(101));
  plan.ports[0].packets_per_second = 200;
  expect_enforced(attach(plan, guest), 1);
  // 5 at once, then one every 5 ms: of 2000 sent in a moment few more than that arrive, however slow this machine is.
  auto begin = Clock::now();
  std::size_t arrived = test::flood(guest, host_, "10.77.0.1", 2000);
  double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  EXPECT_GT(arrived, 0u);
  EXPECT_LE(static_cast<double>(arrived), 5 + 200 * seconds + 2);
  plan.ports[0].packets_per_second = std::nullopt;
  EXPECT_THAT(set(plan), IsEmpty());
  EXPECT_EQ(test::flood(guest, host_, "10.77.0.1", 200), 200u);
}

// Two that send as fast as they can, in single packets and in large ones that the kernel takes apart: what arrives is the cap.
TEST_F(NetRates, TheCapOnPacketsIsExact) {
  network(bridge_network());
  auto guest = Namespace::make();
  auto plan = vps("101", bridge_port(101));
  attach(plan, guest);
  for (std::uint64_t cap : {500u, 20000u}) {
    plan.ports[0].packets_per_second = cap;
    expect_enforced(set(plan), 1);
    for (int segments : {1, 40}) {
      const double got = test::packets_per_second(guest, host_, "10.77.0.1", segments, 2, std::chrono::milliseconds(1000));
      std::printf("%llu packets/s in packets of %d: %.0f arrive (%.3f)\n", static_cast<unsigned long long>(cap), segments, got, got / static_cast<double>(cap));
      EXPECT_LE(got, static_cast<double>(cap) * 1.05) << cap << " " << segments;
      // A slow machine sends no more than some thousands one by one.
      EXPECT_GE(got, cap < 10000 ? static_cast<double>(cap) * 0.9 : 3000) << cap << " " << segments;
    }
  }
}

TEST_F(NetRates, WhatCannotBeHeldIsSaid) {
  net::PortPlan port;
  port.mode = net::Mode::kMacvlan;
  port.guest_link = "eth0";
  port.mac = test::mac(9);
  port.uplinks = {"eth0"};
  port.rate_in = BitRate{kMega};
  port.guarantee_out = BitRate{kMega};
  auto guest = Namespace::make();
  auto reports = attach(vps("101", port), guest);
  ASSERT_EQ(reports.size(), 2u);
  for (const auto& each : reports) {
    EXPECT_FALSE(each.enforced);
    EXPECT_THAT(each.by, HasSubstr("no end on the host"));
  }
}

TEST_F(NetRates, TheKernelIsAskedAndNothingIsLeft) {
  network(bridge_network());
  auto before = picture();
  auto guest = Namespace::make();
  auto plan = vps("101", bridge_port(101));
  plan.ports[0].rate_in = BitRate{20 * kMega};
  plan.ports[0].rate_out = BitRate{2 * kMega};
  plan.ports[0].packets_per_second = 1000;
  expect_enforced(attach(plan, guest), 3);
  auto reports = report(plan);
  expect_enforced(reports, 3);
  EXPECT_EQ(reports[0].by, "tbf on v101.0");
  EXPECT_THAT(reports[1].by, HasSubstr("htb class 1:"));
  EXPECT_EQ(reports[2].by, "bpf filter on v101.0");
  auto without = vps("101", bridge_port(101));
  EXPECT_THAT(set(without), IsEmpty());
  for (const auto& each : report(plan)) EXPECT_FALSE(each.enforced) << each.limit;
  expect_enforced(set(plan), 3);
  detach(plan);
  EXPECT_EQ(picture(), before) << "the shaping device goes with the last port that needs it";
}

TEST_F(NetRates, AClassWhosePortHasDiedIsSwept) {
  network(bridge_network());
  auto before = picture();
  auto plan = vps("101", bridge_port(101)), other = vps("102", bridge_port(102));
  plan.ports[0].rate_out = other.ports[0].rate_out = BitRate{20 * kMega};
  auto living = Namespace::make();
  {
    auto guest = Namespace::make();
    attach(plan, guest);
    attach(other, living);
  }
  ASSERT_TRUE(test::eventually([&] { return !link(host_, "v101.0"); }));
  auto swept = host_.in([&] { return sweep_orphans(where_); });
  ASSERT_TRUE(swept) << swept.error().to_string();
  EXPECT_THAT(*swept, testing::ElementsAre(HasSubstr("class 1:")));
  expect_enforced(report(other), 1);
  detach(other);
  EXPECT_EQ(picture(), before);
}

}  // namespace
}  // namespace vps::netns
