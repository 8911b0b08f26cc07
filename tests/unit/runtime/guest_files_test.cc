#include "runtime/guest_files.h"

#include <gtest/gtest.h>
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
