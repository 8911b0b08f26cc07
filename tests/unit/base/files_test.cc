#include "base/files.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "tests/support/temp_dir.h"

namespace vps {
namespace {

using test::TempDir;

std::string message(const Result<>& result) { return result ? "ok" : result.error().to_string(); }
void write_plain(const std::string& path, std::string_view text) { ASSERT_TRUE(write_file_atomic(path, text)); }

TEST(Files, ReadsWholeFiles) {
  TempDir dir;
  std::string large(100'000, 'x');
  write_plain(dir / "file", large);
  EXPECT_EQ(*read_file(dir / "file"), large);
  EXPECT_EQ(*read_file(dir / "file", large.size()), large);
  auto refused = read_file(dir / "file", large.size() - 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().to_string(), dir / "file" + ": larger than 99999 bytes");
  EXPECT_EQ(read_file(dir / "none").error().code(), Code::kNotFound);
  EXPECT_EQ(read_file(dir / "none").error().to_string(), "open " + (dir / "none") + ": No such file or directory");
  EXPECT_FALSE(read_file(dir.path())) << "a directory";
  EXPECT_FALSE(read_file("/proc/self/stat")->empty()) << "files of size 0";
}

TEST(Files, EverythingIsCloseOnExec) {
  TempDir dir;
  write_plain(dir / "file", "x");
  auto root = open_dir(dir.path());
  auto file = open_path(dir / "file", O_RDONLY);
  auto inside = open_in_root(root->get(), "file", O_RDONLY);
  auto made = mkdirs_in_root(root->get(), "a/b", 0755);
  auto lock = lock_file(dir / "lock", false);
  for (const auto* fd : {&root, &file, &inside, &made, &lock}) {
    ASSERT_TRUE(*fd);
    EXPECT_NE(::fcntl((*fd)->get(), F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST(Files, AtomicWrite) {
  TempDir dir;
  ASSERT_TRUE(write_file_atomic(dir / "file", "old", 0600));
  struct stat st{};
  ASSERT_EQ(::stat((dir / "file").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  auto reader = open_path(dir / "file", O_RDONLY);
  ASSERT_TRUE(write_file_atomic(dir / "file", "new"));
  EXPECT_EQ(*read_file(dir / "file"), "new");
  EXPECT_EQ(*read_fd(reader->get()), "old") << "who had it open sees the old one to its end";
  EXPECT_EQ(*list_dir(dir.path()), std::vector<std::string>{"file"}) << "no temporary is left";
}

TEST(Files, AFailedAtomicWriteLeavesTheOldFileAndNoTemporary) {
  TempDir dir;
  ASSERT_TRUE(make_dirs(dir / "target"));
  write_plain(dir / "target/occupied", "x");
  EXPECT_FALSE(write_file_atomic(dir / "target", "text")) << "a directory cannot be replaced by rename";
  EXPECT_EQ(*list_dir(dir.path()), std::vector<std::string>{"target"});
  EXPECT_FALSE(write_file_atomic(dir / "none/file", "text"));

  // A writer that the kernel stops in the middle: RLIMIT_FSIZE stands for the full disk.
  write_plain(dir / "file", "old");
  pid_t pid = ::fork();
  if (pid == 0) {
    rlimit limit{10, 10};
    ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto result = write_file_atomic(dir / "file", std::string(100, 'n'));
    ::_exit(result ? 1 : result.error().err() == EFBIG ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*read_file(dir / "file"), "old");
  EXPECT_EQ(*list_dir(dir.path()), (std::vector<std::string>{"file", "target"}));
}

TEST(Files, LeftoversOfACrashAreNotReadAndCanBeRemoved) {
  TempDir dir;
  write_plain(dir / "state.json", "good");
  // What a crash between open and rename leaves.
  auto half = open_path(dir / ".tmp-state.json-0123456789ab", O_WRONLY | O_CREAT, 0644);
  ASSERT_TRUE(write_all(half->get(), "ha"));
  EXPECT_EQ(*read_file(dir / "state.json"), "good");
  ASSERT_TRUE(write_file_atomic(dir / "state.json", "better"));
  ASSERT_TRUE(remove_leftover_temporaries(dir.path()));
  EXPECT_EQ(*list_dir(dir.path()), std::vector<std::string>{"state.json"});
  EXPECT_EQ(*read_file(dir / "state.json"), "better");
  EXPECT_TRUE(remove_leftover_temporaries(dir / "none"));
}

TEST(Files, KernelFilesGetOneWrite) {
  TempDir dir;
  auto root = open_dir(dir.path());
  EXPECT_EQ(write_kernel_file_at(root->get(), "none", "1").error().code(), Code::kNotFound);
  EXPECT_FALSE(path_exists(dir / "none")) << "kernel files are never created";
  auto result = write_kernel_file_at(AT_FDCWD, "/proc/self/oom_score_adj", "12345678");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().to_string(), "write '12345678' to /proc/self/oom_score_adj: Invalid argument");
}

TEST(Files, MakeDirs) {
  TempDir dir;
  EXPECT_EQ(message(make_dirs(dir / "a//b/c/")), "ok");
  EXPECT_EQ(message(make_dirs(dir / "a/b/c")), "ok");
  write_plain(dir / "file", "x");
  EXPECT_FALSE(make_dirs(dir / "file"));
  EXPECT_FALSE(make_dirs(dir / "file/below"));
  ASSERT_EQ(::symlink("a", (dir / "link").c_str()), 0);
  EXPECT_EQ(message(make_dirs(dir / "link/d")), "ok");
  EXPECT_TRUE(path_exists(dir / "a/d"));
}

TEST(Files, PathExistsLooksAtTheLinkItself) {
  TempDir dir;
  ASSERT_EQ(::symlink("nowhere", (dir / "link").c_str()), 0);
  EXPECT_TRUE(path_exists(dir / "link"));
  EXPECT_FALSE(path_exists(dir / "nowhere"));
  EXPECT_EQ(*read_link_at(AT_FDCWD, dir / "link"), "nowhere");
  EXPECT_FALSE(read_link_at(AT_FDCWD, dir / "nowhere"));
}

TEST(Files, ListDirIsSortedAndRepeatable) {
  TempDir dir;
  for (std::string name : {"b", "a", ".hidden", "c"}) write_plain(dir / name, "");
  auto fd = open_dir(dir.path());
  std::vector<std::string> expected = {".hidden", "a", "b", "c"};
  EXPECT_EQ(*list_dir_at(fd->get()), expected);
  EXPECT_EQ(*list_dir_at(fd->get()), expected) << "the caller's descriptor is not consumed";
  EXPECT_EQ(list_dir(dir / "none").error().code(), Code::kNotFound);
}

TEST(Files, Locks) {
  TempDir dir;
  auto first = lock_file(dir / "lock", false);
  ASSERT_TRUE(first);
  auto second = lock_file(dir / "lock", false);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kBusy);
  first->reset();
  EXPECT_TRUE(lock_file(dir / "lock", true));
}

TEST(Files, RandomHex) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(seen.insert(random_hex(8)).second);
  EXPECT_EQ(seen.begin()->size(), 16u);
  EXPECT_EQ(seen.begin()->find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(random_hex(0), "");
}

// A tree of a tenant's with every way out that he can build.
class InRoot : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_dirs(dir / "root/inside"));
    write_plain(dir / "secret", "host");
    write_plain(dir / "root/secret", "tenant");
    ASSERT_TRUE(make_dirs(dir / "root/etc"));
    ASSERT_EQ(::symlink("/secret", (dir / "root/absolute").c_str()), 0);
    ASSERT_EQ(::symlink("../../../../secret", (dir / "root/inside/dots").c_str()), 0);
    ASSERT_EQ(::symlink(dir.path().c_str(), (dir / "root/hostdir").c_str()), 0);
    ASSERT_EQ(::symlink("loop", (dir / "root/loop").c_str()), 0);
    ASSERT_EQ(::symlink("/etc", (dir / "root/inside/etc").c_str()), 0);
    root = std::move(*open_dir(dir / "root"));
  }
  std::string content(const std::string& path) {
    auto fd = open_in_root(root.get(), path, O_RDONLY);
    return fd ? *read_fd(fd->get()) : fd.error().to_string();
  }
  TempDir dir;
  UniqueFd root;
};

TEST_F(InRoot, NoWayOut) {
  for (std::string path : {"secret", "/secret", "../secret", "../../../secret", "/../secret", "inside/../../secret", "absolute",
                           "/absolute", "inside/dots", "inside/../absolute"})
    EXPECT_EQ(content(path), "tenant") << path;
  EXPECT_FALSE(open_in_root(root.get(), "hostdir/secret", O_RDONLY)) << "an absolute link to the host's directory";
  EXPECT_EQ(open_in_root(root.get(), "loop", O_RDONLY).error().err(), ELOOP);
  EXPECT_EQ(open_in_root(root.get(), "none", O_RDONLY).error().to_string(),
            "open none in the root: No such file or directory");
}

TEST_F(InRoot, NoMagicLinks) {
  auto proc = open_dir("/proc");
  ASSERT_TRUE(proc);
  EXPECT_EQ(open_in_root(proc->get(), "self/root/etc", O_PATH).error().err(), ELOOP);
  EXPECT_EQ(open_in_root(proc->get(), "self/fd/0", O_PATH).error().err(), ELOOP);
}

TEST_F(InRoot, CreatesInsideOnly) {
  ASSERT_TRUE(open_in_root(root.get(), "/inside/etc/new", O_WRONLY | O_CREAT, 0600));
  EXPECT_TRUE(path_exists(dir / "root/etc/new")) << "/etc of the link is the root's";
  struct stat st{};
  ASSERT_EQ(::stat((dir / "root/etc/new").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(InRoot, MakeDirectories) {
  ASSERT_TRUE(mkdirs_in_root(root.get(), "/inside/etc/a/./b//c", 0755));
  EXPECT_TRUE(path_exists(dir / "root/etc/a/b/c"));
  auto again = mkdirs_in_root(root.get(), "inside/etc/a/b/c", 0755);
  ASSERT_TRUE(again);
  EXPECT_NE(::fcntl(again->get(), F_GETFL) & O_PATH, 0);
  EXPECT_EQ(mkdirs_in_root(root.get(), "a/../b", 0755).error().code(), Code::kUsage);
  EXPECT_FALSE(mkdirs_in_root(root.get(), "secret/x", 0755)) << "a file stands in the way";
  EXPECT_FALSE(mkdirs_in_root(root.get(), "loop/x", 0755));
  ASSERT_EQ(::symlink("/nowhere", (dir / "root/dangling").c_str()), 0);
  EXPECT_FALSE(mkdirs_in_root(root.get(), "dangling/x", 0755));
  EXPECT_EQ(*list_dir(dir.path()), (std::vector<std::string>{"root", "secret"})) << "nothing was made outside";
}

TEST(RemoveTree, DoesNotFollowLinks) {
  TempDir dir;
  ASSERT_TRUE(make_dirs(dir / "keep/below"));
  ASSERT_TRUE(make_dirs(dir / "tree/a/b"));
  write_plain(dir / "keep/file", "x");
  write_plain(dir / "tree/a/file", "x");
  ASSERT_EQ(::symlink((dir / "keep").c_str(), (dir / "tree/a/link").c_str()), 0);
  ASSERT_EQ(::symlink("../../keep", (dir / "tree/relative").c_str()), 0);
  ASSERT_EQ(::mkfifo((dir / "tree/fifo").c_str(), 0600), 0);
  EXPECT_EQ(message(remove_tree(dir / "tree/")), "ok") << "a trailing slash changes nothing";
  EXPECT_FALSE(path_exists(dir / "tree"));
  EXPECT_TRUE(path_exists(dir / "keep/file"));
  EXPECT_EQ(message(remove_tree(dir / "tree")), "ok") << "already gone";
  EXPECT_EQ(message(remove_tree(dir / "tree/a/b")), "ok") << "with its parents";
}

TEST(RemoveTree, FilesAndLinksThemselves) {
  TempDir dir;
  ASSERT_TRUE(make_dirs(dir / "keep"));
  write_plain(dir / "file", "x");
  ASSERT_EQ(::symlink("keep", (dir / "link").c_str()), 0);
  EXPECT_EQ(message(remove_tree(dir / "file")), "ok");
  EXPECT_EQ(message(remove_tree(dir / "link")), "ok");
  EXPECT_EQ(*list_dir(dir.path()), std::vector<std::string>{"keep"});
  EXPECT_EQ(message(remove_file(dir / "none")), "ok");
  EXPECT_FALSE(remove_file(dir / "keep"));
}

TEST(RemoveTree, RefusesWhatNobodyMeans) {
  for (std::string path : {"", "/", "//", ".", "..", "/tmp/.", "/tmp/.."})
    EXPECT_EQ(remove_tree(path).error().code(), Code::kUsage) << path;
}

TEST(RemoveTree, AnyDepthWithFewDescriptors) {
  TempDir dir;
  ASSERT_TRUE(make_dirs(dir / "tree"));
  // Deeper than the descriptor limit and than PATH_MAX, as a tenant may build it.
  {
    auto at = open_dir(dir / "tree");
    ASSERT_TRUE(at);
    for (int i = 0; i < 1000; ++i) {
      ASSERT_EQ(::mkdirat(at->get(), "dddd", 0755), 0);
      auto file = open_at(at->get(), "file", O_WRONLY | O_CREAT, 0644);
      ASSERT_TRUE(file);
      auto next = open_at(at->get(), "dddd", O_RDONLY | O_DIRECTORY);
      ASSERT_TRUE(next);
      *at = std::move(*next);
    }
  }
  pid_t pid = ::fork();
  if (pid == 0) {
    rlimit limit{200, 200};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::_exit(remove_tree(dir / "tree") ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(path_exists(dir / "tree"));
}

TEST(RemoveTree, StopsAtMounts) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  TempDir dir;
  ASSERT_TRUE(make_dirs(dir / "tree/z_bind"));
  ASSERT_TRUE(make_dirs(dir / "keep"));
  write_plain(dir / "keep/file", "x");
  // In a mount namespace of the child's own: nothing is mounted on the host, also if the test dies.
  pid_t pid = ::fork();
  if (pid == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(77);
    if (::mount((dir / "keep").c_str(), (dir / "tree/z_bind").c_str(), nullptr, MS_BIND, nullptr) != 0) ::_exit(77);
    auto below = remove_tree(dir / "tree");
    auto itself = remove_tree(dir / "tree/z_bind");
    bool refused = !below && below.error().code() == Code::kBusy && !itself && itself.error().code() == Code::kBusy;
    ::_exit(refused && path_exists(dir / "keep/file") ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this host lets nobody mount here";
  EXPECT_EQ(status, 0) << "the same file system bind-mounted must not be emptied";
  EXPECT_TRUE(path_exists(dir / "keep/file"));
}

}  // namespace
}  // namespace vps
