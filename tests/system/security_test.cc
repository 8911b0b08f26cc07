// What root of a VPS can and cannot do, seen from inside and held against what `show` says.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <bit>
#include <sstream>

#include "base/files.h"
#include "tests/support/vpsd_fixture.h"

namespace vps::test {
namespace {

using testing::HasSubstr;

class SecurityTest : public VpsdTest {
 protected:
  std::string in(const std::string& script, const std::string& id = "101") { return ctl({"exec", id, "--", "sh", "-c", script}).out; }
  // "CapBnd" -> "000001ffffffffff"
  std::string status_field(const std::string& name) {
    std::istringstream text(in("cat /proc/self/status"));
    for (std::string line; std::getline(text, line);)
      if (line.starts_with(name + ":")) return line.substr(line.find_first_not_of(" \t", name.size() + 1));
    return {};
  }
};

TEST_F(SecurityTest, ForbiddenThingsAreRefusedWithAnErrorNotASignal) {
  make_vps("101");
  auto self = read_link_at(AT_FDCWD, "/proc/self/exe");
  ASSERT_TRUE(self);
  auto probe = read_file(self->substr(0, self->rfind('/')) + "/security_probe");
  ASSERT_TRUE(probe) << probe.error().to_string();
  ctl({"exec", "-i", "101", "--", "sh", "-c", "cat > /root/probe && chmod 0755 /root/probe"}, 0, {.input = *probe});
  std::istringstream lines(ctl({"exec", "101", "--", "/root/probe"}).out);
  int seen = 0;
  for (std::string name, outcome; lines >> name >> outcome; ++seen) EXPECT_NE(outcome, "ok") << name << " is possible inside a VPS";
  EXPECT_EQ(seen, 23);
}

TEST_F(SecurityTest, TheUserNamespaceMapsItsOwnRange) {
  make_vps("101");
  make_vps("102");
  struct Range {
    std::int64_t base, size;
  };
  std::vector<Range> ranges;
  for (const char* id : {"101", "102"}) {
    std::istringstream map(in("cat /proc/self/uid_map", id));
    std::int64_t inside = -1, outside = -1, count = -1;
    map >> inside >> outside >> count;
    EXPECT_EQ(inside, 0);
    EXPECT_EQ(count, 65536);
    auto show = json({"show", id});
    EXPECT_EQ(show.number("/status/idmap/base"), outside);
    EXPECT_EQ(show.number("/status/idmap/size"), count);
    ranges.push_back({outside, count});
  }
  EXPECT_GE(ranges[0].base, 65536) << "root of a VPS must be nobody on the host";
  EXPECT_TRUE(ranges[0].base + ranges[0].size <= ranges[1].base || ranges[1].base + ranges[1].size <= ranges[0].base) << "id ranges overlap";
}

TEST_F(SecurityTest, FilesOnDiskStayBasedOnUidZero) {
  make_vps("101");
  (void)in("touch /root/of-root; touch /root/of-user; chown 1000:1001 /root/of-user");
  const std::string upper = vpsd_->state() + "/containers/101/disk/upper/root/";
  struct stat info{};
  ASSERT_EQ(::stat((upper + "of-root").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
  ASSERT_EQ(::stat((upper + "of-user").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 1000u);
  EXPECT_EQ(info.st_gid, 1001u);
  EXPECT_EQ(in("stat -c %u:%g /root/of-user /root/of-root"), "1000:1001\n0:0\n");
}

TEST_F(SecurityTest, CapabilitiesAreThoseThatShowNames) {
  make_vps("101");
  auto bounding = std::stoull(status_field("CapBnd"), nullptr, 16);
  auto named = json({"show", "101"}).items("/security/capabilities");
  EXPECT_EQ(static_cast<std::size_t>(std::popcount(bounding)), named.size());
  EXPECT_EQ(status_field("CapEff"), status_field("CapBnd"));
  EXPECT_EQ(status_field("CapAmb"), "0000000000000000");
  constexpr unsigned kSysModule = 16, kSysRawio = 17, kSysTime = 25, kMacAdmin = 33, kBpf = 39;
  for (unsigned capability : {kSysModule, kSysRawio, kSysTime, kMacAdmin, kBpf}) EXPECT_EQ(bounding >> capability & 1U, 0U) << "capability " << capability;
}

TEST_F(SecurityTest, CapabilitiesCanBeTakenAndGivenByName) {
  make_vps("101", true, {"--set", "security.capabilities=[-net_raw]"});
  constexpr unsigned kNetRaw = 13;
  EXPECT_EQ(std::stoull(status_field("CapBnd"), nullptr, 16) >> kNetRaw & 1U, 0U);
}

TEST_F(SecurityTest, ASeccompFilterIsInForceForInitAndExec) {
  make_vps("101");
  EXPECT_EQ(status_field("Seccomp"), "2");
  EXPECT_THAT(in("cat /proc/1/status"), HasSubstr("Seccomp:\t2"));
}

TEST_F(SecurityTest, NoNewPrivilegesOnRequest) {
  make_vps("101", true, {"--set", "security.noNewPrivileges=true"});
  EXPECT_EQ(status_field("NoNewPrivs"), "1");
}

TEST_F(SecurityTest, DevicesAreTheFewHarmlessOnes) {
  make_vps("101");
  for (const char* node : {"null", "zero", "full", "random", "urandom", "tty"}) EXPECT_EQ(in(std::string("test -c /dev/") + node + " && echo yes"), "yes\n") << node;
  EXPECT_EQ(in("find /dev -type b"), "") << "block devices inside a VPS";
  for (const char* node : {"mem", "kmsg", "kvm", "fuse", "vda", "loop-control"}) EXPECT_EQ(in(std::string("dd if=/dev/") + node + " of=/dev/null bs=1 count=1 2>/dev/null && echo readable; true"), "") << node;
}

TEST_F(SecurityTest, TheHostIsOutOfSight) {
  make_vps("101");
  auto pids = in("ls /proc | grep -c '^[0-9]'");
  EXPECT_LT(std::stoi(pids), 20);
  EXPECT_EQ(in("cat /proc/self/cgroup | grep '^0:' | cut -d: -f3").substr(0, 1), "/");
  EXPECT_THAT(in("cat /proc/self/cgroup /proc/self/mountinfo"), testing::Not(HasSubstr(vpsd_->cgroup_name())));
  EXPECT_THAT(in("ls /sys/class/net"), testing::Not(HasSubstr("eth0")));
  EXPECT_EQ(in("ip -o link | wc -l"), "1\n") << "loopback only";
  EXPECT_THAT(in("ip addr show lo"), HasSubstr("127.0.0.1"));
  auto host_name = read_file("/proc/sys/kernel/hostname");
  (void)in("hostname changed-inside");
  EXPECT_EQ(*host_name, *read_file("/proc/sys/kernel/hostname"));
}

TEST_F(SecurityTest, ProcSysIsReadOnlyExceptItsOwnNetwork) {
  make_vps("101");
  ctl({"exec", "101", "--", "sh", "-c", "echo 1 > /proc/sys/kernel/printk"}, 1);
  ctl({"exec", "101", "--", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"});
  EXPECT_EQ(in("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
  EXPECT_EQ(in("cut -d' ' -f5 /proc/self/mountinfo | sort | uniq -d"), "") << "nothing is mounted over what is there already";
}

TEST_F(SecurityTest, SymlinksOfATenantDoNotLeadOut) {
  make_vps("101");
  // vpsd writes files like /etc/hostname into the root before each start.
  const std::string trap = vpsd_->root() + "/etc/trap";
  ASSERT_TRUE(write_file_atomic(trap, "untouched"));
  (void)in("for f in /etc/hostname /etc/hosts /etc/resolv.conf; do rm -f $f; ln -s " + trap + " $f; done");
  ctl({"restart", "101"});
  auto text = read_file(trap);
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "untouched");
  // The same for a whole directory.
  const std::string directory = vpsd_->root() + "/etc/trap-dir";
  ASSERT_TRUE(make_dirs(directory));
  (void)in("mv /etc /etc.old; ln -s " + directory + " /etc");
  (void)vpsd_->ctl({"restart", "101"});
  EXPECT_EQ(list_dir(directory)->size(), 0u);
  ASSERT_TRUE(remove_tree(directory));
  ASSERT_TRUE(remove_file(trap));
}

TEST_F(SecurityTest, ShowTellsTheWholeStory) {
  make_vps("101");
  auto show = json({"show", "101"});
  EXPECT_TRUE(show.boolean("/security/userNamespace"));
  EXPECT_EQ(show.string("/security/seccomp/profile"), "default");
  EXPECT_GT(show.size("/security/maskedPaths"), 0u);
  EXPECT_GT(show.size("/security/readonlyPaths"), 0u);
  EXPECT_GE(show.size("/security/namespaces"), 7u);
  EXPECT_GT(show.size("/security/devices"), 0u);
}

TEST_F(SecurityTest, HostIdsAreSaidLoudly) {
  auto created = ctl({"create", "101", "--template", "busybox", "--ip", "none", "--set", "security.idmap=host"});
  EXPECT_THAT(created.out + created.err, HasSubstr("idmap"));
  ctl({"start", "--wait", "101"});
  EXPECT_FALSE(json({"show", "101"}).boolean("/security/userNamespace"));
  std::istringstream map(in("cat /proc/self/uid_map"));
  std::int64_t inside = -1, outside = -1;
  map >> inside >> outside;
  EXPECT_EQ(outside, 0);
}

}  // namespace
}  // namespace vps::test
