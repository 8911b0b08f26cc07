#include "storage/templates.h"

#include <sched.h>
#include <sys/mount.h>

#include <thread>

#include "base/failpoint.h"
#include "fixture.h"
#include "storage/name_lock.h"
#include "tests/support/forked.h"

namespace vps::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Names = std::vector<std::string>;

class TemplatesTest : public StorageTest {
 protected:
  void TearDown() override { (void)failpoint::configure(""); }

  [[nodiscard]] std::string store_path() const { return temp_ / "store/templates"; }
  [[nodiscard]] TemplateStore store() const { return TemplateStore(store_path()); }
  // Everything in the store, temporary names and locks too.
  [[nodiscard]] Names all() const { return path_exists(store_path()) ? list_dir(store_path()).value() : Names{}; }

  void make_tar(const std::string& content = "x") {
    ASSERT_TRUE(write_file_atomic(archive_path(), test::raw_tar({{.name = "etc/os-release", .content = "ID=tiny\nVERSION_ID=1\n"},
                                                                {.name = "sbin/init", .content = "#!/bin/sh\n", .mode = 0755},
                                                                {.name = "file", .content = content}})));
  }
};

TEST_F(TemplatesTest, ImportsAnArchive) {
  make_tar();
  auto made = store().import("tiny", archive_path(), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->name, "tiny");
  EXPECT_EQ(made->distribution, "tiny 1");
  EXPECT_EQ(made->init, InitKind::kOther);
  EXPECT_EQ(made->init_path, "/sbin/init");
  EXPECT_EQ(made->entries, 5u);
  EXPECT_EQ(made->size, 21u + 10u + 1u);
  EXPECT_EQ(made->source, "archive archive");
  EXPECT_THAT(made->digest, ::testing::MatchesRegex("sha256:[0-9a-f]+"));
  EXPECT_THAT(made->created, ::testing::MatchesRegex("20..-..-..T..:..:..Z"));
  EXPECT_EQ(store().get("tiny").value(), *made);
  EXPECT_THAT(store().list().value(), ElementsAre(*made));
  EXPECT_EQ(read_file(store().rootfs_path("tiny") + "/file").value(), "x");
  EXPECT_EQ(all(), Names{"tiny"});
  // Setuid programs of strangers: no local user of the host may reach them.
  struct stat st{};
  ASSERT_EQ(::stat((store_path() + "/tiny").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700u);
  EXPECT_EQ(list_dir(store_path() + "/tiny").value(), (Names{"rootfs", "template.json"}));
}

TEST_F(TemplatesTest, ADirectoryAndItsArchiveHaveOneDigest) {
  make_tar();
  auto from_tar = store().import("tar", archive_path(), {}).value();
  auto from_directory = store().import("copy", store().rootfs_path("tar") + "/", {});
  ASSERT_TRUE(from_directory) << from_directory.error().to_string();
  EXPECT_EQ(from_directory->digest, from_tar.digest);
  EXPECT_THAT(from_directory->source, HasSubstr("directory "));
  make_tar("y");
  EXPECT_NE(store().import("other", archive_path(), {}).value().digest, from_tar.digest);
}

TEST_F(TemplatesTest, ATreeWithoutInitIsImportedAndRecordedSo) {
  ASSERT_TRUE(write_file_atomic(archive_path(), test::raw_tar({{.name = "data", .content = "x"}})));
  auto made = store().import("data", archive_path(), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->init, InitKind::kNone);
  EXPECT_EQ(made->init_path, "");
  EXPECT_EQ(store().get("data").value().init, InitKind::kNone);
}

TEST_F(TemplatesTest, RefusalsLeaveNothing) {
  make_tar();
  expect_error(store().import("../x", archive_path(), {}), Code::kUsage, {"../x"});
  expect_error(store().import(".hidden", archive_path(), {}), Code::kUsage, {".hidden"});
  expect_error(store().import("", archive_path(), {}), Code::kUsage, {});
  expect_error(store().import("t", temp_ / "missing", {}), Code::kNotFound, {"import template t", "missing"});
  ASSERT_EQ(::mkfifo((temp_ / "fifo").c_str(), 0600), 0);
  expect_error(store().import("t", temp_ / "fifo", {}), Code::kUsage, {"neither an archive nor a directory"});
  expect_error(store().import("t", "/dev/zero", {}), Code::kUsage, {"neither an archive nor a directory"});
  expect_error(store().import("t", store_path(), {}), Code::kUsage, {"holds the templates"});
  ASSERT_TRUE(write_file_atomic(archive_path(), test::raw_tar({{.name = "ok"}, {.name = "../evil"}})));
  expect_error(store().import("t", archive_path(), {}), Code::kNotAllowed, {"import template t", "../evil"});
  ASSERT_TRUE(write_file_atomic(archive_path(), "garbage"));
  expect_error(store().import("t", archive_path(), {}), Code::kUsage, {"import template t"});
  expect_error(store().build("windows", "t", {}), Code::kNotFound, {"windows", "debian-12, busybox"});
  EXPECT_THAT(all(), IsEmpty());
}

TEST_F(TemplatesTest, ExistingAndUnknownNames) {
  make_tar();
  ASSERT_TRUE(store().import("t", archive_path(), {}));
  expect_error(store().import("t", archive_path(), {}), Code::kExists, {"template t exists already"});
  expect_error(store().build("busybox", "t", {}), Code::kExists, {"template t exists already"});
  expect_error(store().get("nope"), Code::kNotFound, {"template nope does not exist"});
  expect_error(store().remove("nope", {}), Code::kNotFound, {"template nope"});
  expect_error(store().get("a/b"), Code::kUsage, {"a/b"});
  EXPECT_EQ(all(), Names{"t"});
}

TEST_F(TemplatesTest, RemovesOnlyWhatIsNotInUse) {
  make_tar();
  ASSERT_TRUE(store().import("t", archive_path(), {}));
  expect_error(store().remove("t", {"101", "102"}), Code::kBusy, {"template t is used by 101, 102"});
  EXPECT_TRUE(store().get("t"));
  auto removed = store().remove("t", {});
  ASSERT_TRUE(removed) << removed.error().to_string();
  EXPECT_THAT(all(), IsEmpty());
}

TEST_F(TemplatesTest, BrokenRecordsAreSkippedAndNamed) {
  make_tar();
  ASSERT_TRUE(store().import("good", archive_path(), {}));
  ASSERT_TRUE(store().import("bad", archive_path(), {}));
  ASSERT_TRUE(write_file_atomic(store_path() + "/bad/template.json", "{\"schema\": 1, "));
  ASSERT_TRUE(make_dirs(store_path() + "/empty"));
  auto list = store().list().value();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].name, "good");
  EXPECT_THAT(store().broken().value(), ElementsAre(HasSubstr("bad: "), HasSubstr("empty: ")));
  expect_error(store().get("bad"), Code::kFailed, {"template bad", "template.json"});
  EXPECT_TRUE(store().remove("bad", {}));
  EXPECT_THAT(TemplateStore(temp_ / "no-store").list().value(), IsEmpty());
}

