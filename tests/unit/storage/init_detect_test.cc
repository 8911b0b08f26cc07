#include "storage/init_detect.h"

#include "fixture.h"
#include "storage/template_record.h"

namespace vps::storage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

class InitDetectTest : public ::testing::Test {
 protected:
  void program(const std::string& path, const std::string& text = "\x7f" "ELF", mode_t mode = 0755) {
    auto full = temp_.path() + path;
    ASSERT_TRUE(make_dirs(full.substr(0, full.rfind('/'))));
    ASSERT_TRUE(write_file_atomic(full, text));
    ASSERT_EQ(::chmod(full.c_str(), mode), 0);
  }
  void link(const std::string& path, const std::string& target) {
    auto full = temp_.path() + path;
    ASSERT_TRUE(make_dirs(full.substr(0, full.rfind('/'))));
    ASSERT_EQ(::symlink(target.c_str(), full.c_str()), 0);
  }
  DetectedInit detect(const std::string& what = {}) {
    auto root = open_dir(temp_.path());
    auto result = detect_init(root->get(), what);
    EXPECT_TRUE(result) << result.error().to_string();
    return result.value_or(DetectedInit{});
  }
  test::TempDir temp_;
};

TEST_F(InitDetectTest, NamesAreStableAndComeBack) {
  for (auto kind : {InitKind::kNone, InitKind::kSystemd, InitKind::kSysvinit, InitKind::kOpenrc, InitKind::kBusybox, InitKind::kOther})
    EXPECT_EQ(init_kind_from_name(init_kind_name(kind)), kind);
  EXPECT_EQ(init_kind_name(InitKind::kOpenrc), "openrc");
  EXPECT_EQ(init_kind_from_name("upstart"), InitKind::kNone);
}

TEST_F(InitDetectTest, SystemdBehindLinksInsideTheRoot) {
  program("/usr/lib/systemd/systemd");
  link("/lib", "usr/lib");
  link("/usr/sbin/init", "/lib/systemd/systemd");  // absolute: inside the tree, not the host's
  link("/sbin", "usr/sbin");
  auto init = detect();
  EXPECT_EQ(init.kind, InitKind::kSystemd);
  EXPECT_EQ(init.path, "/sbin/init");
  EXPECT_EQ(init.resolved, "/lib/systemd/systemd");
  EXPECT_THAT(init.looked_for, ElementsAre("/sbin/init"));
}

TEST_F(InitDetectTest, RelativeLinksThatClimb) {
  program("/usr/lib/systemd/systemd");
  link("/sbin", "usr/sbin");
  link("/usr/sbin/init", "../lib/systemd/systemd");
  EXPECT_EQ(detect().kind, InitKind::kSystemd);
}

TEST_F(InitDetectTest, BusyboxIsAnInitOnlyByThatName) {
  program("/bin/busybox", "\x7f" "ELF BusyBox v1.35.0");
  link("/sbin/init", "/bin/busybox");
  link("/bin/sleep", "busybox");
  EXPECT_EQ(detect().kind, InitKind::kBusybox);
  EXPECT_EQ(detect("/bin/sleep").kind, InitKind::kOther);
  EXPECT_EQ(detect("/bin/sleep").resolved, "/bin/busybox");
}

TEST_F(InitDetectTest, BusyboxAsAHardLinkOrACopy) {
  program("/bin/busybox", "\x7f" "ELF BusyBox v1.35.0");
  ASSERT_TRUE(make_dirs(temp_ / "sbin"));
  ASSERT_EQ(::link((temp_ / "bin/busybox").c_str(), (temp_ / "sbin/init").c_str()), 0);
  EXPECT_EQ(detect().kind, InitKind::kBusybox);
  ASSERT_TRUE(remove_file(temp_ / "bin/busybox"));
  EXPECT_EQ(detect().kind, InitKind::kBusybox);
}

TEST_F(InitDetectTest, TellsTheOthersApart) {
  program("/sbin/init", "\x7f" "ELF ... /etc/inittab ... /dev/initctl ...");
  EXPECT_EQ(detect().kind, InitKind::kSysvinit);
  program("/sbin/init", "#!/bin/sh\nexec /bin/something\n");
  EXPECT_EQ(detect().kind, InitKind::kOther);
  program("/sbin/openrc-init");
  ASSERT_TRUE(remove_file(temp_ / "sbin/init"));
  auto init = detect();
  EXPECT_EQ(init.kind, InitKind::kOpenrc);
  EXPECT_EQ(init.path, "/sbin/openrc-init");
}

