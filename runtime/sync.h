// The start of a container, on one page: what the launcher (parent) and the init half (child) say to each other.
//
//   parent: Launcher, single-threaded                         child: init half (init.cc)
//   0 validate the spec; compute every plan (init_plan.h)
//   1 cgroup leaf, limits, device filter
//   2 private mount namespace, staging of the layers
//   3 clone3(INTO_CGROUP | PIDFD | NEW*)
//                                                             v1 cgroups
//                                   <-- kWantIdMap --         [time namespace unshared]
//   4 id maps, time offsets
//                                   --- kIdMapDone ->
//                                                             become-root, cgroup-namespace, time-namespace, session ...
//                                   <-- kWantMounts --
//   5 rootfs (overlay over idmapped layers), bind sources
//                                   --- kMountFd* , kMountsDone ->
//     the network: veth pairs whose other ends                the steps up to create-container-hooks
//     are born in the child's namespace, addresses,
//     routes (in step 4 where the child sets sysctls of it)
//                                   <-- kConsole(fd) --       (process.terminal only)
//                                   <-- kRootfsReady --
//   6 prestart, createRuntime hooks
//                                   --- kHooksDone ->
//                                                             createContainer hooks, pivot, masks, process attributes
//                                   <-- kSeccompListener(fd) -- (SCMP_ACT_NOTIFY only)
//                                   <-- kReady --
//   7 the container is created; start() goes on
//                                   --- kExec ->
//                                                             startContainer hooks, seccomp
//                                   <-- kExecuting --         execve
//   8 end of file after kExecuting: execve has happened; without it the child has died
//
// What a container does not need is not talked about, so that most containers wait for each other only at kReady: id maps without
// a user or time namespace, an oom score, devices or sysctls of the network and a start by somebody else, and with a cgroup (the pid is
// recorded before kIdMapDone); mounts without a user namespace and layers (they are made before clone3 then);
// hooks without any.
//
// kFailure{step, code, errno, text} and kLog{level, text} are legal wherever the parent waits. End of file before kReady
// without kFailure means that the child was killed: the parent looks at memory.events before it blames anything else.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/seqpacket.h"

namespace vps::runtime {

enum class SyncMessage : std::uint32_t {
  kWantIdMap = 1,
  kWantMounts,
  kConsole,
  kRootfsReady,
  kSeccompListener,
  kReady,
  kFailure,
  kLog,
  kExecuting,
  kIdMapDone = 64,
  kMountFd,
  kMountsDone,
  kHooksDone,
  kExec,
};
std::string_view sync_message_name(SyncMessage message);

struct Failure {
  std::string step;
  Error error;
};
std::string encode(const Failure& failure);
Result<Failure> decode_failure(std::string_view body);

// One end of the channel between the two halves. Not thread-safe.
class SyncChannel {
 public:
  explicit SyncChannel(Seqpacket socket) : socket_(std::move(socket)) {}
  [[nodiscard]] int fd() const { return socket_.fd(); }
  void close() { socket_.close(); }

  Result<> send(SyncMessage message, std::string_view body = {}, std::span<const int> fds = {}) const;
  void send_log(log::Level level, std::string_view text) const;
  void send_failure(const Failure& failure) const;

  // The next packet that is neither kLog (passed on to the log) nor kFailure (returned as its error, step first).
  // nullopt: end of file.
  Result<std::optional<Packet>> receive() const;
  // The same, but it must be `expected`; end of file is a kFailed error with errno EPIPE.
  Result<Packet> expect(SyncMessage expected) const;

 private:
  Seqpacket socket_;
};

}  // namespace vps::runtime
