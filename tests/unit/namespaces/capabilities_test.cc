#include "namespaces/capabilities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include "base/files.h"
#include "tests/support/forked.h"

namespace vps::namespaces {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr CapMask kChown = 1ull << 0, kDacOverride = 1ull << 1, kKill = 1ull << 5, kSysAdmin = 1ull << 21;

// "CapBnd:\t000001ffffffffff" of the calling process.
CapMask from_status(std::string_view field) {
  std::string status = read_file("/proc/self/status").value();
  auto at = status.find(field);
  return std::stoull(status.substr(at + field.size() + 1), nullptr, 16);
}

TEST(Capabilities, SpellingsAreTheSame) {
  for (std::string_view name : {"CAP_SYS_ADMIN", "cap_sys_admin", "sys_admin", "SYS_ADMIN", "Cap_Sys_Admin"})
    EXPECT_EQ(parse_capability(name).value(), kSysAdmin) << name;
}

TEST(Capabilities, OthersAreUsageErrors) {
  for (std::string_view name : {"", "cap_", "cap_nothing", "21", "cap_21", "sys-admin", " sys_admin", "sys_admin ", "all",
                                "cap_cap_chown"}) {
    auto result = parse_capability(name);
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().code(), Code::kUsage);
  }
  EXPECT_FALSE(parse_capability(std::string(100'000, 'a')));
  EXPECT_LT(parse_capability(std::string(100'000, 'a')).error().message().size(), 200u);
}

TEST(Capabilities, NamesRoundTripForEveryBit) {
  auto names = known_capability_names();
  ASSERT_GE(names.size(), 41u);  // CAP_CHECKPOINT_RESTORE, Linux 5.9
  EXPECT_EQ(names[0], "CAP_CHOWN");
  EXPECT_EQ(names[40], "CAP_CHECKPOINT_RESTORE");
  for (std::size_t n = 0; n < names.size() && n <= 40; ++n) {
    EXPECT_EQ(parse_capability(names[n]).value(), CapMask{1} << n);
    EXPECT_THAT(capability_names(CapMask{1} << n), ElementsAre(names[n]));
  }
  EXPECT_THAT(capability_names(0), IsEmpty());
  EXPECT_THAT(capability_names(kKill | kChown), ElementsAre("CAP_CHOWN", "CAP_KILL"));
}

TEST(Capabilities, MasksOfASpecification) {
  oci::Capabilities names{.bounding = {"CAP_CHOWN", "CAP_KILL", "CAP_FUTURE"},
                          .effective = {"CAP_CHOWN"},
                          .inheritable = {},
                          .permitted = {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FUTURE"},
                          .ambient = {"nonsense"}};
  std::vector<std::string> unknown;
  CapMasks masks = parse_capabilities(names, &unknown);
  EXPECT_EQ(masks.bounding, kChown | kKill);
  EXPECT_EQ(masks.effective, kChown);
  EXPECT_EQ(masks.inheritable, 0u);
  EXPECT_EQ(masks.permitted, kChown | kDacOverride);
  EXPECT_EQ(masks.ambient, 0u);
  EXPECT_THAT(unknown, ElementsAre("CAP_FUTURE", "nonsense"));
  EXPECT_EQ(parse_capabilities(names, nullptr).bounding, kChown | kKill);
}

TEST(Capabilities, BoundingSetIsDroppedForReal) {
  if (::prctl(PR_CAPBSET_READ, 8) != 1 || (from_status("CapEff:") & (1ull << 8)) == 0)
    GTEST_SKIP() << "needs CAP_SETPCAP";
  EXPECT_EQ(test::in_child([] {
              if (test::failed(drop_bounding(kChown | kKill))) return 1;
              if (from_status("CapBnd:") != (kChown | kKill)) return 2;
              // A second time there is nothing to drop, so no privilege is asked for.
              if (test::failed(drop_bounding(kChown | kKill))) return 3;
              return 0;
            }),
            0);
}

TEST(Capabilities, SetsAreAppliedForReal) {
  CapMask wanted = kChown | kKill;
  if ((from_status("CapPrm:") & wanted) != wanted) GTEST_SKIP() << "needs root";
  EXPECT_EQ(test::in_child([&] {
              CapMasks masks{.bounding = wanted, .effective = kChown, .inheritable = kKill, .permitted = wanted,
                             .ambient = kKill};
              if (test::failed(apply_capabilities(masks))) return 1;
              if (from_status("CapEff:") != kChown) return 2;
              if (from_status("CapPrm:") != wanted) return 3;
              if (from_status("CapInh:") != kKill) return 4;
              if (from_status("CapAmb:") != kKill) return 5;
              // Gone is gone: the error names the sets.
              masks.permitted |= kSysAdmin;
              auto again = apply_capabilities(masks);
              if (again || again.error().err() != EPERM) return 6;
              // The ambient set is replaced, not added to.
              if (test::failed(apply_capabilities({.effective = kChown, .permitted = kChown}))) return 7;
              return from_status("CapAmb:") == 0 ? 0 : 8;
            }),
            0);
}

TEST(Capabilities, AmbientNeedsInheritable) {
  if ((from_status("CapPrm:") & kChown) == 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(test::in_child([] {
              auto result = apply_capabilities({.effective = kChown, .permitted = kChown, .ambient = kChown});
              return !result && result.error().message().find("CAP_CHOWN") != std::string::npos ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace vps::namespaces
