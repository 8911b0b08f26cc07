#include "runtime/guest_files.h"

#include <gtest/gtest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace vps::runtime {
namespace {

class GuestFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_dirs(dir_ / "root/etc"));
    ASSERT_TRUE(write_file_atomic(dir_ / "outside", "the host's"));
    root_ = *open_dir(dir_ / "root");
    net::PortPlan port;
    port.guest_link = "eth0";
    port.addresses = {*parse_prefix("10.0.0.2/24")};
    plan_.ports = {port};
  }
  void write() {
    auto written = write_guest_files(root_.get(), plan_, {.configure = true, .hostname = "web", .nameservers = {"9.9.9.9"}, .search = {}});
    ASSERT_TRUE(written) << written.error().to_string();
  }
  std::string text(const std::string& path) { return read_file(dir_ / ("root" + path)).value_or("(none)"); }

  vps::test::TempDir dir_;
  UniqueFd root_;
  net::VpsPlan plan_;
};

TEST_F(GuestFilesTest, WritesWhatTheGuestHasAPlaceFor) {
  ASSERT_TRUE(make_dirs(dir_ / "root/etc/network"));
  ASSERT_TRUE(make_dirs(dir_ / "root/etc/systemd/network"));
  ASSERT_TRUE(write_file_atomic(dir_ / "root/etc/hosts", "127.0.0.1\tlocalhost\n"));
  write();
  EXPECT_EQ(text("/etc/hosts"), "127.0.0.1\tlocalhost\n# vpsd: begin\n127.0.1.1\tweb\n# vpsd: end\n");
  EXPECT_NE(text("/etc/network/interfaces").find("iface eth0 inet manual"), std::string::npos);
  EXPECT_NE(text("/etc/systemd/network/10-vpsd-eth0.network").find("Address=10.0.0.2/24"), std::string::npos);
  EXPECT_NE(text("/etc/resolv.conf").find("nameserver 9.9.9.9"), std::string::npos);
  EXPECT_FALSE(path_exists(dir_ / "root/etc/netplan"));
  auto hosts = text("/etc/hosts"), interfaces = text("/etc/network/interfaces");
  write();
  EXPECT_EQ(text("/etc/hosts"), hosts);
  EXPECT_EQ(text("/etc/network/interfaces"), interfaces);
}

TEST_F(GuestFilesTest, WhatIsRightAlreadyIsNotWritten) {
  ASSERT_TRUE(make_dirs(dir_ / "root/etc/network"));
  ASSERT_TRUE(make_dirs(dir_ / "root/etc/systemd/network"));
  write();
  const std::vector<std::string> files{"/etc/hosts", "/etc/resolv.conf", "/etc/network/interfaces", "/etc/systemd/network/10-vpsd-eth0.network"};
  const timespec long_ago[2] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 1000, .tv_nsec = 0}};
  auto written_at = [&](const std::string& file) {
    struct stat st{};
    EXPECT_EQ(::stat((dir_ / ("root" + file)).c_str(), &st), 0) << file;
    return st.st_mtim.tv_sec;
  };
  for (const auto& file : files) ASSERT_EQ(::utimensat(AT_FDCWD, (dir_ / ("root" + file)).c_str(), long_ago, 0), 0) << file;
  write();
  for (const auto& file : files) EXPECT_EQ(written_at(file), 1000) << file;
  // Of the same size, but another.
  auto changed = text("/etc/resolv.conf");
  changed[changed.find("9.9.9.9")] = '8';
  ASSERT_TRUE(write_file_atomic(dir_ / "root/etc/resolv.conf", changed));
  write();
  EXPECT_NE(text("/etc/resolv.conf").find("nameserver 9.9.9.9"), std::string::npos);
}

// What each family of systems has, and what its tool reads there.
struct System {
  const char* name;
  std::vector<std::string> directories, programs;
  std::vector<std::pair<std::string, std::string>> written;  // file, a line of it
  std::vector<std::string> not_written;
};