TEST_F(TemplatesTest, ACancelLeavesNothing) {
  make_tar();
  int calls = 0;
  // At every call in turn, until the work is done before it.
  for (int stop_at = 1;; ++stop_at) {
    ASSERT_LT(stop_at, 100);
    calls = 0;
    auto result = store().import("t", archive_path(), [&](std::string_view, int) { return ++calls < stop_at; });
    if (result) break;
    expect_error(result, Code::kFailed, {"cancelled"});
    EXPECT_THAT(all(), IsEmpty());
  }
  EXPECT_GT(calls, 0);
  EXPECT_EQ(all(), Names{"t"});
}

TEST_F(TemplatesTest, FailuresAtEachStepLeaveNothingOrAreRecovered) {
  make_tar();
  for (const char* step : {"template-sync", "template-rename"}) {
    ASSERT_TRUE(failpoint::configure(std::string(step) + "=error:EIO"));
    expect_error(store().import("t", archive_path(), {}), Code::kFailed, {"Input/output error"});
    EXPECT_THAT(all(), IsEmpty());
    int code = test::in_child([&] {
      (void)failpoint::configure(std::string(step) + "=kill");
      (void)store().import("t", archive_path(), {});
      return 0;
    });
    EXPECT_EQ(code, 128 + 9);
    EXPECT_THAT(store().list().value(), IsEmpty());
    EXPECT_FALSE(all().empty());
    EXPECT_EQ(store().recover().value(), Names{"t"});
    EXPECT_THAT(all(), IsEmpty());
    ASSERT_TRUE(failpoint::configure(""));
  }
  ASSERT_TRUE(store().import("t", archive_path(), {}));
  int code = test::in_child([&] {
    (void)failpoint::configure("template-remove=kill");
    (void)store().remove("t", {});
    return 0;
  });
  EXPECT_EQ(code, 128 + 9);
  EXPECT_THAT(store().list().value(), IsEmpty());
  EXPECT_EQ(store().recover().value(), Names{"t"});
  EXPECT_THAT(all(), IsEmpty());
}

