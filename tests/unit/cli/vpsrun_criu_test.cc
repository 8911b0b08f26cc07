#include "cli/oci/criu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vps::vpsrun {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::Not;

constexpr std::string_view kHost =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "23 22 0:21 / /proc rw - proc proc rw\n"
    "24 22 0:5 / /dev rw - devtmpfs udev rw\n"
    "25 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    "26 22 8:2 / /srv/with\\040blank rw - ext4 /dev/sda2 rw\n";
constexpr std::string_view kContainer =
    "100 99 8:1 /bundle/rootfs / rw - ext4 /dev/sda1 rw\n"
    "101 100 0:40 / /proc rw - proc proc rw\n"
    "102 101 0:40 /sys /proc/sys ro - proc proc rw\n"
    "103 100 0:41 / /dev rw - tmpfs tmpfs rw\n"
    "104 103 0:5 /null /dev/null rw - devtmpfs udev rw\n"
    "105 100 0:26 /vpsrun/one /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
    "106 100 8:1 /etc/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"
    "107 100 8:2 /data /data rw - ext4 /dev/sda2 rw\n"
    "108 100 0:41 /null /etc/secret rw - tmpfs tmpfs rw\n";

TEST(Criu, MountsOfTheHostAreExternal) {
  EXPECT_THAT(external_mounts(kContainer, kHost),
              ElementsAre(External::Mount{"/dev/null", "/dev/null"}, External::Mount{"/sys/fs/cgroup", "/sys/fs/cgroup/vpsrun/one"},
                          External::Mount{"/etc/hosts", "/etc/hosts"}, External::Mount{"/data", "/srv/with blank/data"}));
  EXPECT_THAT(external_mounts("", kHost), ElementsAre());
  EXPECT_THAT(external_mounts("damaged\n1 2 3 4 5 6 7\n", "-\n"), ElementsAre());
}

TEST(Criu, WhatIsKeptIsReadAgain) {
  External external{.mounts = {{"/a \"b\"", "/c"}}, .stdio = {"", "pipe:[7]", "file[1:2]"}};
  auto again = parse_external(format_external(external));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, external);
  for (const char* wrong : {"", "{}", R"({"version": 2, "mounts": [], "stdio": ["", "", ""]})", R"({"version": 1, "mounts": [{}], "stdio": []})"})
    EXPECT_FALSE(parse_external(wrong)) << wrong;
}

TEST(Criu, CommandLinesHaveWhatEnginesAskFor) {
  oci::Spec spec;
  spec.linux_.emplace().namespaces = {{.type = "network", .path = "/proc/self/ns/net"}, {.type = "pid", .path = ""}};
  oci::Mount mount;
  mount.destination = "/data";
  mount.source = "/elsewhere";
  mount.options = {"bind"};
  spec.mounts = {mount};
  External external{.mounts = {{"/data", "/was/here"}, {"/dev/null", "/dev/null"}}, .stdio = {"", "pipe:[7]", "file[1:2]"}};
  CriuOptions options;
  options.image_path = "/images";
  options.work_path = "/work";
  options.flags = {"--tcp-established"};
  options.parent_path = "../pre";
  options.page_server = "10.0.0.1:27";
  options.empty_ns = {"net"};
  auto dump = dump_arguments(options, 77, external, spec, false);
  ASSERT_TRUE(dump);
  EXPECT_THAT(*dump, IsSupersetOf({"dump", "77", "/images", "/work", "--tcp-established", "--track-mem", "../pre", "10.0.0.1", "27", "--manage-cgroups=soft",
                                   "mnt[/data]:/data", "mnt[/dev/null]:/dev/null", "file[1:2]"}));
  EXPECT_THAT(*dump, Contains(testing::MatchesRegex("net\\[[0-9]+\\]:extRootNetNS")));
  EXPECT_THAT(*dump, Not(Contains("pipe:[7]")));
  auto pre = dump_arguments(options, 77, external, spec, true);
  EXPECT_EQ(pre->front(), "pre-dump");

  RestorePlaces places;
  places.root = "/root-mount";
  places.pid_file = "/pid";
  places.stdio = {0, 1, 2};
  places.namespaces = {9};
  options.lsm_profile = "apparmor:x";
  auto restore = restore_arguments(options, external, spec, places);
  EXPECT_THAT(restore, IsSupersetOf({"restore", "--restore-detached", "--restore-sibling", "/root-mount", "/pid", "--manage-cgroups=ignore", "mnt[/data]:/elsewhere",
                                     "mnt[/dev/null]:/dev/null", "fd[1]:pipe:[7]", "fd[2]:file[1:2]", "fd[9]:extRootNetNS", "apparmor:x"}));
}

}  // namespace
}  // namespace vps::vpsrun
