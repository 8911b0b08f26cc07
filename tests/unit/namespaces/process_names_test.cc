// The pure half of namespaces/process.h: lists, names, tables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <string>

#include "namespaces/process.h"

namespace vps::namespaces {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(CpuList, NumbersAndRanges) {
  EXPECT_THAT(parse_cpu_list("0").value(), ElementsAre(0));
  EXPECT_THAT(parse_cpu_list("0-2,7").value(), ElementsAre(0, 1, 2, 7));
  EXPECT_THAT(parse_cpu_list("7,1-2,2-3,7").value(), ElementsAre(1, 2, 3, 7));
  EXPECT_THAT(parse_cpu_list("5-5").value(), ElementsAre(5));
  EXPECT_EQ(parse_cpu_list("0-8191").value().size(), 8192u);
}

TEST(CpuList, EverythingElseIsRefused) {
  for (const char* list : {"", ",", "0,", ",0", "0,,1", "-", "1-", "-1", "2-1", "0-1-2", "a", "0 ", " 0", "0,1\n", "+1", "0x1",
                           "8192", "0-8192", "99999999999999999999", "1.5", "0-2:2"}) {
    auto parsed = parse_cpu_list(list);
    ASSERT_FALSE(parsed) << "'" << list << "'";
    EXPECT_EQ(parsed.error().code(), Code::kUsage);
  }
  EXPECT_FALSE(parse_cpu_list(std::string("0\0001", 3)));
  EXPECT_FALSE(parse_cpu_list(std::string(1 << 20, '0')));
  EXPECT_THAT(parse_cpu_list("3-1").error().message(), HasSubstr("3-1 runs backwards"));
}

TEST(Signals, EveryNumberHasANameThatLeadsBack) {
  for (int n = 1; n <= SIGRTMAX; ++n) {
    std::string name = signal_name(n);
    EXPECT_EQ(signal_by_name(name).value(), n) << name;
    EXPECT_EQ(signal_by_name(std::to_string(n)).value(), n);
    if (const char* abbreviation = ::sigabbrev_np(n)) {
      EXPECT_EQ(name, std::string("SIG") + abbreviation) << "as the C library says";
      EXPECT_EQ(signal_by_name(abbreviation).value(), n);
    }
  }
  EXPECT_EQ(signal_name(0), "0");
  EXPECT_EQ(signal_name(65), "65");
}

TEST(Signals, Spellings) {
  for (const char* name : {"TERM", "SIGTERM", "sigterm", "Term", "15", "015"}) EXPECT_EQ(signal_by_name(name).value(), SIGTERM);
  EXPECT_EQ(signal_by_name("CLD").value(), SIGCHLD);
  EXPECT_EQ(signal_by_name("IOT").value(), SIGABRT);
  EXPECT_EQ(signal_by_name("POLL").value(), SIGIO);
  EXPECT_EQ(signal_by_name("UNUSED").value(), SIGSYS);
  EXPECT_EQ(signal_by_name("RTMIN").value(), SIGRTMIN);
  EXPECT_EQ(signal_by_name("SIGRTMIN+3").value(), SIGRTMIN + 3);
  EXPECT_EQ(signal_by_name("RTMIN+30").value(), SIGRTMAX);
  EXPECT_EQ(signal_by_name("rtmax-0").value(), SIGRTMAX);
  EXPECT_EQ(signal_by_name("RTMAX-30").value(), SIGRTMIN);
}

TEST(Signals, EverythingElseIsRefused) {
  for (const char* name : {"", "0", "65", "-1", "SIG", "SIGSIGTERM", "TERM ", " TERM", "RTMIN+", "RTMIN-1", "RTMIN+31", "RTMAX+1",
                           "RTMAX-31", "RTMIN3", "RTMIN+-1", "RTMIN+ 1", "99999999999999999999", "1.0", "SIGTERMSIGTERMSIGTERM"}) {
    auto number = signal_by_name(name);
    ASSERT_FALSE(number) << "'" << name << "'";
    EXPECT_EQ(number.error().code(), Code::kUsage);
    EXPECT_THAT(number.error().message(), HasSubstr("unknown signal"));
  }
}

TEST(Rlimits, Names) {
  auto names = known_rlimit_names();
  EXPECT_EQ(names.size(), 16u);  // RLIM_NLIMITS
  EXPECT_THAT(names, Contains("RLIMIT_NOFILE"));
  EXPECT_TRUE(std::ranges::is_sorted(names));
}

struct SysctlCase {
  const char* key;
  bool network, ipc, uts;  // which single namespace of the container's own lets it through
};

TEST(Sysctl, OnlyWhatANamespaceOwns) {
  const SysctlCase cases[] = {
      {"net.ipv4.ip_forward", true, false, false},
      {"net/ipv4/ip_forward", true, false, false},
      {"net.ipv4.conf.eth0/100.forwarding", true, false, false},
      {"kernel.msgmax", false, true, false},
      {"kernel.msgmnb", false, true, false},
      {"kernel.msgmni", false, true, false},
      {"kernel.sem", false, true, false},
      {"kernel/shm_rmid_forced", false, true, false},
      {"kernel.shmall", false, true, false},
      {"kernel.shmmax", false, true, false},
      {"kernel.shmmni", false, true, false},
      {"fs.mqueue.msg_max", false, true, false},
      {"kernel.domainname", false, false, true},
      {"kernel.hostname", false, false, false},
      {"kernel.pid_max", false, false, false},
      {"kernel.shmmaxi", false, false, false},
      {"kernel.sem.x", false, false, false},
      {"kernel.core_pattern", false, false, false},
      {"vm.swappiness", false, false, false},
      {"fs.file-max", false, false, false},
      {"fs.mqueue", false, false, false},
      {"net", false, false, false},
      {"network.x", false, false, false},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(validate_sysctl(one.key, true, false, false).has_value(), one.network) << one.key;
    EXPECT_EQ(validate_sysctl(one.key, false, true, false).has_value(), one.ipc) << one.key;
    EXPECT_EQ(validate_sysctl(one.key, false, false, true).has_value(), one.uts) << one.key;
    EXPECT_EQ(validate_sysctl(one.key, true, true, true).has_value(), one.network || one.ipc || one.uts) << one.key;
    EXPECT_FALSE(validate_sysctl(one.key, false, false, false)) << one.key;
  }
  EXPECT_THAT(validate_sysctl("net.core.somaxconn", false, true, true).error().message(), HasSubstr("network namespace"));
  EXPECT_THAT(validate_sysctl("vm.swappiness", true, true, true).error().message(), HasSubstr("change the host"));
}

TEST(Sysctl, PathsThatLeaveAreRefused) {
  for (const char* key : {"", ".", "/", "net", "net.", "net/", "net/../kernel/core_pattern", "net/./x", "net//x", "/net/x",
                          "..net.x", "net/ipv4/..", "net./.x", "net.//.kernel"})
    EXPECT_FALSE(validate_sysctl(key, true, true, true)) << key;
  EXPECT_FALSE(validate_sysctl(std::string("net.ipv4.ip_forward\0x", 21), true, true, true));
  EXPECT_FALSE(validate_sysctl("net." + std::string(1000, 'x'), true, true, true));
}

}  // namespace
}  // namespace vps::namespaces