TEST_F(InitDetectTest, NoInitSaysWhatWasLookedFor) {
  program("/sbin/init", "not executable", 0644);
  link("/bin/init", "/bin/gone");
  ASSERT_TRUE(make_dirs(temp_ / "etc/init"));
  link("/init", "init");  // a loop
  auto init = detect();
  EXPECT_EQ(init.kind, InitKind::kNone);
  EXPECT_EQ(init.path, "");
  for (const char* path : {"/sbin/init", "/etc/init", "/bin/init", "/lib/systemd/systemd", "/init"})
    EXPECT_THAT(init.looked_for, Contains(path));
}

TEST_F(InitDetectTest, DoesNotLookOutside) {
  // The host surely has /bin/sh; the tree has not.
  link("/sbin/init", "../../../../../../bin/sh");
  EXPECT_EQ(detect().kind, InitKind::kNone);
}

TEST_F(InitDetectTest, FindsProgramsByPathAndName) {
  program("/usr/local/bin/server");
  EXPECT_EQ(detect("server").path, "/usr/local/bin/server");
  EXPECT_EQ(detect("server").kind, InitKind::kOther);
  EXPECT_EQ(detect("/usr/local/bin/server").path, "/usr/local/bin/server");
  EXPECT_THAT(detect("/missing").looked_for, ElementsAre("/missing"));
  EXPECT_EQ(detect("missing").kind, InitKind::kNone);
  EXPECT_THAT(detect("missing").looked_for, Contains("/usr/sbin/missing"));
}

TEST(TemplateRecord, RoundTripAndRefusals) {
  Template t{.name = "x",
             .digest = "sha256:00",
             .distribution = "debian 12",
             .architecture = "amd64",
             .init = InitKind::kSystemd,
             .init_path = "/sbin/init",
             .size = 5'000'000'000,
             .entries = 7,
             .created = "2026-01-02T03:04:05Z",
             .source = "archive \"odd\xff name\""};
  auto text = format_template(t);
  auto back = parse_template(text, "x");
  ASSERT_TRUE(back) << back.error().to_string();
  t.source = "archive \"odd\xef\xbf\xbd name\"";  // JSON holds no invalid UTF-8
  EXPECT_EQ(*back, t);
  for (const char* bad : {"", "[]", "{}", "{\"schema\": 2}", "nonsense", "{\"schema\": 1, \"digest\": 5}"})
    expect_error(parse_template(bad, "x"), Code::kFailed, {"template.json"});
}

TEST(TemplateRecord, ReadsOsRelease) {
  EXPECT_EQ(distribution_of("PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n"), "debian 12");
  EXPECT_EQ(distribution_of("ID='alpine'\nVERSION_ID=3.20.1"), "alpine 3.20.1");
  EXPECT_EQ(distribution_of("ID=arch\n"), "arch");
  EXPECT_EQ(distribution_of("VERSION_ID=1\n"), "");
  EXPECT_EQ(distribution_of("ID=\"a\x1b[31mb\"\n"), "a[31mb");  // no control characters on somebody's terminal
}

TEST(TemplateRecord, ReadsElfMachines) {
  auto header = [](char elf_class, char data, char low, char high) {
    std::string h(64, '\0');
    h.replace(0, 6, std::string("\x7f" "ELF") + elf_class + data);
    h[18] = low;
    h[19] = high;
    return h;
  };
  EXPECT_EQ(elf_architecture(header(2, 1, 62, 0)), "amd64");
  EXPECT_EQ(elf_architecture(header(2, 1, static_cast<char>(183), 0)), "arm64");
  EXPECT_EQ(elf_architecture(header(1, 1, 3, 0)), "i386");
  EXPECT_EQ(elf_architecture(header(2, 2, 0, 22)), "s390x");
  EXPECT_EQ(elf_architecture("#!/bin/sh"), "");
  EXPECT_EQ(elf_architecture(""), "");
}

}  // namespace
}  // namespace vps::storage
