#include "runtime/joins.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "base/files.h"
#include "base/seqpacket.h"
#include "base/wire.h"
#include "runtime/sync.h"

namespace vps::runtime {
namespace {

namespace ns = namespaces;

bool is_birth(const JoinedNamespace& join) { return join.type == "user" || join.type == "pid"; }

// setns(2) to the user namespace that one is in already is an error.
Result<bool> is_own_user_namespace(const JoinedNamespace& join) {
  struct stat own{};
  struct stat other{};
  if (::stat("/proc/self/ns/user", &own) != 0) return fail_errno(errno, "stat /proc/self/ns/user");
  if (::fstat(join.fd.get(), &other) != 0) return fail_errno(errno, "stat {}", join.path);
  return own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

// Joins what can be joined with the privileges at hand; those that belong to the container's user namespace wait until the
// process is in it.
Result<> enter(std::vector<JoinedNamespace>& joins) {
  auto attempt = [&](JoinedNamespace& join, bool may_wait) -> Result<> {
    if (join.done) return {};
    auto joined = ns::join_namespace_fd(join.fd.get(), join.flag);
    if (joined) join.done = true;
    if (joined || (may_wait && joined.error().err() == EPERM)) return {};
    return std::unexpected(std::move(joined).error().wrap(join.path));
  };
  for (auto& join : joins)
    // The mounts are the new process's own business, in the order of its steps.
    if (join.type != "user" && join.type != "mount") VPS_TRY(attempt(join, true));
  for (auto& join : joins)
    if (join.type == "user") VPS_TRY(attempt(join, false));
  for (auto& join : joins)
    if (join.type == "pid") VPS_TRY(attempt(join, false));
  return {};
}

Result<ns::CloneResult> birth(const ns::CloneRequest& request, std::vector<JoinedNamespace>& joins) {
  VPS_TRY(enter(joins));
  auto sibling = request;
  sibling.flags |= CLONE_PARENT;
  sibling.exit_signal = 0;
  return ns::clone_process(sibling);
}

Result<ns::CloneResult> receive_birth(const Seqpacket& channel, const PidFd& helper) {
  auto packet = channel.receive();
  VPS_TRY(helper.wait());
  if (!packet) return std::unexpected(std::move(packet).error());
  if (!*packet) return fail(Code::kFailed, "the process that joins namespaces died");
  if ((*packet)->fds.empty()) return std::unexpected(VPS_TRY(decode_failure((*packet)->body)).error);
  WireReader r((*packet)->body);
  pid_t pid = r.i32();
  VPS_TRY(r.finish("birth"));
  ns::CloneResult result;
  result.process = PidFd(std::move((*packet)->fds[0]), pid);
  return result;
}

}  // namespace

Result<std::vector<JoinedNamespace>> open_joins(const std::vector<InitPlan::Join>& joins) {
  std::vector<JoinedNamespace> opened;
  for (const auto& join : joins) {
    JoinedNamespace entry{.type = join.type, .path = join.path, .flag = join.flag, .fd = {}};
    entry.fd = VPS_TRY_CTX(fmt::format("{} namespace", join.type), open_path(join.path, O_RDONLY));
    int kind = ::ioctl(entry.fd.get(), NS_GET_NSTYPE);
    if (kind < 0 || static_cast<std::uint64_t>(static_cast<unsigned>(kind)) != join.flag)
      return fail(Code::kUsage, "{} is not a {} namespace", join.path, join.type);
    if (entry.type == "user") entry.done = VPS_TRY(is_own_user_namespace(entry));
    opened.push_back(std::move(entry));
  }
  return opened;
}

Result<ns::CloneResult> clone_joined(const ns::CloneRequest& request, std::vector<JoinedNamespace>& joins) {
  bool new_user = (request.flags & CLONE_NEWUSER) != 0;
  bool helper_needed = std::ranges::any_of(joins, [&](const JoinedNamespace& j) { return !j.done && (new_user || is_birth(j)); });
  if (!helper_needed) return ns::clone_process(request);
  if ((request.flags & CLONE_PARENT) != 0) return fail(Code::kUnavailable, "joining namespaces on behalf of another process");

  auto [ours, theirs] = VPS_TRY(Seqpacket::make_pair());
  auto helper = VPS_TRY(ns::clone_process({}));
  if (!helper.child) {
    theirs.close();
    return receive_birth(ours, helper.process);
  }
  ours.close();
  ::prctl(PR_SET_DUMPABLE, 0);
  auto born = birth(request, joins);
  if (born && born->child) {
    theirs.close();
    return born;
  }
  if (born) {
    WireWriter w;
    w.i32(born->process.pid());
    int fd = born->process.fd();
    (void)theirs.send(0, w.data(), std::span(&fd, 1));
  } else {
    (void)theirs.send(0, encode(Failure{.step = "", .error = std::move(born).error()}));
  }
  ::_exit(0);
}

}  // namespace vps::runtime
