#include "cgroups/systemd_unit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vps::cgroups {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr std::uint64_t kInfinity = UINT64_MAX;

DbusValue number(std::uint64_t value) { return value; }

TEST(ScopeName, IsSliceAndUnit) {
  auto name = parse_scope_name("user-7.slice:libpod:0123", "id", "system.slice");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->slice, "user-7.slice");
  EXPECT_EQ(name->unit, "libpod-0123.scope");
  EXPECT_EQ(parse_scope_name("::x", "id", "system.slice")->slice, "system.slice");
  EXPECT_EQ(parse_scope_name("::x", "id", "system.slice")->unit, "x.scope");
  EXPECT_EQ(parse_scope_name("", "id", "user.slice")->unit, "vpsrun-id.scope");
  for (const char* wrong : {"/a/b", "a:b", "a:b:c:d", "a:b:", "a:b/c:d", "a:b:../d"}) EXPECT_FALSE(parse_scope_name(wrong, "id", "system.slice")) << wrong;
  EXPECT_THAT(parse_scope_name("/a/b", "id", "s").error().message(), HasSubstr("expected cgroupsPath to be of format \"slice:prefix:name\""));
}

TEST(UnitProperties, AreWhatSystemdWouldWriteAgain) {
  oci::Resources resources;
  resources.memory = oci::MemoryLimits{.limit = 1000, .reservation = 500, .swap = 1500, .kernel = {}, .kernel_tcp = {}, .swappiness = {}, .disable_oom_killer = {}, .use_hierarchy = {}, .check_before_update = {}};
  auto& cpu = resources.cpu.emplace();
  cpu.shares = 1024;
  cpu.quota = 25'001;
  cpu.period = 50'000;
  cpu.cpus = "0-1,9";
  resources.pids = oci::PidsLimit{.limit = 7};
  resources.unified = {{"memory.high", "900"}, {"memory.min", "max"}, {"hugetlb.2MB.max", "5"}};
  EXPECT_THAT(unit_properties(resources),
              ElementsAre(Pair("MemoryMax", number(1000)), Pair("MemoryLow", number(500)), Pair("MemorySwapMax", number(500)), Pair("CPUWeight", number(100)),
                          Pair("CPUQuotaPeriodUSec", number(50'000)), Pair("CPUQuotaPerSecUSec", number(510'000)),
                          Pair("AllowedCPUs", DbusValue(std::vector<std::uint8_t>{3, 2})), Pair("TasksMax", number(7)), Pair("MemoryHigh", number(900)),
                          Pair("MemoryMin", number(kInfinity))));
  oci::Resources none;
  none.memory.emplace().limit = -1;
  none.memory->swap = -1;
  none.cpu.emplace().quota = -1;
  none.pids = oci::PidsLimit{.limit = -1};
  EXPECT_THAT(unit_properties(none), ElementsAre(Pair("MemoryMax", number(kInfinity)), Pair("MemorySwapMax", number(kInfinity)),
                                                 Pair("CPUQuotaPerSecUSec", number(kInfinity)), Pair("TasksMax", number(kInfinity))));
}