TEST_F(TemplatesTest, NoRoomIsSaidAndLeavesNothing) {
  make_tar(std::string(4 << 20, 'x'));
  int code = test::in_child([this] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 2;
    ::mkdir((temp_ / "small").c_str(), 0700);
    if (::mount("tmpfs", (temp_ / "small").c_str(), "tmpfs", 0, "size=1m") != 0) return 3;
    TemplateStore small(temp_ / "small");
    auto result = small.import("t", archive_path(), {});
    if (result) return 4;
    if (result.error().code() != Code::kUnavailable) return 5;
    if (result.error().to_string().find("no room in") == std::string::npos) return 6;
    return list_dir(temp_ / "small").value().empty() ? 0 : 7;
  });
  EXPECT_EQ(code, 0);
}

TEST_F(TemplatesTest, WorkOnOneNameExcludesOtherWork) {
  make_tar();
  bool checked = false;
  auto result = store().import("t", archive_path(), [&](std::string_view, int) {
    if (!checked) {
      checked = true;
      std::thread([&] {
        expect_error(store().import("t", archive_path(), {}), Code::kBusy, {"template t is being worked on"});
        EXPECT_THAT(store().recover().value(), IsEmpty());  // not half-made: being made
        EXPECT_TRUE(store().import("u", archive_path(), {}));
      }).join();
    }
    return true;
  });
  ASSERT_TRUE(checked);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(all(), (Names{"t", "u"}));
}

TEST_F(TemplatesTest, LocksAreHandedOnWithoutGaps) {
  ASSERT_TRUE(make_dirs(store_path()));
  std::atomic<int> inside = 0, most = 0, rounds = 0;
  auto work = [&] {
    for (int i = 0; i < 300;) {
      auto lock = lock_name(store_path(), "t");
      if (!lock) {
        ASSERT_EQ(lock.error().code(), Code::kBusy);
        std::this_thread::yield();
        continue;
      }
      most = std::max<int>(most, ++inside);
      ++rounds;
      --inside;
      ++i;
    }
  };
  std::thread a(work), b(work);
  a.join();
  b.join();
  EXPECT_EQ(rounds, 600);
  EXPECT_EQ(most, 1);
  EXPECT_THAT(all(), IsEmpty());
}

TEST_F(TemplatesTest, MissingHostProgramsAreNamed) {
  TemplateStore bare(store_path(), {.apt_directory = "/etc/apt", .mirrors = {}, .search_path = temp_ / "no-programs"});
  expect_error(bare.build("debian-12", "d", {}), Code::kUnavailable, {"build template d", "install the package mmdebstrap"});
  expect_error(bare.build("busybox", "b", {}), Code::kUnavailable, {"build template b", "install the package busybox-static"});
  ASSERT_TRUE(make_dirs(temp_ / "dynamic"));
  ASSERT_EQ(::symlink("/bin/ls", (temp_ / "dynamic/busybox").c_str()), 0);
  TemplateStore dynamic(store_path(), {.apt_directory = "/etc/apt", .mirrors = {}, .search_path = temp_ / "dynamic"});
  expect_error(dynamic.build("busybox", "b", {}), Code::kUnavailable, {"not static", "busybox-static"});
  EXPECT_THAT(all(), IsEmpty());
}

TEST_F(TemplatesTest, BuildsBusybox) {
  if (!path_exists("/bin/busybox") && !path_exists("/usr/bin/busybox")) GTEST_SKIP() << "needs busybox-static";
  auto made = store().build("busybox", "bb", {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->init, InitKind::kBusybox);
  EXPECT_EQ(made->init_path, "/sbin/init");
  EXPECT_THAT(made->distribution, HasSubstr("busybox 1."));
  EXPECT_FALSE(made->architecture.empty());
  const std::string rootfs = store().rootfs_path("bb");
  for (const char* path : {"bin/sh", "sbin/init", "etc/inittab", "etc/passwd", "etc/hosts", "proc", "sys", "dev", "tmp", "run", "var"})
    EXPECT_TRUE(path_exists(rootfs + "/" + path)) << path;
  EXPECT_THAT(read_file(rootfs + "/etc/inittab").value(), HasSubstr("::respawn:/bin/cttyhack /bin/sh -l"));
  struct stat st{};
  ASSERT_EQ(::stat((rootfs + "/tmp").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 01777u);
  // The tree works by itself.
  int code = test::in_child([&] {
    if (::chroot(rootfs.c_str()) != 0 || ::chdir("/") != 0) return 100;
    ::execl("/bin/sh", "sh", "-c", "test $(id -u) = 0 && grep -q root /etc/passwd && ls / | grep -q '^sbin$'", nullptr);
    return 101;
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace vps::storage
