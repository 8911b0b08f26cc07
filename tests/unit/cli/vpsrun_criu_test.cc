#include "cli/oci/criu_rpc.h"

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

TEST(Criu, MountsComeFromWhereConfigSaysNow) {
  oci::Spec spec;
  oci::Mount data, group;
  data.destination = "/data";
  data.source = "/elsewhere";
  group.destination = "/sys/fs/cgroup";
  group.type = "cgroup2";
  group.source = "cgroup";
  spec.mounts = {data, group};
  External external{.mounts = {{"/data", "/was/here"}, {"/dev/null", "/dev/null"}, {"/sys/fs/cgroup", "/sys/fs/cgroup/old"}}, .stdio = {}};
  RestorePlaces places;
  places.cgroup = "/sys/fs/cgroup/new";
  EXPECT_THAT(restored_mounts(external, spec, places),
              ElementsAre(External::Mount{"/data", "/elsewhere"}, External::Mount{"/dev/null", "/dev/null"}, External::Mount{"/sys/fs/cgroup", "/sys/fs/cgroup/new"}));
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

std::string bytes(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

// "protoc --decode=criu_req rpc.proto" shows the fields that the test asks for.
constexpr std::string_view kRequest =
    "0802127a08058801ac02520b726573746f72652e6c6f6748049003019002002801800301b00280808080046a022f726001d00101aa030a6170706172"
    "6d6f723a78aa02186d6e745b2f6465762f6e756c6c5d3a2f6465762f6e756c6cda010c0a08706970653a5b375d1001da01100a0c657874526f6f744e"
    "65744e531009";

constexpr std::string_view kDumpRequest =
    "080112560805880106520864756d702e6c6f674804900301900203900101104d780172062e2e2f7072655a0c0a0831302e302e302e31101b880308aa"
    "02106d6e745b2f646174615d3a2f64617461aa020966696c655b313a325d";

TEST(Criu, RequestIsWhatProtocReads) {
  oci::Spec spec;
  spec.linux_.emplace().namespaces = {{.type = "network", .path = "/run/netns/x"}};
  External external{.mounts = {{"/dev/null", "/dev/null"}}, .stdio = {"", "pipe:[7]", ""}};
  CriuOptions options;
  options.flags = {"tcp-established", "lazy-pages"};
  options.lsm_profile = "apparmor:x";
  options.empty_ns = {"net"};
  RestorePlaces places;
  places.root = "/r";
  places.dirs = {.images = 5, .work = 300};
  places.stdio = {0, 1, 2};
  places.namespaces = {9};
  auto request = restore_request(options, external, spec, places);
  ASSERT_TRUE(request);
  EXPECT_EQ(hex(*request), kRequest);
  options.flags = {"no-such"};
  EXPECT_FALSE(restore_request(options, external, spec, places));
  options.flags = {};
  options.empty_ns = {"pid"};
  EXPECT_FALSE(restore_request(options, external, spec, places));
}

TEST(Criu, DumpRequestIsWhatProtocReads) {
  External external{.mounts = {{"/data", "/was/here"}}, .stdio = {"", "pipe:[7]", "file[1:2]"}};
  CriuOptions options;
  options.flags = {"link-remap"};
  options.parent_path = "../pre";
  options.page_address = "10.0.0.1";
  options.page_port = 27;
  options.status_fd = 8;
  oci::Spec spec;
  spec.linux_.emplace();
  auto request = dump_request(options, 77, external, spec, {.images = 5, .work = 6}, false);
  ASSERT_TRUE(request);
  EXPECT_EQ(hex(*request), kDumpRequest);
  // Memory only: another kind of request, and the pages are watched from then on.
  options.parent_path = "";
  auto first = dump_request(options, 77, external, spec, {.images = 5, .work = 6}, true);
  ASSERT_TRUE(first);
  EXPECT_THAT(hex(*first), testing::AllOf(testing::StartsWith("080d"), testing::HasSubstr("7801")));
  spec.linux_->namespaces = {{.type = "network", .path = "/proc/self/ns/net"}};
  auto shared = dump_request(options, 77, external, spec, {.images = 5, .work = 6}, false);
  ASSERT_TRUE(shared);
  EXPECT_THAT(*shared, testing::ContainsRegex("net\\[[0-9]+\\]:extRootNetNS"));
}

// Made by "protoc --encode=criu_resp rpc.proto".
TEST(Criu, AnswersAreRead) {
  auto notification = parse_criu_message(bytes("080610012a160a1073657475702d6e616d6573706163657310f0a204"));
  ASSERT_TRUE(notification);
  EXPECT_EQ(notification->kind, CriuMessage::Kind::kNotification);
  EXPECT_EQ(notification->script, "setup-namespaces");
  EXPECT_EQ(notification->pid, 70000);
  auto answer = parse_criu_message(bytes("08021000220b08ffffffffffffffffff0138164a026e6f"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->kind, CriuMessage::Kind::kAnswer);
  EXPECT_FALSE(answer->success);
  EXPECT_EQ(answer->pid, -1);
  EXPECT_EQ(hex(notify_reply(true)), "08061801");
  EXPECT_EQ(hex(notify_reply(false)), "08061800");
  // Cut anywhere, or with a length beyond its end.
  auto whole = bytes("080610012a160a1073657475702d6e616d6573706163657310f0a204");
  EXPECT_FALSE(parse_criu_message(""));
  for (std::size_t n = 5; n < whole.size(); ++n) EXPECT_FALSE(parse_criu_message(whole.substr(0, n))) << n;
  EXPECT_FALSE(parse_criu_message(bytes("08062affffffffffffffffff01")));
  EXPECT_FALSE(parse_criu_message(bytes("080f")  + bytes("ffffffffffffffffffffff")));
}

}  // namespace
}  // namespace vps::vpsrun