TEST(UnitProperties, OfTheUnifiedMap) {
  oci::Resources resources;
  resources.unified = {{"cpu.max", "30000 100000"}, {"cpuset.cpus", "0-1"}, {"cpuset.mems", "0"}, {"io.weight", "default 33"}, {"pids.max", "max"}};
  EXPECT_THAT(unit_properties(resources),
              testing::UnorderedElementsAre(Pair("CPUQuotaPeriodUSec", number(100'000)), Pair("CPUQuotaPerSecUSec", number(300'000)),
                                            Pair("AllowedCPUs", DbusValue(std::vector<std::uint8_t>{3})), Pair("AllowedMemoryNodes", DbusValue(std::vector<std::uint8_t>{1})),
                                            Pair("IOWeight", number(33)), Pair("TasksMax", number(kInfinity))));
  resources.unified = {{"cpu.max", "max 50000"}, {"io.weight", "77"}};
  EXPECT_THAT(unit_properties(resources), testing::UnorderedElementsAre(Pair("CPUQuotaPeriodUSec", number(50'000)), Pair("CPUQuotaPerSecUSec", number(kInfinity)),
                                                                        Pair("IOWeight", number(77))));
  // What the kernel will refuse, and weights of single devices.
  for (oci::StringMap files : {oci::StringMap{{"cpu.max", "x"}}, {{"cpu.max", "5 y"}}, {{"cpuset.cpus", "one"}}, {{"cpuset.cpus", ""}}, {{"io.weight", "8:0 40"}}}) {
    resources.unified = std::move(files);
    EXPECT_THAT(unit_properties(resources), testing::IsEmpty());
  }
}

TEST(AnnotatedProperties, AreReadAsTheirTypes) {
  auto found = annotated_properties({{"org.systemd.property.A", "true"}, {"org.systemd.property.B", "'it\\'s'"}, {"org.systemd.property.C", "uint64 18446744073709551615"},
                                     {"org.systemd.property.D", "['a', \"b\"]"}, {"org.systemd.property.TimeoutStopSec", "3"}, {"other", "x"}});
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_THAT(*found, ElementsAre(Pair("A", DbusValue(true)), Pair("B", DbusValue(std::string("it's"))), Pair("C", number(kInfinity)),
                                  Pair("D", DbusValue(std::vector<std::string>{"a", "b"})), Pair("TimeoutStopUSec", number(3'000'000))));
  for (const char* wrong : {"", "x", "'", "uint32 -1", "[a]", "5000000000"}) {
    auto bad = annotated_properties({{"org.systemd.property.A", wrong}});
    ASSERT_FALSE(bad) << wrong;
    EXPECT_THAT(bad.error().to_string(), HasSubstr("org.systemd.property.A"));
  }
}

TEST(Dbus, CallHasTheFormThatSystemdReads) {
  DbusWriter body;
  body.string("vt-one.scope").string("replace");
  // As recorded from a call that systemd has answered.
  const std::string recorded(
      "l\1\0\1 \0\0\0\1\0\0\0\240\0\0\0\1\1o\0\31\0\0\0/org/freedesktop/systemd1\0\0\0\0\0\0\0\2\1s\0 \0\0\0org.freedesktop.systemd1.Manager\0\0\0\0\0\0\0\0"
      "\3\1s\0\10\0\0\0StopUnit\0\0\0\0\0\0\0\0\6\1s\0\30\0\0\0org.freedesktop.systemd1\0\0\0\0\0\0\0\0\10\1g\0\2ss\0\f\0\0\0vt-one.scope\0\0\0\0\7\0\0\0replace\0",
      208);
  EXPECT_EQ(dbus_call(1, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StopUnit", "ss", body.data()), recorded);
}

TEST(Dbus, ErrorIsReadWithItsName) {
  const std::string recorded(
      "l\3\1\1\"\0\0\0\1\0\0\0g\0\0\0\5\1u\0\1\0\0\0\4\1s\0#\0\0\0org.freedesktop.systemd1.NoSuchUnit\0\0\0\0\0\7\1s\0\30\0\0\0org.freedesktop.systemd1"
      "\0\0\0\0\0\0\0\0\10\1g\0\1s\0\0\35\0\0\0Unit vt-one.scope not loaded.\0",
      154);
  auto message = parse_dbus_message(recorded);
  ASSERT_TRUE(message) << message.error().to_string();
  EXPECT_EQ(message->type, DbusMessage::Type::kError);
  EXPECT_EQ(message->error, "org.freedesktop.systemd1.NoSuchUnit");
  EXPECT_EQ(message->reply_to, 1u);
  EXPECT_EQ(DbusReader(message->body).string(), "Unit vt-one.scope not loaded.");
  for (std::size_t cut = 0; cut < recorded.size(); ++cut) EXPECT_FALSE(parse_dbus_message(std::string_view(recorded).substr(0, cut))) << cut;
}

TEST(Systemd, IsUnavailableWhereItDoesNotRun) {
  auto connection = DbusConnection::connect("/nonexistent/private");
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().err(), ENOENT);
}

}  // namespace
}  // namespace vps::cgroups