TEST_F(GuestFilesTest, EverySystemGetsWhatItsToolReads) {
  plan_.ports[0].addresses.push_back(*parse_prefix("fd00::2/64"));
  plan_.ports[0].routes = {{*parse_prefix("0.0.0.0/0"), *parse_ip("10.0.0.1"), false}, {*parse_prefix("::/0"), *parse_ip("fd00::1"), false}};
  const std::string keyfile = "/etc/NetworkManager/system-connections/vpsd-eth0.nmconnection", ifcfg = "/etc/sysconfig/network-scripts/ifcfg-eth0",
                    networkd = "/etc/systemd/network/10-vpsd-eth0.network", interfaces = "/etc/network/interfaces";
  const System systems[] = {
      {"debian", {"etc/network", "etc/systemd/network"}, {}, {{interfaces, "auto eth0\niface eth0 inet manual\n"}, {networkd, "Gateway=fd00::1\n"}}, {keyfile, ifcfg}},
      {"ubuntu", {"etc/netplan", "etc/systemd/network", "usr/sbin"}, {"usr/sbin/netplan"}, {{"/etc/netplan/90-vpsd.yaml", "- \"fd00::2/64\"\n"}}, {networkd, interfaces}},
      {"alpine", {"etc/network"}, {}, {{interfaces, "  up ip -6 route replace default via fd00::1 dev eth0 || true\n"}}, {networkd, ifcfg}},
      {"arch", {"etc/systemd/network"}, {}, {{networkd, "Address=fd00::2/64\n"}}, {interfaces, keyfile}},
      {"centos 7", {"etc/sysconfig/network-scripts", "etc/NetworkManager/system-connections", "etc/rc.d/init.d", "usr/sbin"},
       {"etc/rc.d/init.d/network", "usr/sbin/NetworkManager"}, {{ifcfg, "IPADDR=10.0.0.2\nPREFIX=24\n"}, {ifcfg, "IPV6_DEFAULTGW=fd00::1%eth0\n"}}, {interfaces}},
      {"rhel 9", {"etc/sysconfig/network-scripts", "etc/NetworkManager/system-connections", "usr/sbin"}, {"usr/sbin/NetworkManager"},
       {{keyfile, "address1=10.0.0.2/24\nmethod=manual\n"}, {keyfile, "route1=::/0,fd00::1\n"}}, {ifcfg, networkd}},
      {"suse", {"etc/sysconfig/network"}, {}, {{"/etc/sysconfig/network/ifcfg-eth0", "IPADDR_1='fd00::2/64'\n"}, {"/etc/sysconfig/network/ifroute-eth0", "default fd00::1 - eth0\n"}}, {ifcfg, networkd}},
  };
  for (const auto& system : systems) {
    SCOPED_TRACE(system.name);
    ASSERT_TRUE(remove_tree(dir_ / "root"));
    ASSERT_TRUE(make_dirs(dir_ / "root/etc"));
    root_ = *open_dir(dir_ / "root");
    for (const auto& directory : system.directories) ASSERT_TRUE(make_dirs(dir_ / ("root/" + directory)));
    for (const auto& program : system.programs) ASSERT_TRUE(write_file_atomic(dir_ / ("root/" + program), ""));
    write();
    std::vector<std::string> first;
    for (const auto& [file, line] : system.written) {
      first.push_back(text(file));
      EXPECT_NE(first.back().find(line), std::string::npos) << file << ":\n" << first.back();
    }
    for (const auto& file : system.not_written) EXPECT_EQ(text(file), "(none)") << file;
    write();
    for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(text(system.written[i].first), first[i]);
  }
}

// An ifcfg of ours from before NetworkManager had the interface alone.
TEST_F(GuestFilesTest, FilesForAToolThatIsNotAskedAnyMoreGo) {
  ASSERT_TRUE(make_dirs(dir_ / "root/etc/sysconfig/network-scripts"));
  write();
  EXPECT_NE(text("/etc/sysconfig/network-scripts/ifcfg-eth0"), "(none)");
  ASSERT_TRUE(make_dirs(dir_ / "root/usr/sbin"));
  ASSERT_TRUE(write_file_atomic(dir_ / "root/usr/sbin/NetworkManager", ""));
  write();
  EXPECT_EQ(text("/etc/sysconfig/network-scripts/ifcfg-eth0"), "(none)");
}

TEST_F(GuestFilesTest, FilesOfInterfacesThatAreGoneGoOthersStay) {
  ASSERT_TRUE(make_dirs(dir_ / "root/etc/systemd/network"));
  ASSERT_TRUE(write_file_atomic(dir_ / "root/etc/systemd/network/10-vpsd-own.network", "the tenant's"));
  write();
  plan_.ports[0].guest_link = "eth1";
  write();
  EXPECT_EQ(text("/etc/systemd/network/10-vpsd-eth0.network"), "(none)");
  EXPECT_NE(text("/etc/systemd/network/10-vpsd-eth1.network"), "(none)");
  EXPECT_EQ(text("/etc/systemd/network/10-vpsd-own.network"), "the tenant's");
}

TEST_F(GuestFilesTest, NeverLeavesTheRoot) {
  const std::string out = dir_ / "outside";
  ASSERT_EQ(::symlink(out.c_str(), (dir_ / "root/etc/resolv.conf").c_str()), 0);
  ASSERT_EQ(::symlink(dir_.path().c_str(), (dir_ / "root/etc/network").c_str()), 0);
  ASSERT_EQ(::mkfifo((dir_ / "root/etc/hosts").c_str(), 0600), 0);
  write();
  EXPECT_EQ(read_file(out).value_or(""), "the host's");
  EXPECT_FALSE(path_exists(dir_ / "interfaces"));
  EXPECT_NE(text("/etc/resolv.conf").find("9.9.9.9"), std::string::npos);
}

TEST_F(GuestFilesTest, CanBeSwitchedOff) {
  auto written = write_guest_files(root_.get(), plan_, {.configure = false, .hostname = "web", .nameservers = {"9.9.9.9"}, .search = {}});
  ASSERT_TRUE(written);
  EXPECT_EQ(text("/etc/hosts"), "(none)");
  EXPECT_EQ(text("/etc/resolv.conf"), "(none)");
}

}  // namespace
}  // namespace vps::runtime
