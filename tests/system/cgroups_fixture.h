// Groups on a real kernel, in a subtree of the test's own: what the tests of the system's cgroups share.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>

#include "base/files.h"
#include "base/pidfd.h"
#include "cgroups/cgroup.h"
#include "tests/support/command.h"
#include "tests/support/temp_dir.h"

namespace vps::cgroups {

constexpr std::int64_t kMiB = 1 << 20;
constexpr int kPatience = 20'000;  // ms; bounds of waits that normally end at once

// A process born in the group that waits for go() and then runs `work` as its whole life.
class Child {
 public:
  Child(const Group& group, const std::function<int()>& work) {
    int gate[2];
    int joined[2];
    EXPECT_EQ(::pipe2(gate, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(joined, O_CLOEXEC), 0);
    int fd = -1;
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP | CLONE_PIDFD;
    args.pidfd = reinterpret_cast<std::uintptr_t>(&fd);
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<std::uint64_t>(group.dirfd());
    auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (pid == 0) {
      char byte = 0;
      ::close(gate[1]);
      if (!group.join_v1() || ::write(joined[1], "j", 1) != 1) ::_exit(98);
      ::close(joined[1]);
      if (::read(gate[0], &byte, 1) != 1) ::_exit(99);
      ::_exit(work());
    }
    EXPECT_GT(pid, 0);
    ::close(gate[0]);
    ::close(joined[1]);
    gate_ = UniqueFd(gate[1]);
    process_ = PidFd(UniqueFd(fd), pid);
    char word = 0;
    EXPECT_EQ(::read(joined[0], &word, 1), 1) << "the child did not get into its v1 groups";
    ::close(joined[0]);
  }
  ~Child() {
    if (waited_) return;
    (void)process_.signal(SIGKILL);
    (void)process_.wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void go() { EXPECT_EQ(::write(gate_.get(), "g", 1), 1); }
  ExitStatus wait() {
    pollfd p{process_.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&p, 1, kPatience), 1) << "the child does not end";
    waited_ = true;
    auto status = process_.wait();
    return status ? *status : ExitStatus{};
  }
  [[nodiscard]] bool alive() const { return process_.alive(); }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }

 private:
  PidFd process_;
  UniqueFd gate_;
  bool waited_ = false;
};

// Touches `bytes` of anonymous memory.
inline void* take_memory(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) ::_exit(98);
  auto* at = static_cast<volatile char*>(memory);
  for (std::size_t i = 0; i < bytes; i += 4096) at[i] = 1;
  return memory;
}

inline bool fires(const Group::Watch& watch) {
  pollfd p{watch.fd.get(), static_cast<short>(watch.eventfd ? POLLIN : POLLPRI), 0};
  return ::poll(&p, 1, kPatience) == 1;
}

class CgroupSystem : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    auto host = Host::discover({.probe = true});
    if (!host) GTEST_SKIP() << host.error().to_string();
    if (::access(host->unified_base.c_str(), W_OK) != 0) GTEST_SKIP() << host->unified_base << " is not writable";
    host_ = *host;
    name_ = fmt::format("vps-test-{}", ::getpid());
  }
  void TearDown() override {
    if (host_.unified_base.empty()) return;
    auto removed = Group::remove(host_, name_);
    EXPECT_TRUE(removed) << removed.error().to_string();
    EXPECT_THAT(leftovers(), ::testing::IsEmpty());
  }

  // Directories of ours, in every hierarchy.
  std::vector<std::string> leftovers() const {
    std::vector<std::string> found;
    auto look = [&](const std::string& base) {
      auto names = list_dir(base);
      ASSERT_TRUE(names) << names.error().to_string();
      for (const auto& name : *names)
        if (name == name_) found.push_back(base + "/" + name);
    };
    look(host_.unified_base);
    for (const auto& hierarchy : host_.v1) look(hierarchy.base);
    return found;
  }

  Group make(const std::string& sub) {
    auto group = Group::create(host_, name_ + "/" + sub);
    EXPECT_TRUE(group) << group.error().to_string();
    return std::move(*group);
  }
  bool lacks(std::string_view controller) const { return !host_.has(controller); }

  static oci::Resources pids(std::int64_t limit) {
    oci::Resources resources;
    resources.pids = oci::PidsLimit{limit};
    return resources;
  }
  static oci::Resources memory(std::int64_t bytes) {
    oci::Resources resources;
    resources.memory.emplace();
    resources.memory->limit = bytes;
    resources.memory->swap = bytes;
    return resources;
  }
  static const Group::Watch* find(const std::vector<Group::Watch>& watches, Group::Watch::Kind kind) {
    for (const auto& watch : watches)
      if (watch.kind == kind) return &watch;
    return nullptr;
  }

  Host host_;
  std::string name_;
};

#define ASSERT_OK(expression)                                   \
  do {                                                          \
    auto ok_result = (expression);                              \
    ASSERT_TRUE(ok_result) << ok_result.error().to_string();    \
  } while (false)

}  // namespace vps::cgroups
